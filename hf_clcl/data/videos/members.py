"""The published clips of a stream of videos, looked up by id in all splits of a dataset."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ...config.protocols import named
from ...utils.errors import DataError
from ...utils.required import required
from .. import columns
from ..texts.captions import captions_of
from .reading import without_suffix
from .rows import LABEL, name_column

if TYPE_CHECKING:
    from datasets import Dataset

    from ...config.entries import TaskEntry

logger = logging.getLogger(__name__)


def with_members(splits: dict[str, Dataset], entry: TaskEntry, where: str) -> dict[str, Dataset]:
    """The published training and test clips, each with its captions and its category.

    Args:
        splits (`dict[str, Dataset]`): All splits of the dataset. A published test clip may be in any of them.
        entry (`TaskEntry`): The entry in the recipe; its `members` name the published lists.
        where (`str`): Start of error messages.

    Raises:
        DataError: If a published clip is in no split, and `skip_missing_videos` is off.
    """
    from datasets import ClassLabel, Dataset, Features, List, Value

    facts = named("members")[required(entry.members, "members")]
    assert entry.video_column is not None  # checked with the recipe
    known: dict[str, tuple[str, list[str]]] = {}
    for split, rows in splits.items():
        names = name_column(rows, entry.video_column, f"{where}: {split}")
        texts = captions_of(rows, columns.find_text_column(rows.features, entry.caption_column, where))
        for name, captions in zip(names, texts, strict=True):
            # A clip with several rows has all of their captions.
            clip = known.setdefault(without_suffix(Path(name)).name, (name, []))
            clip[1].extend(captions)
    column = columns.find_text_column(next(iter(splits.values())).features, entry.caption_column, where)
    features = Features(
        {
            entry.video_column: Value("string"),
            column: List(Value("string")),
            LABEL: ClassLabel(names=facts["categories"]),
        }
    )
    takes = {"train": entry.take_train_captions, "test": entry.take_test_captions}
    found: dict[str, Dataset] = {}
    for split, take in takes.items():
        wanted = [(clip, category) for category, clips in facts[split].items() for clip in clips]
        missing = [clip for clip, _ in wanted if clip not in known]
        if missing and not entry.skip_missing_videos:
            raise DataError(
                f"{where}: {entry.members}: {len(missing)} of the {len(wanted)} published {split} clips are not in "
                f"{entry.dataset}, such as {missing[0]}; choose other configurations (`config`, `test_config`), or "
                "leave them out with `skip_missing_videos: true`"
            )
        if missing:
            logger.warning("%s: %d of %d published %s clips are missing", where, len(missing), len(wanted), split)
        kept = [(known[clip], category) for clip, category in wanted if clip in known]
        values = {
            entry.video_column: [name for (name, _), _ in kept],
            column: [captions[:take] for (_, captions), _ in kept],
            LABEL: [facts["categories"].index(category) for _, category in kept],
        }
        found[split] = Dataset.from_dict(values, features=features)
    return found
