"""Small datasets on disk, in every layout that a recipe may name."""

import io
import tarfile
from pathlib import Path

import datasets
import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as PILImage

from hf_clcl.config.recipe import TaskEntry
from hf_clcl.data.resolve import resolve_task

datasets.disable_progress_bars()


def picture(value: int = 0) -> PILImage.Image:
    return PILImage.fromarray(np.full((4, 4), value % 256, np.uint8))


def jpeg(value: int = 0) -> bytes:
    file = io.BytesIO()
    picture(value).save(file, "JPEG")
    return file.getvalue()


def rows(labels: list, names: list[str] | None, image: str = "image", label: str = "label", **others: list) -> Dataset:
    kinds = {image: Image(), label: ClassLabel(names=names) if names else Value("int64")}
    kinds |= {name: ClassLabel(names=["some", "other"]) for name in others}
    columns = {image: [picture(index) for index in range(len(labels))], label: labels, **others}
    return Dataset.from_dict(columns, features=Features(kinds))


def parquet(folder: Path, **splits: Dataset) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for split, data in splits.items():
        data.to_parquet(str(folder / f"{split}.parquet"))
    return str(folder)


def image_folder(folder: Path, counts: dict[str, int]) -> str:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            picture(index).save(folder / name / f"{index}.JPG", "JPEG")
    return str(folder)


def tars(folder: Path, labels: dict[str, list[int]], names: list[str] | None) -> str:
    for split, values in labels.items():
        (folder / split).mkdir(parents=True)
        for shard, part in enumerate((values[::2], values[1::2])):
            with tarfile.open(folder / split / f"{shard}.tar", "w") as tar:
                for index, value in enumerate(part):
                    for suffix, data in (("webp", jpeg(index)), ("cls", str(value).encode())):
                        info = tarfile.TarInfo(f"s{index:04d}.{suffix}")
                        info.size = len(data)
                        tar.addfile(info, io.BytesIO(data))
    if names:
        (folder / "classnames.txt").write_text("\n".join(names) + "\n")
    return str(folder)


def task(dataset: str, data_root: str | None = None, evaluation_only: bool = False, **values):
    return resolve_task(TaskEntry(dataset=dataset, name="x", **values), data_root, 0, evaluation_only)


def labels(data: Dataset) -> list[int]:
    return data["label"][:]
