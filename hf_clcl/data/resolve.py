"""From an entry of a recipe to a task: load, split, name the classes, and check."""

from __future__ import annotations

import difflib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..config.entries import TaskEntry
from ..utils.errors import DataError
from ..utils.required import required
from . import columns, selection
from .expected import check_expected
from .published_split import published_split
from .sources.hub import hub_class_names, load_hub
from .sources.local import find_local, load_local, reading
from .sources.rendered import RENDERED_COUNTS, RENDERED_TRAIN, render, rendered
from .task import Task
from .texts import prompts
from .videos import rows as video_rows
from .videos.members import with_members

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

Loaded = dict[str, "tuple[dict[str, Dataset], list[str] | None]"]  # splits, and the words of their classes

# Keys in which entries that share a loaded dataset may differ.
SHARED_BY = {
    "name", "templates", "training_template", "classes", "drop_classes", "caption_words", "drop_caption_words",
    "few_shot", "take_train", "take_test", "expect", "expect_dataset", "split_note", "licence", "training",
}  # fmt: skip
SPLIT_SEED = 42  # of `test_fraction`: a test set must not change with the seed of a run


def resolve_task(
    entry: TaskEntry,
    data_root: str | None = None,
    seed: int = 42,
    evaluation_only: bool = False,
    few_shot: int | None = None,
    loaded: Loaded | None = None,
) -> Task:
    """Load and check the data of one task.

    Args:
        entry (`TaskEntry`): The entry in the recipe.
        data_root (`str`, *optional*): Folder that relative paths start from.
        seed (`int`, defaults to 42): Seed that `few_shot`, `take_train` and `take_test` draw with.
        evaluation_only (`bool`, defaults to `False`): Do not load training data.
        few_shot (`int`, *optional*): Training images per class, if the entry sets none.
        loaded (`Loaded`, *optional*): Cache of loaded datasets, for entries that share one. It is updated.

    Raises:
        DataError: If the data is missing or does not match the entry; the message names the task.
    """
    where = f"task {entry.name}"
    if entry.label_file is not None or entry.members is not None:
        entry = replace(entry, label_column=video_rows.LABEL)
    splits, class_names = _loaded_splits(entry, data_root, evaluation_only, {} if loaded is None else loaded, where)
    if entry.has_classes:
        check_expected(entry, "expect_dataset", {"classes": _class_count(entry, splits, class_names, where)}, where)
        splits, class_names = selection.choose_classes(entry, splits, class_names, where)
    members, members_note = ("published" if entry.members else None), ""
    if entry.test_fraction is not None:
        splits, members, members_note = _cut(entry, splits["train"], class_names, where)
    if evaluation_only:
        splits = {"test": splits["test"]}
    check_expected(entry, "expect_dataset", {split: len(rows) for split, rows in splits.items()}, where)
    splits = selection.choose_by_words(entry, selection.drop_left_out(entry, splits, where), where)
    counts = {split: len(rows) for split, rows in splits.items()}
    takes = {"train": entry.take_train, "test": entry.take_test}
    shots = entry.shots(few_shot) if "train" in splits else None
    drawn = f"{shots} training images a class, drawn with seed {seed}." if shots else None
    notes = [entry.split_note, members_note, drawn]
    video_root = None
    if entry.video_column is not None:
        video_root = video_rows.find_root(required(entry.video_root, f"{where}: video_root"), data_root, where)
        if entry.skip_missing_videos:
            splits, note = video_rows.without_missing(splits, entry.video_column, video_root, where)
            notes.append(note)
    task = Task(
        name=entry.name,
        **{split: selection.take_some(rows, takes[split], seed) for split, rows in splits.items()},
        class_names=class_names,
        **_templates(entry, where),
        image_column=entry.image_column,
        label_column=entry.label_column,
        caption_column=entry.caption_column,
        video_column=entry.video_column,
        video_root=video_root,
        frames=entry.frames,
        training=dict(entry.training),
        source=entry.dataset,
        licence=entry.licence,
        split_note=" ".join(filter(None, notes)) or None,
        split_members=members,
    )
    check_expected(entry, "expect", {**counts, "classes": len(task.class_names or [])}, where)
    if shots:
        label_column = required(task.label_column, f"{where}: label_column")
        class_names = required(task.class_names, f"{where}: class_names")
        task.train = selection.draw_few(task.train, label_column, shots, class_names, seed, where)
    return task


def _loaded_splits(
    entry: TaskEntry, data_root: str | None, evaluation_only: bool, loaded: Loaded, where: str
) -> tuple[dict[str, Dataset], list[str] | None]:
    """The splits and class names, loaded once for entries that differ only in the rows that they use."""
    reads = {name: value for name, value in vars(entry).items() if name not in SHARED_BY}
    takes = (entry.take_train, entry.take_test) if entry.dataset.startswith("rendered:") else None
    key = repr((reads, takes, data_root, evaluation_only))
    if key not in loaded:
        splits, class_names = _load_splits(entry, data_root, evaluation_only, where), None
        if entry.label_file is not None:
            splits = video_rows.with_labels(splits, entry, data_root, where)
        if entry.members is not None:
            splits = with_members(splits, entry, where)
        if entry.has_classes:
            splits, class_names = _name_classes(entry, splits, data_root, where)
        loaded[key] = splits, class_names
    return loaded[key]


def _class_count(
    entry: TaskEntry, splits: dict[str, Dataset], class_names: list[str] | None, where: str
) -> int | None:
    """Number of classes before any is chosen; `None` if neither the dataset nor the recipe defines it."""
    if class_names is not None:
        return len(class_names)
    features = next(iter(splits.values())).features
    return getattr(features[columns.find_label_column(features, entry.label_column, where)], "num_classes", None)


