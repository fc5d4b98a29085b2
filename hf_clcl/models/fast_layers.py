"""Replace the layers of `transformers` by faster ones while a model is trained or evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from transformers import PreTrainedModel

from .families import family_of


@contextmanager
def fast_layers(model: PreTrainedModel, patch_tokens: bool = False) -> Iterator[PreTrainedModel]:
    """Use the fast layers of a model's family inside a `with` block. After it, the model has the stock layers again.

    Only the classes of modules change; no weight is copied. Blocks can be nested.

    Args:
        model (`PreTrainedModel`): The model; changed in place.
        patch_tokens (`bool`, defaults to `False`):
            Whether the last vision layer computes the states of all tokens; otherwise only that of the class token.
    """
    changed = use_fast_layers(model, patch_tokens)
    try:
        yield model
    finally:
        _restore(changed)


def use_fast_layers(model: PreTrainedModel, patch_tokens: bool = False) -> list[nn.Module]:
    """Switch a model to the fast layers of its family; returns the changed modules."""
    replacements = list(family_of(model).fast_layers(model, patch_tokens))
    for module, fast in replacements:
        module.__class__ = fast
    return [module for module, _ in replacements]


def use_stock_layers(model: PreTrainedModel) -> None:
    """Switch a model back to the layers of `transformers`."""
    _restore(model.modules())


def _restore(modules: Iterator[nn.Module] | list[nn.Module]) -> None:
    for module in modules:
        # FSDP changes the class of each module that it wraps; such modules are skipped.
        if (stock := vars(type(module)).get("stock_class")) is not None:
            module.__class__ = stock
