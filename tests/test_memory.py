"""Less memory, the same numbers: the activation, checkpointed texts, and class prompts of a frozen encoder."""

from __future__ import annotations

import pytest
import torch
from transformers.activations import QuickGELUActivation

from hf_clcl.memory import QuickGELU, checkpoint_texts
from hf_clcl.models import embed_texts, frozen_copy, load_model


def test_the_activation_is_that_of_clip():
    x = torch.linspace(-12, 12, 501, requires_grad=True)
    theirs = torch.autograd.grad(QuickGELUActivation()(x).sum(), x)[0]
    ours = torch.autograd.grad(QuickGELU()(x).sum(), x)[0]
    assert torch.allclose(QuickGELU()(x), QuickGELUActivation()(x), rtol=1e-5, atol=1e-7)
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert torch.autograd.gradcheck(QuickGELU(), torch.randn(7, 3, dtype=torch.float64, requires_grad=True))


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


def test_models_are_loaded_and_copied_with_it(tiny_clip):
    model = load_model(tiny_clip)
    for each in (model, frozen_copy(model)):
        activations = [m.activation_fn for m in each.modules() if hasattr(m, "activation_fn")]
        assert len(activations) == 4 and all(isinstance(activation, QuickGELU) for activation in activations)
    assert model.config.vision_config.hidden_act == "quick_gelu"  # what is saved is a CLIP as any other


def gradients(model):
    model.train().zero_grad()
    embed_texts(model, torch.tensor([[1, 5, 6, 2], [1, 9, 2, 2]]))[:, 0].sum().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_checkpointed_texts_have_the_same_gradients(tiny_clip):
    model = load_model(tiny_clip)
    plain = gradients(model)
    checkpoint_texts(model, True)
    assert all(layer.gradient_checkpointing for layer in model.text_model.encoder.layers)
    assert not any(layer.gradient_checkpointing for layer in model.vision_model.encoder.layers)
    again = gradients(model)
    assert plain.keys() == again.keys() and all(torch.equal(plain[name], again[name]) for name in plain)
    checkpoint_texts(model, False)
    assert not any(layer.gradient_checkpointing for layer in model.text_model.encoder.layers)


@pytest.mark.parametrize("above, checkpointed", [(0, True), (10_000, False)])
def test_texts_are_checkpointed_where_they_are_many(build, above, checkpointed):
    trainer = build(checkpoint_texts_above=above, max_steps=1)
    trainer.train()
    layers = trainer.model.text_model.encoder.layers
    assert all(layer.gradient_checkpointing is checkpointed for layer in layers)


def test_checkpointing_of_all_layers_stays(build):
    trainer = build(gradient_checkpointing=True, max_steps=1)
    trainer.train()
    assert all(layer.gradient_checkpointing for layer in trainer.model.text_model.encoder.layers)


@pytest.mark.parametrize("method, extra", [("finetune", 0), ("zscl", 0), ("vr_lwf", 4)])
def test_class_prompts_of_a_frozen_text_encoder_are_encoded_once(build, method, extra):
    """And the weights are those of a run that encodes them at each step."""
    options = {"number": extra, "student_texts": True} if extra else None

    def run(once):
        trainer = build(method, options, trainable="vision", max_steps=3)
        texts = []
        trainer.model.text_model.register_forward_pre_hook(
            lambda module, args, kwargs: texts.append(len(kwargs["input_ids"])) if torch.is_grad_enabled() else None,
            with_kwargs=True,
        )
        if not once:
            embed = trainer.method.embed

            def embed_all(model, batch):
                trainer.method._class_texts = None
                return embed(model, batch)

            trainer.method.embed = embed_all
        trainer.train()
        return texts, {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}

    texts, weights = run(once=True)
    assert texts == [3 + extra, *[extra or 1] * 2]
    every_time, expected = run(once=False)
    assert every_time == [3 + extra] * 3
    assert all(torch.allclose(weights[name], expected[name], atol=1e-6) for name in weights)
