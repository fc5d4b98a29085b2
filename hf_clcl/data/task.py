"""A task: images to learn from, images to be tested on, and the words of their classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..utils.errors import DataError
from ..utils.names import TASK_NAME
from ..utils.required import required
from . import columns
from .kinds import Kind, kind_of
from .texts.captions import captions_of, same_images

if TYPE_CHECKING:
    from datasets import Dataset


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
            Folder of the clips, each a video file or a folder of frames; see
            [`~hf_clcl.data.videos.reading.find_clip`].
        frames (`int`, defaults to 12): Frames drawn evenly from each clip.
        training (`dict[str, Any]`, *optional*): Training values for this task alone.
        source (`str`, *optional*): Where the data comes from, for the model card.
        licence (`str`, *optional*): Licence of the data, for the model card.
        split_note (`str`, *optional*): What the model card should say about the split.

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

    def __post_init__(self) -> None:
        if not TASK_NAME.fullmatch(self.name):
            raise DataError(f"task {self.name!r}: a name has 1 to 64 letters, digits, '-' and '_': it names a folder")
        self._check_splits()
        self._check_templates()
        self.kind.find_columns(self)
        self._unify_splits()
        self.kind.check(self)

    @property
    def kind(self) -> Kind:
        """What its rows are, by the columns that it names."""
        return kind_of(vars(self))

    @property
    def splits(self) -> dict[str, Dataset]:
        """Its data, by `"train"` and `"test"`; a split that it does not have is left out."""
        splits = {"train": self.train, "test": self.test}
        return {split: dataset for split, dataset in splits.items() if dataset is not None}

    @property
    def training_prompts(self) -> list[str]:
        """The prompt trained on, for each class."""
        template = required(self.training_template, "training_template")
        return [template.replace("{}", name) for name in self.class_names or []]

    @property
    def prompts(self) -> list[list[str]]:
        """For each template, the prompt of each class."""
        return [[template.replace("{}", name) for name in self.class_names or []] for template in self.templates]

    def labels(self, split: str) -> np.ndarray:
        """Class indices `[rows]` of `"train"` or `"test"`."""
        column = required(self.label_column, "label_column")
        return columns.values(self.splits[split], column).to_numpy().astype("int64")

    def captions(self, split: str = "train") -> tuple[list[str], list[np.ndarray]]:
        """All captions of `"train"` or `"test"`, and for each image the indices of its own among them."""
        groups = captions_of(self.splits[split], required(self.caption_column, "caption_column"))
        ends = np.cumsum([len(group) for group in groups])
        starts = ends - [len(group) for group in groups]
        texts = [text for group in groups for text in group]
        return texts, [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]

    @property
    def number_of_captions(self) -> int:
        """Captions of all splits together."""
        return sum(len(self.captions(split)[0]) for split in self.splits)

    def same_images(self, split: str) -> np.ndarray:
        """For each row of `"train"` or `"test"` the first row that holds the same image."""
        return same_images(self.splits[split], required(self.image_column, "image_column"))

    @property
    def _where(self) -> str:
        return f"task {self.name}"

    def _check_splits(self) -> None:
        from datasets import Dataset

        if not self.splits:
            raise DataError(
                f"{self._where}: has neither `train` nor `test` data; give at least one `datasets.Dataset`"
            )
        for split, dataset in self.splits.items():
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

    def _unify_splits(self) -> None:
        """Keep the columns needed, as images and class labels, and require the same types in both splits."""
        from datasets import ClassLabel, Image

        of_images = (self.image_column, self.video_column)
        kept = [name for name in (*of_images, self.label_column, self.caption_column) if name is not None]
        for split, dataset in self.splits.items():
            missing = [name for name in kept if name not in dataset.features]
            if missing:
                has = columns.describe(dataset.features)
                raise DataError(f"{self._where}: {split} has no column {missing[0]!r} that train has, but {has}")
            # Other columns may hold images too (masks, say), which every access to a row would decode.
            rows = dataset.select_columns(kept)
            setattr(self, split, columns.as_images(rows, self.image_column) if self.image_column else rows)
        if self.label_column and columns.is_plain_text(next(iter(self.splits.values())).features[self.label_column]):
            encoded = columns.encode_labels(self.splits, self.label_column, self.class_names, self._where)
            self.train, self.test = encoded.get("train"), encoded.get("test")
        if len(self.splits) == 2:
            for name in kept:
                train, test = (dataset.features[name] for dataset in self.splits.values())
                if isinstance(train, ClassLabel) and isinstance(test, ClassLabel) and train.names != test.names:
                    raise DataError(
                        f"{self._where}: train and test name their classes differently ({_difference(train, test)}); "
                        "give both the same ClassLabel, with `Dataset.cast_column` or `align_labels_with_mapping`"
                    )
                both_captions = name == self.caption_column and columns.is_text(train) and columns.is_text(test)
                if not isinstance(train, Image) and train != test and not both_captions:
                    raise DataError(f"{self._where}: column {name!r} is {train} in train, but {test} in test")


def _difference(train: Any, test: Any) -> str:
    for index, (first, second) in enumerate(zip(train.names, test.names, strict=False)):
        if first != second:
            return f"class {index} is {first!r} in train and {second!r} in test"
    return f"{len(train.names)} classes in train, {len(test.names)} in test"
