"""The script that makes the small real stream, on local imitations of its sources."""

import importlib.util
import io
import sys

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from helpers import ROOT
from hf_clcl.config.recipe import TaskEntry
from hf_clcl.data.resolve import resolve_task

SCRIPT = ROOT / "scripts" / "make_small_stream.py"
spec = importlib.util.spec_from_file_location("make_small_stream", SCRIPT)
stream = importlib.util.module_from_spec(spec)
sys.modules["make_small_stream"] = stream
spec.loader.exec_module(stream)


def picture(width: int = 40, height: int = 30) -> PILImage.Image:
    return PILImage.fromarray(np.zeros((height, width), np.uint8))


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "source"
    folder.mkdir()
    labels = [0] * 12 + [1] * 3 + [2] * 9
    features = Features(image=Image(), label=ClassLabel(names=["a_b", "few", "c"]))
    Dataset.from_dict({"image": [picture()] * 24, "label": labels}, features=features).to_parquet(
        folder / "all.parquet"
    )
    pairs = Features(image=Image(), captions=List(Value("string")))
    texts = [[f"number {row}"] for row in range(8)]
    (tmp_path / "pairs").mkdir()
    Dataset.from_dict({"image": [picture()] * 8, "captions": texts}, features=pairs).to_parquet(
        tmp_path / "pairs" / "all.parquet"
    )
    split = {"train_split": "all", "test_fraction": 0.25}
    cuts = (
        stream.Cut(TaskEntry(str(folder), name="two", **split), 16, 5, 2, classes=2),
        stream.Cut(TaskEntry(str(folder), name="gone", **split), 16, 5, 2, classes=["nowhere"]),
        stream.Cut(TaskEntry(str(tmp_path / "pairs"), name="pairs", caption_column="captions", **split), 16, 4, 1),
    )
    monkeypatch.setattr(stream, "CUTS", cuts)
    return tmp_path


def test_it_makes_what_it_can_and_goes_on_where_it_failed(source, caplog):
    out = source / "out"
    with caplog.at_level("INFO"):
        assert stream.main([str(out)]) == 1
    assert "has no class 'nowhere'; it has a b, few, c" in caplog.text and "Failed: gone" in caplog.text
    found = resolve_task(TaskEntry("two", name="two", expect={"classes": 2, "train": 10}), str(out))
    assert found.class_names == ["a b", "c"] and sorted(found.train["label"][:]) == [0] * 5 + [1] * 5
    assert found.test[0]["image"].size == (16, 16)
    pairs = resolve_task(TaskEntry("pairs", name="pairs", caption_column="captions"), str(out))
    assert len(pairs.train) == 4 and pairs.test[0]["captions"][0].startswith("number")
    before = (out / "two" / "train.parquet").stat().st_mtime_ns
    with caplog.at_level("INFO"):
        assert stream.main([str(out), "--only", "two"]) == 0
    assert "two: exists, skipped" in caplog.text and (out / "two" / "train.parquet").stat().st_mtime_ns == before


def test_the_same_seed_draws_the_same_rows():
    labels = np.array([0, 1, 0, 2, 1, 0, 2])
    first, again = (stream.draw(labels, [0, 2], 2, np.random.default_rng(3)) for _ in range(2))
    assert first.tolist() == again.tolist() and sorted(labels[first].tolist()) == [0, 0, 2, 2]


def test_images_become_small_squares_and_are_never_enlarged():
    for size, side in (((40, 30), 16), ((10, 20), 10)):
        image = PILImage.open(io.BytesIO(stream.small_jpeg(picture(*size), 16)))
        assert (image.size, image.mode, image.format) == ((side, side), "RGB", "JPEG")


def test_the_cuts_are_the_eleven_datasets_of_the_recipe():
    names = {cut.entry.name for cut in stream.CUTS}
    assert len(stream.CUTS) == len(names) == 11 and {"eurosat", "flickr8k", "cifar10"} <= names
    assert all(cut.entry.dataset.count("/") == 1 for cut in stream.CUTS)
