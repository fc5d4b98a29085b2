"""Layers of CLIP that keep less for the backward pass and go over memory less often, for the same numbers.

On a CPU, what is left of a bf16 step beside its matrix products is passes over tensors that no cache holds.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import CLIPModel
from transformers.activations import QuickGELUActivation
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.clip.modeling_clip import (
    CLIPMLP,
    CLIPAttention,
    CLIPEncoderLayer,
    eager_attention_forward,
)

from ..utils.blocks import cache_sized_chunks

SLOPE = 1.702


class _QuickGELU(torch.autograd.Function):
    """`x sigmoid(1.702 x)`, which is `silu(1.702 x) / 1.702`, and so has the derivative `silu'(1.702 x)`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        activated = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        for of_x, part in cache_sized_chunks(x, activated):
            torch.mul(of_x, SLOPE, out=part)
            F.silu(part, inplace=True).mul_(1 / SLOPE)
        return activated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        of_input = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        for of_gradient, of_x, part in cache_sized_chunks(gradient, x, of_input):
            torch.ops.aten.silu_backward.grad_input(of_gradient, of_x * SLOPE, grad_input=part)
        return of_input


class QuickGELU(nn.Module):
    """CLIP's activation `x sigmoid(1.702 x)`, as `QuickGELUActivation` of `transformers` but for rounding.

    Autograd keeps two tensors of that one for the backward pass, of this one its input alone; they are the widest of a
    CLIP.
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            return x * torch.sigmoid(SLOPE * x)  # the compiler chooses itself what is kept, and what is one pass
        return _QuickGELU.apply(x)


class _MLP(torch.autograd.Function):
    """`W' g(W x + b) + b'` with CLIP's activation `g(h) = silu(1.702 h) / 1.702`, whose factors the products take on.

    So `silu` is all that is left between them, and as `g'(h) = silu'(1.702 h)`, its derivative too.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, into: Tensor, bias: Tensor, out_of: Tensor, out_bias: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        steep = torch.addmm(bias * SLOPE, rows, into.t(), alpha=SLOPE)
        active = F.silu(steep)
        ctx.save_for_backward(rows, steep, active, into, out_of)
        return torch.addmm(out_bias, active, out_of.t(), alpha=1 / SLOPE).view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (rows, steep, active, into, out_of), learns = ctx.saved_tensors, ctx.needs_input_grad
        of_output = gradient.reshape(rows.shape)
        of_inner = of_output @ out_of
        torch.ops.aten.silu_backward.grad_input(of_inner, steep, grad_input=of_inner)
        return (
            (of_inner @ into).view(gradient.shape) if learns[0] else None,
            of_inner.t() @ rows if learns[1] else None,
            of_inner.sum(0) if learns[2] else None,
            (of_output.t() @ active).mul_(1 / SLOPE) if learns[3] else None,
            of_output.sum(0) if learns[4] else None,
        )


class MLP(CLIPMLP):
    """The two linear layers and the activation of a CLIP layer, in one node of the graph on a CPU.

    Where a GPU adds the biases within its products, where a compiler fuses, and where the layers are adapters, they
    are called one by one.
    """

    def forward(self, hidden_states: Tensor) -> Tensor:
        """From `[..., d]` to `[..., d]`."""
        device, layers = hidden_states.device.type, (self.fc1, self.fc2)
        if device != "cpu" or torch.compiler.is_compiling() or any(type(layer) is not nn.Linear for layer in layers):
            return super().forward(hidden_states)
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_states.dtype
        weights = [tensor.to(dtype) for layer in layers for tensor in (layer.weight, layer.bias)]
        return _MLP.apply(hidden_states.to(dtype), *weights)


class Norm(nn.LayerNorm):
    """Layer norm in fp32 whose output is cast once under autocast, and not by each product that takes it."""

    def forward(self, x: Tensor) -> Tensor:
        normed, kind = super().forward(x), x.device.type
        return normed.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else normed


class ClassTokenAttention(CLIPAttention):
    """Attention of the class token alone, to all tokens."""

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """From `[B, T, d]` to `[B, 1, d]`, and the weights of attention where the implementation gives them."""

        def heads(projected: Tensor) -> Tensor:
            return projected.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        attended, weights = attend(
            self, heads(self.q_proj(hidden_states[:, :1])), heads(self.k_proj(hidden_states)),
            heads(self.v_proj(hidden_states)), attention_mask, scaling=self.scale,
            dropout=self.dropout if self.training else 0.0, **kwargs,
        )  # fmt: skip
        return self.out_proj(attended.flatten(2)), weights


class ClassTokenLayer(CLIPEncoderLayer):
    """The last layer of a vision encoder, for the class token alone: nothing reads the others any more."""

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None, **kwargs: Any) -> Tensor:
        """From `[B, T, d]` to `[B, 1, d]`."""
        attended, _ = self.self_attn(self.layer_norm1(hidden_states), attention_mask, **kwargs)
        hidden_states = hidden_states[:, :1] + attended
        return hidden_states + self.mlp(self.layer_norm2(hidden_states))


class Patches(nn.Conv2d):
    """The convolution of a ViT's patches, which do not overlap, as one product of matrices.

    As a convolution, the gradient of 32 x 32 patches takes a CPU thirty times as long in bf16.
    """

    def forward(self, pixel_values: Tensor) -> Tensor:
        """From `[B, C, H, W]` to `[B, d, H / p, W / p]` for patches of `p` pixels; what is left at an edge is cut."""
        (p, q), (height, width) = self.kernel_size, pixel_values.shape[-2:]
        rows, columns = height // p, width // q
        cut = pixel_values[..., : rows * p, : columns * q]
        patches = cut.unflatten(-1, (columns, q)).unflatten(-3, (rows, p)).permute(0, 2, 4, 1, 3, 5)
        embedded = F.linear(patches.reshape(len(cut), rows * columns, -1), self.weight.flatten(1), self.bias)
        return embedded.transpose(1, 2).unflatten(2, (rows, columns))


def lean(model: CLIPModel) -> CLIPModel:
    """Replace layers of a model by those of this file, which have the same weights; returns the same model.

    Image embeddings are the same; the vision encoder's `last_hidden_state` is that of the class token alone.
    """
    for module in model.modules():
        if isinstance(getattr(module, "activation_fn", None), QuickGELUActivation):
            module.activation_fn = QuickGELU()
            if type(module) is CLIPMLP:
                module.__class__ = MLP
        for name in ("layer_norm1", "layer_norm2"):  # those before products; others feed sums in fp32
            if type(norm := getattr(module, name, None)) is nn.LayerNorm:
                norm.__class__ = Norm
    last = model.vision_model.encoder.layers[-1]
    if type(last) is CLIPEncoderLayer:
        last.__class__, last.self_attn.__class__ = ClassTokenLayer, ClassTokenAttention
    patches = model.vision_model.embeddings.patch_embedding
    if type(patches) is nn.Conv2d:
        patches.__class__ = Patches
    return model
