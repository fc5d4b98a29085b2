"""Numbers that are not finite: steps that are left out, and weights that are never kept."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import reduce
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..distributed.zero import asks_for_zero
from ..utils.errors import TrainingError

logger = logging.getLogger(__name__)

ADVICE = "Lower learning_rate, set max_grad_norm: 1.0, or turn bf16 or fp16 off"
KEPT = "Finished tasks and the last checkpoint are kept."


def all_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Whether every number is finite, as a tensor on the device: the largest is then finite.

    Of weights that are divided among processes it looks at the part of this one.
    """
    parts = [getattr(tensor, "to_local", lambda tensor=tensor: tensor)() for tensor in map(Tensor.detach, tensors)]
    largest = torch._foreach_norm([part for part in parts if part.numel()], ord=math.inf)
    return torch.isfinite(torch.stack([norm.float() for norm in largest])).all() if largest else torch.tensor(True)


def not_finite(task: str, what: str, state: TrainerState, learning_rate: float) -> TrainingError:
    """The error that stops a task."""
    return TrainingError(
        f"{task}: {what} is not a finite number near step {state.global_step} of {state.max_steps} (learning rate "
        f"{learning_rate:.3g}). {KEPT} {ADVICE}"
        + ("" if asks_for_zero() else ". skip_nonfinite_steps: N lets a task leave out N such steps")
    )


class FiniteSteps(TrainerCallback):
    """Leaves out optimiser steps with a loss or a gradient that is not a finite number, a few of them a task.

    A step that is left out changes neither weights nor the state of the optimiser; its batch is drawn and its place in
    the schedule passes. Without a limit nothing is asked, and nothing left out.

    Args:
        limit (`int`): Steps that may be left out; 0 for none.
        task (`str`): Name of the task, for messages.
        accelerator (`Accelerator`): All processes leave out the same steps.
    """

    def __init__(self, limit: int, task: str, accelerator: Accelerator):
        self.limit, self.task, self.accelerator = limit, task, accelerator
        self.skipped = 0
        self._broken = False

    def takes(self, terms: Iterable[Tensor]) -> bool:
        """Whether the losses of a forward are finite in all processes; else the step that they belong to is lost."""
        if not self.limit:
            return True
        finite = self.agreed(torch.isfinite(torch.stack([term.detach().float() for term in terms])).all())
        self._broken |= not finite
        return finite

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module, **kwargs: Any
    ) -> None:
        if not self.limit:
            return
        parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
        # In fp16 the gradients are scaled, and infinite ones are what the scaler adapts to.
        if not self._broken and not args.fp16 and parameters:
            self._broken = not self.agreed(all_finite(parameter.grad for parameter in parameters))
        if not self._broken:
            return
        self._broken = False
        self.skipped += 1
        for parameter in parameters:
            parameter.grad = None  # an optimiser passes over parameters without a gradient
        where = f"{self.task}: step {state.global_step + 1} of {state.max_steps}"
        if self.skipped > self.limit:
            raise TrainingError(
                f"{where}: a loss or a gradient is not a finite number, {self.skipped} times in this task; "
                f"skip_nonfinite_steps allows {self.limit}. {KEPT} {ADVICE}"
            )
        logger.warning(
            "%s is skipped: a loss or a gradient is not a finite number (%d of %d)", where, self.skipped, self.limit
        )

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        lr_scheduler: LRScheduler,
        **kwargs: Any,
    ) -> None:
        # DeepSpeed passes over a gradient that is not finite, in fp32 too, and goes on.
        if not args.fp16 and self.accelerator.optimizer_step_was_skipped:
            raise not_finite(self.task, "a gradient", state, lr_scheduler.get_last_lr()[0])

    def agreed(self, finite: Tensor) -> bool:
        """Whether it is so in all processes."""
        if self.accelerator.num_processes == 1:
            return bool(finite)
        return int(reduce(finite.int().to(self.accelerator.device), reduction="sum")) == self.accelerator.num_processes
