"""LoRA: what learns, what is saved, and that stopping changes nothing."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from hf_clcl import LoRA, RunRecord, Task, run_stream
from hf_clcl.evaluation.evaluator import StreamEvaluation
from hf_clcl.models.loading import load_model
from hf_clcl.stream import output as output_module
from hf_clcl.stream.recipes import parse_recipe
from hf_clcl.training.trainer import ContinualTrainer
from hf_clcl.utils.errors import RecipeError, UserError


class Stopped(Exception):
    """Stands for a process that dies."""


@pytest.fixture
def stream(tiny_clip, colours, monkeypatch):
    for name in ("plot_matrix", "plot_curves"):
        monkeypatch.setattr(output_module, name, lambda *args: None)

    def run(folder, method, options=None, peft=None, **values):
        tasks = [Task(f"t{s}", train=colours(12, seed=s), test=colours(6, seed=s + 1)) for s in (0, 5)]
        defaults = {
            "max_steps": 4, "save_steps": 2, "logging_steps": 1, "per_device_train_batch_size": 5,
            "learning_rate": 1e-2, "disable_tqdm": True,
        }  # fmt: skip
        return run_stream(
            str(tiny_clip), tasks, method, method_options=options, peft=peft or LoRA(r=2),
            reference_images=colours(8, seed=7), reference_texts=["a red thing", "a blue thing"],
            output_dir=str(folder), **{**defaults, **values},
        )  # fmt: skip

    return run


def weights(folder):
    return {path.parent.name: load_file(path) for path in sorted(folder.glob("task-*/model.safetensors"))}


def test_a_run_leaves_plain_models_and_adapters_that_give_them(stream, tmp_path, tiny_clip):
    from peft import PeftModel

    record = stream(tmp_path, "zscl", {"averaging_interval": 1}, LoRA(r=2, towers="vision", keep_adapters=True))
    models, base = weights(tmp_path), load_model(tiny_clip)
    assert record.trainable_parameters == 2 * 2 * (4 * (32 + 32) + 2 * (32 + 64)) == 1792
    start = base.state_dict()
    for folder, model in models.items():
        assert model.keys() == start.keys()
        changed = {name for name in model if not torch.equal(model[name], start[name])}
        assert len(changed) == 12 and all(name.startswith("vision_model.encoder.") for name in changed)
        adapted = PeftModel.from_pretrained(base, tmp_path / folder / "adapter").merge_and_unload().state_dict()
        assert max(float((adapted[name] - model[name]).abs().max()) for name in model) < 1e-6
        start, base = model, load_model(tmp_path / folder)
    config = json.loads((tmp_path / "task-02-t5" / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "task-01-t0" and config["r"] == 2
    assert RunRecord.load(tmp_path / "results.json").recipe["peft"]["keep_adapters"] is True


@pytest.mark.parametrize(
    "method, options",
    [
        ("ewc", {"fisher_samples": 6, "ewc_weight": 1e3}),
        ("vr_lwf", {"redraw": "step", "number": 4, "student_texts": True}),
        ("icarl", {"memory": 9, "l2_weight": 1.0}),
        ("zscl", {"teacher": "wise", "averaging_interval": 2, "wise_alpha": 0.5}),
    ],
)
def test_a_stopped_run_ends_as_an_undisturbed_one(stream, tmp_path, monkeypatch, method, options):
    whole = stream(tmp_path / "whole", method, options, lora := LoRA(r=2, lora_dropout=0.1))
    original, calls = ContinualTrainer.training_step, []

    def training_step(*args, **kwargs):
        calls.append(1)
        if len(calls) == 8:  # the fourth step of the second task
            raise Stopped
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ContinualTrainer, "training_step", training_step)
        with pytest.raises(Stopped):
            stream(tmp_path / "stopped", method, options, lora)
    resumed = stream(tmp_path / "stopped", method, options, lora)
    assert [entry["loss"] for entry in resumed.losses] == [entry["loss"] for entry in whole.losses]
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    for folder in first:
        assert all(torch.equal(tensor, second[folder][name]) for name, tensor in first[folder].items())


def test_the_merge_with_the_start_is_one_of_weights(stream, tmp_path, tiny_clip):
    stream(tmp_path / "whole", "wise_ft", {"wise_alpha": 1.0}, max_steps=3)
    stream(tmp_path / "merged", "wise_ft", {"wise_alpha": 0.25}, max_steps=3)
    start, end = load_model(tiny_clip).state_dict(), weights(tmp_path / "whole")["task-01-t0"]
    for name, tensor in weights(tmp_path / "merged")["task-01-t0"].items():
        torch.testing.assert_close(tensor, torch.lerp(start[name], end[name], 0.25), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "method, options, peft, message",
    [
        (
            "finetune",
            {},
            LoRA(target_modules=["q_proj", "query"]),
            "has no linear layer query; it has fc1, fc2",
        ),
        ("finetune", {}, LoRA(r=0), "peft: r: must be at least 1"),
        ("zscl", {"teacher": "builtin:tiny-clip"}, LoRA(), "must have the student's shape: .*token_embedding"),
        ("imm", {}, LoRA(), "imm does not support adapters"),
        ("l2", {"averaging_interval": 1, "averaging": "towards_zero_shot"}, LoRA(), "pulls whole weights"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_measured(
    stream, tmp_path, monkeypatch, method, options, peft, message
):
    monkeypatch.setattr(StreamEvaluation, "measure", None)
    with pytest.raises(UserError, match=message):
        stream(tmp_path, method, options, peft)


def test_the_recipe_has_a_block(tiny_clip):
    values = {"model_name_or_path": str(tiny_clip), "method": "finetune", "tasks": [{"name": "a", "dataset": "b"}]}
    recipe = parse_recipe({**values, "peft": {"r": 4, "towers": "text"}})
    assert recipe.peft == LoRA(r=4, towers="text") and recipe.to_dict()["peft"] == {"r": 4, "towers": "text"}
    with pytest.raises(RecipeError, match="peft: rank: no such key"):
        parse_recipe({**values, "peft": {"rank": 4}})
    with pytest.raises(RecipeError, match="lora_dropout: must be below 1"):
        parse_recipe({**values, "peft": {"lora_dropout": 1}})
