"""Weight averaging fits the length of a task, and a task that changes nothing is reported."""

from __future__ import annotations

import logging

import pytest
import torch

from hf_clcl.methods.averaging import WeightAveraging, copy_parameters
from hf_clcl.models.loading import load_model
from hf_clcl.record.run_record import RunRecord

KINDS = ["uniform", "mixed", "exponential", "towards_start", "towards_snapshot", "towards_pulled", "towards_zero_shot"]


@pytest.fixture
def updates(monkeypatch):
    """The steps (from 1) after which weights enter the average, with a copy of the weights."""
    taken = []
    update, on_step_end = WeightAveraging.update, WeightAveraging.on_step_end

    def on_step(self, args, state, control, **kwargs):
        self.step = state.global_step
        on_step_end(self, args, state, control, **kwargs)

    def record(self, model):
        taken.append((self.step, copy_parameters(model)))
        update(self, model)

    monkeypatch.setattr(WeightAveraging, "on_step_end", on_step)
    monkeypatch.setattr(WeightAveraging, "update", record)
    return taken


@pytest.fixture
def warnings():
    """Returns the warnings of the package so far."""
    lines, handler = [], logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("hf_clcl").addHandler(handler)
    yield lambda: lines
    logging.getLogger("hf_clcl").removeHandler(handler)


@pytest.mark.parametrize("method", ["zscl", "zscl_star", "weight_ensemble"])
def test_a_short_task_is_not_discarded(build, updates, tiny_clip, method):
    """Without an interval: ten snapshots and the end of training, as in 1000 published steps."""
    trainer = build(method, max_steps=20, warmup_steps=2, lr_scheduler_type="cosine")
    start = copy_parameters(trainer.model)
    trainer.train()
    assert [step for step, _ in updates] == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 20]
    for name, value in copy_parameters(trainer.model).items():
        mean = torch.stack([start[name], *(weights[name] for _, weights in updates)]).mean(dim=0)
        torch.testing.assert_close(value, mean, atol=1e-6, rtol=1e-5)
    assert trainer.weight_change > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_training_is_the_last_snapshot_of_every_kind(build, updates, kind):
    build("weight_ensemble", {"averaging": kind}, max_steps=12).train()
    assert [step for step, _ in updates] == [*range(1, 13)]
    del updates[:]
    build("weight_ensemble", {"averaging": kind, "averaging_interval": 5, "averaging_last": True}, max_steps=9).train()
    assert [step for step, _ in updates] == [1, 6, 9]


@pytest.mark.parametrize("interval, steps, taken", [(5, 13, [1, 6, 11]), (4, 9, [1, 5, 9]), (1, 1, [1])])
def test_a_given_interval_takes_its_multiples(build, updates, interval, steps, taken):
    build("weight_ensemble", {"averaging_interval": interval}, max_steps=steps).train()
    assert [step for step, _ in updates] == taken


@pytest.mark.parametrize("interval", [5, 100])
def test_an_interval_longer_than_the_task_is_fitted_with_one_warning(build, updates, warnings, interval):
    trainer = build("zscl", {"averaging_interval": interval}, max_steps=5)
    trainer.train()
    assert [step for step, _ in updates] == [1, 2, 3, 4, 5] and trainer.weight_change > 1e-3
    build(trainer.method, max_steps=4).train()
    fitted = [line for line in warnings() if "averaging_interval" in line]
    assert len(fitted) == 1 and f"averaging_interval: {interval} steps in task colours of 5 steps" in fitted[0]


def test_a_long_end_without_a_snapshot_is_warned_of(build, updates, warnings):
    build("weight_ensemble", {"averaging_interval": 6}, max_steps=11).train()
    build("weight_ensemble", {"averaging_interval": 6, "averaging_last": False}, max_steps=11).train()
    lines = [line for line in warnings() if "averaging_last" in line]
    assert len(lines) == 1 and "leaves the last 4 steps out of the average" in lines[0]


@pytest.mark.parametrize("method", ["finetune", "zscl", "wise_ft"])
def test_training_that_changes_nothing_is_reported(build, warnings, method):
    trainer = build(method, {} if method == "finetune" else None, learning_rate=0.0, max_steps=3)
    trainer.train()
    assert trainer.weight_change == 0.0
    assert any("colours: TRAINING CHANGED NO WEIGHT: after 3 steps" in line for line in warnings())


def test_the_change_of_weights_is_measured(build, tiny_clip, warnings):
    trainer = build("finetune", max_steps=3)
    start = {n: p.detach().double().clone() for n, p in trainer.model.named_parameters() if p.requires_grad}
    trainer.train()
    end = dict(trainer.model.named_parameters())
    moved = sum(float((end[name].detach().double() - value).square().sum()) for name, value in start.items())
    size = sum(float(value.square().sum()) for value in start.values())
    assert trainer.weight_change == pytest.approx((moved / size) ** 0.5, rel=1e-6) and trainer.weight_change > 0
    assert not any("CHANGED NO WEIGHT" in line for line in warnings())


def test_large_tensors_are_sampled(monkeypatch):
    from hf_clcl.training import weight_change

    monkeypatch.setattr(weight_change, "SAMPLED", 10)
    model = torch.nn.Linear(30, 4)
    torch.nn.init.ones_(model.weight)
    before = weight_change.WeightChange(model)
    assert before.relative(model) == 0.0
    with torch.no_grad():
        model.weight += 0.5
        model.bias.copy_(model.bias)
    size = 120 + float(model.bias.detach().square().sum())
    assert before.relative(model) == pytest.approx((120 * 0.25 / size) ** 0.5)


def test_the_record_says_what_training_changed(short_stream, tmp_path, capsys):
    from hf_clcl.reports.cards.sections import limits
    from hf_clcl.reports.terminal import print_results

    record = short_stream(tmp_path / "moves", "zscl")
    assert record.weight_change.keys() == {"t0", "t5"} and min(record.weight_change.values()) > 1e-4
    assert record.unchanged == [] and "changed no weight" not in limits(record)
    assert RunRecord.load(tmp_path / "moves").weight_change == record.weight_change
    assert record.until("t0").weight_change.keys() == {"t0"}
    still = short_stream(tmp_path / "still", "finetune", learning_rate=0.0)
    assert still.weight_change == {"t0": 0.0, "t5": 0.0} and still.unchanged == ["t0", "t5"]
    assert "Training changed no weight in t0 and t5." in limits(still)
    print_results(still)
    assert "training changed no weight in: t0, t5" in " ".join(capsys.readouterr().out.split())


def test_models_start_from_the_same_weights(tiny_clip):
    first, second = load_model(tiny_clip), load_model(tiny_clip)
    from hf_clcl.training.weight_change import WeightChange

    assert WeightChange(first).relative(second) == 0.0
