"""Read the plain values of a recipe from YAML files and the command line."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..utils.errors import RecipeError
from .recipe_files import find_recipe, recipe_names
from .values import TOKEN, describe, nearest, surrogate_problem, walk

MAX_BYTES, MAX_VALUES, MAX_DEPTH = 2**20, 100_000, 32  # of a recipe; the names of 21,000 classes take half a MB
TOO_DEEP = f"it is nested too deeply, in more than {MAX_DEPTH} levels"
MAX_BITS = 2048  # of a number; Python converts at most 4,300 digits

if TYPE_CHECKING:
    from yaml import SafeLoader as _SafeLoader
else:
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the faster one, if PyYAML was built with it

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class _Loader(_SafeLoader):
    """Loads plain values only, and rejects a repeated key, whose first value would be lost silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        keys = [key for key, _ in pairs if key.tag != "tag:yaml.org,2002:merge"]
        seen: set[Hashable] = set()
        for key, mark in [(self.construct_object(key, deep=True), key.start_mark) for key in keys]:
            if isinstance(key, Hashable):
                if key in seen:
                    problem = f"{key!r:.80} occurs twice; remove one"
                    raise yaml.constructor.ConstructorError(None, None, problem, mark)
                seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """Parse a YAML text into plain values.

    Raises:
        ValueError: If it is not valid YAML.
    """
    loader, depth = None, 0
    try:
        for event in yaml.parse(text, Loader=_Loader):  # not recursive, unlike the constructors below
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ValueError(TOO_DEEP)
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.scanner.ScannerError as error:
        # PyYAML 6.0.4 has its own limit, which its look-ahead may reach before the events above.
        raise ValueError(TOO_DEEP if "nesting depth" in str(error) else str(error)) from None
    except Exception as error:  # constructors of dates, numbers and bytes raise any exception
        raise ValueError(str(error) or type(error).__name__) from None
    finally:
        if loader is not None:
            loader.dispose()


def check_values(values: Any, source: str) -> None:
    """Check the number and depth of values, and that every text can be saved and shown.

    Args:
        values (`Any`): The values of a recipe.
        source (`str`): The file of the values, for the message.

    Raises:
        RecipeError: If a check fails; a token is never shown.
    """
    for count, (where, value, depth) in enumerate(walk(values), 1):
        if depth > MAX_DEPTH:
            raise RecipeError(f"{where[:80]}: is nested too deeply, or contains itself; write it out", source)
        if count > MAX_VALUES:
            raise RecipeError(f"it has too many values; a recipe has at most {MAX_VALUES:,}", source)
        problem = _text_problem(value) if isinstance(value, str) else None
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            problem = "is too large a number"
        if problem:
            raise RecipeError(f"{_shown(where)}: {problem}", source)


def _text_problem(text: str) -> str | None:
    if TOKEN.search(text):
        return (
            "looks like a token, and a recipe and its command are saved with the run; set HF_TOKEN, log in, or name "
            "an environment variable with hub_token_env"
        )
    if match := _CONTROL.search(text):
        return f"has the control character {match[0]!a}; remove it"
    return surrogate_problem(text)


def _shown(where: str) -> str:
    return TOKEN.sub("***", ascii(where)[1:-1]) or "the recipe"


def read_yaml(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read the values of a recipe file, merged over those of the file that it includes.

    Args:
        path (`Path`): The file.
        seen (`tuple[Path, ...]`): Files that include this one, to detect a cycle.

    Raises:
        RecipeError: If a file cannot be read, is not a mapping, or includes itself.
    """
    if path.resolve() in seen:
        raise RecipeError(f"include: {path} includes itself", str(seen[0]))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has {path.stat().st_size:,} bytes; a recipe has at most {MAX_BYTES:,}")
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
        raise RecipeError(f"a recipe must be a YAML mapping of names to values, got {describe(values)}", str(path))
    include = values.pop("include", None)
    if include is None:
        return values
    if not isinstance(include, str):
        raise RecipeError(f"include: must be the name of one YAML file, got {describe(include)}", str(path))
    return _merge(read_yaml(find_recipe(include, path.parent), (*seen, path.resolve())), values)


def _yaml_beside(path: Path) -> str:
    near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    return f"; its folder has {', '.join(near)}" if near else ""


def _merge(base: dict[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the values of `top` over those of `base`, block by block."""
    merged = dict(base)
    for key, value in top.items():
        both_blocks = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_blocks else value
    return merged


def override(values: dict[str, Any], key: str, text: str, source: str) -> None:
    """Set a value from its text on the command line; a dotted key reaches into blocks.

    OmegaConf is not used, since it expands `${...}` in every text, even environment variables, which a record would
    then hold.

    Args:
        values (`dict`): The values of the recipe; changed in place.
        key (`str`): The key, such as `methods.zscl.l2_weight`.
        text (`str`): The value as text.
        source (`str`): The recipe, for the message.
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
    """The recipe with the blocks of `task_values` merged into the entries that they name.

    Args:
        values (`Mapping[str, Any]`): The values of the recipe.
        problems (`list[str]`): Problems are added here.
    """
    given = values.get("task_values") if isinstance(values, Mapping) else None
    if not isinstance(given, Mapping) or not all(isinstance(block, Mapping) for block in given.values()):
        return values  # absent, or of a wrong type, which the type check reports
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
