"""Data that is damaged, misnamed or odd: told with the task and the remedy, or, where it is right, used as it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from helpers.bad_inputs import contents, refused
from helpers.small_datasets import image_folder, jpeg, parquet, picture, rows, tars, task
from hf_clcl.cli.train import main
from hf_clcl.config.recipe import ReferenceEntry
from hf_clcl.data.references import resolve_reference_texts
from hf_clcl.data.task import Task
from hf_clcl.data.texts.captions import tokenize_captions
from hf_clcl.data.texts.tokens import tokenize
from hf_clcl.models.embedding import embed_texts
from hf_clcl.models.loading import load_model, load_processor
from hf_clcl.utils.errors import DataError

pytestmark = pytest.mark.usefixtures("own_cache")


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def saved(folder: Path) -> Path:
    """What `save_to_disk` writes."""
    rows([0, 1, 0], ["a", "b"]).save_to_disk(str(folder / "data"))
    return folder / "data"


def some_parquet(folder: Path) -> Path:
    return Path(parquet(folder / "data", train=rows([0, 1], ["a", "b"]), test=rows([0], ["a", "b"])))


def some_images(folder: Path, **counts: int) -> Path:
    return Path(image_folder(folder / "data", {f"train/{name}": count for name, count in counts.items()}))


def described(folder: Path, *lines: object) -> Path:
    """Images beside a `metadata.jsonl`."""
    (folder / "data" / "train").mkdir(parents=True)
    for index in range(2):
        picture(index).save(folder / "data" / "train" / f"{index}.png")
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "data" / "train" / "metadata.jsonl").write_text(text)
    return folder / "data"


def damaged(make: Callable[[Path], Path], file: str, damage: Callable[[Path], object]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        data = make(folder)
        damage(next(data.glob(file)))
        return data

    return build


def not_utf8(folder: Path) -> Path:
    data = some_images(folder, good=2)
    os.rename(data / "train" / "good", os.fsencode(data / "train") + b"/caf\xe9")
    return data


def shards(folder: Path) -> Path:
    return Path(tars(folder / "data", {"train": [0, 1, 0, 1]}, ["a", "b"]))


def garbage(path: Path) -> int:
    return path.write_bytes(b"\xff\x00garbage")


NAMES = ["a", "b"]
# How the data is made, values of the entry, and what the message must say.
BAD = {
    "home of nobody": ("~nobody-here/data", {}, "home of a user that does not exist; write the full path"),
    "name of 5,000": ("x" * 5000, {}, "no dataset 'xxx.*Correct `dataset`"),
    "no name": (" ", {}, "`dataset` is empty; name a folder"),
    "text file": ("x.txt", {}, "no dataset 'x.txt'"),
    "cut Parquet": (damaged(some_parquet, "train.parquet", cut), {}, "cannot be read: .*Copy it again"),
    "empty Parquet": (damaged(some_parquet, "train.parquet", lambda p: cut(p, 0)), {}, "cannot be read"),
    "no Parquet": (
        damaged(some_parquet, "test.parquet", garbage),
        {},
        "split 'test'.*cannot be read: .*Copy it again",
    ),
    "cut Arrow": (damaged(saved, "*.arrow", cut), {}, "cannot be read: .*Copy it again"),
    "no Arrow": (damaged(saved, "*.arrow", Path.unlink), {}, "cannot be read: .*Copy it again"),
    "no state": (damaged(saved, "state.json", lambda p: p.write_text("{")), {}, "cannot be read: .*Copy it again"),
    "state of others": (damaged(saved, "state.json", lambda p: p.write_text("[]")), {}, "cannot be read"),
    "no features": (damaged(saved, "dataset_info.json", garbage), {}, "cannot be read: .*Copy it again"),
    "cut tar": (damaged(shards, "train/0.tar", lambda p: cut(p, 0.1)), {}, "cannot be read|no column of labels"),
    "no tar": (damaged(shards, "train/0.tar", garbage), {}, "cannot be read: .*Copy it again"),
    "empty tar": (damaged(shards, "train/0.tar", lambda p: cut(p, 0)), {}, "cannot be read: .*Copy it again"),
    "class names in Latin 1": (
        damaged(shards, "classnames.txt", lambda p: p.write_bytes(b"caf\xe9\nb\n")), {},
        "classnames.txt cannot be read: UnicodeDecodeError",
    ),
    "too few class names": (
        damaged(shards, "classnames.txt", lambda p: p.write_text("a\n")), {}, "label 1, but with 1 class names",
    ),
    "bytes for a name": (not_utf8, {}, "cannot be read: UnicodeEncodeError.*Copy it again"),
    "classes of texts": (
        damaged(lambda f: some_images(f, good=1), "train/good/0.JPG", lambda p: p.rename(p.with_suffix(".txt"))), {},
        "has no image .* add images",
    ),
    "an empty class": (lambda f: some_images(f, good=2, bad=0), {}, "class folder .*bad has no image"),
    "no rows": (lambda f: described(f), {}, "give a folder with `<split>/<class>"),
    "image outside": (lambda f: described(f, {"file_name": "../../x.png"}), {}, "cannot be read: .*file_name"),
    "image at the root": (lambda f: described(f, {"file_name": "/etc/hostname"}), {}, "cannot be read: .*file_name"),
    "half a line": (
        lambda f: described(f, '{"file_name": "0.png"'),
        {},
        "cannot be read as a dataset: .*give a folder with",
    ),
    "labels of others": (
        lambda f: Path(parquet(f / "data", train=rows([0, 7, -1], None))), {"class_names": NAMES},
        r"has the label (7|-1), but with 2 class names labels must be 0 to 1.*drop them",
    ),
    "no such class": (some_parquet, {"classes": ["zebra"]}, "zebra"),
    "no such label": (some_parquet, {"drop_classes": [9]}, "9"),
    "nothing kept": (some_parquet, {"drop_classes": ["a", "b"]}, "leaves no class of the 2; keep at least one"),
    "slice": (some_parquet, {"train_split": "train[5:2]"}, "cannot be read: .*out of range"),
    "words": (some_parquet, {"class_names": ["one"]}, "1 class names for the 2 classes"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_told(case, tmp_path):
    make, values, message = BAD[case]
    dataset = make if isinstance(make, str) else str(make(tmp_path))
    before = contents(tmp_path)
    if callable(make) and make is not some_parquet and not (Path(dataset) / "test.parquet").is_file():
        values = {"test_fraction": 0.5, **values}
    with pytest.raises(DataError, match=f"(?s)^task x: .*{message}") as caught:
        task(dataset, **values)
    assert len(str(caught.value)) < 1500 and contents(tmp_path) == before


TEXTS = {
    "bytes": (b"caf\xe9\n", "cannot be read: UnicodeDecodeError"),
    "nothing": (b"", "has no text"),
    "blanks": (b" \n\t\n", "has no text"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_bad_reference_texts_are_told(case, tmp_path):
    (tmp_path / "texts.txt").write_bytes(TEXTS[case][0])
    with pytest.raises(DataError, match=f"^reference_texts: .*{TEXTS[case][1]}"):
        resolve_reference_texts(ReferenceEntry("texts.txt"), str(tmp_path))


def captioned(captions: list) -> Task:
    features = Features({"image": Image(), "text": List(Value("string"))})
    data = Dataset.from_dict(
        {"image": [picture(i) for i in range(len(captions))], "text": captions}, features=features
    )
    return Task("pairs", train=data, test=data, caption_column="text")


ODD_TEXTS = [
    "一只红色的狐狸", "красная лиса", "ثعلب أحمر", "🦊🦊", "a\u202eb", "a\x00b\x1b[2J", "e\u0301", "\ufeffred",
    "red " * 10_000, "x" * 10_000, "<|endoftext|> red <|startoftext|>", " red ",
]  # fmt: skip


def test_odd_captions_are_embedded_as_they_are(tiny_clip, caplog):
    """10,000 words, other scripts, control characters, and the tokenizer's own signs."""
    model, tokenizer = load_model(tiny_clip).eval(), load_processor(tiny_clip).tokenizer
    texts, groups = captioned([[text] for text in ODD_TEXTS]).captions()
    assert len(texts) == len(ODD_TEXTS) == len(groups)
    ids = tokenize_captions(tokenizer, texts, "task pairs")
    assert ids.shape == (len(ODD_TEXTS), 24) and "2 of 12 captions are longer than the 24 tokens" in caplog.text
    embedded = embed_texts(model, ids)
    assert embedded.isfinite().all() and np.allclose(embedded.detach().norm(dim=-1), 1, atol=1e-5)
    first = embed_texts(model, tokenize(tokenizer, ["red " * 22]))
    assert np.allclose(embedded[8].detach(), first[0].detach(), atol=1e-5)  # cut after 22 words, and ended there
    assert np.allclose(embedded[11].detach(), embed_texts(model, tokenize(tokenizer, ["red"]))[0].detach(), atol=1e-5)


