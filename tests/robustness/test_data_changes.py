"""A run that goes on sees the data it began with, or is refused: told by fingerprints, which a copy has too."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from datasets import Dataset, Features, load_dataset
from datasets import Image as ImageFeature
from PIL import Image

from helpers import ROOT
from hf_clcl import RunRecord, Task
from hf_clcl.cli.train import main
from hf_clcl.data.fingerprint import changes, fingerprint, of_images
from hf_clcl.stream import output as output_module
from hf_clcl.stream import stream as stream_module


@pytest.fixture
def begun(recipe: Path, own_cache, monkeypatch) -> Path:
    """A recipe whose run was stopped after its first task."""
    for name in ("plot_matrix", "plot_curves"):
        monkeypatch.setattr(output_module, name, lambda *args: None)
    with monkeypatch.context() as patch:
        patch.setattr(stream_module.Stream, "_run_task", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main([str(recipe)]) == 130
    assert RunRecord.load(recipe.parent / "out").fingerprints.keys() == {"warm", "cold", "the reference"}
    return recipe


def repaint(folder: Path) -> None:
    """Every image of a folder upside down: files of other content."""
    for file in folder.rglob("*.png"):
        Image.open(file).transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(file)


CHANGES = {
    "an image more": (
        lambda root: shutil.copy(root / "warm/train/red/0.png", root / "warm/train/red/99.png"),
        ["warm: train labels are not the same", "warm: train rows: 18 before, 19 now"],
    ),
    "other images": (lambda root: repaint(root / "warm" / "test"), ["warm: test images are not the same"]),
    "a label changed": (
        lambda root: (root / "warm/train/red/0.png").rename(root / "warm/train/blue/0.png"),
        ["warm: train labels are not the same"],
    ),
    "a class renamed": (
        lambda root: [path.rename(path.with_name("crimson")) for path in root.glob("warm/*/red")],
        ["warm: classes are not the same"],
    ),
    "other reference texts": (
        lambda root: (root / "texts.txt").write_text("a red thing\na bluish thing\n"),
        ["the reference: their words are not the same"],
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_changed_data_are_refused_with_what_changed(begun: Path, capsys, monkeypatch, tmp_path_factory, kind) -> None:
    change, lines = CHANGES[kind]
    change(begun.parent)
    before = (begun.parent / "out" / "results.json").read_bytes()
    # `datasets` looks into its cache of a folder of images by names and dates.
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    assert main([str(begun)]) == 1
    shown = capsys.readouterr().err
    assert "started with other data" in shown and "start again in another folder with --output_dir" in shown
    for line in lines:
        assert f"  - {line}" in shown
    assert (begun.parent / "out" / "results.json").read_bytes() == before


def test_a_copy_of_the_data_is_the_same_data(begun: Path, tmp_path_factory, capsys) -> None:
    copy = tmp_path_factory.mktemp("copy") / "elsewhere"
    shutil.copytree(begun.parent, copy, copy_function=shutil.copyfile)  # without the dates
    assert main([str(begun), "--data_root", str(copy)]) == 0, capsys.readouterr().err


def test_a_record_of_before_gets_its_fingerprints(begun: Path) -> None:
    record = RunRecord.load(begun.parent / "out")
    found, record.fingerprints = record.fingerprints, {}
    record.save(begun.parent / "out" / "results.json")
    assert main([str(begun)]) == 0
    assert RunRecord.load(begun.parent / "out").fingerprints == found


def test_the_same_in_every_process_and_layout(folders: Path, colours, tmp_path: Path) -> None:
    """In another process, from files, from bytes, and with PNG of another compression."""
    code = (
        "import sys; from datasets import load_dataset; from hf_clcl.data.fingerprint import of_images;"
        "sys.stdout.write(of_images(load_dataset('imagefolder', data_dir=sys.argv[1], split='train'), 'image'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", code, str(folders / "warm")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    rows = load_dataset("imagefolder", data_dir=str(folders / "warm"), split="train")
    assert done.stdout == of_images(rows, "image")
    data = colours(9)
    stored = tmp_path / "stored"
    data.save_to_disk(str(stored))
    assert of_images(Dataset.load_from_disk(str(stored)), "image") == of_images(data, "image")
    compressed = []
    for level, row in enumerate(data):
        row["image"].save(file := io.BytesIO(), "PNG", compress_level=level)
        compressed.append({"bytes": file.getvalue(), "path": None})
    again = Dataset.from_dict({"image": compressed}, features=Features({"image": ImageFeature()}))
    assert of_images(again, "image") == of_images(data, "image")


def test_captions_and_what_is_compared(pairs) -> None:
    task = Task("c", train=pairs(6), test=pairs(6, seed=1), caption_column="captions")
    parts = fingerprint(task)
    assert parts.keys() == {"classes"} | {
        f"{s} {p}" for s in ("train", "test") for p in ("rows", "captions", "images")
    }
    later = {"c": {**parts, "train rows": "7", "something new": "x"}, "new": {}}
    assert changes({"c": parts, "gone": parts}, later) == ["c: train rows: 6 before, 7 now"]
    assert yaml.safe_dump(parts)  # plain text
