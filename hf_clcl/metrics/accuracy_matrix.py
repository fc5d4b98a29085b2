"""The accuracy matrix of a stream, and the continual-learning metrics computed from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

METRICS: dict[str, tuple[str, str]] = {
    "transfer": ("Transfer", "mean accuracy on tasks not yet trained"),
    "average": ("Average", "mean accuracy on all tasks over the whole stream"),
    "last": ("Last", "mean accuracy on all tasks after the last one"),
    "forgetting": ("Forgetting", "points lost on earlier tasks since their best"),
    "backward_transfer": ("Backward transfer", "change on earlier tasks since they were trained"),
    "zero_shot_degradation": ("Zero-shot degradation", "points below zero-shot on tasks not yet trained"),
    "individual": ("Individual", "mean accuracy of a model of its own for each task"),
    "updated_accuracy": ("UT-Acc", "mean accuracy at the end on the classes trained on"),
    "unseen_accuracy": ("ZS-Acc", "mean accuracy at the end on classes never trained on"),
    "video_recall": ("Video R@1", "all captions at the end among the videos of all tasks"),
    "backward_forgetting": ("BWF", "R@1 lost on earlier tasks of videos, by their categories"),
}
"""Metric -> (display name, description), in display order. All metrics are in percent."""

INCREMENTAL_METRICS: dict[str, tuple[str, str]] = {
    "incremental_average": ("Average, incremental", "accuracy on all classes seen so far, mean over the steps"),
    "incremental_last": ("Last, incremental", "accuracy on all classes after the last step"),
    "zero_shot_average": ("Average, zero-shot", "the same of the untrained model"),
    "zero_shot_last": ("Last, zero-shot", "the same of the untrained model"),
    "forgetting": METRICS["forgetting"],
    "backward_transfer": METRICS["backward_transfer"],
}
"""The metrics of a class-incremental stream. Its forgetting includes the effect of more classes to choose from."""

ALL_METRICS = {**METRICS, **INCREMENTAL_METRICS}


def update_metrics(updated: Sequence[float | None], unseen: Sequence[float | None]) -> dict[str, float]:
    """Compute `updated_accuracy` and `unseen_accuracy`: on what a model was updated with, and on all else.

    Both are means over datasets, or over groups of classes of one dataset. A mean is left out if a value is missing.

    Source: UT-Acc and ZS-Acc of Ding et al., 2022, arXiv 2207.09248.

    Args:
        updated (`Sequence[float | None]`): Accuracy in percent, after the last task, on each task trained on.
        unseen (`Sequence[float | None]`): The same on classes or datasets never trained on.
    """
    values = {"updated_accuracy": updated, "unseen_accuracy": unseen}
    return {
        key: _mean(list(accuracies)) for key, accuracies in values.items() if accuracies and None not in accuracies
    }


def backward_forgetting(
    tasks: Sequence[str], rows: Sequence[Mapping[str, float]], categories: Mapping[str, int]
) -> list[float | None]:
    """Compute BWF after each task: the R@1 that earlier video tasks have lost, weighted by their categories.

    With `r[j, i]` the R@1 of task `i` after task `j` and `c_i` its number of categories, BWF after task `j` is
    `sum_(i < j) c_i (r[i, i] - r[j, i]) / sum_(i < j) c_i`. It is `None` if there is no earlier task.

    Source: Zhao et al., SIGIR 2025, arXiv 2503.10111.

    Args:
        tasks (`Sequence[str]`): The tasks, in the order of training.
        rows (`Sequence[Mapping[str, float]]`): R@1 in percent by task, after each finished task.
        categories (`Mapping[str, int]`): Number of categories of each video task; other tasks do not count.
    """
    forgetting: list[float | None] = []
    for j, now in enumerate(rows):
        lost = {name: rows[i][name] - now[name] for i, name in enumerate(tasks[:j]) if name in categories}
        weight = sum(categories[name] for name in lost)
        forgetting.append(sum(categories[name] * points for name, points in lost.items()) / weight if lost else None)
    return forgetting


@dataclass
class AccuracyMatrix:
    """Accuracy of a model on every task of a stream, measured after each task.

    Args:
        tasks (`Sequence[str]`): Names of the `T` tasks, in the order of training.
        accuracy (`Sequence[Sequence[float | None]]`):
            `accuracy[j][i]` is the accuracy in percent on task `i` after training task `j`. One row for each finished
            task, so at most `T` rows of `T` entries; `None` for a value that was not measured.
        zero_shot (`Sequence[float | None]`, *optional*):
            Accuracy of the untrained model on each task. Only `zero_shot_degradation` uses it, no published metric.

    Example:
        >>> matrix = AccuracyMatrix(tasks=["a", "b"], accuracy=[[80.0, 50.0], [70.0, 90.0]])
        >>> matrix.metrics()["forgetting"]
        10.0
    """

    tasks: Sequence[str]
    accuracy: Sequence[Sequence[float | None]]
    zero_shot: Sequence[float | None] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.tasks, str) or not all(isinstance(task, str) and task for task in self.tasks):
            raise ValueError(f"tasks must be a list of names, got {self.tasks!r}")
        self.tasks = list(self.tasks)
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"tasks must be at least one name, each given once, got {self.tasks!r}")
        rows = _listed(self.accuracy, "accuracy")
        if len(rows) > len(self.tasks):
            raise ValueError(
                f"accuracy has {len(rows)} rows for {len(self.tasks)} tasks; give one row for each finished task, and "
                "the row of the untrained model as `zero_shot`"
            )
        self.accuracy = [self._checked(row, f"row {j} of accuracy") for j, row in enumerate(rows)]
        if self.zero_shot is not None:
            self.zero_shot = self._checked(self.zero_shot, "zero_shot")

    def _checked(self, row: Iterable[Any], where: str) -> list[float | None]:
        values = _listed(row, where)
        if len(values) != len(self.tasks):
            raise ValueError(
                f"{where} has {len(values)} entries for {len(self.tasks)} tasks; use None for missing values"
            )
        for task, value in zip(self.tasks, values, strict=True):
            number = isinstance(value, Real) and not isinstance(value, bool)
            if value is not None and not (number and -1e-6 <= value <= 100 + 1e-6):
                raise ValueError(f"{where}: {task}: must be a percentage from 0 to 100 or None, got {value!r}")
        return [None if value is None else float(value) for value in values]

    @property
    def finished(self) -> bool:
        """Whether there is a row for every task."""
        return len(self.accuracy) == len(self.tasks)

    def metrics(self) -> dict[str, float]:
        """Compute the metrics in percent, by the keys of `METRICS`.

        A metric is left out unless **every** entry of its definition was measured, so an unfinished stream never shows
        a number that changes later. `average`, `last`, `forgetting` and `backward_transfer` need the last row.
        `transfer` and `zero_shot_degradation` read only the entries above the diagonal, so they are final one task
        before the end. A stream of one task has only `average` and `last`.
        `transfer` is a mean over tasks of means over rows; `zero_shot_degradation` is one mean over all such entries.
        """
        a, zero_shot = self._filled()
        best, final, first = a[:-1, :-1].max(axis=0, initial=0), a[-1, :-1], a.diagonal()[:-1]
        above = np.triu_indices(len(self.tasks), k=1)
        values = {
            "transfer": _mean([a[:i, i].mean() for i in range(1, len(self.tasks))]),
            "average": _mean(a),
            "last": _mean(a[-1]),
            "forgetting": _mean(best - final),
            "backward_transfer": _mean(final - first),
            "zero_shot_degradation": _mean((zero_shot - a)[above]),
        }
        return _measured(values)

    def per_task(self) -> dict[str, dict[str, float]]:
        """Compute `transfer` (not for the first task), `average` and `last` of each task, where they are defined."""
        a, _ = self._filled()
        return {
            task: _measured({"transfer": _mean(a[:i, i]), "average": _mean(a[:, i]), "last": a[-1, i]})
            for i, task in enumerate(self.tasks)
        }

    def _filled(self) -> tuple[np.ndarray, np.ndarray]:
        """The matrix `(T, T)` and the zero-shot row `(T,)`. Missing values are NaN, which metrics propagate."""
        size = len(self.tasks)
        a = np.full((size, size), np.nan)
        a[: len(self.accuracy)] = np.array(self.accuracy, dtype=float).reshape(-1, size)
        return a, np.full(size, np.nan) if self.zero_shot is None else np.array(self.zero_shot, dtype=float)


def seen_accuracy(rows: Sequence[Sequence[float | None]], images: Sequence[int | None]) -> list[float | None]:
    """Compute the accuracy in percent on the test images of all tasks seen so far, after each step.

    Args:
        rows (`Sequence[Sequence[float | None]]`): Accuracy on each task after each step, among all classes seen.
        images (`Sequence[int | None]`): Test images of each task; `None` for a task without classes, left out.
    """
    accuracies: list[float | None] = []
    for step, row in enumerate(rows, start=1):
        seen = [(value, count) for value, count in zip(row[:step], images[:step], strict=True) if count]
        known = [(value, count) for value, count in seen if value is not None]
        complete = known and len(known) == len(seen)
        accuracies.append(sum(v * n for v, n in known) / sum(n for _, n in known) if complete else None)
    return accuracies


def incremental_metrics(
    matrix: AccuracyMatrix,
    images: Sequence[int | None],
    untrained: Sequence[Sequence[float | None]] | None = None,
) -> dict[str, float]:
    """Compute the metrics of a class-incremental stream in percent, by the keys of `INCREMENTAL_METRICS`.

    Args:
        matrix (`AccuracyMatrix`): Accuracy among the classes seen so far.
        images (`Sequence[int | None]`): Test images of each task; `None` for a task without classes.
        untrained (`Sequence[Sequence[float | None]]`, *optional*): The untrained model among the same classes.
    """
    values: dict[str, float] = {}
    for prefix, rows in (("incremental", matrix.accuracy), ("zero_shot", untrained or [])):
        seen = seen_accuracy(rows, images)
        known = [value for value in seen if value is not None]
        if len(known) == len(seen) == len(matrix.tasks):
            values |= {f"{prefix}_average": _mean(known), f"{prefix}_last": known[-1]}
    values |= matrix.metrics()
    return {name: values[name] for name in INCREMENTAL_METRICS if name in values}


def _listed(values: Any, where: str) -> list[Any]:
    if isinstance(values, (str, bytes, dict)) or not isinstance(values, Iterable):
        raise ValueError(f"{where} must be a list, got {values!r}")
    return list(values)


def _mean(values: Any) -> float:
    return float(np.mean(values)) if np.size(values) else math.nan


def _measured(values: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}
