"""Faster layers for models with the architecture of CLIP: fewer saved activations and fewer passes over memory.

They have the weights of the layers that they replace and compute the same numbers up to rounding. On a CPU, passes
over tensors that are larger than the caches take most of the time of a bf16 step outside matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel
from transformers.activations import QuickGELUActivation
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.clip.modeling_clip import eager_attention_forward

from ...utils.blocks import cache_sized_chunks

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
    """CLIP's activation `x sigmoid(1.702 x)`, equal to `QuickGELUActivation` of `transformers` up to rounding.

    For the backward pass, autograd saves two tensors of `QuickGELUActivation`, but only the input of this class. These
    are the widest activations of a CLIP.
    """

    stock_class: ClassVar[type[nn.Module]] = QuickGELUActivation

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            return x * torch.sigmoid(SLOPE * x)  # the compiler itself fuses and chooses what to save
        return _QuickGELU.apply(x)


class _MLP(torch.autograd.Function):
    """`W' g(W x + b) + b'` with CLIP's activation `g(h) = silu(1.702 h) / 1.702`.

    The matrix products apply both factors, so only `silu` is computed between them; its derivative is
    `g'(h) = silu'(1.702 h)`.
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
        (rows, steep, active, into, out_of), needed = ctx.saved_tensors, ctx.needs_input_grad
        of_output = gradient.reshape(rows.shape)
        of_inner = of_output @ out_of
        torch.ops.aten.silu_backward.grad_input(of_inner, steep, grad_input=of_inner)
        return (
            (of_inner @ into).view(gradient.shape) if needed[0] else None,
            of_inner.t() @ rows if needed[1] else None,
            of_inner.sum(0) if needed[2] else None,
            (of_output.t() @ active).mul_(1 / SLOPE) if needed[3] else None,
            of_output.sum(0) if needed[4] else None,
        )


class FastMLP(nn.Module):
    """The two linear layers and the activation of a CLIP layer, as one autograd node on a CPU.

    On a GPU, under a compiler and with adapters, the layers are called one by one. A subclass also inherits from the
    MLP of a family, which is its `stock_class`.
    """

    stock_class: ClassVar[type[nn.Module]]
    fc1: nn.Linear
    fc2: nn.Linear

    def forward(self, hidden_states: Tensor) -> Tensor:
        """From `[..., d]` to `[..., d]`."""
        device, layers = hidden_states.device.type, (self.fc1, self.fc2)
        if device != "cpu" or torch.compiler.is_compiling() or any(type(layer) is not nn.Linear for layer in layers):
            return super().forward(hidden_states)
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_states.dtype
        weights = [tensor.to(dtype) for layer in layers for tensor in (layer.weight, layer.bias)]
        return _MLP.apply(hidden_states.to(dtype), *weights)


class Norm(nn.LayerNorm):
    """Layer norm in fp32 that casts its output once under autocast, instead of in each following matrix product."""

    stock_class: ClassVar[type[nn.Module]] = nn.LayerNorm

    def forward(self, x: Tensor) -> Tensor:
        normed, kind = super().forward(x), x.device.type
        return normed.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else normed


class ClassTokenAttention(nn.Module):
    """Attention from the class token to all tokens. A subclass also inherits from the attention of a family."""

    stock_class: ClassVar[type[nn.Module]]
    config: Any  # the class depends on the family
    head_dim: int
    scale: float
    dropout: Any
    q_proj: nn.Linear
    k_proj: nn.Linear
    v_proj: nn.Linear
    out_proj: nn.Linear

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """From `[B, T, d]` to `[B, 1, d]`, and the attention weights if the implementation returns them."""

        def heads(projected: Tensor) -> Tensor:
            return projected.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        attended, weights = attend(
            self, heads(self.q_proj(hidden_states[:, :1])), heads(self.k_proj(hidden_states)),
            heads(self.v_proj(hidden_states)), attention_mask, scaling=self.scale,
            dropout=self.dropout if self.training else 0.0, **kwargs,
        )  # fmt: skip
        return self.out_proj(attended.flatten(2)), weights


class ClassTokenLayer(nn.Module):
    """The last layer of a vision encoder for the class token only: no later module reads the other tokens.

    A subclass also inherits from the layer of a family.
    """

    stock_class: ClassVar[type[nn.Module]]
    self_attn: Any
    layer_norm1: nn.LayerNorm
    layer_norm2: nn.LayerNorm
    mlp: Any

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None, **kwargs: Any) -> Tensor:
        """From `[B, T, d]` to `[B, 1, d]`."""
        attended, _ = self.self_attn(self.layer_norm1(hidden_states), attention_mask, **kwargs)
        hidden_states = hidden_states[:, :1] + attended
        return hidden_states + self.mlp(self.layer_norm2(hidden_states))


class Patches(nn.Conv2d):
    """The patch embedding of a ViT, a convolution without overlap, as one matrix product.

    On a CPU in bf16, the gradient of 32 x 32 patches takes thirty times as long as a convolution.
    """

    stock_class: ClassVar[type[nn.Module]] = nn.Conv2d

    def forward(self, pixel_values: Tensor) -> Tensor:
        """From `[B, C, H, W]` to `[B, d, H / p, W / p]` for patches of `p` pixels; incomplete patches are cut off."""
        (p, q), (height, width) = self.kernel_size, pixel_values.shape[-2:]
        rows, columns = height // p, width // q
        cut = pixel_values[..., : rows * p, : columns * q]
        patches = cut.unflatten(-1, (columns, q)).unflatten(-3, (rows, p)).permute(0, 2, 4, 1, 3, 5)
        embedded = F.linear(patches.reshape(len(cut), rows * columns, -1), self.weight.flatten(1), self.bias)
        return embedded.transpose(1, 2).unflatten(2, (rows, columns))


def fast_layers(
    model: PreTrainedModel,
    patch_tokens: bool,
    mlp: type[FastMLP],
    attention: type[ClassTokenAttention],
    layer: type[ClassTokenLayer],
) -> Iterator[tuple[nn.Module, type[nn.Module]]]:
    """Yield the modules of a model with CLIP's architecture that have faster classes, and these classes.

    A module is replaced only if its class is exactly the stock class.

    Args:
        model (`PreTrainedModel`): The model; not changed.
        patch_tokens (`bool`):
            Whether the last layer of the vision tower computes the states of all tokens. Otherwise its
            `last_hidden_state` has the class token only, `[B, 1, d]`; the image embeddings are the same.
        mlp, attention, layer (`type`): The faster classes of the family.
    """
    for module in model.modules():
        if type(module) is QuickGELUActivation:
            yield module, QuickGELU
        elif type(module) is mlp.stock_class and isinstance(module.activation_fn, QuickGELUActivation):
            yield module, mlp
        elif isinstance(module, layer.stock_class):
            # Only the norms before matrix products; other norms feed sums in fp32.
            norms = (module.get_submodule(name) for name in ("layer_norm1", "layer_norm2"))
            yield from ((norm, Norm) for norm in norms if type(norm) is nn.LayerNorm)
    last = list(model.get_submodule("vision_model.encoder.layers").children())[-1]
    if type(last) is layer.stock_class and not patch_tokens:
        yield last, layer
        yield last.get_submodule("self_attn"), attention
    patches = model.get_submodule("vision_model.embeddings.patch_embedding")
    if type(patches) is nn.Conv2d:
        yield patches, Patches
