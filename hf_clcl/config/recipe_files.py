"""Find recipes by name: a file of the user first, then a recipe of the package."""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).resolve().parents[1]
# The wheel has the recipes in the package; a clone has them in its top-level folder.
RECIPES = next(folder for folder in (_PACKAGE / "recipes", _PACKAGE.parent / "recipes") if folder.is_dir())


def recipe_names() -> list[str]:
    """Names of all YAML files of the package: `mtil`, `streams/mtil`, `accelerate/fsdp`."""
    return sorted(path.relative_to(RECIPES).with_suffix("").as_posix() for path in RECIPES.rglob("*.yaml"))


def packaged_recipe(name: str | Path) -> Path | None:
    """The file of the package that a name means, or `None`.

    Args:
        name (`str` or `Path`): Such as `mtil`, `mtil.yaml` or `recipes/mtil.yaml`.
    """
    name = Path(name)
    if name.is_absolute() or ".." in name.parts:
        return None
    path = RECIPES / _with_suffix(name.relative_to("recipes") if name.is_relative_to("recipes") else name)
    return path if os.path.isfile(path) else None


def find_recipe(name: str | Path, folder: str | Path = "") -> Path:
    """The file that the name of a recipe means.

    A file of the user is used first: `NAME`, or `NAME.yaml` here or in the folder `recipes`. Then a recipe of the
    package is used.

    Args:
        name (`str` or `Path`): A path, or the name of a recipe of the package such as `mtil` or `recipes/mtil.yaml`.
        folder (`str` or `Path`, defaults to the working directory): The folder that relative names start from.

    Returns:
        `Path`: The file. If there is none, the path as given.
    """
    given = Path(folder, name)
    if os.path.exists(given) and not os.path.isdir(given):
        return given
    named = _with_suffix(Path(name))
    own = [path for path in (Path(folder, named), Path(folder, "recipes", named)) if os.path.isfile(path)]
    path = own[0] if own else packaged_recipe(name)
    if path is None:
        return given
    logger.info("recipe %s: using %s", name, path)
    return path


def _with_suffix(name: Path) -> Path:
    return name if name.suffix == ".yaml" else Path(f"{name}.yaml")
