"""Fast layers are there while a model is trained and evaluated, and nowhere else."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch
from transformers import CLIPModel

from hf_clcl.methods import METHODS
from hf_clcl.methods.base import Method
from hf_clcl.models.embedding import embed_all_texts
from hf_clcl.models.families.clip import ClassTokenCLIPLayer, FastCLIPMLP
from hf_clcl.training.trainer import ContinualTrainer


def classes(model) -> list[type]:
    return [type(module) for module in model.modules()]


@dataclass
class Watching(Method):
    """Fine-tuning that remembers what it saw of the vision tower's last layer, and returns a copy of the model."""

    name = "watching"

    def __post_init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def embed(self, model, batch):
        assert sum(type(module) is FastCLIPMLP for module in model.modules()) == 4
        handle = model.vision_model.encoder.layers[-1].register_forward_hook(
            lambda module, args, output: self.seen.append(tuple(output.shape))
        )
        try:
            return super().embed(model, batch)
        finally:
            handle.remove()

    def end_task(self, model):
        assert sum(type(module) is FastCLIPMLP for module in model.modules()) == 4
        return copy.deepcopy(model)


@dataclass
class Patchwise(Watching):
    """The same, of all tokens."""

    name = "patchwise"
    wants_patch_tokens = True


@pytest.mark.parametrize(("method", "tokens"), [(Watching, 1), (Patchwise, 5)])
def test_a_trained_model_is_a_stock_model(build, tiny_clip, monkeypatch, method, tokens):
    monkeypatch.setitem(METHODS, method.name, method)
    model = CLIPModel.from_pretrained(tiny_clip)
    stock = classes(model)
    trainer = build(method.name, model=model, max_steps=2)
    assert classes(model) == stock
    trainer.train()
    assert trainer.method.seen == [(8, tokens, 32)] * 2
    assert trainer.model is not model
    assert classes(model) == classes(trainer.model) == stock


def test_a_model_is_a_stock_model_after_an_error(build, tiny_clip, monkeypatch):
    model = CLIPModel.from_pretrained(tiny_clip)
    stock, during = classes(model), []

    def failing(self, *args, **kwargs):
        during.append(classes(self.model))
        raise ZeroDivisionError

    monkeypatch.setattr(ContinualTrainer, "training_step", failing)
    with pytest.raises(ZeroDivisionError):
        build(model=model).train()
    assert ClassTokenCLIPLayer in during[0] and classes(model) == stock


def test_a_teacher_computes_with_fast_layers(tiny_clip):
    teacher = CLIPModel.from_pretrained(tiny_clip)
    stock, during = classes(teacher), []
    teacher.text_model.register_forward_pre_hook(lambda module, args: during.append(classes(teacher)))
    embed_all_texts(teacher, torch.tensor([[1, 5, 6, 2]]))
    assert FastCLIPMLP in during[0] and classes(teacher) == stock
