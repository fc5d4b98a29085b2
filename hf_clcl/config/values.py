"""Describe plain values in messages, and detect values that a recipe may not have, such as tokens."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# A token of the Hub or a password in a URL. The values of a run are saved with it, and a token would be too.
TOKEN = re.compile(r"hf_[A-Za-z0-9]{20,}|://[^/\s:@]+:[^/\s@]+@")


def walk(values: Any) -> Iterator[tuple[str, Any, int]]:
    """Iterate over all nested values and keys as `(place, value, depth)`; endless if a value contains itself."""
    waiting = [("", values, 0)]
    while waiting:
        where, value, depth = waiting.pop()
        yield where, value, depth
        if isinstance(value, Mapping):
            waiting += [(f"{where}.{key}"[:200].lstrip("."), part, depth + 1) for key, part in value.items()]
            waiting += [(f"a key of {where}".removesuffix(" of "), key, depth + 1) for key in value]
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += [(f"{where}[{index}]", part, depth + 1) for index, part in enumerate(value)]


def surrogate_problem(text: str) -> str | None:
    """Problem of a text with a lone surrogate, which JSON and YAML can express and UTF-8 cannot; otherwise `None`."""
    if text.isascii() or not (surrogates := [sign for sign in text if "\ud800" <= sign <= "\udfff"]):
        return None
    return f"has half a character ({surrogates[0]!a}), which cannot be written; correct the text"


def nearest(key: str, known: Iterable[str]) -> str:
    """`"; did you mean ...?"` with the most similar known name, or an empty text.

    Args:
        key (`str`): The unknown name.
        known (`Iterable[str]`): The known names.
    """
    key, known = str(key), list(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6) or [name for name in known if name.startswith(key)]
    return f"; did you mean {near[0]}?" if near else ""


def describe(value: Any) -> str:
    """A value as a message shows it, at most 120 characters."""
    names = {dict: "a block of values", list: "a list", type(None): "nothing"}
    try:
        shown = repr(value)
    except ValueError:  # a number with more digits than Python converts
        shown = "a number too large"
    if str(value).lower().lstrip("+-") in ("nan", "inf", "infinity") if isinstance(value, (float, str)) else False:
        shown += ", which is not finite"
    return names.get(type(value), shown if len(shown) <= 120 else f"{shown[:120]}...")
