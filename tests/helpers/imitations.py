"""Small copies of the Hub repositories that recipes name: the same layout and the same numbers of rows, other images.

Column names, types, split names, file names and class names are those that the repositories show on their pages. Every
row is one of a few pictures of 8 x 8 pixels, so that SUN397 with all of its 108,754 rows takes 200 kB.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, Image, List, Value
from PIL import Image as PILImage

from helpers.dataset_hub import card
from hf_clcl.data.texts import prompts

CALTECH = {
    "off-center face": "Faces", "centered face": "Faces_easy", "leopard": "Leopards", "motorbike": "Motorbikes",
    "airplane": "airplanes", "side of a car": "car_side", "body of a cougar cat": "cougar_body",
    "face of a cougar cat": "cougar_face", "head of a crocodile": "crocodile_head",
    "head of a flamingo": "flamingo_head", "snoopy (cartoon beagle)": "snoopy", "yin and yang symbol": "yin_yang",
}  # fmt: skip
EUROSAT = [
    "annual crop", "forest", "herbaceous vegetation", "highway", "industrial", "pasture", "permanent crop",
    "residential", "river", "sea or lake",
]  # fmt: skip
EUROSAT_FILES = [
    "AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop", "Residential",
    "River", "SeaLake",
]  # fmt: skip
IMAGENET = {"train": 1281167, "validation": 50000}


def picture(shade: int = 0, mode: str = "RGB", kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    PILImage.new(mode, (8, 8), shade if mode == "L" else (shade, 255 - shade, 128)).save(file, kind)
    return file.getvalue()


def snake(words: Iterable[str]) -> list[str]:
    return [name.lower().replace(" ", "_") for name in words]


def words(name: str) -> list[str]:
    return list(prompts.built_in(name).class_names)


def sun_names() -> list[str]:
    """`/a/apartment_building/outdoor`: a folder for each letter, and one more for the kind of a place."""
    return [f"/{name[0]}/{name.replace(' ', '_')}" for name in words("zscl_mtil/sun397")]


def tiny_imagenet_ids() -> list[str]:
    """WordNet ids, 18 of them others than ImageNet's, which is how zh-plus/tiny-imagenet writes them."""
    return sorted({word: key for key, word in prompts.built_in("tiny_imagenet").also_called.items()}.values())


def table(features: Features, count: int, mode: str = "RGB") -> pa.Table:
    """Rows with a picture, labels that go around the classes, and texts that tell their row."""
    columns: dict[str, Any] = {}
    for name, feature in features.items():
        if isinstance(feature, Image):
            pool = [{"bytes": picture(30 * shade, mode), "path": None} for shade in range(8)]
            columns[name] = pa.array(pool, feature.pa_type).take(np.arange(count) % len(pool))
        elif isinstance(feature, ClassLabel):
            columns[name] = np.arange(count) % feature.num_classes
        elif isinstance(feature, List):
            columns[name] = [[f"caption {number} of picture {row}" for number in range(5)] for row in range(count)]
        else:
            columns[name] = [f"{name} {row}" for row in range(count)]
    return pa.table(columns, schema=features.arrow_schema)


def parquet(
    root: Path, repository: str, features: dict[str, Any], splits: dict[str, int], folder: str = "data",
    config: str = "default", shards: int = 2, mode: str = "RGB",
) -> None:  # fmt: skip
    """A repository as `push_to_hub` writes it: Parquet shards of each split, and a README that describes them."""
    features, files = Features(features), {}
    for split, count in splits.items():
        rows = table(features, count, mode)
        parts = min(shards, count)
        for shard in range(parts):
            start = count * shard // parts
            path = root / repository / folder / f"{split}-{shard:05d}-of-{parts:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(rows.slice(start, count * (shard + 1) // parts - start), path)
        files[split] = f"{folder}/{split}-*"
    patterns = [{"split": split, "path": pattern} for split, pattern in files.items()]
    info = {"config_name": config, "features": features._to_yaml_list(), "splits": [
        {"name": split, "num_bytes": 0, "num_examples": count} for split, count in splits.items()
    ]}  # fmt: skip
    (root / repository / "README.md").write_bytes(card(info, [{"config_name": config, "data_files": patterns}]))


