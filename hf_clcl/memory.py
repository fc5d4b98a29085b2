"""Less memory for the same numbers: an activation that keeps its input alone, and texts encoded layer by layer."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint
from transformers import CLIPModel
from transformers.activations import QuickGELUActivation

SLOPE = 1.702


class _QuickGELU(torch.autograd.Function):
    """`x sigmoid(1.702 x)`, which is `silu(1.702 x) / 1.702`, and so has the derivative `silu'(1.702 x)`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.silu(x * SLOPE, inplace=True).mul_(1 / SLOPE)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.silu_backward(gradient, x * SLOPE)


class QuickGELU(nn.Module):
    """CLIP's activation `x sigmoid(1.702 x)`, as `QuickGELUActivation` of `transformers` but for rounding.

    Autograd keeps two tensors of that one for the backward pass, of this one its input alone; they are the widest of a
    CLIP.
    """

    def forward(self, x: Tensor) -> Tensor:
        return _QuickGELU.apply(x)


def keep_less(model: CLIPModel) -> CLIPModel:
    """Let the activations of a model keep no more than their input for the backward pass; returns the same model."""
    for module in model.modules():
        if isinstance(getattr(module, "activation_fn", None), QuickGELUActivation):
            module.activation_fn = QuickGELU()
    return model


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
