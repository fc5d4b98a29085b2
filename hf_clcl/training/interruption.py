"""Stop a run by SIGINT or SIGTERM: a checkpoint is saved first, and the same command resumes from it."""

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

from ..utils.required import required

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
    """Saves a checkpoint on SIGINT or SIGTERM and then stops the run; a context manager and a `TrainerCallback`.

    During the steps of a task, [`Interrupted`] is raised after the current step has ended and a checkpoint is saved.
    After the last step it is raised when the task is saved. At any other time, and after a second signal, it is raised
    at once. Signals are not handled outside the main thread, where Python delivers none, and are not handled if the
    parent process ignores them (`nohup`).
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
            raise Interrupted(self.requested)  # a library has swallowed the exception that the signal raised

    @contextmanager
    def saving_first(self) -> Iterator[None]:
        """Context manager for training and saving a task: from the first step to its end, a signal waits."""
        try:
            yield
        finally:
            self._waits = False
        if self._requested_on_any_rank():
            raise Interrupted(required(self.requested, "the signal"))

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._waits = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._requested_on_any_rank() and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # After its last step a task is finished first, since this is cheaper than to repeat it.
        if self.requested is not None and state.global_step < state.max_steps:
            raise Interrupted(self.requested)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        at_once = not self._waits or self.requested is not None
        self.requested = number  # kept, since a destructor or a library may swallow the exception
        if at_once:
            raise Interrupted(number)
        logger.warning("stopping after the current step is saved; send the signal again to stop at once")

    def _requested_on_any_rank(self) -> bool:
        """Whether any rank has received a signal; all ranks must call this at the same step."""
        state = PartialState()
        if state.num_processes > 1:
            received = reduce(torch.tensor(self.requested is not None, device=state.device).int(), reduction="sum")
            if received.item() and self.requested is None:
                self.requested = signal.SIGTERM
        return self.requested is not None
