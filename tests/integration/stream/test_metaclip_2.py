"""A second family: MetaCLIP 2 trains, resumes, takes adapters and is read by `transformers` as a CLIP is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, MetaClip2Model, pipeline

from hf_clcl import LoRA, RunRecord, Task, run_stream
from hf_clcl.data.images.frames import Frames, Normalizer
from hf_clcl.data.texts.tokens import tokenize
from hf_clcl.models.embedding import embed_images, embed_texts
from hf_clcl.models.loading import load_model, load_processor
from hf_clcl.training.trainer import ContinualTrainer

COLOURS = ["red", "green", "blue"]


class Stopped(Exception):
    """Stands for a process that dies."""


@pytest.fixture
def stream(tiny_metaclip_2, colours):
    def run(folder: Path, method: str = "zscl", **values) -> RunRecord:
        tasks = [
            Task(name, train=colours(16, seed=s), test=colours(9, seed=s + 1)) for name, s in (("a", 0), ("b", 5))
        ]
        defaults = {
            "max_steps": 4, "save_steps": 2, "logging_steps": 1, "per_device_train_batch_size": 8,
            "learning_rate": 1e-3, "disable_tqdm": True,
        }  # fmt: skip
        return run_stream(
            str(tiny_metaclip_2), tasks, method, reference_images=colours(10, seed=7),
            reference_texts=["a red thing", "a blue thing that is long"], output_dir=str(folder),
            **{**defaults, **values},
        )  # fmt: skip

    return run


def weights(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {path.parent.name: load_file(path) for path in sorted(folder.glob("task-*/model.safetensors"))}


def test_a_stopped_run_ends_as_an_undisturbed_one(stream, tmp_path, monkeypatch):
    whole = stream(tmp_path / "whole")
    original, calls = ContinualTrainer.training_step, []

    def stopping(*args, **kwargs):
        calls.append(1)
        if len(calls) == 8:  # the last step of the second task
            raise Stopped
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ContinualTrainer, "training_step", stopping)
        with pytest.raises(Stopped):
            stream(tmp_path / "stopped")
    resumed = stream(tmp_path / "stopped")
    assert resumed.accuracy == whole.accuracy and resumed.zero_shot == whole.zero_shot
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert len(first) == 2 and first.keys() == second.keys()
    assert all(torch.equal(first[folder][name], second[folder][name]) for folder in first for name in first[folder])
    assert len(whole.losses) == 8
    assert isinstance(AutoModel.from_pretrained(tmp_path / "whole" / "task-02-b"), MetaClip2Model)


def test_the_pipeline_of_transformers_orders_classes_as_our_evaluation(stream, tmp_path, colours):
    stream(tmp_path, "finetune")
    folder, images = str(tmp_path / "task-02-b"), colours(6, seed=21)
    classify = pipeline("zero-shot-image-classification", model=folder)
    model, processor = load_model(folder).eval(), load_processor(folder)
    prompts = [f"a photo of a {name}." for name in COLOURS]
    frames = Frames(images, "image", processor.image_processor).evaluation_batch(range(6))
    with torch.no_grad():
        similarity = (
            embed_images(model, Normalizer(processor.image_processor)(frames))
            @ embed_texts(model, tokenize(processor.tokenizer, prompts)).T
        )
    ours = [[COLOURS[place] for place in row] for row in similarity.argsort(dim=-1, descending=True).tolist()]
    answers = classify(list(images["image"]), candidate_labels=COLOURS, hypothesis_template="a photo of a {}.")
    assert [[entry["label"] for entry in answer] for answer in answers] == ours


def test_adapters_are_merged_into_a_plain_model(stream, tmp_path, tiny_metaclip_2):
    record = stream(tmp_path, peft=LoRA(r=2, towers="vision"))
    start = load_model(tiny_metaclip_2).state_dict()
    assert record.trainable_parameters == 2 * 2 * (4 * (32 + 32) + 2 * (32 + 64))
    for learnt in weights(tmp_path).values():
        assert learnt.keys() == start.keys()
        changed = {name for name in learnt if not torch.equal(learnt[name], start[name])}
        assert changed and all(name.startswith("vision_model.encoder.") for name in changed)