def tars(root: Path, repository: str, splits: dict[str, int], classes: list[str] | None, shards: int = 3) -> None:
    """A webdataset of clip-benchmark: `<split>/<shard>.tar`, and text files beside the data."""
    folder = root / repository
    for split, count in splits.items():
        (folder / split).mkdir(parents=True)
        (folder / split / "nshards.txt").write_text(str(shards))
        for shard in range(shards):
            with tarfile.open(folder / split / f"{shard}.tar", "w") as tar:
                for row in range(shard, count, shards):
                    for suffix, content in sample(row, classes):
                        info = tarfile.TarInfo(f"s{row:07d}.{suffix}")
                        info.size = len(content)
                        tar.addfile(info, io.BytesIO(content))
    if classes is None:
        (folder / "dataset_type.txt").write_text("retrieval\n")
    else:
        (folder / "classnames.txt").write_text("\n".join(classes) + "\n")
        (folder / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\n")


WEBP, JPEG = [[picture(30 * shade, kind=kind) for shade in range(8)] for kind in ("WEBP", "JPEG")]


def sample(row: int, classes: list[str] | None) -> list[tuple[str, bytes]]:
    """The files of one row: its class as a number, or its five captions, a line each."""
    if classes is not None:
        return [("cls", str(row % len(classes)).encode()), ("webp", WEBP[row % 8])]
    captions = "\n".join(f"Caption {number} of picture {row}." for number in range(5))
    return [("jpg", JPEG[row % 8]), ("txt", captions.encode())]


def labelled(names: list[str], **others: Any) -> dict[str, Any]:
    return {"image": Image(), "label": ClassLabel(names=names), **others}


def build_mtil(root: Path) -> None:
    """The eleven datasets of MTIL, with the numbers of rows that the recipe expects."""
    tars(root, "clip-benchmark/wds_fgvc_aircraft", {"train": 3334, "test": 3333}, words("aircraft"))
    tars(root, "clip-benchmark/wds_cars", {"train": 8144, "test": 8041}, words("cars"))
    caltech = ["BACKGROUND_Google", *sorted(CALTECH.get(name, name.replace(" ", "_")) for name in words("caltech101"))]
    build_caltech(root, caltech)
    fine = ["cra" if name == "crab" else name for name in snake(words("cifar100"))]
    cifar = {"img": Image(), "fine_label": ClassLabel(names=fine), "coarse_label": ClassLabel(names=fine[:20])}
    parquet(root, "uoft-cs/cifar100", cifar, {"train": 50000, "test": 10000}, "cifar100", "cifar100", shards=1)
    parquet(root, "mcimpoi/dtd_split_1", labelled(snake(words("dtd"))),
            {"train": 1880, "validation": 1880, "test": 1880}, shards=1)  # fmt: skip
    parquet(root, "jonathan-roberts1/EuroSAT", labelled(EUROSAT), {"train": 27000})
    name_files(root / "jonathan-roberts1/EuroSAT", [f"{name}_{{}}.jpg" for name in EUROSAT_FILES])
    parquet(root, "dpdl-benchmark/oxford_flowers102", labelled(words("flowers102")),
            {"train": 1020, "validation": 1020, "test": 6149})  # fmt: skip
    parquet(root, "ethz/food101", labelled(snake(words("food101"))), {"train": 75750, "validation": 25250}, shards=3)
    parquet(root, "ylecun/mnist", labelled(list("0123456789")), {"train": 60000, "test": 10000}, "mnist", "mnist",
            shards=1, mode="L")  # fmt: skip
    pets = labelled(snake(words("pets")), image_id=Value("string"), label_cat_dog=ClassLabel(names=["cat", "dog"]))
    parquet(root, "timm/oxford-iiit-pet", pets, {"train": 3680, "test": 3669})
    parquet(root, "1aurent/SUN397", labelled(sun_names()), {"train": 108754}, shards=4)


def build_caltech(root: Path, names: list[str]) -> None:
    """Caltech-101 has as many rows of the background as the original, 467, so its labels do not go around evenly."""
    parquet(root, "Donghyun99/Caltech-101", labelled(names), {"train": 6400, "test": 2744}, shards=1)
    first = 0
    for split, background in (("train", 327), ("test", 140)):
        path = next((root / "Donghyun99/Caltech-101/data").glob(f"{split}-*"))
        rows = pq.read_table(path)
        labels = np.concatenate(
            [np.zeros(background, int), 1 + np.arange(first, first + len(rows) - background) % 101]
        )
        first += len(rows) - background
        place = rows.column_names.index("label")
        pq.write_table(rows.set_column(place, rows.schema.field("label"), pa.array(labels)), path)
    name_files(root / "Donghyun99/Caltech-101", ["image_{:04d}.jpg"] * len(names))


def name_files(folder: Path, patterns: list[str]) -> None:
    """Write the names of the original files into the images: those of a class are counted from 1, over all shards."""
    counts = [0] * len(patterns)
    for path in sorted(folder.glob("data/*.parquet")):
        rows, named = pq.read_table(path), []
        for image, label in zip(rows["image"].to_pylist(), rows["label"].to_pylist(), strict=True):
            counts[label] += 1
            named.append({**image, "path": patterns[label].format(counts[label])})
        place = rows.schema.get_field_index("image")
        pq.write_table(rows.set_column(place, rows.schema.field("image"), pa.array(named, rows["image"].type)), path)


def build_others(root: Path) -> None:
    """What class-incremental streams, references and retrieval read."""
    parquet(root, "zh-plus/tiny-imagenet", labelled(tiny_imagenet_ids()), {"train": 100000, "valid": 10000}, shards=1)
    names = prompts.imagenet_synsets()
    apart = [f"{word}, {synset}" if word == "crane" else word for synset, word in names.items()]  # two are called so
    parquet(root, "ILSVRC/imagenet-1k", labelled(apart), IMAGENET, shards=1)
    # A thousandth of ImageNet, as references are streamed.
    parquet(root, "evanarlian/imagenet_1k_resized_256", labelled(list(names)),
            {"train": 1281, "val": 50, "test": 100}, shards=4)  # fmt: skip
    captions = {"image_url": Value("string"), "caption": Value("string")}
    parquet(root, "google-research-datasets/conceptual_captions", captions, {"train": 900, "validation": 15840},
            "unlabeled", "unlabeled")  # fmt: skip
    tars(root, "clip-benchmark/wds_mscoco_captions", {"train": 900, "test": 5000}, None)
    tars(root, "clip-benchmark/wds_flickr30k", {"train": 900, "test": 1000}, None)
    flickr = {"image": Image(), "text": List(Value("string"))}
    parquet(root, "royokong/flickr30k_test", flickr, {"test": 1000}, shards=1)


def build(root: Path) -> None:
    """All repositories, as folders `owner/name`."""
    build_mtil(root)
    build_others(root)
    (root / "index.json").write_text(json.dumps(sorted(str(p.relative_to(root)) for p in root.glob("*/*"))))
