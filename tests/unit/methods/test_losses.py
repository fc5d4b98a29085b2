"""Losses against values computed by hand or by the plainest code."""

import math

import pytest
import torch
import torch.nn.functional as F

from hf_clcl.methods import losses


def test_distillation_by_hand():
    # softmax([0, ln 3]) = [1/4, 3/4]; the student is uniform, so the cross-entropy is ln 2 at any temperature.
    teacher, student = torch.tensor([[0.0, math.log(3)]]), torch.zeros(1, 2)
    loss, divergence = losses.distillation(teacher, student, 1.0)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert loss.item() == pytest.approx(math.log(2), rel=1e-6)
    assert divergence.item() == pytest.approx(math.log(2) - entropy, rel=1e-5)


def test_distillation_temperature_and_gradient():
    torch.manual_seed(0)
    teacher, student = torch.randn(5, 7), torch.randn(5, 7, requires_grad=True)
    loss, divergence = losses.distillation(teacher, student, 2.0)
    kl = F.kl_div(F.log_softmax(student / 2, -1), F.softmax(teacher / 2, -1), reduction="batchmean") * 4
    assert divergence.item() == pytest.approx(kl.item(), abs=1e-5)
    (gradient,) = torch.autograd.grad(loss, student)
    (expected,) = torch.autograd.grad(kl, student)
    torch.testing.assert_close(gradient, expected)


def test_distillation_is_least_where_both_agree():
    logits = torch.randn(4, 6)
    assert losses.distillation(logits, logits.clone(), 2.0)[1].item() == pytest.approx(0, abs=1e-6)
    assert losses.distillation(logits, logits.flip(0), 2.0)[1].item() > 0.01


def test_classification_by_hand():
    images, texts = torch.eye(2), torch.eye(2)
    loss = losses.classification(images, texts, torch.tensor(2.0), torch.tensor([0, 0]), smoothing=0.0)
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert loss.item() == pytest.approx((right + wrong) / 2, rel=1e-6)


def test_contrastive_by_hand():
    loss = losses.contrastive(torch.eye(2), torch.eye(2), torch.tensor(2.0))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-6)


def test_relational_leaves_out_the_diagonal():
    # With two images there is one other each, so the softmax over others is 1 and the loss 0 whatever the features.
    teacher, student = F.normalize(torch.randn(2, 4), dim=-1), F.normalize(torch.randn(2, 4), dim=-1)
    assert losses.relational(teacher, student, torch.tensor(100.0), 2.0).item() == pytest.approx(0, abs=1e-6)


def test_squared_distance_and_its_gradient():
    parameters = [torch.randn(3, 2, requires_grad=True), torch.randn(4, requires_grad=True)]
    start = [torch.randn(3, 2), torch.randn(4)]
    plain = sum(((p - s) ** 2).sum() for p, s in zip(parameters, start, strict=True))
    expected = torch.autograd.grad(3 * plain, parameters)
    ours = losses.squared_distance(parameters, start)
    assert ours.item() == pytest.approx(plain.item(), rel=1e-5)
    for gradient, reference in zip(torch.autograd.grad(3 * ours, parameters), expected, strict=True):
        torch.testing.assert_close(gradient, reference)
