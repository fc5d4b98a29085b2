"""NaN and infinite losses, gradients and weights: skip such steps, and never save such weights."""

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
    """Whether all values of all tensors are finite, as a boolean tensor on their device; from the maximum norm.

    For sharded tensors it checks the shard of this rank.
    """
    parts = [getattr(tensor, "to_local", lambda tensor=tensor: tensor)() for tensor in map(Tensor.detach, tensors)]
    largest = torch._foreach_norm([part for part in parts if part.numel()], ord=math.inf)
    return torch.isfinite(torch.stack([norm.float() for norm in largest])).all() if largest else torch.tensor(True)


def not_finite(task: str, what: str, state: TrainerState, learning_rate: float) -> TrainingError:
    """The error that stops a task.

    Args:
        task (`str`): Name of the task.
        what (`str`): What is not finite, such as `"loss"`.
        state (`TrainerState`): Gives the step.
        learning_rate (`float`): The current learning rate.
    """
    return TrainingError(
        f"{task}: {what} is not a finite number near step {state.global_step} of {state.max_steps} (learning rate "
        f"{learning_rate:.3g}). {KEPT} {ADVICE}"
        + ("" if asks_for_zero() else ". skip_nonfinite_steps: N lets a task skip N such steps")
    )


class FiniteSteps(TrainerCallback):
    """Skips optimizer steps with a NaN or infinite loss or gradient, up to a limit for each task.

    A skipped step changes neither the weights nor the optimizer state. Its batch is used up and the learning rate
    schedule advances. With a limit of 0 nothing is checked and no step is skipped.

    Args:
        limit (`int`): How many steps may be skipped; 0 for none.
        task (`str`): Name of the task, for messages.
        accelerator (`Accelerator`): Synchronizes the ranks, which all skip the same steps.
    """

    def __init__(self, limit: int, task: str, accelerator: Accelerator):
        self.limit, self.task, self.accelerator = limit, task, accelerator
        self.skipped = 0
        self._broken = False

    def losses_finite(self, terms: Iterable[Tensor]) -> bool:
        """Whether the losses of a forward pass are finite on all ranks; if not, their step will be skipped."""
        if not self.limit:
            return True
        finite = self.on_all_ranks(torch.isfinite(torch.stack([term.detach().float() for term in terms])).all())
        self._broken |= not finite
        return finite

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not self.limit:
            return
        model: nn.Module = kwargs["model"]
        parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
        # In fp16 the gradients are scaled, and the scaler reacts to infinite ones.
        if not self._broken and not args.fp16 and parameters:
            gradients = (parameter.grad for parameter in parameters if parameter.grad is not None)
            self._broken = not self.on_all_ranks(all_finite(gradients))
        if not self._broken:
            return
        self._broken = False
        self.skipped += 1
        for parameter in parameters:
            parameter.grad = None  # an optimizer skips parameters without a gradient
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
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # DeepSpeed silently skips a step with a gradient that is not finite, in fp32 too.
        if not args.fp16 and self.accelerator.optimizer_step_was_skipped:
            lr_scheduler: LRScheduler = kwargs["lr_scheduler"]
            raise not_finite(self.task, "a gradient", state, float(lr_scheduler.get_last_lr()[0]))

    def on_all_ranks(self, finite: Tensor) -> bool:
        """Whether a boolean tensor is true on all ranks; all ranks must call this together."""
        if self.accelerator.num_processes == 1:
            return bool(finite)
        return int(reduce(finite.int().to(self.accelerator.device), reduction="sum")) == self.accelerator.num_processes
