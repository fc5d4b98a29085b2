"""Weight averaging against the formula, step by step."""

import pytest
import torch
from torch import nn
from transformers import TrainerState

from hf_clcl.methods.averaging import WeightAveraging, copy_parameters, interpolate, load_parameters


def train_by_hand(interval: int, steps: int, stop_after: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights 1, 2, 3, ... after each step; returns our average and that of the formula."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    averaging = WeightAveraging(interval)
    averaging.start(model)
    n, formula, state = 0, 0.0, TrainerState()
    for k in range(steps):
        nn.init.constant_(model.weight, k + 1.0)
        state.global_step = k + 1
        averaging.on_step_end(None, state, None, model=model)
        if k % interval == 0:
            n += 1
            formula = (n * formula + (k + 1.0)) / (n + 1)
        if k + 1 == stop_after:
            saved = averaging.state_dict()
            averaging = WeightAveraging(interval)
            averaging.start(model)
            averaging.load_state_dict(saved)
    averaging.finish(model)
    return model.weight.detach(), torch.tensor([[formula]])


def test_average_follows_the_formula():
    torch.testing.assert_close(*train_by_hand(interval=1, steps=7))
    torch.testing.assert_close(*train_by_hand(interval=5, steps=13))


def test_average_is_the_plain_mean_with_the_start():
    average, _ = train_by_hand(interval=5, steps=13)  # snapshots after steps 0, 5, 10: weights 1, 6, 11, and start 0
    torch.testing.assert_close(average, torch.tensor([[18 / 4]]))


def test_average_survives_a_stop_bit_by_bit():
    whole, _ = train_by_hand(interval=2, steps=9)
    stopped, _ = train_by_hand(interval=2, steps=9, stop_after=4)
    assert torch.equal(whole, stopped)


def test_frozen_parameters_are_left_alone_and_storage_is_not_shared():
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    copy = copy_parameters(model)
    assert list(copy) == ["weight"]
    assert copy["weight"].data_ptr() != model.weight.data_ptr()


def test_interpolate():
    model = nn.Linear(2, 1, bias=False)
    start = copy_parameters(model)
    end = {"weight": start["weight"] + 1}
    load_parameters(model, interpolate(start, end, 0.8))
    torch.testing.assert_close(model.weight.detach(), start["weight"] + 0.8)


@pytest.mark.parametrize("kind, kept", [("towards_snapshot", "before"), ("towards_pulled", "after")])
def test_pulls_towards_the_weights_before_or_after_the_previous_pull(kind, kept):
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    averaging = WeightAveraging(1, kind, decay=0.75)
    averaging.start(model)
    weight = target = 0.0
    for _ in range(4):
        with torch.no_grad():
            model.weight += 1.0
        averaging.update(model)
        before = weight + 1.0
        weight = 0.75 * before + 0.25 * target
        target = before if kept == "before" else weight
        torch.testing.assert_close(model.weight.detach(), torch.tensor([[weight]]))
