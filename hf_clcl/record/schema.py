"""Values that JSON can hold."""

from __future__ import annotations

import math
from typing import Any

from ..config.values import half_a_character, walk

DEEPEST = 64


def plain(value: Any) -> Any:
    """A value as JSON has it. A loss that is not a number becomes null: JSON has no other word for it."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # numbers and arrays of NumPy
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def check_writable(values: Any) -> None:
    """See that JSON values can be written again.

    Raises:
        ValueError: Where they are nested too deeply, a number is infinite or none, or a text is no text.
    """
    for where, value, depth in walk(values):
        if depth > DEEPEST:
            raise ValueError(f"{where[:80]} is nested too deeply")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{ascii(where)[1:-1]}: is not a finite number; use null for what was not measured")
        if isinstance(value, str) and (problem := half_a_character(value)):
            raise ValueError(f"{ascii(where)[1:-1]}: {problem}")


def no_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is not JSON; use null for what was not measured")