def _load_splits(entry: TaskEntry, data_root: str | None, evaluation_only: bool, where: str) -> dict[str, Dataset]:
    if entry.test_fraction is not None:
        wanted = {"train": entry.train_split}
    elif evaluation_only and entry.members is None:
        wanted = {"test": entry.test_split}
    else:
        wanted = {"train": entry.train_split, "test": entry.test_split}
    if drawn := rendered(entry, where):
        domain, size = drawn
        counts = {
            "train": entry.take_train or RENDERED_TRAIN.get(domain, RENDERED_COUNTS["train"]),
            "test": entry.take_test or RENDERED_COUNTS["test"],
        }
        return {split: render(where, domain, name, counts[split], size) for split, name in wanted.items()}
    of = {"train": entry, "test": replace(entry, config=entry.test_config or entry.config)}
    path = find_local(entry.dataset, data_root, where)
    if path is not None:
        return {split: load_local(path, name, where, of[split].config) for split, name in wanted.items()}
    return {split: load_hub(of[split], name, where) for split, name in wanted.items()}


def _templates(entry: TaskEntry, where: str) -> dict[str, Any]:
    """Templates of a task: listed, built in, or those of the rendered domain; none means the default of `Task`."""
    if isinstance(entry.templates, str):
        listed = prompts.built_in(entry.templates, where)
        trained_on = entry.training_template or listed.training_template
        return {"templates": listed.templates, "training_template": trained_on}
    templates = entry.templates
    if templates is None and (drawn := rendered(entry, where)):
        from .world import DOMAINS

        templates = list(DOMAINS[drawn[0]].templates) if drawn[0] in DOMAINS else None
    return {"training_template": entry.training_template, **({"templates": templates} if templates else {})}


def _name_classes(
    entry: TaskEntry, splits: dict[str, Dataset], data_root: str | None, where: str
) -> tuple[dict[str, Dataset], list[str] | None]:
    """Name the classes, and drop the rows of classes that the built-in list leaves out."""
    first = next(iter(splits.values())).features
    label = columns.find_label_column(first, entry.label_column, where)
    if isinstance(entry.class_names, list):
        return splits, entry.class_names
    if any(rows.features.get(label) != first[label] for rows in splits.values()):
        return splits, None  # no names fit both; `Task` reports how train and test differ
    if columns.is_plain_text(first[label]):
        splits = columns.encode_labels(splits, label, None, where)
    own = getattr(next(iter(splits.values())).features[label], "names", None)
    unnamed = own is None
    if unnamed:
        own = _class_names_file(entry, data_root, where)
    if entry.class_names is None:
        return splits, [columns.words(name) for name in own] if unnamed and own else None
    if isinstance(entry.class_names, dict):
        return splits, _rename(entry.class_names, own, where)
    named = prompts.match_class_names(entry.class_names, own, where)
    left_out = [index for index, name in enumerate(named) if name is None]
    kept = [name for name in named if name is not None]
    if left_out:
        splits = {split: columns.without_classes(rows, label, left_out, kept) for split, rows in splits.items()}
    return splits, kept


def _class_names_file(entry: TaskEntry, data_root: str | None, where: str) -> list[str] | None:
    """Class names of integer labels, from the `classnames.txt` beside the data."""
    if entry.dataset.startswith("rendered:"):
        return None
    path = find_local(entry.dataset, data_root, where)
    if path is None:
        return hub_class_names(entry, where)
    file = (path if path.is_dir() else path.parent) / "classnames.txt"
    if not file.is_file():
        return None
    with reading(where, str(file)):
        return file.read_text(encoding="utf-8").splitlines()


def _rename(words: dict[str, str], own: list[str] | None, where: str) -> list[str]:
    if own is None:
        raise DataError(
            f"{where}: class_names renames classes, but the dataset has no names; list them in label order"
        )
    as_words = [columns.words(name) for name in own]
    for name in words:
        if name not in own and name not in as_words:
            near = difflib.get_close_matches(name, own, n=3, cutoff=0.4) or own[:5]
            raise DataError(
                f"{where}: class_names renames {name!r}, which is no class; similar ones are {', '.join(near)}"
            )
    return [words.get(name, words.get(plain, plain)) for name, plain in zip(own, as_words, strict=True)]


def _cut(
    entry: TaskEntry, rows: Dataset, class_names: list[str] | None, where: str
) -> tuple[dict[str, Dataset], str, str]:
    """Training and test rows of a single split, which rule chose them, and what the card says about that."""
    fraction = entry.test_fraction or 0.0
    if len(rows) < 2:
        raise DataError(f"{where}: test_fraction cannot cut {len(rows)} rows into train and test; use a larger split")
    if entry.split == "published":
        if found := published_split(entry, rows, class_names, where):
            return found, "published", "The members of the published split, by the file names of the images."
        logger.warning(
            "%s: %s has no file names of the original images, so the published split cannot be reproduced; the split "
            "is drawn with seed %d",
            where, entry.dataset, SPLIT_SEED,
        )  # fmt: skip
    note = "" if entry.split_note else f"{1 - fraction:.0%} for training, drawn with seed {SPLIT_SEED}."
    if entry.split == "published":
        note += " The published members need the file names of the original images, which this copy does not have."
    return dict(rows.train_test_split(test_size=fraction, seed=SPLIT_SEED)), "seeded", note
