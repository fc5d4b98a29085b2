"""Interfaces of image sources: frames for evaluation, teachers and training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class ImageSource(Protocol):
    """Images whose evaluation frames are the same each time they are read."""

    def __len__(self) -> int: ...

    def evaluation_batch(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """Deterministic frames, uint8 `[len(indices), 3, height, width]`."""


class TrainingImageSource(ImageSource, Protocol):
    """Images that also have random crops for training."""

    def training_batch(self, indices: Sequence[int] | np.ndarray, seeds: Sequence[Sequence[int]]) -> Tensor:
        """Randomly cropped frames, uint8 `[len(indices), 3, height, width]`; each depends on its seed alone."""
