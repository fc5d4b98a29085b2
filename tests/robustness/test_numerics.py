"""Numbers that are not finite, teachers that are not the student, and randomness that comes from the seed alone."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hf_clcl import METHODS, RunRecord, Task
from hf_clcl.config.lora import LoRA
from hf_clcl.methods import Method
from hf_clcl.reports.cards import write_card
from hf_clcl.reports.terminal import print_results
from hf_clcl.training.nonfinite import all_finite
from hf_clcl.training.trainer import ContinualTrainer
from hf_clcl.utils.errors import TrainingError

# Options by which a method keeps what it could share with the student.
KEEPING = {
    "vr_lwf": {"redraw": "step", "number": 4},
    "zscl": {"teacher": "wise", "averaging_interval": 2, "averaging": "mixed"},
    "zscl_star": {"teacher": "initial", "averaging_interval": 2, "averaging": "towards_zero_shot"},
    "l2": {"averaging_interval": 2, "averaging": "towards_snapshot"},
    "imm": {"merge": "mode", "fisher_samples": 6},
    "ewc": {"fisher_samples": 6},
    "icarl": {"memory": 9},
    "geodl": {"subspace_dimensions": 3},
}


def broken_in(monkeypatch: pytest.MonkeyPatch, calls: set[int], gradient: bool = False) -> list[int]:
    """Losses, or gradients alone, that are not finite in some of the steps, counted from 1."""
    original, count = Method.terms, [0]

    def terms(self, model, embeddings, batch):
        found, count[0] = original(self, model, embeddings, batch), count[0] + 1
        if count[0] in calls:
            zero = embeddings.images.sum() * 0
            found["task_loss"] = found["task_loss"] + (zero.sqrt() if gradient else math.nan)
        return found

    monkeypatch.setattr(Method, "terms", terms)
    return count


def weights(folder: Path) -> dict[str, Tensor]:
    return {
        f"{path.parent.name}: {name}": tensor
        for path in sorted(folder.glob("task-*/*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize("gradient", [False, True])
def test_a_task_stops_at_the_last_good_checkpoint(short_stream, tmp_path, monkeypatch, gradient: bool) -> None:
    with monkeypatch.context() as patch:
        broken_in(patch, {9}, gradient)
        with pytest.raises(TrainingError, match=r"t5: .* not a finite number near step 4 of 5 .* skip_nonfinite_st"):
            short_stream(tmp_path / "run", "finetune", logging_steps=100)
    assert [path.name for path in (tmp_path / "run").rglob("checkpoint-*")] == ["checkpoint-2"]
    assert all(tensor.isfinite().all() for tensor in load_file(next(tmp_path.rglob("model.safetensors"))).values())
    short_stream(tmp_path / "run", "finetune", logging_steps=100)  # as though the cause were gone
    short_stream(tmp_path / "whole", "finetune", logging_steps=100)
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


@pytest.mark.parametrize("gradient", [False, True])
def test_steps_are_left_out_where_the_recipe_allows(short_stream, tmp_path, monkeypatch, capsys, gradient) -> None:
    with monkeypatch.context() as patch:
        broken_in(patch, {2, 4}, gradient)
        with pytest.raises(TrainingError, match="step 4 of 5: .* 2 times in this task; skip_"):
            short_stream(tmp_path / "one", "finetune", skip_nonfinite_steps=1, save_steps=3)
    # The same command goes on after step 3, counts the step left out before, and may be allowed more of them.
    broken_in(monkeypatch, {1, 5}, gradient)
    record = short_stream(tmp_path / "one", "finetune", skip_nonfinite_steps=2, save_steps=3)
    assert record.skipped_steps == {"t0": 2, "t5": 1}
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path / "one").values())
    assert all(entry["loss"] is None or math.isfinite(entry["loss"]) for entry in record.losses)
    assert "2 of t0 and 1 of t5" in write_card(record)
    print_results(record)
    assert "t0: 2 steps were skipped: a loss or a gradient was not a finite number" in capsys.readouterr().out
    assert RunRecord.load(tmp_path / "one").skipped_steps == record.skipped_steps
    assert record.until("t0").skipped_steps == {"t0": 2}


def test_a_step_left_out_changes_nothing(short_stream, colours, tmp_path, monkeypatch) -> None:
    """With the step 3 of 3 left out, the weights are those after two steps of a constant learning rate."""
    tasks = [Task("t", train=colours(12), test=colours(6, seed=1))]
    values = {"lr_scheduler_type": "constant", "tasks": tasks}
    short_stream(tmp_path / "two", "finetune", max_steps=2, **values)
    broken_in(monkeypatch, {3})
    short_stream(tmp_path / "three", "finetune", max_steps=3, skip_nonfinite_steps=1, **values)
    assert same(weights(tmp_path / "two"), weights(tmp_path / "three"))


def test_what_is_finite() -> None:
    assert all_finite([torch.tensor([1.0, 3e38]), torch.zeros(2)])
    assert not all_finite([torch.ones(2), torch.tensor([1.0, math.nan])])
    assert not all_finite([torch.tensor([math.inf]), torch.ones(2)])


def storages(value: object, seen: set[int] | None = None) -> set[int]:
    """Addresses of the storage of all tensors that an object holds, within lists, dicts, modules and dataclasses."""
    seen = set() if seen is None else seen
    if id(value) in seen or isinstance(value, (str, int, float, type(None), np.ndarray)):
        return set()
    seen.add(id(value))
    if isinstance(value, Tensor):
        return {value.untyped_storage().data_ptr()} - {0}
    if isinstance(value, nn.Module):
        parts = [*value.parameters(), *value.buffers()]
    elif isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, (list, tuple, set)):
        parts = list(value)
    else:
        parts = list(getattr(value, "__dict__", {}).values())
    return set().union(*(storages(part, seen) for part in parts))


@pytest.mark.parametrize("method", sorted(name for name, cls in METHODS.items() if cls.trains))
def test_what_a_method_keeps_shares_no_storage_with_the_student(short_stream, tmp_path, monkeypatch, method) -> None:
    original, checked = ContinualTrainer.training_step, []

    def training_step(self, model, *args, **kwargs):
        kept = {name: value for name, value in vars(self.method).items() if name not in ("_context", "context")}
        assert not storages(kept) & storages(model), self.data.name
        if self.context.reference_frames is not None:  # the untrained model, which teachers are made of
            assert not storages(self.context.initial_model()) & storages(model)
        checked.append(storages(kept))
        return original(self, model, *args, **kwargs)

    monkeypatch.setattr(ContinualTrainer, "training_step", training_step)
    short_stream(tmp_path, method, KEEPING.get(method, {}), max_steps=2)
    assert len(checked) >= 4
    if method not in ("finetune", "joint", "separate"):
        assert any(checked), "the test looks at nothing"


def disturb(seed: int) -> None:
    """The state of every global source of random numbers, as whatever ran before may have left it."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@pytest.mark.slow
def test_the_seed_alone_decides(short_stream, tmp_path, pairs) -> None:
    """Order, crops, captions, references, replayed words, adapters and their dropout, new weights."""
    captions = [Task(f"c{s}", train=pairs(12, seed=s), test=pairs(6, seed=s + 1), caption_column="captions")
                for s in (0, 5)]  # fmt: skip

    def run(name: str, noise: int, **values) -> list[dict[str, Tensor]]:
        found = []
        for method, options, more in (
            ("zscl", {}, {"peft": LoRA(r=2, lora_dropout=0.3)}),
            ("vr_lwf", {"redraw": "step", "number": 5}, {"tasks": captions, "random_init": True}),
            ("icarl", {"memory": 7}, {"min_crop_scale": 0.3}),
        ):
            disturb(noise)
            short_stream(tmp_path / name / method, method, options, **{**more, **values})
            found.append(weights(tmp_path / name / method))
        return found

    first, again, other = run("first", 1), run("again", 2), run("other", 1, seed=7)
    assert all(same(one, two) for one, two in zip(first, again, strict=True))
    assert not any(same(one, two) for one, two in zip(first, other, strict=True))
