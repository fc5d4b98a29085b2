"""Subsets of a dataset: by class, by number of rows, by images per class (few-shot), or by words in captions."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..config.entries import TaskEntry
from ..utils.errors import DataError
from . import columns
from .texts.captions import captions_of
from .texts.prompts import built_in

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

LEFT_OUT = -1
"""The label of rows whose class is dropped. They are dropped after the split into train and test, so that the split
does not depend on the classes chosen."""


def choose_classes(
    entry: TaskEntry, splits: dict[str, Dataset], class_names: list[str] | None, where: str
) -> tuple[dict[str, Dataset], list[str] | None]:
    """Renumber the labels of the classes that `entry` keeps; rows of other classes get the label `LEFT_OUT`.

    Args:
        entry (`TaskEntry`): Its `classes` or `drop_classes` choose the classes.
        splits (`dict[str, Dataset]`): Rows of all classes.
        class_names (`list[str]`, *optional*): Names of all classes in label order; the dataset's own if `None`.
        where (`str`): Prefix of error messages.

    Returns:
        `tuple[dict[str, Dataset], list[str] | None]`: The splits, and the names of the classes kept.

    Raises:
        DataError: If a class does not exist, or none is left.
    """
    from datasets import ClassLabel

    if entry.classes is None and entry.drop_classes is None:
        return splits, class_names
    column = columns.find_label_column(next(iter(splits.values())).features, entry.label_column, where)
    if columns.is_plain_text(next(iter(splits.values())).features[column]):
        splits = columns.encode_labels(splits, column, class_names, where)
    own = getattr(next(iter(splits.values())).features[column], "names", None) or class_names
    if own is None:
        raise DataError(
            f"{where}: label column {column!r} has numbers without names; give `class_names` in their order"
        )
    if class_names is not None and len(class_names) != len(own):
        return splits, class_names  # `Task` reports that they do not match
    kept = _kept(entry, own, class_names or own, where)
    new_label = np.full(len(own), LEFT_OUT)
    new_label[kept] = np.arange(len(kept))
    feature = ClassLabel(names=[own[label] for label in kept])
    for split, rows in splits.items():
        labels = columns.values(rows, column).fill_null(LEFT_OUT).to_numpy()
        valid = (labels >= 0) & (labels < len(own))
        if not valid.all():
            raise DataError(
                f"{where}: row {np.flatnonzero(~valid)[0]} of {split} has no label from 0 to {len(own) - 1}; drop it"
            )
        renamed = rows.remove_columns(column).add_column(column, new_label[labels], feature=feature)
        splits = {**splits, split: renamed}
    return splits, [class_names[label] for label in kept] if class_names else None


def drop_left_out(entry: TaskEntry, splits: dict[str, Dataset], where: str) -> dict[str, Dataset]:
    """Drop the rows that [`choose_classes`] labelled `LEFT_OUT`."""
    if entry.classes is None and entry.drop_classes is None:
        return splits
    kept = {}
    for split, rows in splits.items():
        column = columns.find_label_column(rows.features, entry.label_column, where)
        kept[split] = rows.select(np.flatnonzero(columns.values(rows, column).to_numpy() != LEFT_OUT))
        if not len(kept[split]):
            raise DataError(f"{where}: {split} has no image of the classes kept; choose others with `classes`")
    return kept


def take_some(rows: Dataset, number: int | None, seed: int) -> Dataset:
    """Draw `number` rows with a seed; all rows if there are no more, or if `number` is `None`."""
    if number is None or number >= len(rows):
        return rows
    return rows.shuffle(seed=seed).select(range(number))


def draw_few(rows: Dataset, column: str, shots: int, names: list[str], seed: int, where: str) -> Dataset:
    """Draw `shots` rows of each class with a seed, in their order. If a class has fewer, use all and log a warning.

    Args:
        rows (`Dataset`): Training rows.
        column (`str`): Column of labels, from 0.
        shots (`int`): Rows of each class.
        names (`list[str]`): Names of the classes, for the warning.
        seed (`int`): Seed. The rows drawn of a class depend only on it and on the rows of that class.
        where (`str`): Prefix of the warning.
    """
    labels = columns.values(rows, column).to_numpy()
    of_class = [np.flatnonzero(labels == label) for label in range(len(names))]
    fewer = {name: len(own) for name, own in zip(names, of_class, strict=True) if len(own) < shots}
    if fewer:
        listed = columns.some([f"{name} ({count})" for name, count in fewer.items()])
        logger.warning(
            "%s: %d classes have fewer than the %d images of few_shot: %s", where, len(fewer), shots, listed
        )
    drawn = [np.random.default_rng(seed).permutation(own)[:shots] for own in of_class]
    return rows.select(np.sort(np.concatenate(drawn)))


def choose_by_words(entry: TaskEntry, splits: dict[str, Dataset], where: str) -> dict[str, Dataset]:
    """Keep images whose captions have one of `caption_words` of the entry and none of `drop_caption_words`.

    Raises:
        DataError: If no image is left.
    """
    if entry.caption_words is None and entry.drop_caption_words is None:
        return splits
    wanted, unwanted = (_any_word(words) for words in (entry.caption_words, entry.drop_caption_words))
    chosen = {}
    for split, rows in splits.items():
        column = columns.find_text_column(rows.features, entry.caption_column, where)
        captions = map("\n".join, captions_of(rows, column))
        kept = [row for row, text in enumerate(captions) if (wanted is None or wanted.search(text))
                and not (unwanted and unwanted.search(text))]  # fmt: skip
        if not kept:
            raise DataError(f"{where}: {split} has no image with such captions; change caption_words")
        chosen[split] = rows.select(kept)
    return chosen


def _any_word(words: list[str] | None) -> re.Pattern[str] | None:
    return re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE) if words else None


def _kept(entry: TaskEntry, own: list[str], class_names: list[str], where: str) -> list[int]:
    """Labels of the classes kept, in their new order."""
    key = "classes" if entry.classes is not None else "drop_classes"
    known: dict[int | str, int] = {}
    if isinstance(entry.class_names, str):  # other spellings that the list knows, such as WordNet ids
        places = {name: label for label, name in enumerate(class_names)}
        also_called = built_in(entry.class_names, where).also_called
        known |= {other: places[word] for other, word in also_called.items() if word in places}
    spellings: list[Sequence[int | str]] = [class_names, [columns.words(name) for name in own], own, range(len(own))]
    for names in spellings:
        known |= {name: label for label, name in enumerate(names)}
    asked = getattr(entry, key)
    for name in asked:
        if name not in known:
            near = difflib.get_close_matches(str(name), own, n=3, cutoff=0.5) or own[:5]
            raise DataError(
                f"{where}: {key}: there is no class {name!r}; the dataset has {len(own)} classes, labels 0 to "
                f"{len(own) - 1}; similar classes are {', '.join(map(repr, near))}"
            )
    labels = [known[name] for name in asked]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise DataError(f"{where}: {key}: class {own[twice]!r} is listed twice, by name and by label")
    if key == "classes":
        return labels
    if len(labels) == len(own):
        raise DataError(f"{where}: drop_classes leaves no class of the {len(own)}; keep at least one")
    return [label for label in range(len(own)) if label not in labels]
