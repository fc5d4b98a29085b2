"""Models whose weights are sharded during a task (FSDP2), and whole again after it."""

from __future__ import annotations

import warnings

from transformers import PreTrainedModel

from ..distributed.tensors import full_tensor
from .families import family_of


def make_divisible(model: PreTrainedModel) -> None:
    """Change what FSDP, DeepSpeed and `accelerate` cannot take of a CLIP: a single number, and no input embedding.

    The frozen temperature becomes a buffer of the same name; the embedding that is divided by itself is that of texts.
    """
    # Of CLIP's outputs, `logits_per_image` is a view of `logits_per_text`. Nothing here writes to either.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    family = family_of(model)
    scale, embedding = model.get_parameter(family.scale).detach(), model.get_submodule(family.token_embedding)
    delattr(model, family.scale)
    model.register_buffer(family.scale, scale)
    model.get_input_embeddings = lambda: embedding


def whole_model(model: PreTrainedModel) -> PreTrainedModel:
    """A plain model with all weights in each process, from one that was made divisible; any other as it is."""
    family = family_of(model)
    if family.scale not in dict(model.named_buffers(recurse=False)):
        return model
    state = {name: full_tensor(tensor.detach()) for name, tensor in model.state_dict().items()}
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    plain = family.new(model.config)
    plain.load_state_dict(state)
    plain.set_attn_implementation(model.config._attn_implementation)
    for name, parameter in plain.named_parameters():
        parameter.requires_grad_(name in learns)
    return plain.to(state[family.scale].device)
