"""Weights that are divided among processes (FSDP2): what works on the parts, and how they become whole again.

The model is whole between tasks, so that teachers, ends of tasks and evaluation are what they are on one device; its
weights are divided during the steps of a task, together with gradients, optimiser states, anchors and averages.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import CLIPModel

from . import losses
from .layers import lean
from .zero import asks_for_zero, zero_problems

if TYPE_CHECKING:
    from .arguments import ContinualTrainingArguments
    from .data.task import Task
    from .methods import Method
    from .recipe import LoRA

CONFIGURATION = "recipes/accelerate/fsdp.yaml"
# What the launcher has to say, and why.
NEEDED = {
    "FSDP_VERSION": ("2", "fsdp_version", "the first FSDP flattens weights, which methods need by name"),
    "FSDP_STATE_DICT_TYPE": ("FULL_STATE_DICT", "fsdp_state_dict_type", "checkpoints hold whole weights"),
    "FSDP_CPU_RAM_EFFICIENT_LOADING": ("false", "fsdp_cpu_ram_efficient_loading", "each process needs the teacher"),
    "FSDP_OFFLOAD_PARAMS": ("false", "fsdp_offload_params", "averages and anchors lie on the device"),
}


def is_sharded() -> bool:
    """Whether the launcher asks for FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def sharding_problems(
    method: Method, args: ContinualTrainingArguments, peft: LoRA | None, tasks: Sequence[Task] = ()
) -> list[str]:
    """What keeps a run from dividing its weights, or its optimiser alone, as the launcher asks, a line each."""
    if asks_for_zero():
        return zero_problems(method, args, peft, tasks)
    if not is_sharded():
        return []
    found = [
        f"{key}: must be {needed}, found {os.environ[name]}: {reason}; see {CONFIGURATION}"
        for name, (needed, key, reason) in NEEDED.items()
        if os.environ.get(name, needed).lower() != needed.lower()
    ]
    if peft is not None:
        found.append("peft: adapters are small and are not divided by FSDP; use recipes/accelerate/several_gpus.yaml")
    if args.train_logit_scale:
        found.append("train_logit_scale: FSDP divides no single number; leave it out, or use several_gpus.yaml")
    if method.options().get("averaging_device") == "cpu":
        found.append(f"averaging_device: FSDP divides {method.name}'s averages among the devices; leave it at model")
    return found


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


def squared_distance(
    model: nn.Module, start: dict[str, Tensor], importance: dict[str, Tensor] | None = None
) -> Tensor:
    """[`~hf_clcl.losses.squared_distance`] of the parameters that learn, in order, whole or divided.

    Where they are divided, each process measures its shards; the value is the sum of all, and the gradient that of the
    shard, which FSDP neither adds up nor divides.

    Args:
        model (`nn.Module`): The model as wrapped for training, after its forward.
        start (`dict[str, Tensor]`): The anchor; divided in place.
        importance (`dict[str, Tensor]`, *optional*): A weight for each entry; divided in place.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()  # the outermost weights would stay gathered until the backward
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = {} if importance is None else {name: importance[name] for name in start}
    divide(start, parameters)
    if importance is not None:
        divide(weights, parameters)
        importance |= weights
    own = losses.squared_distance(*([part(t) for t in ts] for ts in (parameters, start.values(), weights.values())))
    if not parameters or not isinstance(parameters[0], DTensor):
        return own
    total, mesh = own.detach().clone(), parameters[0].device_mesh
    torch.distributed.all_reduce(total, group=mesh.get_group(mesh.ndim - 1))
    return own + (total - own.detach())


def make_divisible(model: CLIPModel) -> None:
    """Change what FSDP, DeepSpeed and `accelerate` cannot take of a CLIP: a single number, and no input embedding.

    The frozen temperature becomes a buffer of the same name; the embedding that is divided by itself is that of texts.
    """
    # Of CLIP's outputs, `logits_per_image` is a view of `logits_per_text`. Nothing here writes to either.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    scale, embedding = model.logit_scale.detach(), model.text_model.embeddings.token_embedding
    del model.logit_scale
    model.register_buffer("logit_scale", scale)
    model.get_input_embeddings = lambda: embedding


def whole_model(model: CLIPModel) -> CLIPModel:
    """A plain model with all weights in each process, from one that was made divisible; any other as it is."""
    if "logit_scale" not in dict(model.named_buffers(recurse=False)):
        return model
    state = {name: whole(tensor.detach()) for name, tensor in model.state_dict().items()}
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    plain = lean(CLIPModel(model.config))
    plain.load_state_dict(state)
    plain.set_attn_implementation(model.config._attn_implementation)
    for name, parameter in plain.named_parameters():
        parameter.requires_grad_(name in learns)
    return plain.to(state["logit_scale"].device)
