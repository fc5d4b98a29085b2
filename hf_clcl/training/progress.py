"""Progress bar of a task."""

from __future__ import annotations

from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback


class TaskProgress(ProgressCallback):
    """The progress bar of `transformers` with the name of the task and the last loss, and without log lines.

    Args:
        description (`str`): The text before the bar.
    """

    def __init__(self, description: str):
        super().__init__()
        self.description = description

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        self.current_step = state.global_step
        if self.training_bar is not None:
            self.training_bar.desc = f"{self.description}: "
            self.training_bar.initial = self.training_bar.n = state.global_step  # where a resumed task starts
            self.training_bar.refresh()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if self.training_bar is not None and logs and "loss" in logs:
            shown = f"loss {float(logs['loss']):.3f}, lr {float(logs.get('learning_rate', 0.0)):.1e}"
            self.training_bar.set_postfix_str(shown, refresh=False)
