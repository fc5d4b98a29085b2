"""Trainer callback that pushes checkpoints to the Hub as they are saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..utils.required import required
from .checkpoints import Checkpoint, checkpoint_in


class PushCheckpoints(TrainerCallback):
    """Calls a function for each checkpoint that a trainer saves.

    Args:
        push (`Callable[[Checkpoint], None]`): The function, such as a method of `HubPusher`.
    """

    def __init__(self, push: Callable[[Checkpoint], None]):
        self.push = push

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Push the checkpoint of the current step."""
        folder = Path(required(args.output_dir, "output_dir"), f"checkpoint-{state.global_step}")
        if folder.is_dir():  # there is none at the end of a task
            self.push(checkpoint_in(folder))
