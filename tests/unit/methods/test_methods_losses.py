"""What the methods compute, against values worked out by hand or by the plainest code."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import TrainerState

from hf_clcl.methods import create_method, losses
from hf_clcl.methods import imm as imm_module
from hf_clcl.methods.averaging import WeightAveraging
from hf_clcl.methods.icarl import herd


def test_relational_distance_by_hand():
    # Distances 1, 2, 1 in units of their mean 4/3 are 3/4, 3/2, 3/4; distances 1, 4, 3 are 3/8, 3/2, 9/8.
    teacher, student = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [1.0], [4.0]])
    expected = (0.375**2 / 2 + 0 + 0.375**2 / 2) / 3
    assert losses.relational_distance(teacher, student).item() == pytest.approx(expected, rel=1e-6)
    assert losses.relational_distance(teacher, 7 * teacher + 3).item() == pytest.approx(0, abs=1e-12)


def test_relational_angle_by_hand():
    # Cosines of a right-angled triangle 0, sqrt(1/2), sqrt(1/2); of an equilateral one 1/2 everywhere.
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    student = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])
    expected = (0.5**2 / 2 + 2 * (math.sqrt(0.5) - 0.5) ** 2 / 2) / 3
    assert losses.relational_angle(teacher, student).item() == pytest.approx(expected, rel=1e-5)
    assert losses.relational_angle(teacher, 5 * teacher - 1).item() == pytest.approx(0, abs=1e-12)


def test_relational_losses_have_gradients_where_images_coincide():
    student = torch.ones(4, 3, requires_grad=True)
    teacher = F.normalize(torch.randn(4, 3), dim=-1)
    (losses.relational_distance(teacher, student) + losses.relational_angle(teacher, student)).backward()
    assert student.grad.isfinite().all()


def test_geodesic_flow_by_hand():
    # Two lines 60 degrees apart: the mean of (cos t, sin t) (cos t, sin t)^T for t from 0 to pi / 3.
    teacher, student = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, math.sqrt(0.75)]])
    wave, between = 3 * math.sqrt(3) / (4 * math.pi), 9 / (8 * math.pi)
    along, across = (1 + wave) / 2, (1 - wave) / 2
    flow = losses.geodesic_flow(teacher, student, 1)
    torch.testing.assert_close(flow, torch.tensor([[along, between], [between, across]]))
    # Both have the norm sqrt(along): the one starts the path, the other ends it.
    loss = losses.geodesic_distillation(teacher, student, 1)
    assert loss.item() == pytest.approx(1 - (0.5 + math.sqrt(0.75) * between / along), rel=1e-5)


def test_geodesic_flow_against_numerical_integration():
    torch.manual_seed(0)
    teacher, student = torch.randn(8, 6), torch.randn(8, 6)
    old, new = (torch.linalg.svd(x).Vh[:3].T.double() for x in (teacher, student))
    u, cosine, vh = torch.linalg.svd(old.T @ new)
    start, end, theta = old @ u, new @ vh.T, cosine.acos()
    steps = (torch.arange(2000).double() + 0.5) / 2000
    total = torch.zeros(6, 6).double()
    for tau in steps:  # spherical interpolation of each pair of principal vectors
        points = (((1 - tau) * theta).sin() * start + (tau * theta).sin() * end) / theta.sin()
        total += points @ points.T / len(steps)
    torch.testing.assert_close(losses.geodesic_flow(teacher, student, 3).double(), total, atol=1e-5, rtol=0)


def test_geodesic_flow_within_one_subspace_is_its_projection():
    embeddings = F.normalize(torch.randn(4, 9), dim=-1)
    basis = torch.linalg.svd(embeddings, full_matrices=False).Vh.T
    torch.testing.assert_close(losses.geodesic_flow(embeddings, embeddings, 4), basis @ basis.T, atol=1e-5, rtol=0)
    assert losses.geodesic_distillation(embeddings, embeddings, 16).item() == pytest.approx(0, abs=1e-5)


def test_weighted_distance_and_its_gradient():
    parameters = [torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([[3.0]], requires_grad=True)]
    start, importance = (
        [torch.tensor([0.0, 1.0]), torch.tensor([[5.0]])],
        [torch.tensor([2.0, 3.0]), torch.tensor([[4.0]])],
    )
    distance = losses.squared_distance(parameters, start, importance)
    assert distance.item() == 2 * 1 + 3 * 1 + 4 * 4
    gradients = torch.autograd.grad(0.5 * distance, parameters)
    assert gradients[0].tolist() == [2.0, 3.0] and gradients[1].tolist() == [[-8.0]]


def test_reverse_distillation_is_the_divergence_of_the_student():
    teacher, student = torch.randn(5, 7), torch.randn(5, 7)
    expected = F.kl_div(F.log_softmax(teacher / 2, -1), F.softmax(student / 2, -1), reduction="batchmean") * 4
    loss, divergence = losses.distillation(teacher, student, 2.0, reverse=True)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5) and divergence.item() == loss.item()
    assert losses.distillation(teacher, teacher, 2.0, reverse=True)[0].item() == pytest.approx(0, abs=1e-6)


def test_classification_within_groups():
    """Images of two tasks, each among its own task's classes, are the mean of both tasks' losses."""
    torch.manual_seed(0)
    images, texts, scale = torch.randn(5, 4), torch.randn(7, 4), torch.tensor(3.0)
    labels, groups = torch.tensor([0, 5, 2, 3, 6]), torch.tensor([0, 0, 0, 1, 1, 1, 1])
    first = F.cross_entropy(
        3 * images[[0, 2]] @ texts[:3].T, torch.tensor([0, 2]), label_smoothing=0.2, reduction="sum"
    )
    second = F.cross_entropy(
        3 * images[[1, 3, 4]] @ texts[3:].T, torch.tensor([2, 0, 3]), label_smoothing=0.2, reduction="sum"
    )
    loss = losses.classification(images, texts, scale, labels, 0.2, groups)
    assert loss.item() == pytest.approx(((first + second) / 5).item(), rel=1e-6)


def test_herding_by_hand():
    # The mean is 3. Nearest to it is 2, then (2 + 5) / 2, then (2 + 5 + 1) / 3.
    assert herd(torch.tensor([[0.0], [1.0], [2.0], [5.0], [7.0]]), 3).tolist() == [2, 3, 1]
    assert sorted(herd(torch.randn(4, 2), 9).tolist()) == [0, 1, 2, 3]
    assert herd(torch.zeros(0, 2), 3).tolist() == []


AVERAGING = {
    "uniform": lambda kept, theta, start, n: ((n * kept + theta) / (n + 1), theta),
    "mixed": lambda kept, theta, start, n: (0.9 * (n * kept + theta) / (n + 1) + 0.1 * start, theta),
    "exponential": lambda kept, theta, start, n: (0.9 * kept + 0.1 * theta, theta),
    "towards_start": lambda kept, theta, start, n: (kept, 0.9 * theta + 0.1 * start),
    "towards_snapshot": lambda kept, theta, start, n: (theta, 0.9 * theta + 0.1 * kept),
    "towards_pulled": lambda kept, theta, start, n: (0.9 * theta + 0.1 * kept, 0.9 * theta + 0.1 * kept),
    "towards_zero_shot": lambda kept, theta, start, n: (kept, 0.9 * theta + 0.1 * -8.0),
}


@pytest.mark.parametrize("kind", AVERAGING)
@pytest.mark.parametrize("stop_after", [None, 4])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_every_kind_of_averaging_follows_its_formula(kind, stop_after, device):
    model = nn.Linear(1, 1, bias=False).requires_grad_(True)
    nn.init.constant_(model.weight, 4.0)
    zero_shot = {"weight": torch.full((1, 1), -8.0)}
    averaging = WeightAveraging(3, kind, None if kind == "uniform" else 0.9, device=device)
    averaging.start(model, zero_shot)
    kept, theta, state, n = -8.0 if kind == "towards_zero_shot" else 4.0, 4.0, TrainerState(), 0
    for k in range(8):
        with torch.no_grad():
            model.weight += k
        theta, state.global_step = theta + k, k + 1
        averaging.on_step_end(None, state, None, model=model)
        if k % 3 == 0:
            n += 1
            kept, theta = AVERAGING[kind](kept, theta, 4.0, n)
        if k + 1 == stop_after:
            saved, present = averaging.state_dict(), model.weight.detach().clone()
            nn.init.constant_(model.weight, 4.0)
            averaging = WeightAveraging(3, kind, averaging.decay, device=device)
            averaging.start(model, zero_shot)
            averaging.load_state_dict(saved)
            model.weight.data = present
    averaging.finish(model)
    assert model.weight.item() == pytest.approx(theta if kind.startswith("towards") else kept, rel=1e-5)
    assert averaging.state_dict() == {}


def test_averaging_of_buffers_is_a_choice():
    model = nn.BatchNorm1d(1)
    for buffers, expected in ((False, 6.0), (True, 3.0)):
        model.running_mean.fill_(0.0)
        averaging = WeightAveraging(1, buffers=buffers)
        averaging.start(model)
        model.running_mean.fill_(6.0)
        averaging.update(model)
        averaging.finish(model)
        assert model.running_mean.item() == expected


class Weight(nn.Module):
    device = "cpu"

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2))


@pytest.mark.parametrize("merge", ["mean", "mode"])
def test_imm_merges_as_the_paper_has_it(monkeypatch, merge):
    """Three tasks that end at known weights with known Fisher information, each starting from the last one's end."""
    ends = [[2.0, 2.0], [4.0, 8.0], [9.0, 2.0]]
    fishers = [[1.0, 1.0], [3.0, 1.0], [2.0, 5.0]]
    method, model = create_method("imm", {"merge": merge}), Weight()
    context = SimpleNamespace(args=SimpleNamespace(label_smoothing_factor=0.0))
    last = [0.0, 0.0]
    for end, fisher in zip(ends, fishers, strict=True):
        monkeypatch.setattr(imm_module, "diagonal_fisher", lambda *_, f=fisher: {"theta": torch.tensor(f)})
        state = {name: tensor.clone() for name, tensor in method.state_dict().items()}
        method = create_method("imm", {"merge": merge})  # as after a stop between two tasks
        method.load_state_dict(state)
        method.begin_task(model, context)
        assert model.theta.tolist() == last
        model.theta.data = torch.tensor(end)
        model = method.end_task(model)
        last = end
        done = ends.index(end) + 1
        weight = torch.tensor(fishers[:done]) if merge == "mode" else torch.ones(done, 2)
        by_hand = (weight * torch.tensor(ends[:done])).sum(0) / weight.sum(0)
        torch.testing.assert_close(model.theta.detach(), by_hand)
    expected = [5.0, 4.0] if merge == "mean" else [(2 + 12 + 18) / 6, (2 + 8 + 10) / 7]
    torch.testing.assert_close(model.theta.detach(), torch.tensor(expected))
