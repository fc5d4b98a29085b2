"""Gradient checkpointing of the text encoder alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from transformers import CLIPModel


def checkpoint_texts(model: CLIPModel, on: bool) -> None:
    """Encode texts with gradient checkpointing, or as the images are: layers keep their input alone, and run again.

    Args:
        model (`CLIPModel`): Changed in place. One that checkpoints all its layers is left as it is.
        on (`bool`): Whether to.
    """
    if getattr(model.vision_model.encoder.layers[0], "gradient_checkpointing", False):
        return
    for layer in model.text_model.encoder.layers:
        layer.gradient_checkpointing = on
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
