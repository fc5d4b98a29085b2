"""Helpers for sharded tensors (FSDP2), and for rows gathered from all ranks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributed.tensor import DTensor, distribute_tensor


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:  # type: ignore[override]
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total.chunk(torch.distributed.get_world_size())[torch.distributed.get_rank()]


def gather_rows(rows: Tensor) -> Tensor:
    """Gather the rows `[B, d]` of all `n` ranks to `[n * B, d]`; gradients flow back to the rank of each row.

    Each rank computes the loss of all gathered rows. When the gradients of the ranks are then averaged, as
    `DistributedDataParallel` does, the result is the gradient of one process with all rows.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    return _GatherRows.apply(rows)


def local_shard(tensor: Tensor) -> Tensor:
    """The shard of a tensor on this rank; the tensor itself if it is not sharded."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def full_tensor(tensor: Tensor) -> Tensor:
    """The full tensor, gathered from all ranks if it is sharded; then all ranks have to call this together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard(tensors: dict[str, Tensor], like: Sequence[Tensor]) -> None:
    """Shard full tensors as their parameters are sharded. The dictionary is changed in place.

    Args:
        tensors (`dict[str, Tensor]`): Full tensors, the same on each rank.
        like (`Sequence[Tensor]`): The parameter of each tensor, in the same order.
    """
    for (name, tensor), parameter in zip(list(tensors.items()), like, strict=True):
        if isinstance(parameter, DTensor) and not isinstance(tensor, DTensor):
            # Each rank holds the full tensor and keeps its shard: nothing is sent.
            tensors[name] = distribute_tensor(tensor, parameter.device_mesh, parameter.placements, src_data_rank=None)
