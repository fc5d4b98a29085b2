"""Check for values that are optional in a type and required where they are read."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def required(value: T | None, what: str) -> T:
    """Return the value, or raise an error if it is `None`.

    Args:
        value (`T`, *optional*): The value.
        what (`str`): What the value is, for the message of the error.

    Raises:
        ValueError: If the value is `None`.
    """
    if value is None:
        raise ValueError(f"{what} is missing and is needed here")
    return value
