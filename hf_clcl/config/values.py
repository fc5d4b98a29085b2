"""Words for plain values, and what none of them may hold."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# Of the Hub, or in an address: what a run is given is kept with it, and a token would be too.
TOKEN = re.compile(r"hf_[A-Za-z0-9]{20,}|://[^/\s:@]+:[^/\s@]+@")


def walk(values: Any) -> Iterator[tuple[str, Any, int]]:
    """Every value within a value, keys too: its place in words, itself, its depth. Endless where it holds itself."""
    waiting = [("", values, 0)]
    while waiting:
        where, value, depth = waiting.pop()
        yield where, value, depth
        if isinstance(value, Mapping):
            waiting += [(f"{where}.{key}"[:200].lstrip("."), part, depth + 1) for key, part in value.items()]
            waiting += [(f"a key of {where}".removesuffix(" of "), key, depth + 1) for key in value]
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += [(f"{where}[{index}]", part, depth + 1) for index, part in enumerate(value)]


def half_a_character(text: str) -> str | None:
    """What is wrong with a text that no file can hold; JSON and YAML can spell such."""
    if text.isascii() or not (found := [sign for sign in text if "\ud800" <= sign <= "\udfff"]):
        return None
    return f"holds half a character ({found[0]!a}), which cannot be written; correct the text"


def nearest(key: str, known: Iterable[str]) -> str:
    key, known = str(key), list(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6) or [name for name in known if name.startswith(key)]
    return f"; did you mean {near[0]}?" if near else ""


def describe(value: Any) -> str:
    names = {dict: "a block of values", list: "a list", type(None): "nothing"}
    try:
        shown = repr(value)
    except ValueError:  # a number of more digits than Python writes
        shown = "a number too large"
    if str(value).lower().lstrip("+-") in ("nan", "inf", "infinity") if isinstance(value, (float, str)) else False:
        shown += ", which is not finite"
    return names.get(type(value), shown if len(shown) <= 120 else f"{shown[:120]}...")
