"""Checkpointed texts and prompts of a frozen encoder: less memory, the same numbers."""

from __future__ import annotations

import pytest
import torch

from hf_clcl.models.checkpointing import checkpoint_texts
from hf_clcl.models.embedding import embed_texts
from hf_clcl.models.loading import load_model


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
def test_class_prompts_of_a_frozen_text_encoder_are_encoded_once(build, tiny_clip, update_error, method, extra):
    """And the weights are those of a run that encodes them at each step."""
    options = {"number": extra, "student_texts": True} if extra else None

    def run(once):
        trainer = build(method, options, trainable="vision", max_steps=3, optim="sgd", learning_rate=0.01)
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
    assert update_error(load_model(tiny_clip).state_dict(), weights, expected) < 1e-3
