"""What the `Trainer` pickles, read without running anything that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from transformers.trainer_pt_utils import safe_globals

from .errors import UserError


def load_plain(file: Path) -> Any:
    """A state of tensors, numbers and texts that `torch.save` wrote.

    Raises:
        UnpicklingError: Where the file holds anything else, which is then not made.
    """
    with safe_globals():
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


@contextmanager
def refusing(checkpoint: str | None) -> Iterator[None]:
    """A block in which the `Trainer` reads a checkpoint; it too reads `weights_only`, and refuses in other words.

    Raises:
        UserError: Where a file of the checkpoint holds more than tensors, numbers and texts.
    """
    try:
        yield
    except UnpicklingError as error:
        if checkpoint is None:
            raise
        reason = (str(error).splitlines() or [""])[0][:200]
        name = next(filter(_is_refused, sorted(Path(checkpoint).glob("*.pt*"))), Path(checkpoint)).name
        raise UserError(
            f"{name} of {checkpoint} holds more than numbers, and is not read, since that would run it ({reason}). "
            "It is not what this program wrote: delete that checkpoint, and the same command goes on from the one "
            "before, or from the start of the task"
        ) from None


def _is_refused(file: Path) -> bool:
    try:
        load_plain(file)
    except UnpicklingError:
        return True
    return False
