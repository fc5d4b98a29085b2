"""Streams of videos: training on clips, a database that stays as it was, BWF, and that stopping changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from accelerate import Accelerator
from safetensors.numpy import load_file, save_file

from helpers.video_data import WORDS, write_dataset
from hf_clcl import RunRecord
from hf_clcl.cli.train import main
from hf_clcl.data.images.frames import Normalizer
from hf_clcl.data.texts.tokens import tokenize
from hf_clcl.evaluation import videos as videos_module
from hf_clcl.evaluation.videos import DATABASE, VideoEvaluator, Videos, search
from hf_clcl.methods import create_method
from hf_clcl.metrics.accuracy_matrix import backward_forgetting
from hf_clcl.models.embedding import embed_images
from hf_clcl.models.loading import load_model, load_processor
from hf_clcl.training.trainer import ContinualTrainer
from hf_clcl.utils.errors import UserError

pytest.importorskip("av", reason="PyAV writes and reads the videos of these tests (pip install 'hf-clcl[video]')")


class Stopped(Exception):
    """Stands for a process that dies."""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = write_dataset(tmp_path_factory.mktemp("videos"))
    (root / "texts.txt").write_text("a red thing\na dark thing\n")
    return root


@pytest.fixture
def command(data, tiny_clip, tmp_path):
    """Runs a stream of three tasks of two categories each; returns its record."""

    def run(folder: str, method: str = "finetune", *extra: str, **block) -> RunRecord:
        stream = {
            "name": "colours", "dataset": "msrvtt", "config": "train_9k", "test_config": "test_1k",
            "video_column": "video", "video_root": "videos", "frames": 2, "caption_column": "caption",
            "label_column": "category", "class_names": list(WORDS), "number_of_classes": 6, "steps": 3,
            "class_order": [3, 0, 1, 5, 4, 2], "expect": {"train": 12, "test": 12}, **block,
        }  # fmt: skip
        values = {
            "model_name_or_path": str(tiny_clip), "method": method, "data_root": str(data), "max_steps": 2,
            "per_device_train_batch_size": 4, "learning_rate": 1e-2, "disable_tqdm": True,
            "output_dir": str(tmp_path / folder), "class_incremental": stream,
            "reference_images": {"dataset": "rendered:reference@16", "take": 8},
            "reference_texts": {"dataset": "texts.txt"},
        }  # fmt: skip
        recipe = tmp_path / f"{folder}.yaml"
        recipe.write_text(yaml.safe_dump(values))
        assert main([str(recipe), *extra]) == 0
        return RunRecord.load(tmp_path / folder) if "--dry_run" not in extra else None

    return run


def batch_of_clips(folder: Path, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    texts = [f"a {word} thing" for word in WORDS[:3]]
    return {
        "pixel_values": torch.randn(3, 2, 3, 16, 16, generator=generator),
        "reference_pixel_values": torch.randn(4, 3, 16, 16, generator=generator),
        "input_ids": tokenize(load_processor(folder).tokenizer, texts),
    }


def test_one_forward_of_clips_equals_a_loop_over_them(tiny_clip):
    model, batch = load_model(tiny_clip), batch_of_clips(tiny_clip)
    embeddings = create_method("finetune").embed(model, batch)
    for clip, pooled in zip(batch["pixel_values"], embeddings.images, strict=True):
        frames = [
            torch.nn.functional.normalize(model.get_image_features(f[None]).pooler_output[0], dim=0) for f in clip
        ]
        mean = sum(frames) / 2
        assert torch.allclose(pooled, mean / mean.norm(), atol=1e-5)
    assert torch.allclose(embeddings.reference_images, embed_images(model, batch["reference_pixel_values"]), atol=1e-5)
    assert torch.allclose(embeddings.images, embed_images(model, batch["pixel_values"]), atol=1e-5)


def test_the_loss_of_clips_by_hand(tiny_clip):
    model, method, batch = load_model(tiny_clip), create_method("finetune"), batch_of_clips(tiny_clip, 1)
    method.label_smoothing = 0.0
    (loss,) = method.losses(model, batch).values()
    images = np.stack([embed_images(model, c[None])[0].detach().numpy() for c in batch["pixel_values"]])
    texts = model.get_text_features(batch["input_ids"]).pooler_output.detach().numpy()
    logits = model.logit_scale.exp().item() * images @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T
    losses = [np.log(np.exp(m - m.diagonal()[:, None]).sum(1)).mean() for m in (logits, logits.T)]
    assert loss.item() == pytest.approx(sum(losses) / 2, rel=1e-4)


def test_normalised_clips_are_normalised_frames(tiny_clip):
    normalize = Normalizer(load_processor(tiny_clip).image_processor)
    clips = torch.randint(0, 256, (2, 3, 3, 4, 4), dtype=torch.uint8)
    assert torch.equal(normalize(clips), torch.stack([normalize(clip) for clip in clips]))


def test_backward_forgetting_by_hand():
    rows = [{"a": 60.0, "b": 10.0, "c": 20.0}, {"a": 50.0, "b": 40.0, "c": 20.0}, {"a": 30.0, "b": 44.0, "c": 90.0}]
    # After b: 60 - 50. After c, weighted by 3 and 1: (3 * (60 - 30) + (40 - 44)) / 4.
    assert backward_forgetting("abc", rows, {"a": 3, "b": 1, "c": 2}) == [None, 10.0, 21.5]
    assert backward_forgetting("abc", rows, {"a": 3, "c": 2}) == [None, 10.0, 30.0]


class Angles:
    """Stands for a model whose embeddings are unit vectors of known angles: videos as they were, captions as now."""

    def __init__(self, monkeypatch, tmp_path):
        self.videos = {"a": [0, 90], "b": [20, 70], "c": [45]}
        self.texts = dict(self.videos)
        monkeypatch.setattr(videos_module, "embed_all_images", self._images)
        monkeypatch.setattr(videos_module, "embed_captions", self._captions)
        monkeypatch.setattr(videos_module, "tokenize_captions", lambda tokenizer, texts, where: texts[0])
        self.folder = tmp_path
        self.eval = lambda: None

    def evaluator(self) -> VideoEvaluator:
        tasks = {
            name: Videos(name, np.arange(len(angles)), [f"{name}{i}" for i in range(len(angles))], [name],
                         np.arange(len(angles)))
            for name, angles in self.videos.items()
        }  # fmt: skip
        for name in tasks:
            (self.folder / name).mkdir(exist_ok=True)
        return VideoEvaluator("abc", tasks, self.folder.__truediv__, True, self, None, Accelerator(cpu=True), 8)

    def _images(self, model, frames, *others):
        return self._vectors(self.videos[frames])

    def _captions(self, model, name, *others):
        return self._vectors(self.texts[name])

    def _vectors(self, degrees):
        radians = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
        return torch.stack([radians.cos(), radians.sin()], dim=1)


def test_the_database_stays_while_the_model_changes(monkeypatch, tmp_path):
    """Angles in degrees; each caption should find the video nearest to it, and is of the video at its own place."""
    model = Angles(monkeypatch, tmp_path)
    evaluate = model.evaluator()
    found, everything = evaluate(model, None)
    assert everything["r1"] == 100 and found["c"]["text_to_database_r1"] == 100

    found, everything = evaluate(model, "a")
    assert everything == {"r1": 100, "r5": 100, "r10": 100, "median_rank": 1, "mean_rank": 1}
    assert "text_to_database_r1" not in found["b"] and found["b"]["text_to_video_r1"] == 100

    # Learning b turns everything by 60 degrees; the videos of a stay where they were.
    model.videos = {"a": [999, 999], "b": [80, 130], "c": [105]}
    model.texts = {"a": [60, 150], "b": [80, 130], "c": [105]}
    found, everything = evaluate(model, "b")
    # Database: 0, 90 (a), 80, 130 (b). The caption at 60 finds 80, 90, then 0: rank 3 of all, 2 of its own task.
    # The caption at 150 finds 130, then 90: rank 2 of all, 1 of its own task. Those of b find their videos at once.
    assert (found["a"]["text_to_video_r1"], found["a"]["text_to_database_r1"]) == (50, 0)
    assert (found["a"]["text_to_video_mean_rank"], found["a"]["text_to_database_mean_rank"]) == (1.5, 2.5)
    assert (
        everything["r1"] == 50 and everything["mean_rank"] == (3 + 2 + 1 + 1) / 4 and everything["median_rank"] == 1.5
    )

    # Another process goes on from the file.
    again, everything_again = model.evaluator()(model, "c")
    found, everything = evaluate(model, "c")
    assert (again, everything_again) == (found, everything)
    kept = load_file(tmp_path / "c" / DATABASE)
    assert np.allclose(kept["a"], [[1, 0], [0, 1]], atol=1e-5) and set(kept) == set("abc")


def test_a_database_that_is_gone_or_of_other_videos_is_refused(monkeypatch, tmp_path):
    model = Angles(monkeypatch, tmp_path)
    model.evaluator()(model, "a")
    save_file({"a": np.ones((3, 2), np.float32)}, tmp_path / "a" / DATABASE)
    with pytest.raises(UserError, match="must hold 2 videos of a, got 3"):
        model.evaluator()(model, "b")
    (tmp_path / "a" / DATABASE).unlink()
    with pytest.raises(UserError, match="restore the file, or start the run again"):
        model.evaluator()(model, "b")


def test_a_video_of_two_tasks_is_one_video():
    videos = {name: Videos(None, np.arange(1), ["same"], ["x"], np.array([0])) for name in "ab"}
    queries = {"a": np.array([[1.0, 0.0]])}
    assert search(queries, {"a": np.array([[0.0, 1.0]]), "b": np.array([[1.0, 0.0]])}, videos)["a"].tolist() == [1]


@pytest.mark.parametrize("method", ["finetune", "zscl", "lwf"])
def test_a_stream_of_videos_from_end_to_end(command, method, tmp_path, capsys):
    record = command("out", method)
    names = ["colours-01", "colours-02", "colours-03"]
    assert record.tasks == names and record.finished
    assert record.video_database["categories"] == dict.fromkeys(names, 2)
    assert [note["classes"] for note in record.datasets] == [2, 2, 2]
    last = record.retrieval["colours-01"]["after"]
    assert record.accuracy[2][0] == last[2]["text_to_video_r1"]
    # Four test clips a task, each with one caption: after the second task, eight captions search eight videos.
    pooled = np.mean([record.retrieval[name]["after"][1]["text_to_database_mean_rank"] for name in names[:2]])
    assert record.video_database["after"][1]["mean_rank"] == pytest.approx(pooled)
    assert "text_to_database_r1" not in record.retrieval["colours-03"]["after"][1]
    lost = [record.accuracy[i][i] - record.accuracy[2][i] for i in (0, 1)]
    assert record.metrics["backward_forgetting"] == pytest.approx(np.mean(lost))
    assert record.metrics["video_recall"] == record.video_database["after"][2]["r1"]
    databases = [load_file(tmp_path / "out" / f"task-0{j + 1}-{name}" / DATABASE) for j, name in enumerate(names)]
    assert [len(database) for database in databases] == [1, 2, 3]
    assert all((database["colours-01"] == databases[0]["colours-01"]).all() for database in databases)
    printed, card = capsys.readouterr().out, (tmp_path / "out" / "README.md").read_text()
    assert "BWF" in printed and "all videos, after task" in printed
    assert "## Search in the videos of all tasks" in card and "text-to-video R@1 among the task's own videos" in card
    saved = json.loads((tmp_path / "out" / "results.json").read_text())
    assert saved["video_database"]["after"][0].keys() == {"r1", "r5", "r10", "median_rank", "mean_rank"}


def test_a_run_that_stops_in_the_middle_gives_the_same_record(command, tmp_path, monkeypatch):
    whole = command("whole")
    original, calls = ContinualTrainer.training_step, []

    def stopping(*args, **kwargs):
        calls.append(1)
        if len(calls) == 5:
            raise Stopped
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ContinualTrainer, "training_step", stopping)
        with pytest.raises(Stopped):
            command("stopped")
    resumed = command("stopped")
    assert len(calls) == 5
    for part in ("zero_shot", "accuracy", "retrieval", "video_database"):
        assert getattr(resumed, part) == getattr(whole, part), part


def test_the_table_of_a_stream_of_videos(command, capsys):
    command("dry", "finetune", "--dry_run")
    printed = capsys.readouterr().out
    assert printed.count("(videos)") == 3 and "colours-02" in printed


def test_an_untrained_model_forgets_nothing_in_a_growing_database(command):
    record = command("zero", "zero_shot")
    assert record.accuracy == [record.zero_shot] * 3
    assert record.metrics["backward_forgetting"] == 0
    assert record.video_database["after"][2] == record.video_database["zero_shot"]
