"""A stream of any method that was stopped ends as one that was not; the upper bound; bit by bit."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from hf_clcl import METHODS
from hf_clcl.training.trainer import ContinualTrainer

# Each method with options that keep something along a task, and where in the ten steps of two tasks it stops: within
# the first, before the first step of the second, within the second.
CASES = {
    "finetune": ({}, [9]),
    "l2": ({"averaging_interval": 2, "averaging": "towards_snapshot", "averaging_decay": 0.5}, [4, 9]),
    "ewc": ({"fisher_samples": 9, "ewc_weight": 1e5}, [6, 9]),
    "weight_ensemble": ({"averaging_interval": 2, "averaging": "mixed", "averaging_device": "cpu"}, [9]),
    "wise_ft": ({"averaging_interval": 2, "averaging": "exponential", "averaging_decay": 0.5}, [9]),
    "imm": ({"merge": "mode", "fisher_samples": 9, "l2_weight": 1.0}, [6, 9]),
    "lwf": ({"student_texts": True}, [9]),
    "vr_lwf": ({"redraw": "step", "number": 5, "student_texts": True}, [9]),
    "lwf_vr": ({"number": 5}, [9]),
    "geodl": ({"subspace_dimensions": 3}, [9]),
    "rkd": ({}, [9]),
    "icarl": ({"memory": 11}, [6, 9]),
    "zscl_star": ({"teacher": "wise", "averaging_interval": 2}, [9]),
    "zscl": ({"averaging_interval": 2, "averaging": "towards_zero_shot", "relational_weight": 1.0}, [9]),
    "joint": ({}, [9]),
    "separate": ({}, [9]),
}


class Stopped(Exception):
    """Stands for a process that dies."""


@pytest.fixture
def stream(short_stream):
    return short_stream


def stopped_at(monkeypatch, step):
    original, calls = ContinualTrainer.training_step, []

    def training_step(*args, **kwargs):
        calls.append(1)
        if len(calls) == step:
            raise Stopped
        return original(*args, **kwargs)

    monkeypatch.setattr(ContinualTrainer, "training_step", training_step)


def tensors(folder):
    return {
        f"{path.parent.name}/{path.name}: {name}": tensor
        for path in sorted(folder.glob("task-*/*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def assert_same(first, second):
    first, second = tensors(first), tensors(second)
    assert first.keys() == second.keys() and first
    assert [name for name, tensor in first.items() if not torch.equal(tensor, second[name])] == []


def test_every_method_is_stopped_here():
    assert CASES.keys() == METHODS.keys() - {"zero_shot"}


@pytest.mark.slow
@pytest.mark.parametrize("method", CASES)
def test_a_stopped_run_ends_as_an_undisturbed_one(stream, tmp_path, monkeypatch, method):
    options, steps = CASES[method]
    whole = stream(tmp_path / "whole", method, options)
    for step in steps:
        folder = tmp_path / f"stopped-{step}"
        with monkeypatch.context() as patch:
            stopped_at(patch, step)
            with pytest.raises(Stopped):
                stream(folder, method, options)
        resumed = stream(folder, method, options)
        assert resumed.accuracy == whole.accuracy and resumed.evaluation_only == whole.evaluation_only
        assert [entry["loss"] for entry in resumed.losses] == [entry["loss"] for entry in whole.losses]
        assert_same(tmp_path / "whole", folder)


def test_a_stop_between_saving_and_evaluating_forgets_nothing(stream, tmp_path, monkeypatch):
    """The first task's exemplars are there for the second, though the first was only evaluated after the stop."""
    from hf_clcl.evaluation.zero_shot import ZeroShotEvaluator

    stream(tmp_path / "whole", "icarl", {"memory": 9})
    original, calls = ZeroShotEvaluator.__call__, []

    def evaluate(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise Stopped
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ZeroShotEvaluator, "__call__", evaluate)
        with pytest.raises(Stopped):
            stream(tmp_path / "stopped", "icarl", {"memory": 9})
    stream(tmp_path / "stopped", "icarl", {"memory": 9})
    assert_same(tmp_path / "whole", tmp_path / "stopped")


def test_separate_trains_each_task_from_the_initial_weights(stream, tmp_path):
    """A model of its own for each task: its first one is that of fine-tuning, its second one knows no first task."""
    separate, sequence = stream(tmp_path / "separate", "separate", {}), stream(tmp_path / "sequence", "finetune", {})
    first, second = ([*sorted((tmp_path / name).glob("task-*"))] for name in ("separate", "sequence"))
    weights = [[load_file(folder / "model.safetensors") for folder in folders] for folders in (first, second)]
    same = [[torch.equal(a[name], b[name]) for name in a] for a, b in zip(*weights, strict=True)]
    assert all(same[-2]) and not all(same[-1]) and separate.accuracy[0] == sequence.accuracy[0]
    assert separate.metrics == {"individual": (separate.accuracy[0][0] + separate.accuracy[1][1]) / 2}


def test_joint_is_one_training_on_all_tasks(stream, tmp_path):
    record = stream(tmp_path, "joint", {}, learning_rate=3e-3)
    assert [path.name for path in sorted(tmp_path.glob("task-*"))] == ["task-02-t5"]
    assert len(record.losses) == 10 and record.accuracy[0] == record.accuracy[1]
    assert record.evaluation_only["o"]["accuracy"][0] == record.evaluation_only["o"]["accuracy"][1]
    assert len({phase["task"] for phase in record.phases if phase["phase"] == "training"}) == 1
