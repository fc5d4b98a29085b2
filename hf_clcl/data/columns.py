"""Detection of dataset columns by their type. Names only decide between columns of the right type."""

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
    """Find the column of images.

    Args:
        features (`Features`): Columns of the dataset and their types.
        given (`str`, *optional*): The column that the user named.
        where (`str`): Prefix of error messages.

    Raises:
        DataError: If there is none, or if there are several and none is called `image`.
    """
    images = [name for name, feature in features.items() if is_image(feature)]
    return _choose("image_column", images, given, IMAGE_NAMES, features, where)


def find_label_column(features: Features, given: str | None, where: str) -> str:
    """Find the column of labels: class labels first, then integers, then texts with a name such as `label`.

    Args:
        features (`Features`): Columns of the dataset and their types.
        given (`str`, *optional*): The column that the user named.
        where (`str`): Prefix of error messages.

    Raises:
        DataError: If there is none, or if there are several and none is called `label`.
    """
    from datasets import ClassLabel

    labels = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    numbers = [name for name, feature in features.items() if _value(feature).startswith(("int", "uint"))]
    texts = [name for name, feature in features.items() if _value(feature).endswith("string")]
    if given is not None:
        return _choose("label_column", [*labels, *numbers, *texts], given, (), features, where)
    candidates = labels or numbers or [name for name in texts if name in LABEL_NAMES]
    return _choose("label_column", candidates, None, LABEL_NAMES, features, where)


def find_text_column(features: Features, given: str | None, where: str, key: str = "caption_column") -> str:
    """Find the column of texts: strings, or lists of strings. Arguments are those of [`find_image_column`]."""
    texts = [name for name, feature in features.items() if is_text(feature) and not name.startswith("__")]
    return _choose(key, texts, given, ("caption", "captions", "text", "texts", "txt"), features, where)


def is_image(feature: Any) -> bool:
    """Whether a column holds images. Parquet files of other tools store them as a struct of `bytes` and `path`."""
    from datasets import Image

    return isinstance(feature, Image) or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})


def is_text(feature: Any) -> bool:
    """Whether a column holds a text, or a list of texts, in each row."""
    return is_plain_text(getattr(feature, "feature", feature))


def is_plain_text(feature: Any) -> bool:
    """Whether a column holds one text in each row."""
    return _value(feature).endswith("string")


def values(dataset: Dataset, column: str) -> pa.ChunkedArray:
    """A column as an Arrow array, in the order of the rows, without decoding."""
    return dataset.select_columns(column).with_format("arrow")[:].column(column)


def as_images(dataset: Dataset, column: str) -> Dataset:
    """Cast a column to images if it is a struct of `bytes` and `path`."""
    from datasets import Image

    return dataset if isinstance(dataset.features[column], Image) else dataset.cast_column(column, Image())


def encode_labels(
    splits: dict[str, Dataset], column: str, class_names: list[str] | None, where: str
) -> dict[str, Dataset]:
    """Convert text labels to class labels, in the order of `class_names`, or else of the alphabet.

    Raises:
        DataError: If a label is missing or not among `class_names`.
    """
    from datasets import ClassLabel

    texts = {split: values(rows, column) for split, rows in splits.items()}
    labels = {split: cells.unique().to_pylist() for split, cells in texts.items()}
    names = list(class_names or sorted({text for cells in labels.values() for text in cells if text is not None}))
    for split, cells in texts.items():
        for unknown in set(labels[split]) - set(names):
            raise DataError(
                f"{where}: row {cells.to_pylist().index(unknown)} of {split} has the label {unknown!r}, which is not "
                f"among the {len(names)} class names ({some(names)}); correct the row, or add it to `class_names`"
            )
    return {split: rows.cast_column(column, ClassLabel(names=names)) for split, rows in splits.items()}


def without_classes(dataset: Dataset, column: str, left_out: list[int], kept: list[str]) -> Dataset:
    """Drop the rows of the classes `left_out`, and renumber the labels by the names `kept`."""
    import numpy as np
    from datasets import ClassLabel

    labels = values(dataset, column).fill_null(-1).to_numpy()
    rows = np.flatnonzero(~np.isin(labels, left_out))
    shifted = labels - np.searchsorted(left_out, labels)
    renamed = dataset.remove_columns(column).add_column(column, shifted, feature=ClassLabel(names=kept))
    return renamed.select(rows)


def describe(features: Features) -> str:
    """List the columns with their types, for messages."""
    return ", ".join(f"{name} ({_type(feature)})" for name, feature in features.items())


def words(name: str) -> str:
    """Turn a class name into words for a prompt: `/a/abbey` becomes `abbey`, `apple_pie` becomes `apple pie`."""
    if name.startswith("/"):
        name = re.sub(r"^/[a-z]/", "", name).replace("/", " ")
    return " ".join(name.replace("_", " ").split())


def some(names: list[str], most: int = 5) -> str:
    """List the first names of many, for messages."""
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


def _choose(
    key: str, candidates: list[str], given: str | None, usual: tuple[str, ...], features: Features, where: str
) -> str:
    kind = key.removesuffix("_column")
    if given is not None:
        if given in candidates:
            return given
        problem = "is not a column" if given not in features else f"does not hold {kind}s"
        raise DataError(f"{where}: {key} {given!r} {problem}; the columns are {describe(features)}")
    with_usual_name = [name for name in usual if name in candidates]
    if len(candidates) == 1 or with_usual_name:
        return (with_usual_name or candidates)[0]
    problem = f"several columns may be the {kind}s: {', '.join(candidates)}" if candidates else f"no column of {kind}s"
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
