"""Rows of a dataset that name clips: their names, their categories, and which of them are there."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...utils.errors import DataError
from ...utils.required import required
from .. import columns
from ..sources.local import home, is_there
from .reading import VIDEO_SUFFIXES, find_clip, import_av, without_suffix

if TYPE_CHECKING:
    from datasets import Dataset

    from ...config.entries import TaskEntry

logger = logging.getLogger(__name__)

LABEL = "label"
"""The column of categories that come from a file."""


def check_clips(names: Sequence[str], root: Path, where: str) -> None:
    """See that each clip is there, and that what decodes video files is installed where one is.

    Args:
        names (`Sequence[str]`): Names of clips, see [`find_clip`].
        root (`Path`): The user's folder of videos.
        where (`str`): What the message of an error starts with.

    Raises:
        DataError: Where a clip is missing, or would lie outside `root`.
        UserError: Where PyAV is needed and not installed.
    """
    paths = [find_clip(name, root, where) for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if path is None]
    if any(path is not None and path.is_file() for path in paths):
        import_av()
    if missing:
        raise DataError(
            f"{where}: there is no clip {missing[0]!r} in {root} ({len(missing)} of {len(names)} clips are missing); "
            f"needed is a video file ({', '.join(VIDEO_SUFFIXES)}) or a folder of frames of this name. Correct "
            "`video_root` or `video_column`, or leave these rows out with `skip_missing_videos: true`"
        )


def find_root(root: str, data_root: str | None, where: str) -> Path:
    """The folder of clips that a recipe names: absolute, or relative to `data_root` or to the working directory.

    Raises:
        DataError: Where it is not there.
    """
    return _find(root, data_root, f"{where}: video_root", Path.is_dir, "folder of videos")


def with_labels(splits: dict[str, Dataset], entry: TaskEntry, data_root: str | None, where: str) -> dict[str, Dataset]:
    """The splits with a column [`LABEL`] of the category of each clip, from the entry's `label_file`.

    Clips are looked up by their name without suffix, and without ActivityNet's `v_` before it.

    Raises:
        DataError: Where the file cannot be read, or a clip has no category in it.
    """
    file = _find(
        required(entry.label_file, f"{where}: label_file"),
        data_root,
        f"{where}: label_file",
        Path.is_file,
        "JSON file",
    )
    try:
        categories = _categories(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"{where}: label_file {file} cannot be read ({type(error).__name__}: {error}); needed is a JSON object "
            "{id: category}, or ActivityNet's {'database': {id: {'annotations': [{'label': category}]}}}"
        ) from None
    labelled = {}
    for split, rows in splits.items():
        names = name_column(rows, required(entry.video_column, f"{where}: video_column"), f"{where}: {split}")
        ids = [without_suffix(Path(name)).name for name in names]
        found = [categories.get(i, categories.get(i.removeprefix("v_"))) for i in ids]
        if None in found:
            raise DataError(
                f"{where}: {split}: label_file {file.name} has no category for clip {ids[found.index(None)]!r} "
                f"({found.count(None)} of {len(found)} have none); give the file of this dataset, or drop these rows"
            )
        rows = rows.remove_columns(LABEL) if LABEL in rows.column_names else rows
        labelled[split] = rows.add_column(LABEL, found)
    return labelled


def without_missing(
    splits: dict[str, Dataset], column: str, root: Path, where: str
) -> tuple[dict[str, Dataset], str | None]:
    """The splits without rows whose clip is not there, and a sentence that tells how many these are, if any.

    Raises:
        DataError: Where none is left.
    """
    kept, missing = {}, {}
    for split, rows in splits.items():
        names = name_column(rows, column, f"{where}: {split}")
        there = [row for row, name in enumerate(names) if find_clip(name, root, where) is not None]
        if not there:
            raise DataError(f"{where}: none of the {len(rows)} clips of {split} is in {root}; correct `video_root`")
        kept[split], missing[split] = rows.select(there), len(rows) - len(there)
    told = " and ".join(f"{count} of {len(splits[split])} {split} clips" for split, count in missing.items() if count)
    if not told:
        return splits, None
    logger.warning("%s: %s are missing in %s and are left out", where, told, root)
    return kept, f"Left out, since missing: {told}."


def name_column(rows: Dataset, column: str, where: str) -> list[str]:
    """The names of clips, one a row.

    Raises:
        DataError: Where there is no such column of texts, or a row names no clip.
    """
    if not columns.is_plain_text(rows.features.get(column)):
        raise DataError(
            f"{where}: video_column {column!r} needs the name of one clip in each row; the columns are "
            f"{columns.describe(rows.features)}"
        )
    names = columns.values(rows, column).to_pylist()
    empty = [row for row, name in enumerate(names) if not name or not name.strip()]
    if empty:
        raise DataError(f"{where}: row {empty[0]} names no clip in {column!r} ({len(empty)} such rows); drop them")
    return names


def categories_of(splits: dict[str, Dataset], column: str, where: str) -> list[str]:
    """The names of all categories in a column of labels, and where these have none, those that occur."""
    first = next(iter(splits.values())).features
    own = getattr(first[columns.find_label_column(first, column, where)], "names", None)
    return own or sorted(
        {str(label) for rows in splits.values() for label in columns.values(rows, column).to_pylist()}
    )


def _categories(values: Any) -> dict[str, str]:
    if "database" in values:
        return {
            i: str(clip["annotations"][0]["label"]) for i, clip in values["database"].items() if clip["annotations"]
        }
    return {without_suffix(Path(i)).name: str(category) for i, category in values.items()}


def _find(name: str, data_root: str | None, where: str, exists: Callable[[Path], bool], what: str) -> Path:
    candidates = [Path(root or "") / home(name, where) for root in (data_root, None)]
    for candidate in candidates:
        if is_there(candidate, exists):
            return candidate
    looked = " or ".join(dict.fromkeys(str(candidate.absolute()) for candidate in candidates))
    raise DataError(f"{where}: there is no {what} {name!r}: looked for {looked}; correct it, or `data_root`")
