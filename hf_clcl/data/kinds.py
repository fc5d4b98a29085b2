"""Kinds of data: images with labels, images with captions, videos.

A new kind is one class in this file, listed in `KINDS`. A kind without labels also has a line in `SEARCHES` of
`evaluation/evaluator.py`, which names the search of its test data.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from ..utils.errors import DataError
from ..utils.required import required
from . import columns
from .texts.captions import captions_of
from .videos.reading import find_clip, read_frames
from .videos.rows import categories_of, check_clips, name_column

if TYPE_CHECKING:
    from datasets import Dataset

    from .images.frames import Frames, ImageCache, ImageProcessor

logger = logging.getLogger(__name__)


class TaskFields(Protocol):
    """The attributes of a [`~hf_clcl.data.task.Task`] that a kind reads and sets."""

    name: str
    train: Dataset | None
    test: Dataset | None
    class_names: list[str] | None
    image_column: str | None
    label_column: str | None
    caption_column: str | None
    video_column: str | None
    video_root: str | Path | None
    frames: int

    @property
    def splits(self) -> dict[str, Dataset]: ...


class Kind(ABC):
    """A kind of data. There is one object for each kind.

    Attributes:
        name (`str`): Name of the kind.
        column (`str`, *optional*): A task, or an entry of a recipe, that sets this key is of this kind.
        noun (`str`, defaults to `"images"`): Name of its items in messages.
        has_labels (`bool`, defaults to `True`):
            Whether each item has a label, so that accuracy is measured in each scenario. Items without labels have
            captions, which the model is trained on. Their test data are searched, and recall is measured.
        needs_test (`bool`, defaults to `True`): Whether a task of the stream must have test data.
        has_images (`bool`, defaults to `True`): Whether an item is one image, which a page can show.
        keeps_database (`bool`, defaults to `False`):
            Whether test items are embedded once, when their task ends, and kept in a database. Later models search it.
    """

    name: ClassVar[str]
    column: ClassVar[str | None] = None
    noun: ClassVar[str] = "images"
    has_labels: ClassVar[bool] = True
    needs_test: ClassVar[bool] = True
    has_images: ClassVar[bool] = True
    keeps_database: ClassVar[bool] = False

    def __repr__(self) -> str:
        return f"<Kind {self.name}>"

    @abstractmethod
    def find_columns(self, task: TaskFields) -> None:
        """Set the columns of a task, from the names that the user gave and the types in its first split.

        Raises:
            DataError: If a column is missing, or more than one fits.
        """

    @abstractmethod
    def check(self, task: TaskFields) -> None:
        """Check the rows of a task, and set its class names.

        Raises:
            DataError: If the data cannot be used.
        """

    def item_column(self, task: TaskFields) -> str:
        """The column of the items."""
        return required(task.image_column, f"image_column of task {task.name}")

    def decodes(self, task: TaskFields) -> Callable[[Any], bool] | None:
        """A function that says whether a cell of `item_column` can be decoded; `None` for images of `datasets`."""
        return None

    def batch_shape(self, task: TaskFields) -> Hashable:
        """A key that two tasks must share, so that one training batch can hold rows of both."""
        return self.name

    def frames_of(
        self,
        task: TaskFields,
        dataset: Dataset,
        processor: ImageProcessor,
        cache: ImageCache | None,
        min_crop_scale: float,
    ) -> Frames:
        """The items of one split as model inputs; see [`~hf_clcl.data.task_data.frames_of`]."""
        from .images.frames import Frames  # imports torch, which reading recipes and records does not need

        return Frames(dataset, self.item_column(task), processor, cache, task.name, min_crop_scale)


class Classification(Kind):
    """An image with a label."""

    name = "classification"

    def find_columns(self, task: TaskFields) -> None:
        features, where = _features(task), f"task {task.name}"
        task.image_column = columns.find_image_column(features, task.image_column, where)
        task.label_column = columns.find_label_column(features, task.label_column, where)

    def check(self, task: TaskFields) -> None:
        _read_class_names(task)
        _check_labels(task)


class Captions(Kind):
    """An image with captions."""

    name = "captions"
    column = "caption_column"
    has_labels = False
    needs_test = False

    def find_columns(self, task: TaskFields) -> None:
        features, where = _features(task), f"task {task.name}"
        task.image_column = columns.find_image_column(features, task.image_column, where)
        task.caption_column = columns.find_text_column(features, task.caption_column, where)

    def check(self, task: TaskFields) -> None:
        _check_captions(task)


class Videos(Captions):
    """A clip with captions, and possibly a category."""

    name = "videos"
    column = "video_column"
    noun = "clips"
    needs_test = True
    has_images = False
    keeps_database = True

    def find_columns(self, task: TaskFields) -> None:
        where = f"task {task.name}"
        if task.video_root is None or not Path(task.video_root).is_dir():
            problem = f"{task.video_root} is not a folder" if task.video_root else "`video_root` is missing"
            raise DataError(f"{where}: {problem}; give the folder that holds the clips as `video_root`")
        if task.frames < 1:
            raise DataError(f"{where}: frames must be at least 1, got {task.frames}")
        for split, dataset in task.splits.items():
            names = name_column(dataset, self.item_column(task), f"{where}: {split}")
            check_clips(names, Path(task.video_root), f"{where}: {split}")
        if task.label_column is not None:
            task.class_names = task.class_names or categories_of(task.splits, task.label_column, where)
            task.label_column = None  # categories choose the clips of a task and are not trained on
        task.caption_column = columns.find_text_column(_features(task), task.caption_column, where)

    def item_column(self, task: TaskFields) -> str:
        return required(task.video_column, f"video_column of task {task.name}")

    def decodes(self, task: TaskFields) -> Callable[[Any], bool] | None:
        root, frames = Path(task.video_root or ""), task.frames

        def decodes(name: str) -> bool:
            path = find_clip(name, root, "clip")
            try:
                return path is not None and bool(read_frames(path, frames, "clip"))
            except DataError:
                return False

        return decodes

    def batch_shape(self, task: TaskFields) -> Hashable:
        return self.name, task.frames

    def frames_of(
        self,
        task: TaskFields,
        dataset: Dataset,
        processor: ImageProcessor,
        cache: ImageCache | None,
        min_crop_scale: float,
    ) -> Frames:
        from .videos.clips import Clips  # imports torch

        root = Path(task.video_root or "")
        column = self.item_column(task)
        return Clips(dataset, column, root, task.frames, processor, cache, task.name, min_crop_scale)


CLASSIFICATION, CAPTIONS, VIDEOS = Classification(), Captions(), Videos()

KINDS: tuple[Kind, ...] = (VIDEOS, CAPTIONS, CLASSIFICATION)
"""All kinds. A task is of the first kind whose column it sets; the last kind has no such column."""


def kind_of(keys: Mapping[str, Any]) -> Kind:
    """Return the kind of a task.

    Args:
        keys (`Mapping[str, Any]`): The fields of a task, or the entry of a recipe or of a record.
    """
    return next(kind for kind in KINDS if kind.column is None or keys.get(kind.column) is not None)


def _features(task: TaskFields) -> Any:
    return next(iter(task.splits.values())).features


def _read_class_names(task: TaskFields) -> None:
    where = f"task {task.name}"
    label = _features(task)[task.label_column]
    own = getattr(label, "names", None)
    if task.class_names is None:
        what = f"label column {task.label_column!r}"
        if own is None:
            raise DataError(f"{where}: {what} has numbers without names; give `class_names` in their order")
        task.class_names = [columns.words(name) for name in own]
        if all(name.isdigit() for name in task.class_names):
            raise DataError(
                f"{where}: the classes of {what} are named by numbers only "
                f"({columns.some(task.class_names)}), which mean nothing to CLIP; give words as `class_names`"
            )
    task.class_names = [str(name) for name in task.class_names]
    repeated = sorted({name for name in task.class_names if task.class_names.count(name) > 1})
    if repeated:
        raise DataError(
            f"{where}: two classes are called {repeated[0]!r}; give each class a name of its own in `class_names`"
        )
    if not all(name.strip() for name in task.class_names):
        number = [bool(name.strip()) for name in task.class_names].index(False)
        raise DataError(f"{where}: class {number} has an empty name; give it a name in `class_names`")
    if own is not None and len(own) != len(task.class_names):
        raise DataError(
            f"{where}: {len(task.class_names)} class names for the {len(own)} classes of the dataset "
            f"({columns.some(own)}); `class_names` needs one for each, in label order"
        )


def _check_labels(task: TaskFields) -> None:
    where = f"task {task.name}"
    class_names = required(task.class_names, f"class_names of {where}")
    number, label_column = len(class_names), required(task.label_column, f"label_column of {where}")
    for split, dataset in task.splits.items():
        # A missing label becomes -1 and is reported like any other that is out of range.
        labels = columns.values(dataset, label_column).fill_null(-1).to_numpy()
        wrong = np.flatnonzero((labels < 0) | (labels >= number))
        if len(wrong):
            raise DataError(
                f"{where}: row {wrong[0]} of {split} has the label {labels[wrong[0]]}, but with {number} "
                f"class names labels must be 0 to {number - 1} ({len(wrong)} such rows); drop them, or list "
                "every class in `class_names`"
            )
        unseen = np.flatnonzero(np.bincount(labels, minlength=number) == 0)
        if split == "train" and len(unseen):
            names = columns.some([class_names[index] for index in unseen])
            logger.warning("%s: %d classes have no training image: %s", where, len(unseen), names)


def _check_captions(task: TaskFields) -> None:
    where = f"task {task.name}"
    column = required(task.caption_column, f"caption_column of {where}")
    for split, dataset in task.splits.items():
        captions = captions_of(dataset, column)
        empty = [row for row, texts in enumerate(captions) if not texts]
        if empty:
            raise DataError(
                f"{where}: row {empty[0]} of {split} has no caption in {task.caption_column!r} "
                f"({len(empty)} such rows); drop them, or name another column"
            )
