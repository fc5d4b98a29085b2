"""Data that cannot be used, and a Hub that does not answer: each error names the task and what to do."""

from pathlib import Path

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, Image

from helpers.small_datasets import image_folder, parquet, rows, task
from hf_clcl.config.recipe import ReferenceEntry
from hf_clcl.data.references import resolve_reference_images, resolve_reference_texts
from hf_clcl.data.sources import hub
from hf_clcl.utils.errors import DataError

pytestmark = pytest.mark.usefixtures("own_cache")


# Errors


def broken(tmp_path: Path) -> dict[str, tuple[str, dict, str]]:
    good = parquet(tmp_path / "good", train=rows([0, 1], ["red_fox", "wolf"]), test=rows([1], ["red_fox", "wolf"]))
    parquet(tmp_path / "numbered", train=rows([0, 7], None), test=rows([0], None))
    (tmp_path / "numbered" / "classnames.txt").write_text("a\nb\n")
    two = rows([0, 1], ["background", "ant"]), rows([0], ["ant", "barrel"])
    parquet(tmp_path / "differ", train=two[0], test=two[1])
    image_folder(tmp_path / "hole", {"train/a": 1, "train/b": 0, "test/a": 1})
    (tmp_path / "nothing").mkdir()
    (tmp_path / "rotten").mkdir()
    (tmp_path / "rotten" / "train.parquet").write_bytes(b"no parquet")
    (tmp_path / "notes.md").write_text("")
    (tmp_path / "blank.txt").write_text("\n")
    stray = Features({"image": Image(decode=False), "label": ClassLabel(names=["a"])})
    outside = {"image": [{"bytes": None, "path": "/etc/hostname"}], "label": [0]}
    (tmp_path / "stray").mkdir()
    Dataset.from_dict(outside, features=stray).data.table.to_pandas().to_parquet(tmp_path / "stray" / "train.parquet")
    return {
        "missing": ("nowhere", {}, r"no dataset 'nowhere': looked for .*holds: .*good/.*owner/name"),
        "missing file": ("a/b.parquet", {}, "no dataset 'a/b.parquet'"),
        "no dataset": ("notes.md", {}, "is not a dataset; give a .parquet file"),
        "nothing there": (
            "nothing",
            {},
            "cannot be read as a dataset.*It holds nothing; give a folder with `<split>/<class>",
        ),
        "rotten": ("rotten", {"train_split": "train"}, "split 'train' of .*rotten cannot be read"),
        "split": (good, {"test_split": "validation"}, "no split 'validation', but test, train.*`test_fraction`"),
        "slice": (good, {"train_split": "train[:x]"}, "split 'train.:x.' of .* cannot be read"),
        "hole": ("hole", {}, r"class folder .*train/b has no image \(1 of 2"),
        "captions": (
            good,
            {"caption_column": "text"},
            r"'text' is not a column; the columns are image \(Image\), label",
        ),
        "image column": (good, {"image_column": "img"}, "image_column 'img' is not a column"),
        "list": (good, {"class_names": "cifar"}, "no built-in list 'cifar'; did you mean cifar10"),
        "templates": (good, {"templates": "dtdd"}, "no built-in list 'dtdd'; did you mean dtd"),
        "other list": (good, {"class_names": "food101"}, "has words for 0 of the dataset's 2 classes only"),
        "renaming": (good, {"class_names": {"wolv": "x"}}, "renames 'wolv', which is no class; similar ones are wolf"),
        "out of range": ("numbered", {}, "row 1 of train has the label 7, but with 2 class names"),
        "differ": ("differ", {"class_names": "caltech101"}, "class 0 is 'background' in train and 'ant' in test"),
        "expect": (good, {"expect": {"train": 2, "test": 9, "classes": 3}}, "1 test where 9 .*2 classes where 3"),
        "expect key": (good, {"expect": {"images": 2}}, "expect: unknown size 'images'"),
        "one row": (good, {"train_split": "test", "test_fraction": 0.5}, "cannot cut 1 rows"),
        "stray": ("stray", {"train_split": "train", "test_fraction": 0.5}, "refers to /etc/hostname, a file outside"),
        "rendered": ("rendered:", {}, "must be `rendered:<domain>`"),
    }


