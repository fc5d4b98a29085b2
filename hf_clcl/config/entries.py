"""Entries of a recipe: the location of a dataset, and the part of it that a task uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval

from .protocols import named, unknown


@dataclass
class DatasetEntry:
    """Location of a dataset and how to read it.

    Args:
        dataset (`str`):
            A Hub dataset id, a local folder (images in one folder a class, Parquet files, webdataset tars, or a
            `Dataset.save_to_disk` folder), a Parquet file, or `rendered:<domain>` for the built-in rendered world.
            Relative paths are looked up in `data_root` first.
        config (`str`, *optional*): Configuration of a Hub dataset.
        revision (`str`, *optional*): Branch, tag or commit of a Hub dataset.
        image_column (`str`, *optional*): Column of images; detected by its type if not given.
        caption_column (`str`, *optional*): Column of captions (a string or a list of strings).
        licence (`str`, *optional*): Licence of the data, for the model card.
    """

    dataset: str
    config: str | None = None
    revision: str | None = None
    image_column: str | None = None
    caption_column: str | None = None
    licence: str | None = None


@dataclass
class TaskEntry(DatasetEntry):
    """One task of the stream, or one dataset that is only evaluated.

    Args:
        name (`str`): Name of the task: letters, digits, `-` and `_`.
        train_split (`str`, defaults to `"train"`): Training split. Slices such as `train[:80%]` are allowed.
        test_split (`str`, defaults to `"test"`): Test split.
        test_fraction (`float`, *optional*):
            For datasets with a single split: this share of `train_split`, drawn with seed 42, is the test set.
        split (`str`, defaults to `"seeded"`):
            Which rows `test_fraction` takes: `seeded` (drawn from the order of the rows with seed 42) or `published`
            (the members of the published split of the protocol that `class_names` names). A published split needs the
            file names of the images; if the dataset has none, the split is `seeded`, and the card says so.
        label_column (`str`, *optional*): Column of labels; detected by its type if not given.
        class_names (`list[str]`, `dict[str, str]` or `str`, *optional*):
            Words for the classes in label order; or a renaming `{name in the dataset: words}`; or the name of a
            built-in list (see `hf_clcl/assets/prompts.json`) or of a protocol's list such as `zscl_mtil/sun397` (see
            `hf_clcl/assets/protocols`). Defaults to the names in the dataset.
        templates (`list[str]` or `str`, *optional*):
            Prompts with `{}` for the class name, or the name of a built-in list. The first one is used for training,
            all are averaged for evaluation.
        training_template (`str`, *optional*): The prompt for training, if it is not the first of `templates`.
        classes (`list[int | str]`, *optional*):
            Keep only these classes, given by label or name. Labels are numbered in the order of this list.
        drop_classes (`list[int | str]`, *optional*): Keep all classes except these; labels are numbered again.
        caption_words (`list[str]`, *optional*):
            In a dataset of captions, keep the images with a caption that has one of these words, in any case.
        drop_caption_words (`list[str]`, *optional*): Keep the images without a caption that has one of these words.
        few_shot (`int`, *optional*):
            Number of training images of each class, drawn with the seed of the run. If a class has fewer, all of them
            are used, with a warning. Defaults to `few_shot` of the recipe.
        take_train (`int`, *optional*): At most this many training images, drawn with the seed of the run.
        take_test (`int`, *optional*): At most this many test images, drawn with the seed of the run.
        expect (`dict[str, int]`, *optional*):
            Numbers to check the data against: `classes`, `train`, `test`, after `classes` or `drop_classes` and before
            `few_shot`, `take_train` and `take_test`.
        expect_dataset (`dict[str, int]`, *optional*): The same numbers before `classes` or `drop_classes`.
        split_note (`str`, *optional*): What the model card should say about the split.
        video_column (`str`, *optional*):
            Column of file names or ids of clips. With it, this is a task of videos, whose classes are categories.
        video_root (`str`, *optional*): Folder of the clips, each a video file or a folder of frames.
        frames (`int`, defaults to 12): Frames drawn evenly from each clip.
        skip_missing_videos (`bool`, defaults to `False`): Skip rows whose clip is missing, and log how many.
        label_file (`str`, *optional*):
            JSON file with the category of each clip by its id, if the dataset has no categories: `{id: category}`, or
            the file of ActivityNet.
        test_config (`str`, *optional*): Configuration of the test split, if it is not `config`.
        members (`str`, *optional*):
            Published training and test clips with their categories, such as `ctvr/msrvtt` (see
            `hf_clcl/assets/protocols`). They are looked up by id in all splits of the dataset.
        take_train_captions (`int`, *optional*): Of `members`, use only the first captions of each training clip.
        take_test_captions (`int`, *optional*): The same for a test clip.
        training (`dict`): Training values for this task only. In YAML they are beside the keys above.
    """

    name: str = field(default="", metadata={"required": True})
    train_split: str = "train"
    test_split: str = "test"
    test_fraction: Annotated[float, Interval(gt=0, lt=1)] | None = None
    split: Literal["seeded", "published"] = "seeded"
    label_column: str | None = None
    class_names: list[str] | dict[str, str] | str | None = None
    templates: list[str] | str | None = None
    training_template: str | None = None
    classes: list[int | str] | None = None
    drop_classes: list[int | str] | None = None
    caption_words: list[str] | None = None
    drop_caption_words: list[str] | None = None
    few_shot: Annotated[int, Ge(1)] | None = None
    take_train: Annotated[int, Ge(1)] | None = None
    take_test: Annotated[int, Ge(1)] | None = None
    expect: dict[str, int] | None = None
    expect_dataset: dict[str, int] | None = None
    split_note: str | None = None
    video_column: str | None = None
    video_root: str | None = None
    frames: Annotated[int, Ge(1)] = 12
    skip_missing_videos: bool = False
    label_file: str | None = None
    test_config: str | None = None
    members: str | None = None
    take_train_captions: Annotated[int, Ge(1)] | None = None
    take_test_captions: Annotated[int, Ge(1)] | None = None
    training: dict[str, Any] = field(default_factory=dict)

    def shots(self, default: int | None) -> int | None:
        """Training images of each class: `few_shot`, or a default if no other value sets their number.

        Args:
            default (`int`, *optional*): `few_shot` of the recipe.
        """
        values = (self.few_shot, self.take_train, self.caption_column, self.video_column)
        return default if values == (None,) * len(values) else self.few_shot

    @property
    def has_classes(self) -> bool:
        """Whether its rows belong to classes: those of images without captions, or categories of videos."""
        if self.video_column is not None:
            return (self.label_column, self.label_file, self.members) != (None, None, None)
        return self.caption_column is None

    def read(self, evaluated: bool = False) -> str:
        """Description of the data, such as `uoft-cs/cifar100, train and test`.

        Args:
            evaluated (`bool`, defaults to `False`): Whether the dataset is only evaluated.
        """
        if self.test_fraction is not None:
            splits = f"{self.train_split}, {self.test_fraction:.0%} of it for testing"
        else:
            splits = self.test_split if evaluated else f"{self.train_split} and {self.test_split}"
        return f"{self.dataset}{f'@{self.revision}' if self.revision else ''}, {splits}"

    def problems(self) -> list[str]:
        """Problems of the values, one line each."""
        problems = []
        listed = self.templates if isinstance(self.templates, list) else []
        for template in [*listed, *([self.training_template] if self.training_template else [])]:
            if template.count("{}") != 1:
                problems.append(f"template {template!r} must have one {{}} for the class name")
        if self.templates == []:
            problems.append("templates is empty; leave it out or list at least one")
        problems += self._split_problems()
        if self.few_shot is not None and self.take_train is not None:
            problems.append("few_shot and take_train: choose one of the two")
        if self.classes is not None and self.drop_classes is not None:
            problems.append("classes and drop_classes: choose one of the two")
        for key in ("classes", "drop_classes"):
            chosen = getattr(self, key)
            if chosen is not None and not chosen:
                problems.append(f"{key} is empty; leave it out or list at least one class")
            problems += [f"{key}: {twice!r} is listed twice" for twice in repeated(chosen or ())]
            if chosen and self.caption_column is not None and self.video_column is None:
                problems.append(f"{key}: a task of captions has no classes; remove one of the two")
        for key in ("caption_words", "drop_caption_words"):
            if getattr(self, key) is not None and self.caption_column is None:
                problems.append(f"{key}: is only for tasks of captions; give caption_column too")
            if getattr(self, key) is not None and not all(map(str.strip, getattr(self, key) or [""])):
                problems.append(f"{key}: must have at least one word, and none that is blank")
        if self.few_shot is not None and (self.caption_column is not None or self.video_column is not None):
            problems.append("few_shot: a task of captions has no classes; use take_train")
        return problems + self._video_problems()

    def _split_problems(self) -> list[str]:
        if self.split == "seeded":
            return []
        rules = [name for name, facts in named("datasets").items() if "split" in facts]
        problems = []
        if self.class_names not in rules:
            problems.append(f"split: published needs class_names of a protocol with a split ({', '.join(rules)})")
        if self.test_fraction is None:
            problems.append("split: published splits a single split; give test_fraction too")
        if self.classes is not None or self.drop_classes is not None:
            problems.append("split: published covers all classes; leave classes and drop_classes out")
        return problems

    def _video_problems(self) -> list[str]:
        problems = []
        if self.video_column is None:
            return [
                f"{key}: belongs to tasks of videos; name the column of their file names as video_column"
                for key in ("video_root", "label_file", "skip_missing_videos", "members")
                if getattr(self, key)
            ]
        if self.video_root is None:
            problems.append("video_root: is missing; give the folder that holds the clips of video_column")
        sources = {"label_column": self.label_column, "label_file": self.label_file, "members": self.members}
        if len(given := [key for key, value in sources.items() if value is not None]) > 1:
            problems.append(f"{' and '.join(given)}: choose one; each gives the categories")
        if self.members is not None and self.members not in named("members"):
            problems.append(unknown("members", self.members, named("members")))
        if self.members is None and (self.take_train_captions or self.take_test_captions):
            problems.append("take_train_captions and take_test_captions: belong to members; leave them out")
        if (self.classes or self.drop_classes) and not self.has_classes:
            problems.append("classes: videos are chosen by category; name its label_column, or give a label_file")
        return problems


def repeated(values: Iterable[Any]) -> list[Any]:
    """Values that occur more than once, each returned once."""
    # Values that are not hashable have a wrong type, which another check reports.
    counts = Counter(value for value in values if isinstance(value, Hashable))
    return [value for value, count in counts.items() if count > 1]


@dataclass
class ReferenceEntry(DatasetEntry):
    """Images or texts that distillation uses as its reference set.

    Args:
        split (`str`, defaults to `"train"`): Split to read.
        take (`int`, *optional*): At most this many, drawn with the seed of the run.
        text_column (`str`, *optional*): Column of texts, for reference texts.
        expect (`dict[str, int]`, *optional*): `images` or `texts`: the required number, after `take`.
    """

    split: str = "train"
    take: int | None = None
    text_column: str | None = None
    expect: dict[str, int] | None = None
