"""Load custom methods from a Python file or an installed package; never from the Hub."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from ..utils.errors import RecipeError
from .base import Method

_loaded: dict[Path, tuple[tuple[int, int], ModuleType]] = {}


def load_custom(reference: str) -> type[Method]:
    """Load the class of a custom method, such as `my_pkg.my_module:MyMethod` or `path/to/file.py:MyMethod`.

    Args:
        reference (`str`): A module or a Python file (relative to the working directory), `:`, and a class in it.

    Raises:
        RecipeError: If there is no such class, or it is not a method.
    """
    where, _, name = reference.rpartition(":")
    try:
        module = _load_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except (ImportError, OSError, SyntaxError, TypeError, ValueError) as error:
        raise RecipeError(
            f"method: {reference}: {where or 'nothing'} cannot be loaded: {error}. Give package.module:Class or "
            "path/to/file.py:Class"
        ) from error
    methods = {n: c for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, Method)}
    methods = {n: c for n, c in methods.items() if c.__module__ == module.__name__}
    if name not in methods:
        raise RecipeError(
            f"method: {reference}: {where} has no method {name!r}; "
            + (f"it has {', '.join(methods)}" if methods else "a method is a dataclass that extends hf_clcl.Method")
        )
    if "name" not in vars(methods[name]):
        raise RecipeError(f'method: {reference}: set the class attribute `name`, such as name = "{name.lower()}"')
    return methods[name]


def _load_file(path: Path) -> ModuleType:
    """The module of a file. It is executed again only if the file has changed."""
    state = path.stat()
    key, version = path.resolve(), (state.st_mtime_ns, state.st_size)
    before, module = _loaded.get(key, (None, None))
    if module is None or before != version:
        module = _execute(path)
        _loaded[key] = version, module
    return module


def _execute(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"hf_clcl_custom.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses resolve types there
    spec.loader.exec_module(module)
    return module
