"""Gradient checkpointing of the text encoder alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch.utils.checkpoint import checkpoint

from .families import family_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def checkpoint_texts(model: PreTrainedModel, on: bool) -> None:
    """Encode texts with gradient checkpointing, or as the images are: layers keep their input alone, and run again.

    Args:
        model (`PreTrainedModel`): Changed in place. One that checkpoints all its layers is left as it is.
        on (`bool`): Whether to.
    """
    family = family_of(model)
    if getattr(model.get_submodule(family.vision_layers)[0], "gradient_checkpointing", False):
        return
    for layer in model.get_submodule(family.text_layers):
        layer.gradient_checkpointing = on
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
