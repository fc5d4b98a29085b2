"""Text-to-video retrieval in a run record: consistency checks and metrics, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from typing_extensions import TypedDict  # pydantic needs this one below Python 3.12

from ..metrics.accuracy_matrix import backward_forgetting
from ..metrics.ranks import ALL_VIDEOS, OWN_VIDEOS, recall_problems


class VideoDatabase(TypedDict):
    """Measures, such as `r1` and `median_rank`, of a search of all captions among the videos of all tasks so far.

    The untrained model searches those of the whole stream.
    """

    categories: dict[str, int]
    zero_shot: dict[str, float] | None
    after: list[dict[str, float] | None]


class Searched(Protocol):
    """The attributes of a [`~hf_clcl.record.run_record.RunRecord`] that this module reads."""

    tasks: list[str]
    accuracy: list[list[float | None]]
    video_database: VideoDatabase | None

    @property
    def retrieval(self) -> Mapping[str, Any]: ...


def video_contradictions(record: Searched) -> list[str]:
    """Contradictions in the video part of a record, one line each."""
    database = record.video_database
    if database is None:
        return []
    problems = [
        f"video_database: {name}: must be a task with retrieval and have categories"
        for name, count in database["categories"].items()
        if name not in record.tasks or name not in record.retrieval or count < 1
    ]
    for entry in filter(None, [database["zero_shot"], *database["after"]]):
        problems += [f"video_database: {problem}" for problem in recall_problems(entry)]
    return problems


def is_of_videos(record: Searched, name: str) -> bool:
    """Whether a dataset with retrieval has videos, not images."""
    entry = record.retrieval[name]
    return any(f"{OWN_VIDEOS}_r1" in measures for measures in filter(None, [entry["zero_shot"], *entry["after"]]))


def video_forgetting(record: Searched, direction: str = OWN_VIDEOS) -> list[float | None]:
    """Compute BWF after each finished task; see [`~hf_clcl.metrics.accuracy_matrix.backward_forgetting`].

    Args:
        record (`RunRecord`): A run, finished or not, with video tasks.
        direction (`str`, defaults to `"text_to_video"`):
            `text_to_video` searches the task's own videos. `text_to_database` searches the videos of all tasks so
            far, so its BWF includes the effect of a growing database.
    """
    names = record.video_database["categories"] if record.video_database else {}
    rows = [
        {name: row[key] for name in names if (key := f"{direction}_r1") in (row := record.retrieval[name]["after"][j])}
        for j in range(len(record.accuracy))
    ]
    return backward_forgetting(record.tasks, rows, names)


def video_metrics(record: Searched) -> dict[str, float]:
    """Compute `video_recall` and `backward_forgetting` in percent, for a finished stream with video tasks."""
    if record.video_database is None or len(record.accuracy) < len(record.tasks):
        return {}
    last, lost = record.video_database["after"][-1], video_forgetting(record)[-1]
    values = {"video_recall": last["r1"] if last else None, "backward_forgetting": lost}
    return {name: value for name, value in values.items() if value is not None}


def video_rows(record: Searched) -> list[tuple[str, dict[str, float], float | None, float | None]]:
    """Rows `(model, measures over all queries, BWF, BWF among all videos)`, before training and after each task."""
    database = record.video_database
    if database is None:
        return []
    rows: list[tuple[str, dict[str, float] | None, float | None, float | None]]
    rows = [("zero-shot, videos of all tasks", database["zero_shot"], None, None)]
    forgotten = zip(database["after"], video_forgetting(record), video_forgetting(record, ALL_VIDEOS), strict=True)
    rows += [(f"{j} {record.tasks[j - 1]}", *values) for j, values in enumerate(forgotten, start=1)]
    return [(model, measures, own, all_videos) for model, measures, own, all_videos in rows if measures]
