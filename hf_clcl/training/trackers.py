"""Trackers (TensorBoard, Trackio, Weights & Biases, ...) over a whole stream."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel, Trainer, TrainerCallback


class KeepOpen:
    """A reporting callback that stays open from the first task to the last, so that a tracker shows one run."""

    def __init__(self, reporter: TrainerCallback):
        self.reporter = reporter

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reporter, name)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """The stream goes on; [`close`] ends the report."""

    def close(self, trainer: Trainer, model: PreTrainedModel) -> None:
        self.reporter.on_train_end(
            trainer.args, trainer.state, trainer.control, model=model, processing_class=trainer.processing_class
        )
