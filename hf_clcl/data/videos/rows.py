"""Dataset rows that name video clips: clip names, categories, and missing clips."""

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
"""Name of the column of categories that come from a file."""


def check_clips(names: Sequence[str], root: Path, where: str) -> None:
    """Check that each clip exists, and that PyAV is installed if a clip is a video file.

    Args:
        names (`Sequence[str]`): Names of clips, see [`find_clip`].
        root (`Path`): The user's folder of videos.
        where (`str`): Prefix of error messages.

    Raises:
        DataError: If a clip is missing or outside `root`.
        UserError: If PyAV is needed and not installed.
    """
    paths = [find_clip(name, root, where) for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if path is None]
    if any(path is not None and path.is_file() for path in paths):
        import_av()
    if missing:
        raise DataError(
            f"{where}: there is no clip {missing[0]!r} in {root} ({len(missing)} of {len(names)} clips are missing); "
            f"each needs a video file ({', '.join(VIDEO_SUFFIXES)}) or a folder of frames of this name. Correct "
            "`video_root` or `video_column`, or leave these rows out with `skip_missing_videos: true`"
        )


def find_root(root: str, data_root: str | None, where: str) -> Path:
    """Find the folder of clips: absolute, or relative to `data_root` or to the working directory.

    Raises:
        DataError: If it does not exist.
    """
    return _find(root, data_root, f"{where}: video_root", Path.is_dir, "folder of videos")


def with_labels(splits: dict[str, Dataset], entry: TaskEntry, data_root: str | None, where: str) -> dict[str, Dataset]:
    """Add a column [`LABEL`] with the category of each clip, from the `label_file` of the entry.

    Clips are looked up by name without suffix, and without the `v_` prefix of ActivityNet.

    Raises:
        DataError: If the file cannot be read, or has no category for a clip.
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
            f"{where}: label_file {file} cannot be read ({type(error).__name__}: {error}); it must be a JSON object "
            "{id: category}, or ActivityNet's {'database': {id: {'annotations': [{'label': category}]}}}"
        ) from None
    labelled = {}
    for split, rows in splits.items():
        names = name_column(rows, required(entry.video_column, f"{where}: video_column"), f"{where}: {split}")
        ids = [without_suffix(Path(name)).name for name in names]
        labels = [categories.get(i, categories.get(i.removeprefix("v_"))) for i in ids]
        if None in labels:
            raise DataError(
                f"{where}: {split}: label_file {file.name} has no category for clip {ids[labels.index(None)]!r} "
                f"({labels.count(None)} of {len(labels)} have none); give the file of this dataset, or drop these rows"
            )
        rows = rows.remove_columns(LABEL) if LABEL in rows.column_names else rows
        labelled[split] = rows.add_column(LABEL, labels)
    return labelled


def without_missing(
    splits: dict[str, Dataset], column: str, root: Path, where: str
) -> tuple[dict[str, Dataset], str | None]:
    """Drop rows whose clip is missing.

    Returns:
        `tuple[dict[str, Dataset], str | None]`: The splits, and a note on the number of dropped rows, if any.

    Raises:
        DataError: If no row is left.
    """
    kept, missing = {}, {}
    for split, rows in splits.items():
        names = name_column(rows, column, f"{where}: {split}")
        present = [row for row, name in enumerate(names) if find_clip(name, root, where) is not None]
        if not present:
            raise DataError(f"{where}: none of the {len(rows)} clips of {split} is in {root}; correct `video_root`")
        kept[split], missing[split] = rows.select(present), len(rows) - len(present)
    counts = " and ".join(
        f"{count} of {len(splits[split])} {split} clips" for split, count in missing.items() if count
    )
    if not counts:
        return splits, None
    logger.warning("%s: %s are missing in %s and are left out", where, counts, root)
    return kept, f"Left out, since missing: {counts}."


def name_column(rows: Dataset, column: str, where: str) -> list[str]:
    """The clip name of each row.

    Raises:
        DataError: If there is no such text column, or a row names no clip.
    """
    if not columns.is_plain_text(rows.features.get(column)):
        raise DataError(
            f"{where}: video_column {column!r} must hold one clip name per row; the columns are "
            f"{columns.describe(rows.features)}"
        )
    names = columns.values(rows, column).to_pylist()
    empty = [row for row, name in enumerate(names) if not name or not name.strip()]
    if empty:
        raise DataError(f"{where}: row {empty[0]} names no clip in {column!r} ({len(empty)} such rows); drop them")
    return names


def categories_of(splits: dict[str, Dataset], column: str, where: str) -> list[str]:
    """Names of the categories of a label column: those of its class labels, or else its distinct values."""
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
