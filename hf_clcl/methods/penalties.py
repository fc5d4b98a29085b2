"""Penalties on the distance of the weights from an anchor, for full and for sharded weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from ..distributed.tensors import local_shard, shard
from . import losses


def squared_distance(
    model: nn.Module, start: dict[str, Tensor], importance: dict[str, Tensor] | None = None
) -> Tensor:
    """[`~hf_clcl.methods.losses.squared_distance`] of the trainable parameters, full or sharded.

    If they are sharded, each rank measures its shards. The value is the sum over all ranks. The gradient is that
    of the local shard: FSDP neither sums nor averages it.

    Args:
        model (`nn.Module`): The model as wrapped for training, after its forward.
        start (`dict[str, Tensor]`): The anchor; sharded in place.
        importance (`dict[str, Tensor]`, *optional*): A weight for each entry; sharded in place.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()  # the outermost weights would stay gathered until the backward
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = {} if importance is None else {name: importance[name] for name in start}
    shard(start, parameters)
    if importance is not None:
        shard(weights, parameters)
        importance |= weights
    own = losses.squared_distance(
        *([local_shard(t) for t in ts] for ts in (parameters, start.values(), weights.values()))
    )
    if not parameters or not isinstance(parameters[0], DTensor):
        return own
    total, mesh = own.detach().clone(), parameters[0].device_mesh
    torch.distributed.all_reduce(total, group=mesh.get_group(mesh.ndim - 1))
    return own + (total - own.detach())
