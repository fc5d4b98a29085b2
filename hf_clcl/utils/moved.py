"""Import paths of version 0.1 that have moved. They work for one release, with a `DeprecationWarning`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import CodeType, ModuleType

# Old module -> new module, below the package. `python -m OLD` runs `main` of the new module of `OLD.__main__`.
MOVED = {
    "allocator": "utils.allocator",
    "arguments": "config.arguments",
    "averaging": "methods.averaging",
    "cards": "reports.cards",
    "cards.__main__": "cli.card",
    "errors": "utils.errors",
    "evaluation.matrix": "metrics.accuracy_matrix",
    "evaluation.ranks": "metrics.ranks",
    "losses": "methods.losses",
    "recipe": "config.recipe",
    "run": "stream.run",
    "trainer": "training.trainer",
}
_PACKAGE = __name__.partition(".")[0]


class MovedModules(MetaPathFinder, Loader):
    """Finder for `sys.meta_path`: finds modules by their old names and loads the new ones. It comes last."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, old = name.partition(".")
        if package != _PACKAGE or old not in MOVED:
            return None
        return spec_from_loader(name, self, is_package=f"{old}.__main__" in MOVED)

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        warnings.warn(_message(module.__name__), DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = import_module(_new_name(module.__name__))

    def get_code(self, name: str) -> CodeType:
        """The code that `python -m` runs."""
        return _run_as_main.__code__


def _run_as_main() -> None:
    """Runs with the globals of the old module, in which `__spec__` names it: imports are its own."""
    import sys

    from hf_clcl.utils.moved import run_moved

    sys.exit(run_moved(__spec__.name))


def run_moved(name: str) -> int:
    """Run `main()` of the new module of an old command; returns the exit code."""
    warnings.warn(_message(name), DeprecationWarning, stacklevel=2)
    return import_module(_new_name(name)).main()


def _new_name(name: str) -> str:
    return f"{_PACKAGE}.{MOVED[name.partition('.')[2]]}"


def _message(name: str) -> str:
    return f"{name.removesuffix('.__main__')} has moved to {_new_name(name)}; the next release removes the old path"


def support_old_paths() -> None:
    """Register the finder, so that imports find the old paths."""
    sys.meta_path.append(MovedModules())
