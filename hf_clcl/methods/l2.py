"""Fine-tuning with an L2 penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .regularized import Regularized


@dataclass
class L2(Regularized):
    """Fine-tuning with an L2 penalty on the distance to the weights at the start of each task.

    Source: the "WC" row of ZSCL (Zheng et al., ICCV 2023).

    Args:
        l2_weight (`float`, defaults to 1.0): Weight of the squared distance.
        kwargs: The other options of [`Regularized`].
    """

    name: ClassVar[str] = "l2"

    l2_weight: float = 1.0
