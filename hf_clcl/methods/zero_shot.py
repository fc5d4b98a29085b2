"""The model that is never trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Method


@dataclass
class ZeroShot(Method):
    """The untrained model: every row of the matrix is its zero-shot accuracy.

    Source: CLIP (Radford et al., 2021).
    """

    name: ClassVar[str] = "zero_shot"
    trains: ClassVar[bool] = False
    takes_adapters: ClassVar[bool] = False
    citation: ClassVar[str] = """@inproceedings{radford2021clip,
  title = {Learning Transferable Visual Models From Natural Language Supervision},
  author = {Radford, Alec and Kim, Jong Wook and Hallacy, Chris and others},
  booktitle = {ICML},
  year = {2021}
}"""
