"""Published splits of datasets that have no official one, reproduced by the file names of the images."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from ..config.entries import TaskEntry
from ..config.protocols import named
from . import columns
from .texts.prompts import built_in

if TYPE_CHECKING:
    from datasets import Dataset


def published_split(
    entry: TaskEntry, rows: Dataset, class_names: list[str] | None, where: str
) -> dict[str, Dataset] | None:
    """The training and test rows of the published split.

    The order of the rows is that of torchvision: classes in their published order, the files of a class by name.
    `torch.utils.data.random_split` divides this order, with the seed and the share that the protocol records.

    Args:
        entry (`TaskEntry`): The entry in the recipe; its `class_names` name the protocol.
        rows (`Dataset`): All rows of the dataset.
        class_names (`list[str]`): Names of the classes in label order.
        where (`str`): Start of error messages.

    Returns:
        `dict[str, Dataset]`: `train` and `test`; `None` if the images do not have the file names of the dataset.
    """
    import torch

    assert isinstance(entry.class_names, str)  # checked with the recipe
    rule, listed = named("datasets")[entry.class_names]["split"], built_in(entry.class_names, where).class_names
    label = columns.find_label_column(rows.features, entry.label_column, where)
    labels = columns.values(rows, label).to_numpy()
    names = [listed[index] for index in range(len(listed))] if class_names is None else class_names
    if sorted(names) != sorted(listed):
        return None
    stems = file_stems(rows, columns.find_image_column(rows.features, entry.image_column, where))
    if any(stem is None or not re.fullmatch(rule["file_name"], stem) for stem in stems):
        return None
    rank = np.array([listed.index(name) for name in names])[labels]
    keys = list(zip(rank.tolist(), stems, strict=True))
    if len(set(keys)) < len(keys):
        return None
    order = sorted(range(len(keys)), key=keys.__getitem__)
    count = int(rule["train_fraction"] * len(order))
    # As `torch.utils.data.random_split` draws two parts.
    drawn = torch.randperm(len(order), generator=torch.Generator().manual_seed(rule["seed"])).tolist()
    chosen = [order[place] for place in drawn]
    return {"train": rows.select(chosen[:count]), "test": rows.select(chosen[count:])}


def file_stems(rows: Dataset, column: str) -> list[str | None]:
    """Names of the image files without folder and suffix; `None` for an image without a name."""
    import pyarrow.compute as pc

    found: list[str | None] = []
    for batch in rows.select_columns(column).with_format("arrow").iter(batch_size=1000):
        paths = pc.struct_field(batch[column], "path").to_pylist()
        found += [PurePath(path).stem if path else None for path in paths]
    return found
