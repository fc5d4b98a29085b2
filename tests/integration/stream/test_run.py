"""A whole stream: what is written, what it says, and that stopping changes nothing."""

from __future__ import annotations

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file

from hf_clcl import RunRecord, Task, run_stream
from hf_clcl.stream import stream as stream_module
from hf_clcl.training import checkpoints as checkpoints_module
from hf_clcl.training.trainer import ContinualTrainer
from hf_clcl.utils.errors import RecipeError, TrainingError, UserError


class Stopped(Exception):
    """Stands for a process that dies."""


@pytest.fixture
def stream(tiny_clip, colours):
    """Runs two tasks on colour images; keywords are those of `run_stream`."""

    def run(folder, method="zscl", **values):
        data = {name: (colours(24, seed=s), colours(15, seed=s + 1)) for name, s in (("warm", 0), ("cold", 5))}
        tasks = [Task(name, train=train, test=test) for name, (train, test) in data.items()]
        defaults = {
            "max_steps": 7, "save_steps": 3, "logging_steps": 1, "per_device_train_batch_size": 8,
            "learning_rate": 1e-3, "disable_tqdm": True, "image_cache_mb": 8,
        }  # fmt: skip
        if method == "zscl":
            values.setdefault("method_options", {"averaging_interval": 2})
        return run_stream(
            str(tiny_clip), tasks, method, evaluation_only=[Task("other", test=colours(12, seed=9))],
            reference_images=colours(20, seed=7), reference_texts=["a red thing", "a blue thing"],
            output_dir=str(folder), **{**defaults, **values},
        )  # fmt: skip

    return run


def weights(folder):
    return {path.parent.name: load_file(path) for path in sorted(folder.glob("task-*/model.safetensors"))}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        for key, tensor in first[name].items():
            assert torch.equal(tensor, second[name][key]), f"{name}: {key} differs"


def stop_at(monkeypatch, call, target=ContinualTrainer, method="training_step"):
    """Let a method raise at its n-th call, counted over the whole run."""
    original, calls = getattr(target, method), []

    def stopping(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            raise Stopped
        return original(*args, **kwargs)

    monkeypatch.setattr(target, method, stopping)


def test_what_a_run_leaves(stream, tmp_path):
    record = stream(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "README.md", "recipe.yaml", "results.json", "matrix.png", "matrix.svg", "curves.png", "curves.svg",
        "task-01-warm", "task-02-cold",
    }  # fmt: skip
    saved = json.loads((tmp_path / "results.json").read_text())
    assert {
        "schema",
        "method",
        "model",
        "tasks",
        "zero_shot",
        "accuracy",
        "metrics",
        "recipe",
        "versions",
    } <= saved.keys()
    assert saved["tasks"] == ["warm", "cold"] and saved["finished"] is True and saved["method"] == "zscl"
    assert len(saved["accuracy"]) == 2 and len(saved["zero_shot"]) == 2
    assert len(saved["evaluation_only"]["other"]["accuracy"]) == 2
    assert {phase["phase"] for phase in saved["phases"]} == {"training", "evaluation", "saving"}
    assert all(phase["seconds"] >= 0 and phase["peak_memory_mb"] > 0 for phase in saved["phases"])
    assert [entry["step"] for entry in saved["losses"]] == [*range(1, 8), *range(1, 8)]
    assert yaml.safe_load((tmp_path / "recipe.yaml").read_text())["method"] == "zscl"
    assert RunRecord.load(tmp_path / "results.json").metrics == record.metrics


def test_a_checkpoint_is_a_plain_clip(stream, tmp_path, colours):
    from transformers import CLIPModel, pipeline

    stream(tmp_path, "finetune")
    folder = tmp_path / "task-02-cold"
    _, loading = CLIPModel.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    classify = pipeline("zero-shot-image-classification", model=str(folder))
    answer = classify(colours(1)[0]["image"], candidate_labels=["red", "blue"])
    assert {entry["label"] for entry in answer} == {"red", "blue"}


def test_the_matrix_is_that_of_the_saved_checkpoints(stream, tmp_path, colours):
    """Accuracies of the record against the plainest use of transformers."""
    from transformers import AutoProcessor, CLIPModel

    record = stream(tmp_path, "finetune")
    test = colours(15, seed=6)
    folder = tmp_path / "task-01-warm"
    model, processor = CLIPModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    inputs = processor(
        text=[f"a photo of a {name}." for name in ("red", "green", "blue")], images=list(test["image"]),
        return_tensors="pt", padding=True,
    )  # fmt: skip
    with torch.no_grad():
        predictions = model(**inputs).logits_per_image.argmax(-1)
    accuracy = 100 * (predictions == torch.tensor(test["label"])).float().mean().item()
    assert record.accuracy[0][1] == pytest.approx(accuracy, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["finetune", "zscl"])
@pytest.mark.parametrize("step", [2, 5, 7, 8, 12])
def test_a_stopped_run_ends_as_an_undisturbed_one(stream, tmp_path, monkeypatch, method, step):
    whole = stream(tmp_path / "whole", method)
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(Stopped):
            stream(tmp_path / "stopped", method)
    resumed = stream(tmp_path / "stopped", method)
    assert resumed.accuracy == whole.accuracy and resumed.zero_shot == whole.zero_shot
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert [entry["loss"] for entry in resumed.losses] == [entry["loss"] for entry in whole.losses]


@pytest.mark.slow
def test_a_stop_between_saving_and_evaluating(stream, tmp_path, monkeypatch):
    from hf_clcl.evaluation.zero_shot import ZeroShotEvaluator

    whole = stream(tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, 2, ZeroShotEvaluator, "__call__")
        with pytest.raises(Stopped):
            stream(tmp_path / "stopped")
    assert (tmp_path / "stopped" / "task-01-warm").is_dir()
    assert not RunRecord.load(tmp_path / "stopped" / "results.json").accuracy
    with monkeypatch.context() as patch:
        stop_at(patch, 8)  # the seven steps of the second task at most: the first is not trained again
        assert stream(tmp_path / "stopped").accuracy == whole.accuracy
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))


