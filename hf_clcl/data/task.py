"""A task: images to learn from, images to be tested on, and the words of their classes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..utils.errors import DataError
from ..utils.names import TASK_NAME
from . import columns
from .texts.captions import captions_of, same_images
from .videos.rows import categories_of, check_clips, name_column

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Task:
    """One task of a stream. Columns are found and checked when it is made, and the others are left out.

    Args:
        name (`str`): Name of the task: letters, digits, `-` and `_`.
        train (`Dataset`, *optional*): Rows to learn from; `None` for a task that is only evaluated.
        test (`Dataset`, *optional*): Rows to be tested on.
        class_names (`list[str]`, *optional*):
            Words of the classes in label order; the dataset's own where `None`. For videos, their categories.
        templates (`list[str]`, defaults to `["a photo of a {}."]`):
            Prompts with `{}` in the place of the class name, all averaged for evaluation.
        training_template (`str`, *optional*): The prompt trained on; the first of `templates` where `None`.
        image_column (`str`, *optional*): Column of images; found by its type where `None`.
        label_column (`str`, *optional*):
            Column of labels; found by its type where `None`. For videos, of the categories, where they have some.
        caption_column (`str`, *optional*):
            Column of captions, a string or a list of strings a row; each line of a string is a caption, and blank ones
            do not count. It makes this a task of captions, without labels.
        video_column (`str`, *optional*):
            Column of file names or ids of clips. It makes this a task of videos with captions, one row a clip.
        video_root (`str` or `Path`, *optional*):
            Folder of the clips, each a video file or a folder of frames; see [`~data.videos.reading.find_clip`].
        frames (`int`, defaults to 12): Frames drawn evenly from each clip.
        training (`dict[str, Any]`, *optional*): Training values for this task alone.
        source (`str`, *optional*): Where the data comes from, for the model card.
        licence (`str`, *optional*): Licence of the data, for the model card.
        split_note (`str`, *optional*): What the model card should say about the split.
        split_members (`str`, *optional*):
            Which rule chose the members of train and test, if there is no official split: `published` or `seeded`.

    Raises:
        DataError: Where the data cannot be used as it is; the message names the task and what to do.
    """

    name: str
    train: Dataset | None = None
    test: Dataset | None = None
    class_names: list[str] | None = None
    templates: list[str] = field(default_factory=lambda: ["a photo of a {}."])
    training_template: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    caption_column: str | None = None
    video_column: str | None = None
    video_root: str | Path | None = None
    frames: int = 12
    training: dict[str, Any] = field(default_factory=dict)
    source: str | None = None
    licence: str | None = None
    split_note: str | None = None
    split_members: str | None = None

    def __post_init__(self) -> None:
        if not TASK_NAME.fullmatch(self.name):
            raise DataError(f"task {self.name!r}: a name has 1 to 64 letters, digits, '-' and '_': it names a folder")
        self._check_splits()
        self._check_templates()
        features = next(iter(self._splits.values())).features
        if self.kind == "videos":
            self._check_videos()
        else:
            self.image_column = columns.find_image_column(features, self.image_column, self._where)
        if self.kind != "classification":
            self.caption_column = columns.find_text_column(features, self.caption_column, self._where)
        else:
            self.label_column = columns.find_label_column(features, self.label_column, self._where)
        self._unify_splits()
        if self.kind == "classification":
            self._read_class_names()
            self._check_labels()
        else:
            self._check_captions()

    @property
    def kind(self) -> str:
        """`"classification"`, `"captions"` or `"videos"`."""
        if self.video_column is not None:
            return "videos"
        return "classification" if self.caption_column is None else "captions"

    @property
    def training_prompts(self) -> list[str]:
        """The prompt trained on, for each class."""
        return [self.training_template.replace("{}", name) for name in self.class_names or []]

    @property
    def prompts(self) -> list[list[str]]:
        """For each template, the prompt of each class."""
        return [[template.replace("{}", name) for name in self.class_names or []] for template in self.templates]

    def labels(self, split: str) -> np.ndarray:
        """Class indices `[rows]` of `"train"` or `"test"`."""
        return columns.values(self._splits[split], self.label_column).to_numpy().astype("int64")

    def captions(self, split: str = "train") -> tuple[list[str], list[np.ndarray]]:
        """All captions of `"train"` or `"test"`, and for each image the indices of its own among them."""
        groups = captions_of(self._splits[split], self.caption_column)
        ends = np.cumsum([len(group) for group in groups])
        starts = ends - [len(group) for group in groups]
        texts = [text for group in groups for text in group]
        return texts, [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]

    @property
    def number_of_captions(self) -> int:
        """Captions of all splits together."""
        return sum(len(self.captions(split)[0]) for split in self._splits)

    def same_images(self, split: str) -> np.ndarray:
        """For each row of `"train"` or `"test"` the first row that holds the same image."""
        return same_images(self._splits[split], self.image_column)

    @property
    def _where(self) -> str:
        return f"task {self.name}"

    @property
    def _splits(self) -> dict[str, Dataset]:
        splits = {"train": self.train, "test": self.test}
        return {split: dataset for split, dataset in splits.items() if dataset is not None}

    def _check_splits(self) -> None:
        from datasets import Dataset

        if not self._splits:
            raise DataError(
                f"{self._where}: has neither `train` nor `test` data; give at least one `datasets.Dataset`"
            )
        for split, dataset in self._splits.items():
            if not isinstance(dataset, Dataset):
                kind = type(dataset).__name__
                raise DataError(f"{self._where}: {split} must be a `datasets.Dataset` (one split), found a {kind}")
            if len(dataset) == 0:
                raise DataError(f"{self._where}: {split} has no rows; check the split and any filter before it")

    def _check_templates(self) -> None:
        if isinstance(self.templates, str):
            self.templates = [self.templates]
        if not self.templates:
            raise DataError(f"{self._where}: templates is empty; leave it out or list at least one")
        self.training_template = self.training_template or self.templates[0]
        for template in [*self.templates, self.training_template]:
            if template.count("{}") != 1:
                raise DataError(f"{self._where}: template {template!r} needs one {{}} for the class name")

    def _check_videos(self) -> None:
        if self.video_root is None or not Path(self.video_root).is_dir():
            problem = f"{self.video_root} is no folder" if self.video_root else "`video_root` is missing"
            raise DataError(f"{self._where}: {problem}; give the folder that holds the clips as `video_root`")
        if self.frames < 1:
            raise DataError(f"{self._where}: frames must be at least 1, found {self.frames}")
        for split, dataset in self._splits.items():
            names = name_column(dataset, self.video_column, f"{self._where}: {split}")
            check_clips(names, Path(self.video_root), f"{self._where}: {split}")
        if self.label_column is not None:
            self.class_names = self.class_names or categories_of(self._splits, self.label_column, self._where)
            self.label_column = None  # a category tells which task a clip belongs to, and is not learnt

    def _unify_splits(self) -> None:
        """Keep the columns needed, as images and class labels, and require the same types in both splits."""
        from datasets import ClassLabel, Image

        of_images = (self.image_column, self.video_column)
        kept = [name for name in (*of_images, self.label_column, self.caption_column) if name is not None]
        for split, dataset in self._splits.items():
            missing = [name for name in kept if name not in dataset.features]
            if missing:
                has = columns.describe(dataset.features)
                raise DataError(f"{self._where}: {split} has no column {missing[0]!r} that train has, but {has}")
            # Other columns may hold images too (masks, say), which every access to a row would decode.
            rows = dataset.select_columns(kept)
            setattr(self, split, columns.as_images(rows, self.image_column) if self.image_column else rows)
        if self.label_column and columns.is_plain_text(next(iter(self._splits.values())).features[self.label_column]):
            encoded = columns.encode_labels(self._splits, self.label_column, self.class_names, self._where)
            self.train, self.test = encoded.get("train"), encoded.get("test")
        if len(self._splits) == 2:
            for name in kept:
                train, test = self.train.features[name], self.test.features[name]
                if isinstance(train, ClassLabel) and isinstance(test, ClassLabel) and train.names != test.names:
                    raise DataError(
                        f"{self._where}: train and test name their classes differently ({_difference(train, test)}); "
                        "give both the same ClassLabel, with `Dataset.cast_column` or `align_labels_with_mapping`"
                    )
                both_captions = name == self.caption_column and columns.is_text(train) and columns.is_text(test)
                if not isinstance(train, Image) and train != test and not both_captions:
                    raise DataError(f"{self._where}: column {name!r} is {train} in train, but {test} in test")

    def _read_class_names(self) -> None:
        label = next(iter(self._splits.values())).features[self.label_column]
        own = getattr(label, "names", None)
        if self.class_names is None:
            what = f"label column {self.label_column!r}"
            if own is None:
                raise DataError(f"{self._where}: {what} has numbers without names; give `class_names` in their order")
            self.class_names = [columns.words(name) for name in own]
            if all(name.isdigit() for name in self.class_names):
                raise DataError(
                    f"{self._where}: the classes of {what} are named by numbers only "
                    f"({columns.some(self.class_names)}), which tell CLIP nothing; give their words as `class_names`"
                )
        self.class_names = [str(name) for name in self.class_names]
        repeated = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if repeated:
            raise DataError(f"{self._where}: two classes are called {repeated[0]!r}; no prompt can tell them apart")
        if not all(name.strip() for name in self.class_names):
            number = [bool(name.strip()) for name in self.class_names].index(False)
            raise DataError(f"{self._where}: class {number} has an empty name; give it words in `class_names`")
        if own is not None and len(own) != len(self.class_names):
            raise DataError(
                f"{self._where}: {len(self.class_names)} class names for the {len(own)} classes of the dataset "
                f"({columns.some(own)}); `class_names` needs one for each, in label order"
            )

    def _check_labels(self) -> None:
        number = len(self.class_names)
        for split, dataset in self._splits.items():
            # A missing label becomes -1 and is reported like any other that is out of range.
            labels = columns.values(dataset, self.label_column).fill_null(-1).to_numpy()
            wrong = np.flatnonzero((labels < 0) | (labels >= number))
            if len(wrong):
                raise DataError(
                    f"{self._where}: row {wrong[0]} of {split} has the label {labels[wrong[0]]}, but with {number} "
                    f"class names labels run from 0 to {number - 1} ({len(wrong)} such rows); drop them, or list "
                    "every class in `class_names`"
                )
            unseen = np.flatnonzero(np.bincount(labels, minlength=number) == 0)
            if split == "train" and len(unseen):
                names = columns.some([self.class_names[index] for index in unseen])
                logger.warning("%s: %d classes have no training image: %s", self._where, len(unseen), names)

    def _check_captions(self) -> None:
        for split, dataset in self._splits.items():
            captions = captions_of(dataset, self.caption_column)
            empty = [row for row, found in enumerate(captions) if not found]
            if empty:
                raise DataError(
                    f"{self._where}: row {empty[0]} of {split} has no caption in {self.caption_column!r} "
                    f"({len(empty)} such rows); drop them, or name another column"
                )


def _difference(train: Any, test: Any) -> str:
    for index, (first, second) in enumerate(zip(train.names, test.names, strict=False)):
        if first != second:
            return f"class {index} is {first!r} in train and {second!r} in test"
    return f"{len(train.names)} classes in train, {len(test.names)} in test"
