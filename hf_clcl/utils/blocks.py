"""Memory helpers: cache-sized chunks of tensors."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

CHUNK_SIZE = 2**18
"""Elements of a chunk: so many stay in the cache of a CPU core from one operation to the next."""


def cache_sized_chunks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield cache-sized chunks of equally large tensors, for several operations in a row.

    On a GPU there is one chunk, the whole tensor. A chunk of a contiguous tensor shares its storage.

    Args:
        tensors (`Tensor`): Tensors with the same number of elements; they are flattened.
    """
    flat = [tensor.reshape(-1) for tensor in tensors]
    on_cpu = tensors[0].device.type == "cpu"
    return zip(*(tensor.split(CHUNK_SIZE) if on_cpu else [tensor] for tensor in flat), strict=True)
