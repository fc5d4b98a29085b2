"""ZSCL without weight consolidation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .zscl import ZSCL


@dataclass
class ZSCLStar(ZSCL):
    """ZSCL without the L2 penalty.

    Source: ZSCL* of Zheng et al., ICCV 2023.

    Args:
        l2_weight (`float`, defaults to 0.0): Weight of the L2 penalty.
        kwargs: The other options of [`ZSCL`].
    """

    name: ClassVar[str] = "zscl_star"

    l2_weight: float = 0.0
