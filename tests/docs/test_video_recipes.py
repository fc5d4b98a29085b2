"""The recipes of videos against imitations of their repositories: what the dry run shows, and says of others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from helpers import ROOT
from hf_clcl.cli import train
from hf_clcl.stream.recipes import read_recipe

RECIPES = ROOT / "recipes"
CLIPS = 40


def repository(folder: Path, files: dict[str, tuple[str, str, list[dict]]]) -> None:
    """Files of JSON by their configuration and split, as `friedrichor/MSR-VTT` has them."""
    folder.mkdir(parents=True)
    configs = ""
    for file, (config, split, rows) in files.items():
        (folder / file).write_text(json.dumps(rows))
        configs += f"- config_name: {config}\n" if f"config_name: {config}\n" not in configs else ""
        configs += "  data_files:\n" if configs.endswith(f"config_name: {config}\n") else ""
        configs += f"  - split: {split}\n    path: {file}\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")


def clip(index: int, prefix: str = "video") -> dict:
    name = f"{prefix}{index % CLIPS}"
    return {"video_id": name, "video": f"{name}.mp4", "source": "here"}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Both repositories, ActivityNet's own file, and a folder for each clip."""
    root = tmp_path_factory.mktemp("videos")
    msrvtt = {
        split: [
            {**clip(i), "category": i % 20, "id": i, "start time": 0.5, "caption": captions} for i in range(count)
        ]
        for split, count, captions in (("train", 9000, ["a", "b"]), ("test", 1000, "a"))
    }  # fmt: skip
    repository(root / "friedrichor" / "MSR-VTT", {
        "msrvtt_train_9k.json": ("train_9k", "train", msrvtt["train"]),
        "msrvtt_train_7k.json": ("train_7k", "train", msrvtt["train"][:7010]),
        "msrvtt_test_1k.json": ("test_1k", "test", msrvtt["test"]),
    })  # fmt: skip
    activitynet = [{**clip(0, "v_"), "caption": ["a", "b"], "duration": 9.5} for _ in range(600)]
    for index, row in enumerate(activitynet):
        row["video_id"], row["video"] = f"v_clip{index}", f"v_clip{index}.mp4"
    repository(root / "friedrichor" / "ActivityNet_Captions", {
        "train.json": ("default", "train", activitynet[:400]), "val1.json": ("default", "val1", activitynet[400:]),
    })  # fmt: skip
    labels = {f"clip{i}": {"annotations": [{"label": f"Category {i % 200}"}]} for i in range(600)}
    (root / "activity_net.v1-3.min.json").write_text(json.dumps({"version": "1.3", "database": labels}))
    for name in [*(f"video{i}" for i in range(CLIPS)), *(f"v_clip{i}" for i in range(598))]:
        (root / "videos" / name).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("recipe", "tasks", "row"),
    [
        ("msrvtt_10", 10, ("900", "100", "2", "580")),
        ("msrvtt_20", 20, ("450", "50", "1", "300")),
        ("activitynet_10", 10, None),
        ("activitynet_20", 20, None),
    ],
)
def test_the_dry_run_shows_the_stream(recipe, tasks, row, data, capsys):
    assert train.main([str(RECIPES / f"{recipe}.yaml"), "--dry_run", "--data_root", str(data)]) == 0
    rows = re.findall(r"^ *\d+ +([\w-]+) +(\d+) +(\d+) +(\d+) +(\d+) +\(videos\)", capsys.readouterr().out, re.M)
    name, digits = recipe.split("_")
    assert [found[0] for found in rows] == [f"{name}-{i:02d}" for i in range(1, int(digits) + 1)]
    if row:
        assert {found[1:] for found in rows} == {row}
    else:  # two test clips are missing
        assert sum(int(found[1]) for found in rows) == 400 and sum(int(found[2]) for found in rows) == 198
        assert {found[3] for found in rows} == {str(200 // tasks)}


def test_each_category_is_in_one_task(data):
    tasks = read_recipe(RECIPES / "msrvtt_10.yaml").tasks
    chosen = [label for task in tasks for label in task.classes]
    assert sorted(chosen) == list(range(20)) and chosen != sorted(chosen)
    assert {task.frames for task in tasks} == {12} and tasks[0].expect_dataset == {
        "classes": 20, "train": 9000, "test": 1000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        (
            "video_column",
            "file",
            "video_column 'file' must hold one clip name per row; the columns are video_id",
        ),
        ("caption_column", "text", "caption_column 'text' is not a column; the columns are"),
        ("video_root", "elsewhere", "no folder of videos 'elsewhere': looked for"),
        ("test_config", "test_2k", "test_2k"),
        ("label_column", "null", "label_column: is missing; name the column of the videos' categories"),
    ],
)
def test_what_differs_from_the_recipe_is_named(option, value, told, data, capsys):
    recipe = str(RECIPES / "msrvtt_20.yaml")
    code = train.main([recipe, "--dry_run", "--data_root", str(data), f"--class_incremental.{option}", value])
    shown = " ".join(capsys.readouterr().err.split())
    assert code in (1, 2) and told in shown, shown
