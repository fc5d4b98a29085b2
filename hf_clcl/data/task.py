"""A task of a stream: training data, test data, class names and prompts."""

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
    """One task of a stream. It detects and checks its columns when it is created, and drops all others.

    Args:
        name (`str`): Name of the task: letters, digits, `-` and `_`.
        train (`Dataset`, *optional*): Training rows; `None` for a task that is only evaluated.
        test (`Dataset`, *optional*): Test rows.
        class_names (`list[str]`, *optional*):
            Class names in label order; the dataset's own if `None`. For videos, the names of their categories.
        templates (`list[str]`, defaults to `["a photo of a {}."]`):
            Prompts with `{}` for the class name. Evaluation averages the embeddings of all.
        training_template (`str`, *optional*): The prompt for training; the first of `templates` if `None`.
        image_column (`str`, *optional*): Column of images; detected by its type if `None`.
        label_column (`str`, *optional*):
            Column of labels; detected by its type if `None`. For videos, column of categories, if they have some.
        caption_column (`str`, *optional*):
            Column of captions: a string or a list of strings per row. Each line of a string is a caption, and blank
            lines are ignored. If it is set, the task has captions and no labels.
        video_column (`str`, *optional*):
            Column of file names or ids of clips, one clip per row. If it is set, the task has videos with captions.
        video_root (`str` or `Path`, *optional*):
            Folder of the clips, each a video file or a folder of frames; see
            [`~hf_clcl.data.videos.reading.find_clip`].
        frames (`int`, defaults to 12): Frames drawn evenly from each clip.
        training (`dict[str, Any]`, *optional*): Training values for this task alone.
        source (`str`, *optional*): Where the data comes from, for the model card.
        licence (`str`, *optional*): Licence of the data, for the model card.
        split_note (`str`, *optional*): What the model card should say about the split.
        split_members (`str`, *optional*):
            Which rule chose the members of train and test, if there is no official split: `published` or `seeded`.

    Raises:
        DataError: If the data cannot be used; the message names the task and says what to do.
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
            raise DataError(
                f"task {self.name!r}: a name must have 1 to 64 letters, digits, '-' and '_', since it names a folder"
            )
        self._check_splits()
        self._check_templates()
        self.kind.find_columns(self)
        self._unify_splits()
        self.kind.check(self)

    @property
    def kind(self) -> Kind:
        """The kind of its data, by the columns that are set."""
        return kind_of(vars(self))

    @property
    def splits(self) -> dict[str, Dataset]:
        """Its data by `"train"` and `"test"`; a missing split is left out."""
        splits = {"train": self.train, "test": self.test}
        return {split: dataset for split, dataset in splits.items() if dataset is not None}

    @property
    def training_prompts(self) -> list[str]:
        """The training prompt of each class."""
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
        """All captions of `"train"` or `"test"`, and for each image the indices of its captions."""
        groups = captions_of(self.splits[split], required(self.caption_column, "caption_column"))
        ends = np.cumsum([len(group) for group in groups])
        starts = ends - [len(group) for group in groups]
        texts = [text for group in groups for text in group]
        return texts, [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]

    @property
    def number_of_captions(self) -> int:
        """Number of captions of all splits."""
        return sum(len(self.captions(split)[0]) for split in self.splits)

    def same_images(self, split: str) -> np.ndarray:
        """For each row of `"train"` or `"test"`, the index of the first row with the same image."""
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
                raise DataError(f"{self._where}: {split} must be a `datasets.Dataset` (one split), got a {kind}")
            if len(dataset) == 0:
                raise DataError(f"{self._where}: {split} has no rows; check the split and any filter before it")

    def _check_templates(self) -> None:
        if isinstance(self.templates, str):
            self.templates = [self.templates]
        if not self.templates:
            raise DataError(
                f"{self._where}: templates must have at least one entry, got none; add one, or leave it out"
            )
        self.training_template = self.training_template or self.templates[0]
        for template in [*self.templates, self.training_template]:
            if template.count("{}") != 1:
                raise DataError(f"{self._where}: template {template!r} needs one {{}} for the class name")

    def _unify_splits(self) -> None:
        """Keep the needed columns, as images and class labels, and require the same types in both splits."""
        from datasets import ClassLabel, Image

        of_images = (self.image_column, self.video_column)
        kept = [name for name in (*of_images, self.label_column, self.caption_column) if name is not None]
        for split, dataset in self.splits.items():
            missing = [name for name in kept if name not in dataset.features]
            if missing:
                has = columns.describe(dataset.features)
                raise DataError(
                    f"{self._where}: {split} has no column {missing[0]!r}, which train has; its columns are {has}"
                )
            # Drop other columns: they may hold images too (such as masks), and each access to a row would decode them.
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
