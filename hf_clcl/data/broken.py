"""Images and clips that cannot be decoded: detect, drop and count them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from ..utils.errors import DataError
from .images.reading import UNREADABLE

if TYPE_CHECKING:
    from datasets import Dataset

    from .task import Task

logger = logging.getLogger(__name__)
BATCH = 256


def leave_out_broken(task: Task) -> None:
    """Drop the broken images or clips of a task, with their labels or captions, and add their number to `split_note`.

    Args:
        task (`Task`): The task; its splits are replaced.

    Raises:
        DataError: If no image or clip of a split can be decoded.
    """
    column, noun, decodes = task.kind.item_column(task), task.kind.noun, task.kind.decodes(task)
    notes = [task.split_note] if task.split_note else []
    for split, what in (("train", "training"), ("test", "test")):
        rows = getattr(task, split)
        if rows is None:
            continue
        kept, broken = drop_unreadable(rows, column, f"task {task.name}: {split}", decodes, noun)
        setattr(task, split, kept)
        if broken:
            notes.append(f"{broken:,} of {len(rows):,} {what} {noun} cannot be read and are left out.")
    task.split_note = " ".join(notes) or None


def drop_unreadable(
    rows: Dataset, column: str, where: str, decodes: Callable[[Any], bool] | None = None, kind: str = "images"
) -> tuple[Dataset, int]:
    """Drop rows whose images cannot be decoded, and log their number. Every image is decoded once.

    Args:
        rows (`Dataset`): Rows with images.
        column (`str`): The column of images.
        where (`str`): Prefix of the warning or error message.
        decodes (`Callable[[Any], bool]`, *optional*):
            Whether a cell of the column can be decoded. By default, whether it can be decoded as an image.
        kind (`str`, defaults to `"images"`): Name of the items in messages.

    Returns:
        `tuple[Dataset, int]`: The other rows, and the number of dropped rows.

    Raises:
        DataError: If no image can be decoded.
    """
    decodes = decodes or partial(_decodes, rows.features[column])
    batches = rows.select_columns([column]).with_format("arrow").iter(batch_size=BATCH)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        good = [ok for batch in batches for ok in threads.map(decodes, batch.column(column).to_pylist())]
    broken = len(good) - sum(good)
    if not broken:
        return rows, 0
    if broken == len(good):
        raise DataError(f"{where}: none of its {len(good)} {kind} can be read; look for another copy of the data")
    first = good.index(False)
    logger.warning(
        "%s: %d of %d %s cannot be read and are left out, row %d first", where, broken, len(good), kind, first
    )
    return rows.select([row for row, ok in enumerate(good) if ok]), broken


def _decodes(feature: Any, cell: dict[str, Any] | None) -> bool:
    try:
        feature.decode_example(cell).load()
    except UNREADABLE:
        return False
    return True
