"""Sequential fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Method


@dataclass
class Finetune(Method):
    """Fine-tuning on one task after another, without any measure against forgetting (the lower bound).

    Source: "Continual-FT" of ZSCL (Zheng et al., ICCV 2023).
    """

    name: ClassVar[str] = "finetune"
