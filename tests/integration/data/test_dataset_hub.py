"""Datasets that the Hub refuses, that are not what they seem, or that break off; and images that cannot be read."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value, disable_progress_bars

from helpers.dataset_hub import ALLOWED, DatasetHub, connect
from helpers.hub_protocol import TOKEN
from helpers.imitations import labelled, parquet, picture, tars
from hf_clcl.cli import train
from hf_clcl.config.entries import ReferenceEntry, TaskEntry
from hf_clcl.data.broken import drop_unreadable, leave_out_broken
from hf_clcl.data.references import resolve_reference_images
from hf_clcl.data.resolve import resolve_task
from hf_clcl.data.task import Task
from hf_clcl.utils.errors import DataError

disable_progress_bars()


@pytest.fixture(scope="module")
def online(tmp_path_factory):
    """A Hub with small datasets, good and bad."""
    folder = tmp_path_factory.mktemp("hub")
    parquet(folder / "r", "a/good", labelled(["red_fox", "wolf"]), {"train": 40, "test": 4})
    tars(folder / "r", "a/wds_good", {"train": 6, "test": 4}, ["red fox", "wolf"], shards=2)
    hub = DatasetHub(folder / "store")
    hub.add_folder(folder / "r")
    for name in ("good", "wds_good"):
        source = folder / "r" / "a" / name
        files = {path.relative_to(source).as_posix(): path for path in source.rglob("*") if path.is_file()}
        hub.add(f"b/{name}", files, gated=True)
    hub.add("a/script", {"README.md": b"", "script.py": b"raise SystemExit('run')"})
    yield hub
    hub.stop()


@pytest.fixture
def hub(online, monkeypatch, tmp_path):
    """The Hub without faults, asked by somebody who has no token and has loaded nothing yet."""
    connect(monkeypatch, online, tmp_path / "caches")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    online.faults.clear()
    online.requests.clear()
    return online


def task(dataset: str, **values) -> Task:
    return resolve_task(TaskEntry(dataset=dataset, name="pets", **values))


@pytest.mark.parametrize("dataset", ["b/good", "b/wds_good"])
@pytest.mark.parametrize("token", [None, TOKEN])
def test_gated_data_needs_its_terms_accepted(hub, monkeypatch, dataset, token):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(
        DataError, match=f"task pets: {dataset} is gated: .*hf auth login.*HF_TOKEN.*open copy"
    ) as error:
        task(dataset)
    assert TOKEN not in str(error.value)
    monkeypatch.setenv("HF_TOKEN", ALLOWED)
    assert task(dataset).class_names == ["red fox", "wolf"]


@pytest.mark.parametrize(
    ("dataset", "values", "message"),
    [
        ("a/good", {"test_split": "validation"}, "Unknown split .validation.*train.*test.*`test_fraction`"),
        (
            "a/wds_good",
            {"test_split": "validation"},
            "a/wds_good has no split .validation., but test, train.*`test_fraction`",
        ),
        ("a/good", {"revision": "v9"}, "v9"),
        ("a/script", {}, "needs a loading script, which `datasets` no longer runs"),
        ("a/missing", {}, "cannot be read from the Hub.*hf download a/missing"),
        ("a/good", {"caption_column": "text"}, "caption_column 'text' is not a column"),
    ],
)
def test_what_cannot_be_read_names_the_task(hub, dataset, values, message):
    with pytest.raises(DataError, match=f"^task pets: .*{message}"):
        task(dataset, **values)


def test_the_command_ends_with_the_message(hub, tmp_path, capsys):
    values = {"model_name_or_path": "m", "method": "finetune", "tasks": [{"name": "pets", "dataset": "b/good"}]}
    (tmp_path / "r.yaml").write_text(json.dumps(values))
    assert train.main([str(tmp_path / "r.yaml"), "--dry_run"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: task pets: b/good is gated") and "Traceback" not in shown


def reference(take: int, seed: int = 0, **values) -> Dataset:
    return resolve_reference_images(ReferenceEntry("a/good", take=take, **values), None, seed)[0]


def test_a_streamed_reference_is_kept_and_drawn_by_its_seed(hub):
    first = reference(7)["image"]
    hub.requests.clear()
    assert reference(7)["image"][:] == first[:] and not hub.requests, "what is kept needs no Hub"
    drawn = {seed: [image.getpixel((0, 0)) for image in reference(7, seed)["image"]] for seed in (0, 1)}
    assert drawn[0] != drawn[1]
    with pytest.raises(DataError, match="reference_images: a/good .*40 images where 90 are expected.*`take`"):
        reference(90, expect={"images": 90})
    with pytest.raises(DataError, match="expect: unknown size 'train'; there are only images"):
        reference(7, expect={"train": 7})


def test_a_stream_that_breaks_off_leaves_nothing_and_a_damaged_copy_is_drawn_anew(hub, monkeypatch, caplog):
    from datasets import config

    kept = Path(config.HF_DATASETS_CACHE) / "hf_clcl"
    before = set(kept.iterdir()) if kept.exists() else set()
    hub.fault("GET", r"a/good/resolve/.*parquet", drop="middle", times=100)
    hub.fault("GET", r"a/good/resolve/.*parquet", 500, times=100)
    with pytest.raises(DataError, match="reference_images: .*a/good"):
        reference(9)
    assert (set(kept.iterdir()) if kept.exists() else set()) == before
    hub.faults.clear()
    images = [image.getpixel((0, 0)) for image in reference(9)["image"]]
    (folder,) = set(kept.iterdir()) - before
    arrow = next(folder.glob("*.arrow"))
    arrow.write_bytes(arrow.read_bytes()[:-10])
    with caplog.at_level(logging.WARNING):
        assert [image.getpixel((0, 0)) for image in reference(9)["image"]] == images
    assert "is damaged; drawing the rows again" in caplog.text


# Images that cannot be read


def damaged(count: int, broken: tuple[int, ...]) -> Dataset:
    images = [{"bytes": picture(30 * row % 250), "path": None} for row in range(count)]
    for row in broken:
        images[row] = {"bytes": images[row]["bytes"][:40], "path": None}
    features = Features({"image": Image(), "label": ClassLabel(names=["a", "b", "c"])})
    return Dataset.from_dict({"image": images, "label": [row % 3 for row in range(count)]}, features=features)


def test_broken_images_are_left_out_with_their_labels_and_counted(caplog):
    task = Task("pets", train=damaged(12, (1, 7)), test=damaged(6, ()), split_note="Ours.")
    with caplog.at_level(logging.WARNING):
        leave_out_broken(task)
    assert (len(task.train), len(task.test)) == (10, 6)
    assert task.labels("train").tolist() == [0, 2, 0, 1, 2, 0, 2, 0, 1, 2]
    assert task.split_note == "Ours. 2 of 12 training images cannot be read and are left out."
    assert "task pets: train: 2 of 12 images cannot be read and are left out, row 1 first" in caplog.text
    with pytest.raises(DataError, match="task pets: none of its 2 images can be read"):
        drop_unreadable(damaged(2, (0, 1)), "image", "task pets")


def test_a_missing_image_and_a_selection_of_rows():
    rows = damaged(9, (4,)).select([8, 4, 2])
    kept, broken = drop_unreadable(rows, "image", "x")
    assert broken == 1 and kept["label"][:] == [2, 2]
    features = Features({"image": Image(), "label": Value("int64")})
    rows = Dataset.from_dict({"image": [None, {"bytes": picture(), "path": None}], "label": [0, 1]}, features=features)
    assert drop_unreadable(rows, "image", "x")[1] == 1


@pytest.fixture
def rotten(folders, recipe):
    """The recipe of two tasks, where one training image of the task `warm` is cut short."""
    image = next((folders / "warm" / "train" / "red").glob("*.png"))
    image.write_bytes(image.read_bytes()[:60])
    return recipe


def test_a_broken_image_ends_the_run_unless_the_recipe_allows_it(rotten, capsys):
    assert train.main([str(rotten), "--method", "finetune"]) == 1
    shown = capsys.readouterr().err
    assert "warm: the image in row" in shown and "set `skip_broken_images: true` in the recipe" in shown
    out = rotten.parent / "skipped"
    assert train.main([str(rotten), "--method", "finetune", "--skip_broken_images", "--output_dir", str(out)]) == 0
    note = "1 of 18 training images cannot be read and are left out."
    datasets = json.loads((out / "results.json").read_text())["datasets"]
    assert [entry["split_note"] for entry in datasets] == [note, None] and datasets[0]["train"] == 17
    assert note in (out / "README.md").read_text()


def test_imitations_have_the_layout_of_their_repositories(tmp_path):
    parquet(tmp_path, "o/n", labelled(["a", "b"]), {"train": 5, "valid": 3})
    shards = sorted(path.name for path in (tmp_path / "o/n/data").iterdir())
    assert shards == [f"{split}-0000{i}-of-00002.parquet" for split in ("train", "valid") for i in (0, 1)]
    rows = pq.read_table(tmp_path / "o/n/data" / shards[0])
    assert rows.column_names == ["image", "label"] and np.array(rows["label"]).tolist() == [0, 1]