@pytest.mark.parametrize("case", [
    "missing", "missing file", "no dataset", "nothing there", "rotten", "split", "slice", "hole", "captions",
    "image column", "list", "templates", "other list", "renaming", "out of range", "differ", "expect", "expect key",
    "one row", "stray", "rendered",
])  # fmt: skip
def test_errors_name_the_task_and_what_to_do(case, tmp_path):
    dataset, values, message = broken(tmp_path)[case]
    with pytest.raises(DataError, match=message) as error:
        task(dataset, str(tmp_path), **values)
    assert str(error.value).startswith("task x: ")


def test_errors_of_references(tmp_path):
    where = parquet(tmp_path / "d", train=rows([0], ["a"]))
    (tmp_path / "blank.txt").write_text("\n")
    with pytest.raises(DataError, match=r"reference_texts: no column of texts; .*Name the right one as `text_column`"):
        resolve_reference_texts(ReferenceEntry(where))
    with pytest.raises(DataError, match="reference_texts: .* has no text"):
        resolve_reference_texts(ReferenceEntry("blank.txt"), str(tmp_path))
    with pytest.raises(DataError, match="reference_images: .* has no split 'val', but train. .*`split`"):
        resolve_reference_images(ReferenceEntry(where, split="val"))
    with pytest.raises(DataError, match="data_root .*absent is not a folder"):
        resolve_reference_images(ReferenceEntry(where), str(tmp_path / "absent"))


# The Hub


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ConnectionError("Couldn't reach it"), "cannot be read from the Hub.*hf download a/b"),
        (RuntimeError("Dataset scripts are no longer supported, but found b.py"), "refs/convert/parquet"),
        (datasets.exceptions.DatasetNotFoundError("Dataset 'a/b' is a gated dataset on the Hub."), "hf auth login"),
        (ValueError('Unknown split "test". Should be one of [\'train\'].'), "one of .'train'.*`test_fraction`"),
        (ValueError("Config name is missing. Please pick one among: ['x', 'y']"), "one among: .*Set `config`"),
    ],
)  # fmt: skip
def test_what_a_failing_hub_tells_the_user(raised, message, monkeypatch):
    def fail(*args, **kwargs):
        raise raised

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=f"task x: .*{message}"):
        task("a/b")


def test_how_the_hub_is_asked(tmp_path, monkeypatch):
    asked = []

    def answer(path, split, **kwargs):
        asked.append({"path": path, "split": split, **kwargs})
        return rows([0, 1], None, label="cls")

    names = tmp_path / "classnames.txt"
    names.write_text("707-320\n727-200\n")
    monkeypatch.setattr(datasets, "load_dataset", answer)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *args, **kwargs: str(names))
    files = ["README.md", "classnames.txt", "test/0.tar", "train/0.tar", "train/1.tar"]
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", lambda *args, **kwargs: files)
    found = task("clip-benchmark/wds_fgvc_aircraft", revision="v1")
    assert found.class_names == ["707-320", "727-200"]
    tars = [f"hf://datasets/clip-benchmark/wds_fgvc_aircraft@v1/train/{shard}.tar" for shard in (0, 1)]
    assert asked[0] == {"path": "webdataset", "split": "train", "data_files": {"train": tars}}
    task("a/b", config="c", train_split="train[:5]")
    assert asked[2] == {"path": "a/b", "name": "c", "revision": None, "split": "train[:5]"}
    assert not any("trust_remote_code" in call for call in asked)


def test_a_large_reference_set_is_streamed_and_keeps_its_bytes(tmp_path, monkeypatch):
    where = parquet(tmp_path, train=rows(list(range(9)), list("abcdefghi")))
    load = datasets.load_dataset
    monkeypatch.setattr(
        datasets, "load_dataset",
        lambda path, name, revision, **kwargs: load("parquet", data_files=f"{where}/train.parquet", **kwargs),
    )  # fmt: skip
    taken = hub.stream_hub(ReferenceEntry("a/b"), "train", 4, 0, "reference_images")
    shown = {image.getpixel((0, 0)) for image in taken["image"]}
    assert len(taken) == 4 and len(shown) == 4 and shown <= set(range(9))
    monkeypatch.setattr(datasets, "load_dataset", lambda **kwargs: pytest.fail("downloaded twice"))
    again, column = resolve_reference_images(ReferenceEntry("a/b", take=4), None, 0)
    assert [image.getpixel((0, 0)) for image in again[column]] == [image.getpixel((0, 0)) for image in taken["image"]]
