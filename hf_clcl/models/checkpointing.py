"""Gradient checkpointing for the text encoder only."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from torch.utils.checkpoint import checkpoint

from .families import family_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def checkpoint_texts(model: PreTrainedModel, on: bool) -> None:
    """Switch gradient checkpointing of the text encoder on or off.

    Args:
        model (`PreTrainedModel`): Changed in place. A model that checkpoints all its layers is not changed.
        on (`bool`): Whether the text layers store their input only and recompute the rest in the backward pass.
    """
    family = family_of(model)
    if getattr(next(model.get_submodule(family.vision_layers).children()), "gradient_checkpointing", False):
        return
    text_layers: Any = model.get_submodule(family.text_layers)  # a list of layers with the attributes set here
    for layer in text_layers:
        layer.gradient_checkpointing = on
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
