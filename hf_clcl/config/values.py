"""Plain values, as YAML and the command line give them, as checked objects of dataclasses."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Literal, get_args, get_origin

# Of the Hub, or in an address: what a run is given is kept with it, and a token would be too.
TOKEN = re.compile(r"hf_[A-Za-z0-9]{20,}|://[^/\s:@]+:[^/\s@]+@")

type_hints = functools.cache(typing.get_type_hints)  # of a class; working them out takes longer than all checks


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


def build(
    cls: type, values: Any, where: str, problems: list[str], training_fields: Mapping[str, Any] | None = None
) -> Any:
    """An object of a dataclass from plain values; problems are collected, never raised.

    Args:
        cls (`type`): The dataclass. Fields with a dataclass as their type are built from blocks of values.
        values (`Any`): A mapping from field names to values, as YAML gives them.
        where (`str`): What stands before a problem, such as `"tasks: mnist: "`.
        problems (`list[str]`): Problems are added here.
        training_fields (`Mapping[str, Any]`, *optional*):
            Names and types that go into the field `training` of classes that have one.
    """
    hints = type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init and f.name != "training"}
    takes_training = training_fields is not None and "training" in hints
    built: dict[str, Any] = {"training": {}} if takes_training else {}
    if not isinstance(values, Mapping):
        problems.append(f"{where.rstrip(': ') or 'recipe'}: needs a block of values, found {describe(values)}")
        values = {}
    for key, value in values.items():
        if key in fields:
            before = len(problems)
            converted = _convert(value, hints[key], f"{where}{key}", problems, training_fields)
            # What could not be converted is left at its default, so that later checks find the right types. Blocks
            # become objects of the right type in any case.
            if len(problems) == before or _are_blocks(converted):
                built[key] = converted
        elif takes_training and key in training_fields:
            built["training"][key] = _convert(value, training_fields[key], f"{where}{key}", problems)
        else:
            known = [*fields, *(training_fields if takes_training else ())]
            problems.append(f"{where}{key}: no such key{nearest(str(key), known)}")
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        required = required or f.metadata.get("required")
        if required and name not in built:
            if name not in values:
                problems.append(f"{where}{name}: is missing")
            built[name] = ""
        elif required and built[name] == "":
            problems.append(f"{where}{name}: is empty; give a name")
    return cls(**built)


def _are_blocks(converted: Any) -> bool:
    return isinstance(converted, list) and bool(converted) and all(map(dataclasses.is_dataclass, converted))


def _convert(value: Any, hint: Any, where: str, problems: list[str], training_fields: Any = None) -> Any:
    """A YAML value as the type that a field declares."""
    if dataclasses.is_dataclass(hint):
        return build(hint, value, f"{where}: ", problems, training_fields)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        choices = [choice for choice in arguments if choice is not type(None)]
        choices = [choice for choice in choices if _is_enum(choice)] or choices
        if len(choices) == 1:
            return _convert(value, choices[0], where, problems, training_fields)
        for choice in sorted(choices, key=_rank(value)):
            attempt: list[str] = []
            converted = _convert(value, choice, where, attempt, training_fields)
            if not attempt:
                return converted
        problems.append(f"{where}: needs {' or '.join(_type_name(c) for c in choices)}, found {describe(value)}")
        return value
    if origin is list and isinstance(value, list):
        item = arguments[0] if arguments else Any
        return [
            _convert(entry, item, f"{where}: {_entry_name(entry, index)}", problems, training_fields)
            for index, entry in enumerate(value)
        ]
    if origin is dict and isinstance(value, dict):
        return {key: _convert(entry, arguments[1], f"{where}.{key}", problems) for key, entry in value.items()}
    if hint is Any or (hint in (list, dict) and isinstance(value, hint)):
        return value
    converted = _scalar(value, hint, arguments if origin is Literal else ())
    if converted is None:
        needs = f"one of {', '.join(map(str, arguments))}" if origin is Literal else _type_name(hint)
        if _is_enum(hint):
            needs = f"one of {', '.join(member.value for member in hint)}"
        problems.append(f"{where}: needs {needs}, found {describe(value)}")
        return value
    return converted


def _scalar(value: Any, hint: Any, choices: tuple[Any, ...]) -> Any:
    """A scalar of type `hint`, or `None` where it is none. YAML reads `1e-4` as text; here it is a number."""
    if choices:
        return value if value in choices else None
    if hint is bool:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or isinstance(value, (list, dict)) or value is None:
        return None
    if hint is str:
        return str(value)
    if hint in (int, float) and isinstance(value, (int, float, str)):
        if hint is int and isinstance(value, int):
            return value
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        if hint is float:
            return number if math.isfinite(number) else None
        return int(number) if number.is_integer() else None
    if _is_enum(hint):
        return value if value in [member.value for member in hint] else None
    return None


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Enum)


def _rank(value: Any) -> Any:
    """Order in which the members of a union are tried: the value's own type first, text last."""
    return lambda choice: (choice is not type(value) and get_origin(choice) is not type(value), choice is str)


def nearest(key: str, known: Iterable[str]) -> str:
    key, known = str(key), list(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6) or [name for name in known if name.startswith(key)]
    return f"; did you mean {near[0]}?" if near else ""


def _entry_name(entry: Any, index: int) -> str:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return str(name) if name else f"entry {index + 1}"


def describe(value: Any) -> str:
    names = {dict: "a block of values", list: "a list", type(None): "nothing"}
    try:
        shown = repr(value)
    except ValueError:  # a number of more digits than Python writes
        shown = "a number too large"
    if str(value).lower().lstrip("+-") in ("nan", "inf", "infinity") if isinstance(value, (float, str)) else False:
        shown += ", which is not finite"
    return names.get(type(value), shown if len(shown) <= 120 else f"{shown[:120]}...")


def _type_name(hint: Any) -> str:
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        dict: "a block",
        list: "a list",
    }
    return names.get(hint, names.get(get_origin(hint), getattr(hint, "__name__", str(hint))))
