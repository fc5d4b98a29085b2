"""Where numbers lie while they are worked on: parts that stay in a cache, texts encoded layer by layer."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

IN_CACHE = 2**18
"""Numbers of a tensor that stay in a core's cache from one operation on them to the next."""


def in_cache(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Parts of equally large tensors, flattened, on which several operations follow each other; on a GPU, all of them.

    A part of a contiguous tensor shares its storage.
    """
    flat = [tensor.reshape(-1) for tensor in tensors]
    on_cpu = tensors[0].device.type == "cpu"
    return zip(*(tensor.split(IN_CACHE) if on_cpu else [tensor] for tensor in flat), strict=True)
