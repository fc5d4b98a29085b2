"""Disk cache of decoded frames, so that repeated evaluations decode each image once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np


class FrameFile:
    """uint8 arrays of one shape in an unnamed temporary file, which the system deletes when the process ends.

    The file is read and written with `pread` and `pwrite` and not mapped, so a full disk raises an error that can be
    caught. Workers that are forked later can read the arrays written before.

    Args:
        folder (`Path`): Folder of the file; created if it is missing.
        count (`int`): Number of arrays.
        shape (`tuple[int, ...]`): Shape of each array.

    Raises:
        OSError: If the file cannot be created.
    """

    def __init__(self, folder: Path, count: int, shape: tuple[int, ...]):
        folder.mkdir(parents=True, exist_ok=True)
        self.shape, self.size = shape, int(np.prod(shape))
        self.there = np.zeros(count, dtype=bool)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)

    def read(self, index: int) -> np.ndarray | None:
        """Read the array at an index; `None` if none was written."""
        if not self.there[index]:
            return None
        content = os.pread(self._file.fileno(), self.size, index * self.size)
        return np.frombuffer(content, dtype=np.uint8).reshape(self.shape)

    def write(self, index: int, array: np.ndarray) -> None:
        """Write the array at an index.

        Raises:
            OSError: If the disk is full.
        """
        written = os.pwrite(self._file.fileno(), np.ascontiguousarray(array).data.cast("B"), index * self.size)
        if written != self.size:
            raise OSError(f"only {written} of {self.size} bytes were written")
        self.there[index] = True
