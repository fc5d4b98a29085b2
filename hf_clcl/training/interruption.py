"""Stopping a run by signal: what is in hand is saved first, and the same command goes on from there."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal.

    Args:
        number (`int`): The signal.
    """

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Interruption(TrainerCallback):
    """Turns SIGINT and SIGTERM into a checkpoint and an orderly end, as a context and as a callback of the trainer.

    A signal that comes in the steps of a task waits until the step in progress has ended and a checkpoint is written;
    one that comes after them, until the task is saved. Then [`Interrupted`] is raised. At any other time, and when a
    second signal comes, it is raised at once. Signals are left alone outside the main thread, where Python takes none,
    and where the parent has them ignored (`nohup`).
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._waits = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        if error is None and self.requested is not None:
            raise Interrupted(self.requested)  # what was raised when the signal came has been dropped: libraries do

    @contextmanager
    def saving_first(self) -> Iterator[None]:
        """A block that trains a task and saves it: from the first step to its end, a signal waits."""
        try:
            yield
        finally:
            self._waits = False
        if self._agreed():
            raise Interrupted(self.requested)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._waits = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._agreed() and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # A task that came to its last step is finished first: its end is cheaper than its repetition.
        if self.requested is not None and state.global_step < state.max_steps:
            raise Interrupted(self.requested)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        at_once = not self._waits or self.requested is not None
        self.requested = number  # remembered, since a destructor or a library may drop what is raised
        if at_once:
            raise Interrupted(number)
        logger.warning("stopping: what is in hand is saved first; once more to stop at once")

    def _agreed(self) -> bool:
        """Whether any process was asked to stop; all of them have to ask at the same step."""
        state = PartialState()
        if state.num_processes > 1:
            asked = reduce(torch.tensor(self.requested is not None, device=state.device).int(), reduction="sum")
            if asked.item() and self.requested is None:
                self.requested = signal.SIGTERM
        return self.requested is not None
