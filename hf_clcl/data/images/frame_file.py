"""Frames on disk: images are decoded once, however often they are evaluated."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np


class FrameFile:
    """Equal arrays of uint8 in a file that has no name, so that nothing is left of it, whatever ends the process.

    It is written and read at places, not mapped: a full disk is then an error that can be caught. Workers that are
    forked later read what is there.

    Args:
        folder (`Path`): Where the disk space is taken; made where it is missing.
        count (`int`): Number of arrays.
        shape (`tuple[int, ...]`): Of each.

    Raises:
        OSError: Where no file can be made.
    """

    def __init__(self, folder: Path, count: int, shape: tuple[int, ...]):
        folder.mkdir(parents=True, exist_ok=True)
        self.shape, self.size = shape, int(np.prod(shape))
        self.there = np.zeros(count, dtype=bool)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)

    def read(self, index: int) -> np.ndarray | None:
        """The array at a place, where there is one."""
        if not self.there[index]:
            return None
        content = os.pread(self._file.fileno(), self.size, index * self.size)
        return np.frombuffer(content, dtype=np.uint8).reshape(self.shape)

    def write(self, index: int, array: np.ndarray) -> None:
        """Keep an array.

        Raises:
            OSError: Where the disk is full.
        """
        written = os.pwrite(self._file.fileno(), np.ascontiguousarray(array).data.cast("B"), index * self.size)
        if written != self.size:
            raise OSError(f"{written} of {self.size} bytes were written")
        self.there[index] = True
