"""Make the small stream of real images that `recipes/real_small.yaml` trains on, from public Hub datasets.

    python scripts/make_small_stream.py data/small
    python -m hf_clcl.train recipes/real_small.yaml --data_root data/small

Eleven datasets are reduced to a few images per class, resized (28 to 72 pixels) and written as Parquet, about 120 MB
in total. The whole datasets are downloaded for this (more than 10 GB, in the cache of `datasets`). Finished datasets
are skipped, so the same command resumes after a failure.

Sizes and classes are those of the stream of this project's own results. The images are not the same, since those came
from other copies; flowers17 is taken from Flowers102, as the original is not on the Hub. Check the licences of the
datasets: several are for research only.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

from hf_clcl.config.recipe import TaskEntry
from hf_clcl.data.resolve import resolve_task
from hf_clcl.data.task import Task
from hf_clcl.utils.errors import DataError

logger = logging.getLogger("make_small_stream")

TEXTURES = "banded blotchy braided bubbly bumpy chequered cobwebbed cracked crosshatched crystalline".split()
LANDS = (
    "beach,commercial area,desert,farmland,forest,industrial area,island,lake,mountain,residential,river,wetland"
).split(",")
DIGITS = "zero one two three four five six seven eight nine".split()
ALL = "train+validation+test"


@dataclass(frozen=True)
class Cut:
    """What to keep of a dataset.

    Args:
        entry (`TaskEntry`): Its source, and how to split it.
        side (`int`): Maximum width and height in pixels; images are cropped to squares.
        train (`int`): Training images per class; for captions, in total.
        test (`int`): Test images per class; for captions, in total.
        classes (`list[str]` or `int`, *optional*): Classes to keep, or how many of the largest classes.
    """

    entry: TaskEntry
    side: int
    train: int
    test: int
    classes: list[str] | int | None = None


def _cut(
    name: str, dataset: str, side: int, train: int, test: int, classes: list[str] | int | None = None, **entry: Any
) -> Cut:
    return Cut(TaskEntry(dataset=dataset, name=name, **entry), side, train, test, classes)


CUTS = (
    _cut("eurosat", "jonathan-roberts1/EuroSAT", 64, 300, 100, test_fraction=0.25),
    _cut("dtd10", "mcimpoi/dtd_split_1", 72, 90, 30, TEXTURES, train_split=ALL, test_fraction=0.25),
    _cut("flowers17", "dpdl-benchmark/oxford_flowers102", 72, 60, 20, 17, train_split=ALL, test_fraction=0.25),
    _cut("food101", "ethz/food101", 64, 50, 15, test_split="validation"),
    _cut("gtsrb43", "tanganke/gtsrb", 64, 100, 30),
    _cut("mnist", "ylecun/mnist", 28, 300, 100, class_names=DIGITS),
    _cut(
        "resisc12", "timm/resisc45", 72, 100, 30, LANDS,
        class_names={"rectangular farmland": "farmland", "dense residential": "residential"},
    ),
    _cut(
        "caltech101", "Donghyun99/Caltech-101", 72, 30, 10,
        class_names="caltech101", train_split="train+test", test_fraction=0.25,
    ),
    _cut("tiny_imagenet", "zh-plus/tiny-imagenet", 64, 50, 10, class_names="tiny_imagenet", test_split="valid"),
    _cut("flickr8k", "tsystems/flickr8k", 72, 7000, 1091, caption_column="captions", test_fraction=0.1348),
    _cut("cifar10", "uoft-cs/cifar10", 32, 300, 100),
)  # fmt: skip


def draw(labels: np.ndarray, classes: list[int], number: int, rng: np.random.Generator) -> np.ndarray:
    """Draw at most `number` rows of each class, in random order."""
    rows = [rng.permutation(np.flatnonzero(labels == label))[:number] for label in classes]
    return rng.permutation(np.concatenate(rows))


def kept_classes(cut: Cut, names: list[str], labels: np.ndarray) -> list[int]:
    """Indices of the classes to keep, in their order in the dataset."""
    if cut.classes is None:
        return list(range(len(names)))
    if isinstance(cut.classes, int):
        counts = np.bincount(labels, minlength=len(names))
        return sorted(np.argsort(-counts, kind="stable")[: cut.classes].tolist())
    missing = [name for name in cut.classes if name not in names]
    if missing:
        raise DataError(
            f"task {cut.entry.name}: {cut.entry.dataset} has no class {missing[0]!r}; it has {', '.join(names)}"
        )
    return sorted(names.index(name) for name in cut.classes)


def small_jpeg(image: Image.Image, side: int) -> bytes:
    """The centre of an image as a JPEG of at most `side` x `side` pixels."""
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    square = image.convert("RGB").crop((left, top, left + edge, top + edge))
    if edge > side:
        square = square.resize((side, side), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    square.save(file, "JPEG", quality=90)
    return file.getvalue()


def write(path: Path, columns: dict[str, Iterable], features: Features) -> None:
    """Write a Parquet file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    Dataset.from_dict({name: list(values) for name, values in columns.items()}, features=features).to_parquet(
        unfinished
    )
    os.replace(unfinished, path)


