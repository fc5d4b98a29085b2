"""States of optimiser, schedule and random numbers as safetensors: nothing pickled goes to the Hub or comes from it.

The `Trainer` keeps them as `optimizer*.pt`, `scheduler.pt`, `scaler.pt` and `rng_state*.pth`. Each becomes a file of
its tensors, with everything else as JSON in its header, and is written back bit for bit from that.
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
    """Write a state that the `Trainer` saved as safetensors; it is read without running anything that it holds."""
    state = load_plain(source)
    tensors: dict[str, Tensor] = {}
    header = json.dumps(_described(state, tensors))
    target = folder / f"{source.stem}.safetensors"
    save_file(tensors, target, metadata={_KEY: header})
    return target


def write_back(source: Path) -> Path:
    """Put the file that the `Trainer` reads in the place of its plain form.

    Raises:
        UserError: Where the file holds no state.
    """
    found = required(PLAIN.fullmatch(source.name), f"the kind of state in the name {source.name}")
    target = source.with_name(f"{found[1]}.pt" if found[1] else f"{found[2]}.pth")
    try:
        with safe_open(source, "pt") as file:
            state = _rebuilt(json.loads((file.metadata() or {})[_KEY]), file)
    except Exception as error:  # safetensors has errors of its own, and the file is somebody else's
        raise UserError(f"{source.name} holds no state of a training ({error})") from None
    torch.save(state, target)
    source.unlink()
    return target


def _described(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A state as JSON values, its tensors put into `tensors`; JSON alone knows neither tuples nor keys of numbers."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.contiguous().clone()  # safetensors refuses storage that two of them share
        return {"tensor": name}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, dict):
        return {"dict": [[_described(key, tensors), _described(entry, tensors)] for key, entry in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"tuple" if isinstance(value, tuple) else "list": [_described(entry, tensors) for entry in value]}
    raise TypeError(f"a state with a {type(value).__name__} cannot be pushed")


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
