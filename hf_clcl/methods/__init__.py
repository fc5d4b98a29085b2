"""Continual methods, by the name that a recipe uses."""

from __future__ import annotations

from typing import Any

from ..errors import RecipeError
from ..recipe import Recipe
from ..values import build, nearest
from .base import Embeddings, Method, TaskContext, option_names
from .finetune import Finetune, ZeroShot
from .regularized import L2, WeightEnsemble
from .zscl import ZSCL, ZSCLStar

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (ZeroShot, Finetune, L2, WeightEnsemble, ZSCLStar, ZSCL)
}

__all__ = [
    "METHODS", "Embeddings", "Finetune", "L2", "Method", "TaskContext", "WeightEnsemble", "ZSCL", "ZSCLStar",
    "ZeroShot", "check_method", "create_method", "option_names",
]  # fmt: skip


def create_method(name: str, options: dict[str, Any] | None = None) -> Method:
    """The method of this name, with its options.

    Raises:
        RecipeError: Where there is no such method, or an option that it does not have or cannot take.
    """
    if name not in METHODS:
        raise RecipeError(f"method: no method {name!r}{nearest(name, METHODS)}; there are {', '.join(METHODS)}")
    problems: list[str] = []
    method = build(METHODS[name], options or {}, f"methods.{name}: ", problems)
    problems += [f"methods.{name}: {problem}" for problem in ([] if problems else method.problems())]
    if problems:
        raise RecipeError(problems)
    return method


def check_method(recipe: Recipe) -> list[str]:
    """What is wrong with the method of a recipe and with all blocks of options, a line each."""
    problems = [
        f"methods.{name}: no such method{nearest(name, METHODS)}; there are {', '.join(METHODS)}"
        for name in recipe.methods
        if name not in METHODS
    ]
    for name in dict.fromkeys([recipe.method, *recipe.methods]):
        if name in METHODS or name == recipe.method:
            try:
                create_method(name, recipe.methods.get(name))
            except RecipeError as error:
                problems += error.problems
    if not problems:
        method = METHODS[recipe.method]
        if method.needs_reference_images and recipe.reference_images is None:
            problems.append(f"reference_images: {recipe.method} distils on reference images; name a dataset of images")
        if method.needs_reference_texts and recipe.reference_texts is None:
            problems.append(
                f"reference_texts: {recipe.method} distils on reference texts; name a dataset or text file"
            )
    return problems
