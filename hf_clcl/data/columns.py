"""Columns of a dataset found by their type, and what is written in them. Names alone are never trusted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..utils.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features

IMAGE_NAMES = ("image", "img", "jpg", "png", "webp")
LABEL_NAMES = ("label", "labels", "cls", "fine_label", "target")


def find_image_column(features: Features, given: str | None, where: str) -> str:
    """The column of images.

    Args:
        features (`Features`): Columns of the dataset and their types.
        given (`str`, *optional*): The column that the user named.
        where (`str`): What the message of an error starts with.

    Raises:
        DataError: Where there is none, or several and none of them is called `image`.
    """
    found = [name for name, feature in features.items() if is_image(feature)]
    return _choose("image_column", found, given, IMAGE_NAMES, features, where)


def find_label_column(features: Features, given: str | None, where: str) -> str:
    """The column of labels: class labels before whole numbers before text that is called `label`.

    Args:
        features (`Features`): Columns of the dataset and their types.
        given (`str`, *optional*): The column that the user named.
        where (`str`): What the message of an error starts with.

    Raises:
        DataError: Where there is none, or several and none of them is called `label`.
    """
    from datasets import ClassLabel

    labels = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    numbers = [name for name, feature in features.items() if _value(feature).startswith(("int", "uint"))]
    texts = [name for name, feature in features.items() if _value(feature).endswith("string")]
    if given is not None:
        return _choose("label_column", [*labels, *numbers, *texts], given, (), features, where)
    found = labels or numbers or [name for name in texts if name in LABEL_NAMES]
    return _choose("label_column", found, None, LABEL_NAMES, features, where)


def find_text_column(features: Features, given: str | None, where: str, key: str = "caption_column") -> str:
    """The column of texts: strings, or lists of strings."""
    found = [name for name, feature in features.items() if is_text(feature) and not name.startswith("__")]
    return _choose(key, found, given, ("caption", "captions", "text", "texts", "txt"), features, where)


def is_image(feature: Any) -> bool:
    """Whether a column holds images; a struct of `bytes` and `path` is how Parquet files of other tools store them."""
    from datasets import Image

    return isinstance(feature, Image) or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def is_text(feature: Any) -> bool:
    """Whether a column holds a text, or a list of texts, in each row."""
    return is_plain_text(getattr(feature, "feature", feature))


def is_plain_text(feature: Any) -> bool:
    """Whether a column holds one text in each row."""
    return _value(feature).endswith("string")


def values(dataset: Dataset, column: str) -> pa.ChunkedArray:
    """A column as Arrow, in the order of the rows, with nothing decoded."""
    return dataset.select_columns(column).with_format("arrow")[:].column(column)


def as_images(dataset: Dataset, column: str) -> Dataset:
    """The dataset with `column` as images, where it is a struct of `bytes` and `path`."""
    from datasets import Image

    return dataset if isinstance(dataset.features[column], Image) else dataset.cast_column(column, Image())


def encode_labels(
    splits: dict[str, Dataset], column: str, class_names: list[str] | None, where: str
) -> dict[str, Dataset]:
    """Labels written as text, as class labels: in the order of `class_names`, or else of the alphabet.

    Raises:
        DataError: Where a label is not among `class_names`, or missing.
    """
    from datasets import ClassLabel

    texts = {split: values(rows, column) for split, rows in splits.items()}
    found = {split: cells.unique().to_pylist() for split, cells in texts.items()}
    names = list(class_names or sorted({text for cells in found.values() for text in cells if text is not None}))
    for split, cells in texts.items():
        for unknown in set(found[split]) - set(names):
            raise DataError(
                f"{where}: row {cells.to_pylist().index(unknown)} of {split} has the label {unknown!r}, which is not "
                f"among the {len(names)} class names ({some(names)}); correct the row, or add it to `class_names`"
            )
    return {split: rows.cast_column(column, ClassLabel(names=names)) for split, rows in splits.items()}


def without_classes(dataset: Dataset, column: str, left_out: list[int], kept: list[str]) -> Dataset:
    """The rows of all classes but `left_out`, with labels that count the names `kept`."""
    import numpy as np
    from datasets import ClassLabel

    labels = values(dataset, column).fill_null(-1).to_numpy()
    rows = np.flatnonzero(~np.isin(labels, left_out))
    shifted = labels - np.searchsorted(left_out, labels)
    renamed = dataset.remove_columns(column).add_column(column, shifted, feature=ClassLabel(names=kept))
    return renamed.select(rows)


def describe(features: Features) -> str:
    """The columns with their types, for messages."""
    return ", ".join(f"{name} ({_type(feature)})" for name, feature in features.items())


def words(name: str) -> str:
    """A class name of a dataset as words for a prompt: `/a/abbey` is an abbey, `apple_pie` an apple pie."""
    if name.startswith("/"):
        name = re.sub(r"^/[a-z]/", "", name).replace("/", " ")
    return " ".join(name.replace("_", " ").split())


def some(names: list[str], most: int = 5) -> str:
    """The first of many names, for messages."""
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


def _choose(
    key: str, found: list[str], given: str | None, usual: tuple[str, ...], features: Features, where: str
) -> str:
    kind = key.removesuffix("_column")
    if given is not None:
        if given in found:
            return given
        problem = "is no column" if given not in features else f"does not hold {kind}s"
        raise DataError(f"{where}: {key} {given!r} {problem}; the columns are {describe(features)}")
    usual_found = [name for name in usual if name in found]
    if len(found) == 1 or usual_found:
        return (usual_found or found)[0]
    problem = f"several columns may be the {kind}s: {', '.join(found)}" if found else f"no column of {kind}s"
    raise DataError(f"{where}: {problem}; the columns are {describe(features)}. Name the right one as `{key}`")


def _value(feature: Any) -> str:
    """The type of a plain column such as `int64`; empty for labels, images and lists."""
    from datasets import Value

    return feature.dtype if isinstance(feature, Value) else ""


def _type(feature: Any) -> str:
    from datasets import ClassLabel

    if isinstance(feature, ClassLabel):
        return f"ClassLabel of {feature.num_classes}"
    if hasattr(feature, "feature"):
        return f"list of {_type(feature.feature)}"
    return _value(feature) or type(feature).__name__
