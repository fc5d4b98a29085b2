"""Read a recipe and check its values, its names, and the method with its options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import recipe as config
from ..config.recipe import Recipe
from ..methods import check_method


def read_recipe(path: str | Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe file, apply the values of the command line, and check all of it.

    Args:
        path (`str` or `Path`):
            YAML file, or the name of a recipe of the package, such as `mtil`. Its `include:` names another file,
            relative to it, whose values it takes.
        overrides (`Mapping[str, str]`, *optional*):
            Values from the command line as text; a dotted key reaches into a block (`methods.zscl.l2_weight`).

    Raises:
        RecipeError: With every problem of the recipe; nothing is loaded before.
    """
    return config.read_recipe(path, overrides, checks=[check_method])


def parse_recipe(values: Mapping[str, Any], source: str = "the recipe") -> Recipe:
    """Turn plain values into a `Recipe`, with the same checks as [`read_recipe`].

    Args:
        values (`Mapping[str, Any]`): The values, as read from YAML.
        source (`str`, defaults to `"the recipe"`): What an error names as their source.

    Raises:
        RecipeError: With every problem of the recipe.
    """
    return config.parse_recipe(values, source, checks=[check_method])
