"""Safe loading of files that the `Trainer` pickles: no code in them is run."""

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
    """Load tensors, numbers and texts from a file that `torch.save` wrote.

    Raises:
        UnpicklingError: If the file holds any other object. The object is not created.
    """
    with safe_globals():
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


@contextmanager
def explain_unpickling_errors(checkpoint: str | None) -> Iterator[None]:
    """Turn the unpickling error of a block in which the `Trainer` loads a checkpoint into a `UserError`.

    Args:
        checkpoint (`str`, *optional*): Folder of the checkpoint. If it is `None`, the error is raised as it is.

    Raises:
        UserError: If a file of the checkpoint holds more than tensors, numbers and texts.
    """
    try:
        yield
    except UnpicklingError as error:
        if checkpoint is None:
            raise
        reason = (str(error).splitlines() or [""])[0][:200]
        name = next(filter(_is_refused, sorted(Path(checkpoint).glob("*.pt*"))), Path(checkpoint)).name
        raise UserError(
            f"{name} of {checkpoint} holds more than tensors, numbers and texts. It is not loaded, since that could "
            f"run code ({reason}). This program did not write it: delete that checkpoint, and the same command "
            "resumes from the checkpoint before it, or from the start of the task"
        ) from None


def _is_refused(file: Path) -> bool:
    try:
        load_plain(file)
    except UnpicklingError:
        return True
    return False
