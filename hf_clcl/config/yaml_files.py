"""From YAML files and the command line to the plain values of a recipe."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..utils.errors import RecipeError
from .recipe_files import find_recipe, recipe_names
from .values import TOKEN, describe, half_a_character, nearest, walk

MOST_BYTES, MOST_VALUES, MOST_DEEP = 2**20, 100_000, 32  # of a recipe; the names of 21,000 classes are half of a MB
TOO_DEEP = f"it is nested too deeply, in more than {MOST_DEEP} levels"
MOST_BITS = 2048  # of a number; Python writes none of more than 4,300 digits

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Plain values alone, and no key twice: the first one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        keys = [key for key, _ in pairs if key.tag != "tag:yaml.org,2002:merge"]
        seen: set[Hashable] = set()
        for key, mark in [(self.construct_object(key, deep=True), key.start_mark) for key in keys]:
            if isinstance(key, Hashable):
                if key in seen:
                    told = f"{key!r:.80} stands here twice; leave one out"
                    raise yaml.constructor.ConstructorError(None, None, told, mark)
                seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """The plain values of a YAML text.

    Raises:
        ValueError: Where it is none.
    """
    loader, depth = None, 0
    try:
        for event in yaml.parse(text, Loader=_Loader):  # without recursion: what builds the values has no end to it
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEEP:
                raise ValueError(TOO_DEEP)
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.scanner.ScannerError as error:
        # PyYAML 6.0.4 has a limit of its own, which its look-ahead may reach before the events above.
        raise ValueError(TOO_DEEP if "nesting depth" in str(error) else str(error)) from None
    except Exception as error:  # constructors of dates, numbers and bytes raise whatever Python raises
        raise ValueError(str(error) or type(error).__name__) from None
    finally:
        if loader is not None:
            loader.dispose()


def check_values(values: Any, source: str) -> None:
    """See that values are of a size and depth that a recipe has, and that every text can be written and shown.

    Raises:
        RecipeError: Where they are not; a token is never shown.
    """
    for count, (where, value, depth) in enumerate(walk(values), 1):
        if depth > MOST_DEEP:
            raise RecipeError(f"{where[:80]}: is nested too deeply, or holds itself; write it out", source)
        if count > MOST_VALUES:
            raise RecipeError(f"it has too many values; a recipe has at most {MOST_VALUES:,}", source)
        problem = _text_problem(value) if isinstance(value, str) else None
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            problem = "is a number too large"
        if problem:
            raise RecipeError(f"{_shown(where)}: {problem}", source)


def _text_problem(text: str) -> str | None:
    if TOKEN.search(text):
        return (
            "looks like a token, and a recipe and its command are kept with the run; a token belongs into HF_TOKEN, "
            "the login, or the variable that hub_token_env names"
        )
    if found := _CONTROL.search(text):
        return f"holds the control character {found[0]!a}; take it out"
    return half_a_character(text)


def _shown(where: str) -> str:
    return TOKEN.sub("***", ascii(where)[1:-1]) or "the recipe"


def read_yaml(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The values of a recipe's file over those of the file that it includes.

    Raises:
        RecipeError: Where a file cannot be read, is no mapping, or includes itself.
    """
    if path.resolve() in seen:
        raise RecipeError(f"include: {path} includes itself", str(seen[0]))
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has {path.stat().st_size:,} bytes; a recipe has at most {MOST_BYTES:,}")
        values = load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = nearest(path.stem, recipe_names())
        raise RecipeError(
            f"no such file{_yaml_beside(path)}{near} (`hf-clcl recipes` lists the recipes of the package)", str(path)
        ) from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"cannot be read: {error}", str(path)) from None
    check_values(values, str(path))
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise RecipeError(f"a recipe is a YAML mapping of names to values, found {describe(values)}", str(path))
    include = values.pop("include", None)
    if include is None:
        return values
    if not isinstance(include, str):
        raise RecipeError(f"include: needs the name of one YAML file, found {describe(include)}", str(path))
    return _merge(read_yaml(find_recipe(include, path.parent), (*seen, path.resolve())), values)


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
    """Set a value from its text on the command line; a dotted key reaches into blocks.

    Not with OmegaConf: it expands `${...}` in every text, even to environment variables, which a record would hold.
    """
    *blocks, last = key.split(".")
    for block in blocks:
        values = values.setdefault(block, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--{key}: {block} is not a block of values", source)
    try:
        values[last] = load_yaml(text)
    except ValueError:
        values[last] = text


def with_task_values(values: Mapping[str, Any], problems: list[str]) -> Mapping[str, Any]:
    """The recipe with the blocks of `task_values` in the entries that they name."""
    given = values.get("task_values") if isinstance(values, Mapping) else None
    if not isinstance(given, Mapping) or not all(isinstance(block, Mapping) for block in given.values()):
        return values  # absent, or of a wrong type, which is reported with all others
    blocks = {str(name): block for name, block in given.items()}  # a name such as 2024 is a number in YAML
    merged, known = dict(values, task_values=None), set()
    for key in ("tasks", "evaluation_only"):
        entries = values.get(key)
        if isinstance(entries, list) and all(isinstance(entry, Mapping) for entry in entries):
            names = [str(entry.get("name")) for entry in entries]
            known |= set(names)
            merged[key] = [{**entry, **blocks.get(name, {})} for entry, name in zip(entries, names, strict=True)]
    problems += [
        f"task_values.{name}: there is no task of this name{nearest(name, known)}"
        for name in blocks
        if name not in known
    ]
    return merged
