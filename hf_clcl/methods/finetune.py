"""Sequential fine-tuning, and the model that is never trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Method


@dataclass
class Finetune(Method):
    """Fine-tuning on one task after another, with nothing against forgetting (the lower bound).

    Source: "Continual-FT" of ZSCL (Zheng et al., ICCV 2023, section 5.1).
    """

    name: ClassVar[str] = "finetune"


@dataclass
class ZeroShot(Method):
    """The untrained model: every row of the matrix is its zero-shot accuracy.

    Source: CLIP (Radford et al., 2021, section 3.1).
    """

    name: ClassVar[str] = "zero_shot"
    trains: ClassVar[bool] = False
    citation: ClassVar[str] = """@inproceedings{radford2021clip,
  title = {Learning Transferable Visual Models From Natural Language Supervision},
  author = {Radford, Alec and Kim, Jong Wook and Hallacy, Chris and others},
  booktitle = {ICML},
  year = {2021}
}"""
