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
        averaging_interval (`int`, defaults to 100): Steps between two snapshots.
        kwargs: The other options of [`Regularized`].
    """

    name: ClassVar[str] = "weight_ensemble"

    averaging_interval: int = 100