@pytest.mark.parametrize("captions", [[["a"], []], [["a"], ["", " \n"]], [["a"], [None]]])
def test_an_image_without_a_caption_is_told(captions):
    with pytest.raises(DataError, match=r"task pairs: row 1 of train has no caption in 'text' \(1 such rows\); drop"):
        captioned(captions)


def test_a_stream_of_odd_classes_runs_and_its_numbers_are_right(tiny_clip, tmp_path, capfd):
    """A class of one image, names in other scripts and with markup, every row twice, and one row that is broken."""
    names = ["красная лиса", "<b>blue</b> | `x`", "only one 🦊"]
    for split, count in (("train", 6), ("test", 3)):
        for label in range(len(names)):
            folder = tmp_path / "odd" / split / str(label)
            folder.mkdir(parents=True)
            for index in range(1 if label == 2 else count):
                pixels = np.zeros((18, 18, 3), np.uint8)
                pixels[..., label] = 100 + 20 * index
                PILImage.fromarray(pixels).save(folder / f"{index}.png")
                shutil.copy(folder / f"{index}.png", folder / f"{index}-again.png")
    (tmp_path / "odd" / "train" / "0" / "9.png").write_bytes(jpeg()[:50])
    command = {
        "model_name_or_path": str(tiny_clip), "method": "finetune", "max_steps": 2, "disable_tqdm": True,
        "per_device_train_batch_size": 5, "data_root": str(tmp_path), "output_dir": str(tmp_path / "out"),
        "tasks": [{"name": "odd", "dataset": "odd", "class_names": names}],
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(command))
    recipe = str(tmp_path / "recipe.yaml")
    refused(main, [recipe, "--max_steps", "5"], capfd, 1, ["odd: the image in row", "9.png", "skip_broken_images"])
    again = [recipe, "--skip_broken_images", "--output_dir", str(tmp_path / "again")]
    assert main(again) == 0
    record = json.loads((tmp_path / "again" / "results.json").read_text())
    note = record["datasets"][0]
    assert (note["classes"], note["train"], note["test"]) == (3, 26, 14)
    assert "1 of 27 training images cannot be read and are left out" in note["split_note"]
    assert all(round(value * 14 / 100, 6).is_integer() for value in [record["zero_shot"][0], record["accuracy"][0][0]])
    assert names == record["recipe"]["tasks"][0]["class_names"]
    assert round(record["accuracy"][0][0] * 7 / 100, 6).is_integer()  # each test image counts as its copy does


def test_class_labels_that_differ_by_a_row_are_all_seen():
    """A class of one image is learnt and tested as any other."""
    data = rows([0, 0, 0, 1], ["many", "one"]).cast_column("label", ClassLabel(names=["many", "one"]))
    found = Task("t", train=data, test=data)
    assert np.bincount(found.labels("train")).tolist() == [3, 1] and found.class_names == ["many", "one"]
