"""The schedule of the published ZSCL runs: learning rates, snapshots and the weights of the average, by training."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from typing import get_args

import pytest
import torch
from transformers import SchedulerType, TrainerCallback

from hf_clcl import ContinualTrainer, ContinualTrainingArguments, Task
from hf_clcl.config.schedules import OwnSchedulerType, ScheduleName
from hf_clcl.methods.averaging import WeightAveraging
from hf_clcl.methods.weight_ensemble import WeightEnsemble
from hf_clcl.models.loading import load_model, load_processor
from hf_clcl.utils.errors import RecipeError

CASES = ["mtil", "few_shot", "cifar100_10", "cifar100_20", "cifar100_50"]
TRAINED = "visual_projection.weight"


@dataclass
class Drift(WeightEnsemble):
    """Trains one matrix on a loss that needs no forward, so that a thousand steps take seconds."""

    def losses(self, model, batch):
        return {"task_loss": model.visual_projection.weight.sum()}


@dataclass
class Watch(TrainerCallback):
    rates: list[float] = field(default_factory=list)

    def on_optimizer_step(self, args, state, control, lr_scheduler, **kwargs):
        self.rates.append(lr_scheduler.get_last_lr()[0])  # that of the step, as the schedule moves on after it


@pytest.fixture(scope="module")
def cases(shared):
    path = shared / "parity" / "schedule.json"
    if not path.exists():
        pytest.skip(f"no {path}")
    return {case["name"]: case for case in json.loads(path.read_text())["cases"]}


def train(tiny_clip, colours, folder, method, **values):
    defaults = {
        "output_dir": str(folder), "per_device_train_batch_size": 2, "save_strategy": "no", "disable_tqdm": True,
        "logging_steps": 10_000, "lr_scheduler_type": "cosine_zscl",
    }  # fmt: skip
    watch, processor = Watch(), load_processor(tiny_clip)
    trainer = ContinualTrainer(
        load_model(tiny_clip), ContinualTrainingArguments(**{**defaults, **values}), method=method,
        train_dataset=Task("colours", train=colours(4)), processing_class=processor, callbacks=[watch],
    )  # fmt: skip
    return trainer, watch


def test_all_cases_are_listed(cases):
    assert sorted(cases) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_published_schedule(tiny_clip, colours, tmp_path, cases, monkeypatch, name):
    case, snapshots = cases[name], {}
    on_step_end, update = WeightAveraging.on_step_end, WeightAveraging.update

    def remember_step(self, args, state, control, **kwargs):
        self.step = state.global_step
        on_step_end(self, args, state, control, **kwargs)

    def remember(self, model):
        snapshots[self.step - 1] = model.get_parameter(TRAINED).detach().double().clone()
        update(self, model)

    monkeypatch.setattr(WeightAveraging, "on_step_end", remember_step)
    monkeypatch.setattr(WeightAveraging, "update", remember)
    trainer, watch = train(
        tiny_clip, colours, tmp_path, Drift(averaging_interval=case["averaging_interval"]),
        max_steps=case["steps_asked"], warmup_steps=case["warmup"], learning_rate=case["base_learning_rate"],
    )  # fmt: skip
    start = trainer.model.get_parameter(TRAINED).detach().double().clone()
    trainer.train()
    assert watch.rates == pytest.approx(case["learning_rate_of_each_step"], rel=1e-9, abs=1e-16)
    assert trainer.state.global_step == case["steps_asked"] + 1 == len(watch.rates)
    assert list(snapshots) == case["snapshots_after_step"]
    first, each = float(Fraction(case["weight_of_the_start"])), float(Fraction(case["weight_of_each_snapshot"]))
    average = first * start + each * sum(snapshots.values())
    learnt = trainer.model.get_parameter(TRAINED).detach().double()
    torch.testing.assert_close(learnt - start, average - start, rtol=1e-3, atol=2e-8)
    assert float((average - start).abs().max()) > 1e-6


def test_epochs_have_a_closing_step_too(tiny_clip, colours, tmp_path):
    trainer, watch = train(tiny_clip, colours, tmp_path, Drift(), num_train_epochs=3, max_steps=-1, warmup_steps=0.5)
    assert trainer.args.max_steps == 3 * 2 + 1 and trainer.args.steps_for(4) == 8  # its own value is the sum by now
    trainer.train()
    assert [rate / 1e-5 for rate in watch.rates[:4]] == pytest.approx([1 / 3, 2 / 3, 1, 1]) and watch.rates[-1] == 0


def test_resume_continues_the_schedule(tiny_clip, colours, tmp_path):
    values = {"max_steps": 6, "warmup_steps": 2, "save_strategy": "steps", "save_steps": 4}
    trainer, watch = train(tiny_clip, colours, tmp_path, Drift(), **values)
    trainer.train()
    again, rest = train(tiny_clip, colours, tmp_path, Drift(), **values)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert rest.rates == watch.rates[4:] and len(rest.rates) == 3
    assert torch.equal(again.model.get_parameter(TRAINED), trainer.model.get_parameter(TRAINED))


def test_a_stream_counts_the_closing_steps(short_stream, tmp_path):
    values = {"max_steps": 3, "lr_scheduler_type": "cosine_zscl"}
    record = short_stream(tmp_path / "zscl", "finetune", **values)
    assert [loss["step"] for loss in record.losses] == [1, 2, 3, 4] * 2
    assert record.losses[3]["learning_rate"] == 0 and record.recipe["lr_scheduler_type"] == "cosine_zscl"
    joint = short_stream(tmp_path / "joint", "joint", **values)
    assert [loss["step"] for loss in joint.losses] == [1, 2, 3, 4, 5, 6, 7]


def test_every_schedule_has_a_name():
    """A new version of transformers may bring more; add them to `ScheduleName`."""
    names = [*SchedulerType, *OwnSchedulerType]
    assert sorted(get_args(ScheduleName)) == sorted(name.value for name in names)


@pytest.mark.parametrize(
    "values, problem",
    [
        ({"lr_scheduler_type": "cosine_zscI"}, "lr_scheduler_type: must be one of .*cosine_zscl"),
        ({"lr_scheduler_type": "cosine_zscl", "lr_scheduler_kwargs": {"num_cycles": 1}}, "cosine_zscl has no options"),
        ({"lr_scheduler_type": "greedy"}, "greedy needs evaluations within a task"),
    ],
)
def test_schedules_that_cannot_be_used(values, problem):
    with pytest.raises(RecipeError, match=problem):
        ContinualTrainingArguments.checked(values)


def test_values_survive_a_copy(tmp_path):
    args = ContinualTrainingArguments.checked({"output_dir": str(tmp_path), "lr_scheduler_type": "cosine_zscl"})
    own = args.of_task({"max_steps": 7}, tmp_path)
    assert own.lr_scheduler_type.value == "cosine_zscl" and own.steps_for(100) == 8
    assert own.to_dict()["lr_scheduler_type"] == "cosine_zscl"
    assert args.of_task({"lr_scheduler_type": "linear", "max_steps": 7}, tmp_path).steps_for(100) == 7


def test_a_short_task_logs_its_losses_and_warns_once(short_stream, tmp_path, caplog):
    with caplog.at_level("WARNING"):
        record = short_stream(tmp_path, "finetune", logging_steps=500, warmup_steps=50)
    assert [(loss["task"], loss["step"]) for loss in record.losses] == [("t0", 5), ("t5", 5)]
    assert len({line for line in caplog.messages if "would never end" in line}) == 1
