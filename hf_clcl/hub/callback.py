"""The link between a trainer and the pusher: each checkpoint as it is saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..utils.required import required
from .checkpoints import Checkpoint, checkpoint_in


class PushCheckpoints(TrainerCallback):
    """Hands each checkpoint of a trainer, as it is saved, to a pusher."""

    def __init__(self, push: Callable[[Checkpoint], None]):
        self.push = push

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        folder = Path(required(args.output_dir, "output_dir"), f"checkpoint-{state.global_step}")
        if folder.is_dir():  # at the end of a task there is none
            self.push(checkpoint_in(folder))
