"""Prepare models for sharding (FSDP2, DeepSpeed) and gather their weights after a task."""

from __future__ import annotations

import warnings

from transformers import PreTrainedModel

from ..distributed.tensors import full_tensor
from .families import family_of
from .weights import move


def make_shardable(model: PreTrainedModel) -> None:
    """Change the parts of a dual encoder that FSDP, DeepSpeed and `accelerate` cannot shard; in place.

    They do not support scalar parameters, so the frozen temperature becomes a buffer of the same name. `accelerate`
    shards the input embedding separately, so `get_input_embeddings` returns that of token ids.
    """
    # The output `logits_per_image` is a view of `logits_per_text`. This package writes to neither.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    family = family_of(model)
    scale, embedding = model.get_parameter(family.scale).detach(), model.get_submodule(family.token_embedding)
    delattr(model, family.scale)
    model.register_buffer(family.scale, scale)
    model.get_input_embeddings = lambda: embedding  # type: ignore[method-assign]  # of this model alone


def gathered_model(model: PreTrainedModel) -> PreTrainedModel:
    """A stock model with all weights in each process; a model that was not made shardable is returned unchanged."""
    family = family_of(model)
    if family.scale not in dict(model.named_buffers(recurse=False)):
        return model
    state = {name: full_tensor(tensor.detach()) for name, tensor in model.state_dict().items()}
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    plain = family.new(model.config)
    plain.load_state_dict(state)
    plain.set_attn_implementation(model.config._attn_implementation)
    for name, parameter in plain.named_parameters():
        parameter.requires_grad_(name in trainable)
    return move(plain, state[family.scale].device)
