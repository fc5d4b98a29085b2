"""Layers that take the place of those of `transformers`: the same numbers, less memory, fewer passes over it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from transformers import CLIPModel, CLIPTextConfig
from transformers.activations import QuickGELUActivation
from transformers.models.clip.modeling_clip import CLIPMLP, CLIPEncoderLayer

from hf_clcl.models.families.clip import ClassTokenCLIPLayer, FastCLIPMLP
from hf_clcl.models.families.clip_layers import Norm, Patches, QuickGELU
from hf_clcl.models.fast_layers import fast_layers, use_fast_layers, use_stock_layers
from hf_clcl.models.loading import load_model
from hf_clcl.models.weights import frozen_copy
from hf_clcl.utils import blocks as blocks_module


def test_the_activation_is_that_of_clip():
    x = torch.linspace(-12, 12, 501, requires_grad=True)
    theirs = torch.autograd.grad(QuickGELUActivation()(x).sum(), x)[0]
    ours = torch.autograd.grad(QuickGELU()(x).sum(), x)[0]
    assert torch.allclose(QuickGELU()(x), QuickGELUActivation()(x), rtol=1e-5, atol=1e-7)
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert torch.autograd.gradcheck(QuickGELU(), torch.randn(7, 3, dtype=torch.float64, requires_grad=True))


def test_long_tensors_are_activated_part_by_part(monkeypatch):
    x = torch.randn(3, 11, dtype=torch.float64, requires_grad=True)
    whole = QuickGELU()(x)
    monkeypatch.setattr(blocks_module, "CHUNK_SIZE", 4)
    assert torch.allclose(QuickGELU()(x), whole, atol=1e-15)
    assert torch.autograd.gradcheck(QuickGELU(), x)
    assert torch.allclose(QuickGELU()(x.T), whole.T, atol=1e-15)  # not contiguous


def kept_for_backward(activation):
    kept = []

    def keep(tensor):
        kept.append(tensor.numel())
        return tensor

    x = torch.randn(10, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        activation(x * 1.0)
    return sum(kept)


def test_the_activation_keeps_its_input_alone():
    assert kept_for_backward(QuickGELU()) == 10
    assert kept_for_backward(QuickGELUActivation()) >= 20


def classes(model):
    return [type(module) for module in model.modules()]


def test_fast_layers_are_put_on_and_taken_off(tiny_clip):
    model = load_model(tiny_clip)
    stock, weights = (
        classes(CLIPModel.from_pretrained(tiny_clip)),
        {n: t.data_ptr() for n, t in model.named_parameters()},
    )
    for each in (model, frozen_copy(model), load_model(tiny_clip, random_init=True)):
        assert classes(each) == stock
    with fast_layers(model):
        activations = [m.activation_fn for m in model.modules() if hasattr(m, "activation_fn")]
        assert sum(isinstance(module, FastCLIPMLP) for module in model.modules()) == 4
        assert len(activations) == 4 and all(isinstance(activation, QuickGELU) for activation in activations)
        assert isinstance(model.vision_model.embeddings.patch_embedding, Patches)
        assert sum(isinstance(module, Norm) for module in model.modules()) == 2 * len(activations)
        assert type(model.vision_model.encoder.layers[-1]) is ClassTokenCLIPLayer
        fast = classes(model)
        with fast_layers(model):  # an inner block changes nothing, and takes nothing off
            assert classes(model) == fast
        assert classes(model) == fast
        copied = copy.deepcopy(model)
    assert classes(model) == stock
    assert {name: tensor.data_ptr() for name, tensor in model.named_parameters()} == weights
    assert classes(copied) == fast
    use_stock_layers(copied)
    assert classes(copied) == stock


def test_fast_layers_are_taken_off_after_an_error(tiny_clip):
    model = load_model(tiny_clip)
    stock = classes(model)
    with pytest.raises(ZeroDivisionError), fast_layers(model):
        assert classes(model) != stock
        raise ZeroDivisionError
    assert classes(model) == stock


def test_the_states_of_all_tokens_are_there_where_they_are_wanted(tiny_clip):
    model = load_model(tiny_clip)
    images = torch.randn(2, 3, 16, 16)
    expected = model.vision_model(pixel_values=images).last_hidden_state
    assert expected.shape == (2, 5, 32)
    with fast_layers(model, patch_tokens=True):
        assert type(model.vision_model.encoder.layers[-1]) is CLIPEncoderLayer
        assert torch.allclose(model.vision_model(pixel_values=images).last_hidden_state, expected, atol=1e-5)
        with fast_layers(model):
            assert model.vision_model(pixel_values=images).last_hidden_state.shape == (2, 1, 32)
        assert model.vision_model(pixel_values=images).last_hidden_state.shape == (2, 5, 32)


def mlp(**dtype):
    config = CLIPTextConfig(hidden_size=4, intermediate_size=6, num_attention_heads=2, hidden_act="quick_gelu")
    return CLIPMLP(config).to(**dtype)


def test_the_linear_layers_and_the_activation_are_those_of_clip():
    torch.manual_seed(0)
    theirs, x = mlp(dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    ours = copy.deepcopy(theirs)
    ours.__class__ = FastCLIPMLP
    assert torch.allclose(ours(x), theirs(x), atol=1e-12)
    assert type(ours(x).grad_fn).__name__ == "_MLPBackward"
    weights = dict(ours.named_parameters())
    for learning in (list(weights), [*weights][:1], [*weights][1:]):  # those that are frozen get no gradient
        for name, weight in weights.items():
            weight.requires_grad_(name in learning)
        assert torch.autograd.gradcheck(lambda x, *_: ours(x), (x, *weights.values()))
        ours.zero_grad()
        ours(x).sum().backward()
        assert all((weight.grad is not None) == (name in learning) for name, weight in weights.items())


def test_adapters_are_called_and_not_only_their_weights():
    class Adapter(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    ours = mlp()
    ours.__class__ = FastCLIPMLP
    x = torch.randn(2, 4)
    plain = ours(x)
    ours.fc2.__class__ = Adapter
    assert torch.allclose(ours(x), plain + 1, atol=1e-6)


@pytest.mark.parametrize("size", [8, 11])  # the second leaves three pixels at two edges
@pytest.mark.parametrize("bias", [False, True])
def test_patches_are_those_of_the_convolution(size, bias):
    torch.manual_seed(0)
    theirs = nn.Conv2d(3, 5, kernel_size=4, stride=4, bias=bias, dtype=torch.float64)
    ours = copy.deepcopy(theirs)
    ours.__class__ = Patches
    images = torch.randn(2, 3, size, size, dtype=torch.float64)
    outputs = [layer(images) for layer in (theirs, ours)]
    assert outputs[0].shape == outputs[1].shape and torch.allclose(*outputs, atol=1e-12)
    weight = torch.randn_like(outputs[0])
    for output in outputs:
        (output * weight).sum().backward()
    for expected, found in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert torch.allclose(expected.grad, found.grad, atol=1e-12)


def test_the_norm_casts_once_and_only_under_autocast():
    norm, x = nn.LayerNorm(6), torch.randn(4, 6)
    expected = norm(x)
    norm.__class__ = Norm
    assert torch.equal(norm(x), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(norm(x), expected.bfloat16())


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_fast_layers_have_the_gradients_of_the_originals(tiny_clip, attention):
    """The same in fp64, to rounding in fp32; in bf16 it is as near to them as the original is.

    Limits are some hundred roundings of fp32 (6e-8), as gradients pass some tens of sums. In bf16 both models round as
    often, at other places: errors of one size, of which one bit less would be twice.
    """
    torch.manual_seed(0)
    theirs = CLIPModel.from_pretrained(tiny_clip, dtype=torch.float32, attn_implementation=attention)
    use_fast_layers(ours := copy.deepcopy(theirs))
    assert list(theirs.state_dict()) == list(ours.state_dict())
    size = theirs.config.vision_config.image_size
    images, texts = torch.randn(3, 3, size, size), torch.tensor([[1, 5, 6, 2], [1, 9, 2, 2]])

    def gradients(model: CLIPModel, bf16: bool = False) -> torch.Tensor:
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            outputs = model(pixel_values=images.to(model.dtype), input_ids=texts)
        (outputs.image_embeds.float() @ outputs.text_embeds.float().T).square().sum().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    exact = gradients(theirs)
    assert (gradients(ours) - exact).norm() <= 1e-4 * exact.norm()
    errors = [(gradients(model, bf16=True) - exact).norm() for model in (theirs, ours)]
    assert 0 < errors[1] < 2 * errors[0]
    ours, theirs = ours.double(), theirs.double()
    exact = gradients(theirs)
    assert (gradients(ours) - exact).norm() <= 1e-5 * exact.norm()  # the norms of embeddings are taken in fp32


def test_the_last_layer_encodes_the_class_token_alone(tiny_clip):
    model = load_model(tiny_clip)
    images = torch.randn(2, 3, *2 * [model.config.vision_config.image_size])
    with fast_layers(model):
        encoded = model.vision_model(pixel_values=images)
    original = CLIPModel.from_pretrained(tiny_clip, dtype=torch.float32).vision_model(pixel_values=images)
    assert encoded.last_hidden_state.shape == (2, 1, model.config.vision_config.hidden_size)
    assert torch.allclose(encoded.last_hidden_state, original.last_hidden_state[:, :1], atol=1e-5)
    assert torch.allclose(encoded.pooler_output, original.pooler_output, atol=1e-5)
