"""Experiment trackers (TensorBoard, Trackio, Weights & Biases, ...) that log a whole stream as one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, Trainer, TrainerCallback

if TYPE_CHECKING:
    _Callback = TrainerCallback
else:  # the methods of `TrainerCallback` would hide those of the reporter from `__getattr__`
    _Callback = object


class KeepOpen(_Callback):
    """A reporting callback that stays open from the first task to the last, so that a tracker shows one run.

    Args:
        reporter (`TrainerCallback`): The callback of the tracker.
    """

    def __init__(self, reporter: TrainerCallback):
        self.reporter = reporter

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reporter, name)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing, since the stream continues; [`close`] ends the report."""

    def close(self, trainer: Trainer, model: PreTrainedModel) -> None:
        """End the report after the last task."""
        self.reporter.on_train_end(
            trainer.args, trainer.state, trainer.control, model=model, processing_class=trainer.processing_class
        )
