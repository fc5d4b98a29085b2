"""From YAML files and the command line to the plain values of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .errors import RecipeError
from .values import describe, nearest


def read_yaml(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The values of a recipe's file over those of the file that it includes.

    Raises:
        RecipeError: Where a file cannot be read, is no mapping, or includes itself.
    """
    if path.resolve() in seen:
        raise RecipeError(f"include: {path} includes itself", str(seen[0]))
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(
            f"no such file{_yaml_beside(path)}; the recipes of this project lie in recipes/", str(path)
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot be read: {error}", str(path)) from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise RecipeError(f"a recipe is a YAML mapping of names to values, found {describe(values)}", str(path))
    include = values.pop("include", None)
    if include is None:
        return values
    if not isinstance(include, str):
        raise RecipeError(f"include: needs the name of one YAML file, found {describe(include)}", str(path))
    return _merge(read_yaml(path.parent / include, (*seen, path.resolve())), values)


def _yaml_beside(path: Path) -> str:
    near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    return f"; beside it: {', '.join(near)}" if near else ""


def _merge(base: dict[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Values of `top` over those of `base`, block by block."""
    merged = dict(base)
    for key, value in top.items():
        both_blocks = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_blocks else value
    return merged


def override(values: dict[str, Any], key: str, text: str, source: str) -> None:
    """Set a value from its text on the command line; a dotted key reaches into blocks."""
    *blocks, last = key.split(".")
    for block in blocks:
        values = values.setdefault(block, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--{key}: {block} is not a block of values", source)
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        values[last] = text


def with_task_values(values: Mapping[str, Any], problems: list[str]) -> Mapping[str, Any]:
    """The recipe with the blocks of `task_values` in the entries that they name."""
    given = values.get("task_values") if isinstance(values, Mapping) else None
    if not isinstance(given, Mapping) or not all(isinstance(block, Mapping) for block in given.values()):
        return values  # absent, or of a wrong type, which is reported with all others
    merged, known = dict(values, task_values=None), set()
    for key in ("tasks", "evaluation_only"):
        entries = values.get(key)
        if isinstance(entries, list) and all(isinstance(entry, Mapping) for entry in entries):
            known |= {entry.get("name") for entry in entries}
            merged[key] = [{**entry, **given.get(entry.get("name"), {})} for entry in entries]
    problems += [
        f"task_values.{name}: there is no task of this name{nearest(str(name), map(str, known))}"
        for name in given
        if name not in known
    ]
    return merged
