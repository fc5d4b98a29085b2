"""Clips: which frames are looked at, what they hold, where they may lie, and what is said of broken ones."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from datasets import Dataset

from helpers.video_data import numbered, solid, write_frames, write_video
from hf_clcl.config.entries import TaskEntry
from hf_clcl.data.images.frames import Frames, ImageCache
from hf_clcl.data.task import Task
from hf_clcl.data.task_data import frames_of
from hf_clcl.data.videos.clips import Clips
from hf_clcl.data.videos.reading import evenly, find_clip, read_frames
from hf_clcl.utils.errors import DataError, UserError

pytest.importorskip("av", reason="PyAV writes and reads the videos of these tests (pip install 'hf-clcl[video]')")


def places(frames) -> list[int]:
    """Which frames of `numbered` these are."""
    return [round(np.asarray(frame).mean() / 10) for frame in frames]


@pytest.mark.parametrize(
    ("count", "wanted", "expected"),
    [
        (12, 12, list(range(12))),
        (24, 12, list(range(1, 24, 2))),
        (10, 4, [1, 3, 6, 8]),
        (1, 3, [0, 0, 0]),
        (5, 12, [0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4]),
        (100, 1, [50]),
    ],
)
def test_frames_are_the_centres_of_equal_parts(count, wanted, expected):
    assert evenly(count, wanted) == expected


@pytest.mark.parametrize("name", ["told.avi", "untold.mkv"])
def test_the_frames_of_a_video_are_exactly_those_wanted(tmp_path, name):
    """Matroska does not tell how many frames there are, AVI does."""
    path = write_video(tmp_path / name, numbered(10))
    frames = read_frames(path, 4, "here")
    assert places(frames) == [1, 3, 6, 8]
    assert (np.asarray(frames[2]) == 60).all()
    assert places(read_frames(path, 25, "here")) == [(2 * i + 1) // 5 for i in range(25)]


def test_the_frames_of_a_folder_are_counted_by_number_and_made_of_one_size(tmp_path):
    folder = write_frames(tmp_path / "clip", [*numbered(11), solid((110,) * 3, (4, 4))])
    assert places(read_frames(folder, 12, "here")) == list(range(12))
    assert {frame.size for frame in read_frames(folder, 12, "here")} == {(16, 16)}


def test_a_clip_is_found_by_file_name_or_id(tmp_path):
    write_video(tmp_path / "a.mkv", numbered(1))
    write_frames(tmp_path / "part" / "b", numbered(1))
    for name, file in (("a", "a.mkv"), ("a.mp4", "a.mkv"), ("a.mkv", "a.mkv"), ("part/b.mp4", "part/b")):
        assert find_clip(name, tmp_path, "here") == tmp_path / file
    assert find_clip("c.mp4", tmp_path, "here") is None


def test_no_name_leads_out_of_the_folder(tmp_path):
    root, outside = tmp_path / "videos", write_video(tmp_path / "secret.mkv", numbered(2))
    write_frames(root / "frames", numbered(2))
    (root / "linked.mkv").symlink_to(outside)
    (root / "frames" / "frame_9.png").symlink_to(outside)
    for name in ("../secret.mkv", str(outside), "linked.mkv", "a/../../secret.mkv", " "):
        with pytest.raises(DataError, match="here: .*(stays within|leads outside)"):
            find_clip(name, root, "here")
    with pytest.raises(DataError, match="here: the frame .*frame_9.png leads outside"):
        read_frames(root / "frames", 3, "here")


def test_broken_clips_are_named(tmp_path):
    whole = write_video(tmp_path / "whole.avi", numbered(20)).read_bytes()
    (tmp_path / "half.avi").write_bytes(whole[: len(whole) // 4])
    (tmp_path / "noise.mp4").write_bytes(b"no video at all" * 99)
    (tmp_path / "empty").mkdir()
    write_frames(tmp_path / "bad", numbered(2))
    (tmp_path / "bad" / "frame_0.png").write_bytes(b"no image")
    for name in ("half.avi", "noise.mp4", "empty", "bad"):
        with pytest.raises(DataError, match=f"task x: the clip .*{name}.*"):
            read_frames(tmp_path / name, 4, "task x")


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mkv", numbered(2))
    folder = write_frames(tmp_path / "b", numbered(2))
    monkeypatch.setitem(sys.modules, "av", None)
    assert places(read_frames(folder, 2, "here")) == [0, 1]
    with pytest.raises(UserError, match=r"pip install 'hf-clcl\[video\]'"):
        read_frames(path, 2, "here")
    rows = Dataset.from_dict({"video": ["a"], "caption": ["one"]})
    with pytest.raises(UserError, match=r"hf-clcl\[video\]"):
        Task("a", test=rows, video_column="video", video_root=tmp_path)


@pytest.fixture
def task(tmp_path):
    write_video(tmp_path / "one.mkv", numbered(8))
    write_frames(tmp_path / "two", numbered(8)[::-1])
    train = Dataset.from_dict({"file": ["one.mp4", "two.mp4"], "caption": [["it grows", "lighter"], ["it shrinks"]]})
    test = Dataset.from_dict({"file": ["two", "one", "two"], "caption": ["shrinks", "grows", "gets darker"]})
    return Task("numbers", train=train, test=test, video_column="file", video_root=tmp_path, frames=4)


def test_a_task_of_videos(task):
    assert task.kind.name == "videos"
    assert (task.caption_column, task.image_column, task.label_column) == ("caption", None, None)
    assert task.captions()[0] == ["it grows", "lighter", "it shrinks"]
    with pytest.raises(DataError, match=r"task n: test: there is no clip 'three' in .* \(1 of 2 clips are missing\)"):
        rows = Dataset.from_dict({"file": ["one", "three"], "caption": ["a", "b"]})
        Task("n", test=rows, video_column="file", video_root=task.video_root)
    with pytest.raises(DataError, match="video_column 'id' must hold one clip name"):
        Task("n", test=task.test, video_column="id", video_root=task.video_root)
    with pytest.raises(DataError, match="`video_root` is missing"):
        Task("n", test=task.test, video_column="file")


def test_clips_are_evaluated_as_their_frames_are(task, tiny_clip):
    from hf_clcl.models.loading import load_processor

    processor = load_processor(tiny_clip).image_processor
    clips = frames_of(task, "test", processor, ImageCache(8))
    assert isinstance(clips, Clips) and len(clips) == 3
    batch = clips.evaluation_batch([0, 1])
    assert batch.shape == (2, 4, 3, 16, 16) and batch.dtype == torch.uint8
    assert batch[:, :, 0, 0, 0].tolist() == [[60, 40, 20, 0], [10, 30, 50, 70]]
    images = Dataset.from_dict({"image": read_frames(task.video_root / "two", 4, "")}).cast_column("image", image())
    assert torch.equal(batch[0], Frames(images, "image", processor).evaluation_batch(range(4)))
    assert torch.equal(clips.evaluation_batch([1]), batch[1:]), "from the cache"


def image():
    from datasets import Image

    return Image()


def test_all_frames_of_a_clip_are_cropped_alike(tmp_path, tiny_clip):
    from hf_clcl.models.loading import load_processor

    pattern = np.random.default_rng(0).integers(0, 255, (32, 24, 3)).astype(np.uint8)
    write_video(tmp_path / "still.mkv", [pattern] * 3)
    rows = Dataset.from_dict({"video": ["still"], "caption": ["noise"]})
    still = Task("still", train=rows, video_column="video", video_root=tmp_path, frames=3)
    clips = frames_of(still, "train", load_processor(tiny_clip).image_processor, None, 0.3)
    first, again, other = (clips.training_batch([0], [[seed]]) for seed in (1, 1, 2))
    assert first.shape == (1, 3, 3, 16, 16)
    assert torch.equal(first[0, 0], first[0, 1]) and torch.equal(first[0, 0], first[0, 2])
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_categories_from_a_file_and_missing_clips(task, tmp_path):
    from hf_clcl.data.resolve import resolve_task

    rows = [{"file": f"v_{name}.mp4", "caption": name} for name in ("one", "two", "gone")]
    for split in ("train", "test"):
        Dataset.from_list(rows).to_parquet(tmp_path / "data" / f"{split}.parquet")
    for name in ("one.mkv", "two"):
        (tmp_path / name).rename(tmp_path / f"v_{name}")
    clips = {name: {"annotations": [{"label": label}, {"label": label}]} for name, label in
             (("one", "Up"), ("two", "Down"), ("gone", "Up"), ("unused", "Away"))}  # fmt: skip
    (tmp_path / "labels.json").write_text(json.dumps({"database": clips}))
    values = {"dataset": "data", "video_column": "file", "video_root": ".", "label_file": "labels.json"}
    entry = TaskEntry(**{**values, "name": "up", "classes": ["Up"], "skip_missing_videos": True})
    assert entry.problems() == []
    found = resolve_task(entry, str(tmp_path))
    assert found.class_names == ["Up"] and found.train["file"][:] == ["v_one.mp4"]
    assert found.split_note == "Left out, since missing: 1 of 2 train clips and 1 of 2 test clips."
    with pytest.raises(DataError, match="no clip 'v_gone.mp4'"):
        resolve_task(TaskEntry(**{**values, "name": "up"}), str(tmp_path))
    (tmp_path / "labels.json").write_text(json.dumps({"one": "Up"}))
    with pytest.raises(DataError, match=r"no category for clip 'v_two' \(2 of 3 have none\)"):
        resolve_task(entry, str(tmp_path))


def test_broken_clips_are_left_out_where_the_recipe_allows_it(task):
    from hf_clcl.data.broken import leave_out_broken

    (task.video_root / "one.mkv").write_bytes(b"no video at all")
    leave_out_broken(task)
    assert task.train["file"][:] == ["two.mp4"] and task.test["file"][:] == ["two", "two"]
    assert task.split_note == (
        "1 of 2 training clips cannot be read and are left out. 1 of 3 test clips cannot be read and are left out."
    )


def test_joint_training_takes_clips_of_as_many_frames_alone(task):
    from dataclasses import replace

    from hf_clcl.methods import create_method

    joint = create_method("joint")
    assert joint.stream_problems([task, replace(task, name="again")]) == []
    assert "not on several kinds" in joint.stream_problems([task, replace(task, name="more", frames=5)])[0]
    assert "needs class labels, got a task of videos" in create_method("icarl").stream_problems([task])[0]
