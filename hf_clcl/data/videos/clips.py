"""Video clips as model inputs: a few frames of each clip, with the same crop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ...utils.errors import DataError
from ..images.frames import Frames
from .reading import find_clip, read_frames

if TYPE_CHECKING:
    from datasets import Dataset


class Clips(Frames):
    """The clips of one dataset as uint8 frames of the model's size. It is like [`Frames`], with one dimension more.

    `evaluation_batch` and `training_batch` return `[clips, count, 3, height, width]`. All frames of a clip get the
    same crop.

    Args:
        dataset (`datasets.Dataset`): Rows with the names of clips.
        column (`str`): Column of these names.
        root (`Path`): The user's folder of videos.
        count (`int`): Number of evenly spaced frames of each clip; see [`evenly`].
        kwargs: The other arguments of [`Frames`].
    """

    def __init__(self, dataset: Dataset, column: str, root: Path, count: int, *args: Any, **kwargs: Any):
        super().__init__(dataset, column, *args, **kwargs)
        self.root, self.count = root, count

    def encoded(self, rows: Sequence[int] | np.ndarray) -> Iterator[bytes]:
        """Yield the pixels of the frames of clips; a clip may be a file or a folder of frames."""
        for row in rows:
            yield b"".join(np.asarray(frame).tobytes() for frame in self._read_clip(int(row)))

    def _processed(self, index: int, **steps: bool) -> np.ndarray:
        return np.stack(self.processor(self._read_clip(index), **steps)["pixel_values"])

    def _read_clip(self, index: int) -> list[Image.Image]:
        name = self.images[index][self.column]
        path = find_clip(name, self.root, self.name)
        if path is None:
            raise DataError(f"{self.name}: the clip {name!r} is no longer in {self.root}; put it back")
        return read_frames(path, self.count, self.name)

    def _crop(self, image: np.ndarray, seed: Sequence[int]) -> np.ndarray:
        return np.stack([super(Clips, self)._crop(frame, seed) for frame in image])
