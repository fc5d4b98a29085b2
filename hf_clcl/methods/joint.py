"""One training on all tasks together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Method


@dataclass
class Joint(Method):
    """One training on the images of all tasks together (an upper bound for what a stream can leave behind).

    Each image is classified among the classes of its own task, as in a stream. The training takes as many steps as all
    tasks together would, with the training values of the stream; those that a task sets for itself only count its
    steps. Every row of the matrix is that of the one model, so read its last row alone: nothing in it is transfer or
    forgetting.
    """

    name: ClassVar[str] = "joint"
    trains_jointly: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
