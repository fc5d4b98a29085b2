"""Datasets as a user hands them over: a `datasets.Dataset` becomes a `Task`, or a reference set."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

from ..utils.errors import DataError
from ..utils.names import TASK_NAME
from .references import ReferenceImages
from .task import Task


def training_task(data: Any, argument: str = "train_dataset") -> Task:
    """The task to train on.

    Args:
        data (`Dataset` or `Task`):
            A dataset with a column of images and a column of class labels, whose class names are read from the
            column's `ClassLabel`; the prompt is "a photo of a {}.". A `Task` sets columns, class names and prompts.
        argument (`str`, defaults to `"train_dataset"`): What a message calls the data.

    Raises:
        DataError: Where it is something else, or cannot be used as it is.
    """
    if isinstance(data, Task):
        if data.train is None:
            raise DataError(f"{argument}: the task {data.name} has no training data: give Task(name, train=...)")
        return data
    return _task(_one_split(data, argument), _name(data), "train", argument)


def evaluation_tasks(data: Any, argument: str = "eval_dataset") -> dict[str, Task]:
    """The tasks to evaluate on, by the names under which their accuracy is reported.

    Args:
        data (`Dataset`, `Task`, or a `dict` of them):
            As [`training_task`] takes them. One that is not in a `dict` has the name `""`.
        argument (`str`, defaults to `"eval_dataset"`): What a message calls the data.

    Raises:
        DataError: Where it is something else, or cannot be used as it is.
    """
    named = isinstance(data, Mapping) and not isinstance(data, (DatasetDict, IterableDatasetDict))
    if named and not data:
        raise DataError(f"{argument} is an empty dict: give a `datasets.Dataset` under the name of each")
    return {name: _evaluation_task(each, name, argument) for name, each in (data.items() if named else [("", data)])}


def reference_set(data: Any, argument: str = "reference_images") -> ReferenceImages:
    """The reference images of a dataset with a column of images.

    Args:
        data (`Dataset` or `ReferenceImages`): The images.
        argument (`str`, defaults to `"reference_images"`): What a message calls them.

    Raises:
        DataError: Where it is something else, or has no column of images.
    """
    return data if isinstance(data, ReferenceImages) else ReferenceImages.of(_one_split(data, argument))


def reference_sentences(data: Any, argument: str = "reference_texts") -> list[str]:
    """The reference texts as a list.

    Raises:
        DataError: Where they are no texts.
    """
    texts = [data] if isinstance(data, str) else list(data)
    if isinstance(data, (str, Mapping, Dataset)) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{argument} needs a list of texts, found a {type(data).__name__}; give dataset['text'], say")
    return texts


def _evaluation_task(data: Any, name: str, argument: str) -> Task:
    where = f"{argument}[{name!r}]" if name else argument
    if name and not TASK_NAME.fullmatch(str(name)):
        raise DataError(f"{where}: a name has 1 to 64 letters, digits, '-' and '_'")
    if not isinstance(data, Task):
        return _task(_one_split(data, where), name or _name(data), "test", where)
    if data.test is None:
        raise DataError(f"{where}: the task {data.name} has no test data: give Task(name, test=...)")
    task = copy.copy(data)
    task.name = name or data.name
    return task


def _task(data: Dataset, name: str, split: str, argument: str) -> Task:
    try:
        return Task(name, **{split: data})
    except DataError as error:
        raise DataError(
            f"{argument}: {error}. To set columns, class names or prompts, give Task({name!r}, {split}=..., "
            "class_names=[...]) in its place"
        ) from None


def _one_split(data: Any, argument: str) -> Dataset:
    """A dataset that is one split in memory or on the disk, or a message that says how to get one."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, (DatasetDict, IterableDatasetDict)):
        splits = ", ".join(data)
        raise DataError(
            f"{argument} is a {type(data).__name__} with the splits {splits}: give one of them, such as "
            f"dataset[{next(iter(data), 'train')!r}]"
        )
    if isinstance(data, IterableDataset):
        raise DataError(f"{argument} is streamed, and rows are drawn at random: load it without streaming=True")
    raise DataError(
        f"{argument} needs a `datasets.Dataset`, found a {type(data).__name__}: make one with "
        'Dataset.from_dict({"image": images, "label": labels}), and cast its label column to ClassLabel(names=[...])'
    )


def _name(data: Any) -> str:
    """The dataset's own name as the name of a task."""
    info = getattr(data, "info", None)
    own = re.sub(r"[^A-Za-z0-9_-]+", "-", str(getattr(info, "dataset_name", None) or "")).strip("-")[:64]
    return own if TASK_NAME.fullmatch(own) else "dataset"
