"""`run_stream` with a loaded model, and its result as a notebook shows it."""

from __future__ import annotations

import pytest
import torch
from datasets import Dataset, Features, Image
from matplotlib.figure import Figure
from safetensors.torch import load_file
from transformers import CLIPModel, CLIPProcessor

from hf_clcl import METHODS, ContinualTrainingArguments, RunRecord, StreamResult, Task, UserError, run_stream
from hf_clcl.data.references import ReferenceImages
from hf_clcl.methods.joint import Joint


@pytest.fixture
def stream(tiny_clip, colours):
    """Runs two tasks of colour images; keywords are those of `run_stream`."""

    def run(folder, model=None, method="zscl", **values):
        tasks = [Task(f"t{s}", train=colours(12, seed=s), test=colours(9, seed=s + 1)) for s in (0, 5)]
        defaults = {
            "output_dir": str(folder), "max_steps": 4, "per_device_train_batch_size": 6, "learning_rate": 1e-3,
            "disable_tqdm": True, "save_strategy": "no", "reference_images": colours(8, seed=7),
            "reference_texts": ["a red thing", "a blue thing"],
        }  # fmt: skip
        return run_stream(str(tiny_clip) if model is None else model, tasks, method, **{**defaults, **values})

    return run


def loaded(folder):
    return CLIPModel.from_pretrained(folder), CLIPProcessor.from_pretrained(folder)


def test_a_loaded_model_gives_the_results_of_its_folder_and_is_never_changed(stream, tiny_clip, tmp_path):
    model, processor = loaded(tiny_clip)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    learning = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    of_object = stream(tmp_path / "object", model, processing_class=processor)
    by_name = stream(tmp_path / "name")
    assert of_object.accuracy == by_name.accuracy and of_object.zero_shot == by_name.zero_shot
    for task in ("task-01-t0", "task-02-t5"):
        one, other = (load_file(tmp_path / n / task / "model.safetensors") for n in ("object", "name"))
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == learning
    assert of_object.model == str(tiny_clip) and (tmp_path / "object" / "task-01-t0" / "tokenizer.json").exists()


def test_a_run_resumes_with_the_model_that_it_began_with_alone(stream, tiny_clip, tmp_path):
    model, processor = loaded(tiny_clip)
    record = stream(tmp_path, model, "finetune", processing_class=processor)
    assert stream(tmp_path, model, "finetune", processing_class=processor) == record
    with torch.no_grad():
        model.visual_projection.weight.add_(0.1)
    with pytest.raises(UserError, match="the base model: weights are not the same"):
        stream(tmp_path, model, "finetune", processing_class=processor)


def test_what_does_not_go_with_a_loaded_model_is_explained(stream, tiny_clip, tmp_path):
    model, processor = loaded(tiny_clip)
    for values, message in [
        ({}, "processing_class is missing: give the loaded model's processor"),
        ({"processing_class": processor, "random_init": True}, "random_init need a model that is given by name"),
        ({"processing_class": processor, "model_revision": "main"}, "model_revision and random_init need a model"),
    ]:
        with pytest.raises(UserError, match=message):
            stream(tmp_path, model, **values)
    with pytest.raises(UserError, match="must be a loaded model .*got 'Linear'"):
        stream(tmp_path, torch.nn.Linear(2, 2), processing_class=processor)
    with pytest.raises(UserError, match="reference_images needs a `datasets.Dataset`, found a list"):
        stream(tmp_path, reference_images=[1])
    assert not list(tmp_path.iterdir())


def test_the_column_of_reference_images_is_carried(stream, colours, tmp_path, monkeypatch):
    """A dataset with two columns of images: the one that was resolved is used, and never looked for again."""
    data = colours(8, seed=7)
    columns = {"image": colours(8, seed=8)["image"][:], "mask": data["image"][:]}
    both = Dataset.from_dict(columns, features=Features({"image": Image(), "mask": Image()}))
    chosen = stream(tmp_path / "carried", reference_images=ReferenceImages.of(both, "mask"))
    assert chosen.accuracy == stream(tmp_path / "plain").accuracy
    images = ReferenceImages.of(data)
    monkeypatch.setattr(ReferenceImages, "of", None)
    assert stream(tmp_path / "again", reference_images=images).finished


def test_arguments_of_a_stream_are_never_changed(tiny_clip, colours, tmp_path):
    args = ContinualTrainingArguments(
        str(tmp_path), num_train_epochs=1, per_device_train_batch_size=6, warmup_steps=9, save_strategy="no",
        disable_tqdm=True, skip_nonfinite_steps=1,
    )  # fmt: skip
    before = args.to_dict()
    tasks = [Task(f"t{rows}", train=colours(rows), test=colours(6)) for rows in (12, 24)]
    record = run_stream(str(tiny_clip), tasks, "finetune", args=args)
    assert args.to_dict() == before and record.finished
    with pytest.raises(UserError, match="args is given, so max_steps must be set in it"):
        run_stream(str(tiny_clip), tasks, "finetune", args=args, max_steps=3)


def test_the_result_is_a_record_with_a_table_and_plots(stream, tmp_path):
    result = stream(tmp_path, method=METHODS["finetune"])
    assert result == RunRecord.load(tmp_path) == StreamResult.load(tmp_path) and isinstance(result, RunRecord)
    assert result != RunRecord.load(tmp_path).until(None) and result != 3
    assert result.matrix.loc["t0", "t5"] == result.accuracy[0][1] and list(result.matrix.index) == [
        "zero-shot",
        "t0",
        "t5",
    ]
    assert result.metrics["last"] == pytest.approx(result.matrix.iloc[-1].mean())
    for kind in ("matrix", "curves"):
        figure = result.plot(kind)
        assert isinstance(figure, Figure) and figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="must be matrix or curves, got 'pie'"):
        result.plot("pie")
    html = result._repr_html_()
    assert "<table" in html and f"{result.accuracy[0][1]:.1f}" in html and "forgetting" in html
    result.method, result.tasks = "<b>", ["<i>", "t5"]
    assert "<i>" not in result._repr_html_() and "<b><b>" not in result._repr_html_()


def test_a_subclass_of_joint_is_joint_in_its_record(stream, tmp_path):
    class UpperBound(Joint):
        name = "upper_bound"

    record = stream(tmp_path, method=UpperBound())
    assert record.method == "upper_bound" and record.trains_jointly
    assert RunRecord.load(tmp_path).trains_jointly and record.accuracy[0] == record.accuracy[1]
    assert sorted(path.name for path in tmp_path.glob("task-*")) == ["task-02-t5"]
