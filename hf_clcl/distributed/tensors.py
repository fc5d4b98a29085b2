"""Sharded tensors (FSDP2), and rows gathered from all ranks."""

from __future__ import annotations

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
    """The rows `[B, d]` of all processes, `[n * B, d]`, with gradients back to where they came from.

    A loss of gathered rows that each process computes in full, has the gradient of one process with all rows once
    the processes' gradients are averaged, as `DistributedDataParallel` does.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    return _GatherRows.apply(rows)


def part(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor: its shard of one that is divided, else all of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor; where it is divided, all processes have to call this together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def divide(tensors: dict[str, Tensor], like: list[Tensor]) -> None:
    """Divide whole tensors, in place of the dictionary, as the parameters are that they belong to, in order."""
    for (name, tensor), parameter in zip(list(tensors.items()), like, strict=True):
        if isinstance(parameter, DTensor) and not isinstance(tensor, DTensor):
            # Each process has all of it and takes its shard: nothing is sent.
            tensors[name] = distribute_tensor(tensor, parameter.device_mesh, parameter.placements, src_data_rank=None)
