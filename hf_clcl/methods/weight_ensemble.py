"""Fine-tuning with averaged weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .regularized import Regularized


@dataclass
class WeightEnsemble(Regularized):
    """Fine-tuning whose weights are averaged along each task.

    Source: WE of ZSCL (Zheng et al., ICCV 2023).

    Args:
        averaging_interval (`int`, *optional*):
            Steps between two snapshots; a tenth of the steps of the task where not given (100 of 1000).
        kwargs: The other options of [`Regularized`].
    """

    name: ClassVar[str] = "weight_ensemble"

    averaging_interval: int | None = None
