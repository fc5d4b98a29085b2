"""Values that JSON can hold."""

from __future__ import annotations

import math
from typing import Any

from ..config.values import surrogate_problem, walk

DEEPEST = 64


def plain(value: Any) -> Any:
    """Convert a value to plain JSON types. A number that is not finite becomes null, since JSON cannot hold it."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # NumPy numbers and arrays
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def check_writable(values: Any) -> None:
    """Check that JSON values can be written again.

    Raises:
        ValueError: If they are nested too deeply, or hold a number that is not finite or a text that is not Unicode.
    """
    for where, value, depth in walk(values):
        if depth > DEEPEST:
            raise ValueError(f"{where[:80]} is nested too deeply")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{ascii(where)[1:-1]}: is not a finite number; use null for what was not measured")
        if isinstance(value, str) and (problem := surrogate_problem(value)):
            raise ValueError(f"{ascii(where)[1:-1]}: {problem}")


def no_constant(name: str) -> None:
    """Raise an error for `NaN` and infinities, for `parse_constant` of `json.loads`."""
    raise ValueError(f"it holds {name}, which is not JSON; use null for what was not measured")
