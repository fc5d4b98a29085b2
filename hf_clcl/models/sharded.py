"""Models whose weights are sharded during a task (FSDP2), and whole again after it."""

from __future__ import annotations

import warnings

from transformers import CLIPModel

from ..distributed.tensors import full_tensor
from .layers import lean


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
    state = {name: full_tensor(tensor.detach()) for name, tensor in model.state_dict().items()}
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    plain = lean(CLIPModel(model.config))
    plain.load_state_dict(state)
    plain.set_attn_implementation(model.config._attn_implementation)
    for name, parameter in plain.named_parameters():
        parameter.requires_grad_(name in learns)
    return plain.to(state["logit_scale"].device)
