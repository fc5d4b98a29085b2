"""Where numbers lie while they are worked on: parts that stay in a cache, texts encoded layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from transformers import CLIPModel

IN_CACHE = 2**18
"""Numbers of a tensor that stay in a core's cache from one operation on them to the next."""


def in_cache(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Parts of equally large tensors, flattened, on which several operations follow each other; on a GPU, all of them.

    A part of a contiguous tensor shares its storage.
    """
    flat = [tensor.reshape(-1) for tensor in tensors]
    on_cpu = tensors[0].device.type == "cpu"
    return zip(*(tensor.split(IN_CACHE) if on_cpu else [tensor] for tensor in flat), strict=True)


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
