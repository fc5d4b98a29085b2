"""Sections of a card about retrieval: captions, images and videos."""

from __future__ import annotations

from ...metrics.ranks import MEASURES, directions_of
from ...record.run_record import RunRecord
from ...record.videos import is_of_videos, video_rows
from ..terminal import retrieval_rows
from .markdown import listed, table, text
from .sections import among, percent


def measure(record: RunRecord) -> str:
    """Explain the numbers of the matrix."""
    columns = [*record.tasks, *record.evaluation_only]
    searched = [name for name in columns if name in record.retrieval]
    parts = []
    if len(searched) < len(columns):
        parts.append(among(record))
    of_videos = [name for name in searched if is_of_videos(record, name)]
    of_images = [name for name in searched if name not in of_videos]
    if of_images:
        names = listed([text(name) for name in of_images])
        parts.append(f"For the captions of {names}: the mean of image-to-text and text-to-image R@1.")
    if of_videos:
        parts.append(
            f"For {listed([text(name) for name in of_videos])}: text-to-video R@1 among the task's own videos."
        )
    return " ".join(parts)


def retrieval(record: RunRecord) -> str:
    """Recall and ranks: zero-shot, right after the dataset's own task, and now."""
    rows = retrieval_rows(record)
    parts = []
    for direction in dict.fromkeys(way for *_, measures in rows for way in directions_of(measures)):
        cells = [
            [text(name), text(state), *(percent(measures.get(f"{direction}_{key}")) for key in MEASURES)]
            for name, state, measures in rows
        ]
        parts.append(table([direction.replace("_", " "), "model", *MEASURES.values()], cells, words=(0, 1)))
    if parts:
        parts.append(
            "Within the test split of each dataset; any caption of an image counts as correct. R@k in percent; MedR "
            "and MeanR: median and mean rank of the correct item. Equal similarities count as misses."
        )
    if record.video_database is not None:
        parts.append("Text to database: among the videos of all tasks learnt by then, of all tasks for zero-shot.")
    return "\n\n".join(parts)


def videos(record: RunRecord) -> str:
    """Search in the videos of all tasks learnt so far, before training and after each task."""
    rows = [
        [text(state), *map(percent, [*(measures.get(key) for key in MEASURES), *lost])]
        for state, measures, *lost in video_rows(record)
    ]
    if not rows:
        return ""
    return table(["after", *MEASURES.values(), "BWF", "BWF among all"], rows) + (
        "\n\nThe videos of a task are embedded when it ends and are not embedded again. The captions of all tasks "
        "learnt so far are embedded by the current model and search all videos. BWF: R@1 that earlier tasks have lost "
        "since they were learnt, weighted by their categories, among a task's own videos, and among all videos so far."
    )
