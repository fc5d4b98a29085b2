"""The learning rate schedule of the published ZSCL runs, beside those of `transformers`."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers.utils import ExplicitEnum

# Those of `transformers.SchedulerType`, and ours.
ScheduleName = Literal[
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt",
    "reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay", "greedy",
    "cosine_zscl",
]  # fmt: skip


class OwnSchedulerType(ExplicitEnum):
    """Schedules that `transformers` does not have."""

    COSINE_ZSCL = "cosine_zscl"


def get_zscl_schedule(optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int) -> LambdaLR:
    """The schedule of ZSCL's public code: it differs from `cosine` in the warm-up and in the last step.

    With `k` the number of the step from 0, `w` the warm-up and `n` the steps that were asked for, the learning rate is
    `(k + 1) / w` of its value for `k < w`, then `(1 + cos(pi * (k - w) / (n - w))) / 2` of it. There are `n + 1`
    steps, the last with a learning rate of 0. A warm-up that is longer than the task does not end, as in the
    public code.

    Args:
        optimizer (`Optimizer`): Its learning rates are the peaks.
        num_warmup_steps (`int`): `w`.
        num_training_steps (`int`): `n + 1`.
    """
    factor = partial(_zscl_factor, num_warmup_steps=num_warmup_steps, last_step=num_training_steps - 1)
    return LambdaLR(optimizer, factor)


def _zscl_factor(step: int, *, num_warmup_steps: int, last_step: int) -> float:
    if step < num_warmup_steps:
        return (step + 1) / num_warmup_steps
    progress = (step - num_warmup_steps) / max(1, last_step - num_warmup_steps)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress))))
