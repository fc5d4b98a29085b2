"""Values of JSON, checked against the types that a dataclass declares."""

from __future__ import annotations

import math
import types
import typing
from typing import Any, get_args, get_origin

from ..config.values import half_a_character, type_hints, walk

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
        if isinstance(value, str) and (problem := half_a_character(value)):
            raise ValueError(f"{ascii(where)[1:-1]}: {problem}")


def problems_of(value: Any, hint: Any, where: str) -> list[str]:
    """Where a JSON value is not of the type that the record declares."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return []
    if origin in (typing.Union, types.UnionType):
        attempts = [problems_of(value, choice, where) for choice in arguments]
        return [] if [] in attempts else attempts[0]
    if typing.is_typeddict(hint):
        if not isinstance(value, dict):
            return [f"{where}: needs an object, found {kind(value)}"]
        hints = type_hints(hint)
        missing = [f"{where}: {key} is missing" for key in sorted(hint.__required_keys__ - value.keys())]
        return missing + [
            p for k in hints.keys() & value.keys() for p in problems_of(value[k], hints[k], f"{where}: {k}")
        ]
    if origin is list and isinstance(value, list):
        return [p for i, entry in enumerate(value) for p in problems_of(entry, arguments[0], f"{where}[{i}]")]
    if origin is dict and isinstance(value, dict):
        return [p for key, entry in value.items() for p in problems_of(entry, arguments[1], f"{where}: {key}")]
    # Python counts True among the integers, and JSON writes whole floats as integers.
    wanted = (int, float) if hint is float else origin or hint
    if isinstance(value, wanted) and (hint is bool or not isinstance(value, bool)):
        return [f"{where}: is not a finite number"] if isinstance(value, float) and not math.isfinite(value) else []
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}
    return [f"{where}: needs {words.get(origin or hint, 'an object')}, found {kind(value)}"]


def kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", type(None): "null"}
    return names.get(type(value), repr(value)[:60])


def no_constant(name: str) -> None:
    """Raise an error for `NaN` and infinities, for `parse_constant` of `json.loads`."""
    raise ValueError(f"it holds {name}, which is not JSON; use null for what was not measured")
