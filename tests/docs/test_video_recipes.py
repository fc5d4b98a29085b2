"""The recipes of videos against imitations of their repositories: what the dry run shows, and says of others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import ROOT
from hf_clcl.cli import train
from hf_clcl.config.protocols import named
from hf_clcl.data.resolve import resolve_task
from hf_clcl.stream.recipes import read_recipe
from hf_clcl.utils.errors import DataError

RECIPES = ROOT / "recipes"
MEMBERS, SPLITS = named("members"), ("train", "test")


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


def clip(name: str, captions: list[str] | str) -> dict:
    return {"video_id": name, "video": f"{name}.mp4", "source": "here", "caption": captions}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Iterator[Path]:
    """Both repositories, and a folder for each published clip; two test clips of ActivityNet are missing."""
    root = tmp_path_factory.mktemp("videos")
    names = [f"video{i}" for i in range(10000)]
    short = set(names[7010::3][:1000])
    train = [
        {**clip(name, ["first", "second"]), "category": i % 20} for i, name in enumerate(names) if name not in short
    ]
    test = [{**clip(name, "only"), "category": i % 20} for i, name in enumerate(names) if name in short]
    repository(root / "friedrichor" / "MSR-VTT", {
        "msrvtt_train_9k.json": ("train_9k", "train", train),
        "msrvtt_train_7k.json": ("train_7k", "train", train[:7010]),
        "msrvtt_test_1k.json": ("test_1k", "test", test),
    })  # fmt: skip
    clips = {split: [name for of in MEMBERS["ctvr/activitynet"][split].values() for name in of] for split in SPLITS}
    sentences = {split: [clip(name, ["first.", "second."]) for name in clips[split]] for split in SPLITS}
    repository(root / "friedrichor" / "ActivityNet_Captions", {
        "train.json": ("default", "train", sentences["train"]), "val1.json": ("default", "val1", sentences["test"]),
    })  # fmt: skip
    shown = {name for split in SPLITS for of in MEMBERS["ctvr/msrvtt"][split].values() for name in of}
    for name in [*shown, *clips["train"], *clips["test"][:-2]]:
        (root / "videos" / name).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:  # `datasets` may use what it cached of another folder of this name
        patch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield root


@pytest.mark.parametrize(
    ("recipe", "tasks", "row"),
    [
        ("msrvtt_10", 10, ("32", 2990, "2")),
        ("msrvtt_20", 20, ("16", 2990, "1")),
        ("activitynet_10", 10, ("320", 4908, "20")),
        ("activitynet_20", 20, ("160", 4908, "10")),
    ],
)
def test_the_dry_run_shows_the_published_stream(recipe, tasks, row, data, capsys):
    assert train.main([str(RECIPES / f"{recipe}.yaml"), "--dry_run", "--data_root", str(data)]) == 0
    rows = re.findall(r"^ *\d+ +([\w-]+) +(\d+) +(\d+) +(\d+) +(\d+) +\(videos\)", capsys.readouterr().out, re.M)
    name, digits = recipe.split("_")
    assert [found[0] for found in rows] == [f"{name}-{i:02d}" for i in range(1, int(digits) + 1)]
    trained, tested, categories = row
    assert {(found[1], found[3]) for found in rows} == {(trained, categories)}
    assert sum(int(found[2]) for found in rows) == tested


def test_the_members_of_each_task_are_the_published_ones(data):
    tasks = read_recipe(RECIPES / "msrvtt_10.yaml").tasks
    assert [label for task in tasks for label in task.classes] == list(range(20))
    found, facts = resolve_task(tasks[1], str(data)), MEMBERS["ctvr/msrvtt"]
    for rows, split in ((found.train, "train"), (found.test, "test")):
        assert [Path(name).stem for name in rows["video"]] == [*facts[split]["2"], *facts[split]["3"]]
    assert set(map(len, found.test["caption"])) == {1} and found.split_members == "published"
    assert found.class_names == ["gaming", "sports and actions"]


def test_a_published_clip_that_the_dataset_lacks_is_named(data):
    entry = read_recipe(RECIPES / "msrvtt_10.yaml").tasks[0]
    entry.test_config = "train_9k"
    entry.test_split = "train"
    with pytest.raises(DataError, match=r"ctvr/msrvtt: \d+ of the 2990 published test clips are not in"):
        resolve_task(entry, str(data))


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
        ("members", "null", "label_column: is missing; name the column of the videos' categories"),
        ("members", "ctvr/msrvt", "members: no 'ctvr/msrvt'; did you mean ctvr/msrvtt?"),
        ("label_column", "category", "label_column and members: choose one; each gives the categories"),
    ],
)
def test_what_differs_from_the_recipe_is_named(option, value, told, data, capsys):
    recipe = str(RECIPES / "msrvtt_20.yaml")
    code = train.main([recipe, "--dry_run", "--data_root", str(data), f"--class_incremental.{option}", value])
    shown = " ".join(capsys.readouterr().err.split())
    assert code in (1, 2) and told in shown, shown