@pytest.mark.slow
def test_a_stop_while_a_checkpoint_is_written(stream, tmp_path, monkeypatch):
    whole = stream(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints_module, "replace_folder", lambda *paths: (_ for _ in ()).throw(Stopped()))
        with pytest.raises(Stopped):
            stream(tmp_path / "stopped")
    assert stream(tmp_path / "stopped").accuracy == whole.accuracy
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))


def test_a_finished_run_is_only_read(stream, tmp_path, caplog):
    record = stream(tmp_path, "finetune")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with caplog.at_level("WARNING"):
        assert stream(tmp_path, "finetune") == record
    assert "nothing to do" in caplog.text
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_another_recipe_in_the_same_folder_is_refused(stream, tmp_path):
    stream(tmp_path, "finetune")
    with pytest.raises(RecipeError) as caught:
        stream(tmp_path, "finetune", learning_rate=5e-4, max_steps=9)
    assert "learning_rate: 0.001 before, 0.0005 now" in str(caught.value)
    assert "max_steps: 7 before, 9 now" in str(caught.value)
    stream(tmp_path, "finetune", logging_steps=3)  # no number depends on it


@pytest.mark.slow
def test_seeds_repeat_and_differ(stream, tmp_path):
    first, again, other = (
        stream(tmp_path / name, "finetune", seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert_same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert [entry["loss"] for entry in first.losses] == [entry["loss"] for entry in again.losses]
    assert [entry["loss"] for entry in first.losses] != [entry["loss"] for entry in other.losses]


def test_zero_shot_is_evaluated_and_never_trained(stream, tmp_path):
    record = stream(tmp_path, "zero_shot")
    assert record.accuracy == [record.zero_shot] * 2
    assert not list(tmp_path.glob("task-*"))
    assert record.metrics["forgetting"] == 0 and record.trainable_parameters == 0


def test_a_broken_task_keeps_what_is_finished(stream, tmp_path, tiny_clip, colours):
    tasks = [
        Task("good", train=colours(24), test=colours(12, seed=1)),
        Task("bad", train=colours(24), test=colours(12, seed=1), training={"learning_rate": 1e12}),
    ]
    with pytest.raises(TrainingError, match="bad"):
        run_stream(str(tiny_clip), tasks, "finetune", output_dir=str(tmp_path), max_steps=5, disable_tqdm=True)
    assert len(RunRecord.load(tmp_path / "results.json").accuracy) == 1
    assert (tmp_path / "task-01-good" / "model.safetensors").exists()


def test_training_values_of_one_task(tmp_path, tiny_clip, colours):
    tasks = [
        Task("long", train=colours(24), test=colours(6), training={"max_steps": 4}),
        Task("epochs", train=colours(24), test=colours(6), training={"num_train_epochs": 1.0}),
    ]
    record = run_stream(
        str(tiny_clip), tasks, "finetune", output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=8,
        logging_steps=1, disable_tqdm=True,
    )  # fmt: skip
    assert [(entry["task"], entry["step"]) for entry in record.losses] == [
        *[("long", step) for step in range(1, 5)], *[("epochs", step) for step in range(1, 4)],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model": "no/such-model"}, "cannot be loaded"),
        ({"tasks": []}, "the stream is empty"),
        ({"method": "zscl"}, "give reference_images"),
        ({"method": "magic"}, "no method 'magic'"),
        ({"output_dir": "/proc/nowhere"}, "cannot be written"),
        ({"learning_rate": -1.0}, "learning_rate: must be at least 0"),
    ],
)
def test_bad_calls_are_explained(tmp_path, tiny_clip, colours, change, message):
    values = {
        "model": str(tiny_clip), "tasks": [Task("a", train=colours(6), test=colours(6))], "method": "finetune",
        "output_dir": str(tmp_path), "max_steps": 1, **change,
    }  # fmt: skip
    with pytest.raises(UserError, match=message):
        run_stream(**values)


def test_a_tracker_sees_one_run_whose_steps_do_not_go_back(stream, tmp_path, monkeypatch):
    from transformers import TrainerCallback

    events = []

    class Tracker(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            events.append("begin")

        def on_log(self, args, state, control, logs=None, **kwargs):
            events.append((state.global_step, sorted(logs)))

        def on_train_end(self, args, state, control, **kwargs):
            events.append("end")

    monkeypatch.setattr(stream_module, "get_reporting_integration_callbacks", lambda report_to: [Tracker])
    stream(tmp_path, "finetune")
    assert events[0] == "begin" and events[-1] == "end" and events.count("end") == 1
    steps = [event[0] for event in events if isinstance(event, tuple)]
    assert steps == sorted(steps) and steps[-1] == 14
    accuracies = [event for event in events if isinstance(event, tuple) and "accuracy/cold" in event[1]]
    assert [event[0] for event in accuracies] == [7, 14]


def test_a_foreign_folder_is_not_touched(tmp_path, stream):
    (tmp_path / "task-01-mine").mkdir()
    with pytest.raises(UserError, match="belongs to something else"):
        stream(tmp_path)


@pytest.mark.slow
def test_every_task_is_trained_in_the_precision_asked_for(stream, tmp_path, monkeypatch):
    """Also after a stop between two tasks, which then changes no bit."""
    seen, original, stopped = {}, ContinualTrainer.compute_loss, [False]

    def watched(trainer, model, inputs, *args, **kwargs):
        if stopped[0] and trainer.data.name == "cold":
            raise Stopped
        types = seen.setdefault(trainer.data.name, set())
        hook = model.visual_projection.register_forward_hook(lambda module, given, output: types.add(output.dtype))
        try:
            return original(trainer, model, inputs, *args, **kwargs)
        finally:
            hook.remove()

    monkeypatch.setattr(ContinualTrainer, "compute_loss", watched)
    stream(tmp_path / "whole", "finetune", bf16=True)
    assert seen == {"warm": {torch.bfloat16}, "cold": {torch.bfloat16}}
    stopped[0] = True
    with pytest.raises(Stopped):
        stream(tmp_path / "again", "finetune", bf16=True)
    stopped[0] = False
    stream(tmp_path / "again", "finetune", bf16=True)
    whole, again = (load_file(tmp_path / name / "task-02-cold" / "model.safetensors") for name in ("whole", "again"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
