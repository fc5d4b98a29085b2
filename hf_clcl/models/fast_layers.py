"""Fast layers in the place of those of `transformers`, while a model is trained or evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from transformers import PreTrainedModel

from .families import family_of


@contextmanager
def fast_layers(model: PreTrainedModel, patch_tokens: bool = False) -> Iterator[PreTrainedModel]:
    """Compute with the fast layers of a model's family inside a `with` block; after it, the model is a stock model.

    Only the classes of modules change, so that no weight is copied. Blocks may be nested.

    Args:
        model (`PreTrainedModel`): The model; changed in place.
        patch_tokens (`bool`, defaults to `False`):
            Whether the vision tower computes the last states of all tokens, and not those of the class token alone.
    """
    changed = use_fast_layers(model, patch_tokens)
    try:
        yield model
    finally:
        _restore(changed)


def use_fast_layers(model: PreTrainedModel, patch_tokens: bool = False) -> list[nn.Module]:
    """Give a model the fast layers of its family; returns the modules that have changed."""
    found = list(family_of(model).fast_layers(model, patch_tokens))
    for module, fast in found:
        module.__class__ = fast
    return [module for module, _ in found]


def use_stock_layers(model: PreTrainedModel) -> None:
    """Give a model the layers of `transformers` again."""
    _restore(model.modules())


def _restore(modules: Iterator[nn.Module] | list[nn.Module]) -> None:
    for module in modules:
        # FSDP makes a class of its own of the class of each module that it wraps: such a model stays as it is.
        if (stock := vars(type(module)).get("stock_class")) is not None:
            module.__class__ = stock