def make(cut: Cut, folder: Path, seed: int) -> dict:
    """Make one dataset of the stream and return its entry in the index."""
    name = cut.entry.name
    task = resolve_task(cut.entry, seed=seed)
    if not task.kind.has_labels:
        features = Features(image=ImageFeature(), captions=List(Value("string")))
        classes = []
    else:
        classes = kept_classes(cut, task.class_names, np.concatenate([task.labels("train"), task.labels("test")]))
        features = Features(
            image=ImageFeature(), label=ClassLabel(names=[task.class_names[index] for index in classes])
        )
    sizes = {"classes": len(classes)} if classes else {}
    for split, number in (("train", cut.train), ("test", cut.test)):
        columns = _columns(task, split, number, classes, cut.side, np.random.default_rng([seed, split == "test"]))
        write(folder / name / f"{split}.parquet", columns, features)
        sizes[split] = len(columns["image"])
    return {**sizes, "source": cut.entry.dataset, "seed": seed}


def _columns(
    task: Task, split: str, number: int, classes: list[int], side: int, rng: np.random.Generator
) -> dict[str, list]:
    data = getattr(task, split)
    if not task.kind.has_labels:
        rows = rng.permutation(len(data))[:number]
        second = {"captions": data.select(rows)[task.caption_column][:]}
    else:
        labels = task.labels(split)
        rows = draw(labels, classes, number, rng)
        second = {"label": [classes.index(label) for label in labels[rows]]}
    images = data.select(rows)[task.image_column]
    return {"image": [{"bytes": small_jpeg(image, side), "path": None} for image in images], **second}


def main(arguments: list[str] | None = None) -> int:
    """Make the missing datasets and report failures.

    Returns:
        `int`: The exit code.
    """
    names = [cut.entry.name for cut in CUTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="output folder")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"some of: {', '.join(names)}")
    parser.add_argument("--seed", type=int, default=42, help="seed for drawing images (default: 42)")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

    failed = []
    for cut in (cut for cut in CUTS if not chosen.only or cut.entry.name in chosen.only):
        name, index = cut.entry.name, chosen.folder / "index.json"
        done = json.loads(index.read_text()) if index.exists() else {}
        if name in done and all((chosen.folder / name / f"{split}.parquet").exists() for split in ("train", "test")):
            logger.info("%s: exists, skipped", name)
            continue
        logger.info("%s: from %s", name, cut.entry.dataset)
        try:
            done[name] = make(cut, chosen.folder, chosen.seed)
        except DataError as error:
            logger.error("%s", error)
            failed.append(name)
            continue
        index.write_text(json.dumps(done, indent=1) + "\n")
        logger.info("%s: %d training and %d test images", name, done[name]["train"], done[name]["test"])
    if failed:
        logger.error("Failed: %s. Finished datasets are kept; run the same command again to retry", ", ".join(failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
