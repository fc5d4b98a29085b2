"""Conversion of optimizer, scheduler and random-number states between pickle and safetensors.

No pickled file is pushed to the Hub or pulled from it. The `Trainer` saves the states as `optimizer*.pt`,
`scheduler.pt`, `scaler.pt` and `rng_state*.pth`. Each is converted to a safetensors file with all
values that are not tensors as JSON in the header. It can be restored bit for bit.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..utils.errors import UserError
from ..utils.required import required
from ..utils.unpickling import load_plain

PICKLED = re.compile(r"(optimizer(?:_\d+)?|scheduler|scaler)\.pt|(rng_state(?:_\d+)?)\.pth")
PLAIN = re.compile(r"(?:(optimizer(?:_\d+)?|scheduler|scaler)|(rng_state(?:_\d+)?))\.safetensors")
_KEY = "state"


def write_plain(source: Path, folder: Path) -> Path:
    """Convert a state file of the `Trainer` to safetensors. Unpickling is restricted to plain values and tensors.

    Args:
        source (`Path`): The pickled file.
        folder (`Path`): Where to write.

    Returns:
        `Path`: The safetensors file.
    """
    state = load_plain(source)
    tensors: dict[str, Tensor] = {}
    header = json.dumps(_described(state, tensors))
    target = folder / f"{source.stem}.safetensors"
    save_file(tensors, target, metadata={_KEY: header})
    return target


def write_back(source: Path) -> Path:
    """Replace a safetensors state by the file that the `Trainer` reads; the inverse of [`write_plain`].

    Raises:
        UserError: If the file contains no training state.
    """
    match = required(PLAIN.fullmatch(source.name), f"the kind of state in the name {source.name}")
    target = source.with_name(f"{match[1]}.pt" if match[1] else f"{match[2]}.pth")
    try:
        with safe_open(source, "pt") as file:
            state = _rebuilt(json.loads((file.metadata() or {})[_KEY]), file)
    except Exception as error:  # safetensors has its own errors, and the file is not trusted
        raise UserError(f"{source.name} contains no training state ({error})") from None
    torch.save(state, target)
    source.unlink()
    return target


def _described(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Encode a state as JSON values and move its tensors to `tensors`. Tuples and non-string keys are kept."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.contiguous().clone()  # safetensors refuses tensors that share storage
        return {"tensor": name}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, dict):
        return {"dict": [[_described(key, tensors), _described(entry, tensors)] for key, entry in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"tuple" if isinstance(value, tuple) else "list": [_described(entry, tensors) for entry in value]}
    raise TypeError(f"a training state with a value of type {type(value).__name__} cannot be pushed")


def _rebuilt(value: Any, file: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return file.get_tensor(value["tensor"])
    if "array" in value:
        return np.array(value["array"], dtype=value["dtype"])
    if "dict" in value:
        return {_rebuilt(key, file): _rebuilt(entry, file) for key, entry in value["dict"]}
    entries = [_rebuilt(entry, file) for entry in value["tuple" if "tuple" in value else "list"]]
    return tuple(entries) if "tuple" in value else entries
