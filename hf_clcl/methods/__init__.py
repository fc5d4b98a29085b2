"""Continual learning methods, by their name in recipes."""

from __future__ import annotations

from typing import Any

from ..config.recipe import Recipe
from ..config.validation import build
from ..config.values import nearest
from ..utils.errors import RecipeError
from .base import Embeddings, Method, TaskContext, option_names
from .custom import load_custom
from .distilling import Distilling
from .ewc import EWC
from .finetune import Finetune
from .geodl import GeoDL
from .guided import Guided
from .icarl import ICaRL
from .imm import IMM
from .joint import Joint
from .l2 import L2
from .lwf import LwF
from .regularized import Regularized
from .rkd import RKD
from .separate import Separate
from .vr_lwf import LwFVR, VRLwF
from .weight_ensemble import WeightEnsemble
from .wise_ft import WiSEFT
from .zero_shot import ZeroShot
from .zscl import ZSCL
from .zscl_star import ZSCLStar

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        ZeroShot, Finetune, L2, EWC, WeightEnsemble, WiSEFT, IMM, LwF, VRLwF, LwFVR, GeoDL, RKD, ICaRL, ZSCLStar, ZSCL,
        Joint, Separate,
    )
}  # fmt: skip
"""Method name -> class, for the methods of this package."""

__all__ = [
    "METHODS", "Distilling", "Embeddings", "Guided", "Method", "Regularized", "TaskContext", "check_method",
    "create_method", "method_class", "option_names",
]  # fmt: skip


def method_class(name: str) -> type[Method]:
    """The class of a method.

    Args:
        name (`str`): A name in `METHODS`, or a custom method as `package.module:Class` or `path/to/file.py:Class`.

    Raises:
        RecipeError: If there is no such method.
    """
    if ":" in name:
        return load_custom(name)
    if name not in METHODS:
        raise RecipeError(
            f"method: no method {name!r}{nearest(name, METHODS)}; choose one of {', '.join(METHODS)}, or give a "
            "custom method as package.module:Class or path/to/file.py:Class"
        )
    return METHODS[name]


def create_method(method: str | type[Method] | Method, options: dict[str, Any] | None = None) -> Method:
    """Create a method with its options.

    Args:
        method (`str`, `type[Method]` or `Method`):
            Its name (see [`method_class`]), its class, or an instance, which is returned unchanged.
        options (`dict`, *optional*): Option name -> value, for a method that is given by name or class.

    Raises:
        RecipeError: If there is no such method, or an option is unknown or has an invalid value.
    """
    if isinstance(method, Method):
        if options:
            raise RecipeError(
                f"method: {method.name} is an instance with options of its own; set {', '.join(options)} in it"
            )
        return method
    problems: list[str] = []
    if isinstance(method, type) and issubclass(method, Method):
        cls, name = method, method.name
    elif isinstance(method, str):
        cls, name = method_class(method), method
    else:
        raise RecipeError(f"method: must be a name, a class that extends Method, or an instance, got {method!r:.80}")
    created = build(cls, options or {}, f"methods.{name}: ", problems)
    if problems:
        raise RecipeError(problems)
    return created


def check_method(recipe: Recipe) -> list[str]:
    """Problems with the method of a recipe and with all blocks of method options, one line each."""
    problems = [
        f"methods.{name}: no such method{nearest(name, METHODS)}; choose one of {', '.join(METHODS)}"
        for name in recipe.methods
        if name not in METHODS and name != recipe.method
    ]
    methods: dict[str, Method] = {}
    for name in dict.fromkeys([recipe.method, *recipe.methods]):
        if name in METHODS or name == recipe.method:
            try:
                methods[name] = create_method(name, recipe.methods.get(name))
            except RecipeError as error:
                problems += error.problems
    if not problems:
        method = methods[recipe.method]
        problems += method.adapter_problems() if recipe.peft else []
        if method.needs_reference_images and recipe.reference_images is None:
            problems.append(f"reference_images: {recipe.method} distils on reference images; name a dataset of images")
        if method.needs_reference_texts and recipe.reference_texts is None:
            problems.append(
                f"reference_texts: {recipe.method} distils on reference texts; name a dataset or text file"
            )
    return problems
