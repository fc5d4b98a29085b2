"""Scenarios of continual learning: the classes among which an image is classified, and the metrics.

A new scenario is one `Scenario` in this file, listed in `SCENARIOS`. Recipes, evaluation, records, cards and plots
read it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .accuracy_matrix import AccuracyMatrix, incremental_metrics

Rows = Sequence[Sequence[float | None]]


def _stream_metrics(
    matrix: AccuracyMatrix, images: Sequence[int | None], untrained: Rows | None = None
) -> dict[str, float]:
    return matrix.metrics()


@dataclass(frozen=True)
class Scenario:
    """The classes that an image is classified among.

    Args:
        name (`str`): Its name in recipes and records.
        words (`str`): The classes in words; the phrase follows "classified".
        at_test (`str`): The sentence of a model card that says what is known of an image at test.
        candidates (`Callable[[str, Sequence[str], Sequence[str]], list[str]]`):
            `candidates(task, tasks, seen)` returns the tasks among whose classes an image of `task` is classified.
            `tasks` is the stream in order, and `seen` are the tasks trained so far.
        task_is_known (`bool`, defaults to `False`): Whether the task of an image is known at test.
        classes_grow (`bool`, defaults to `False`):
            Whether the candidates depend on the tasks trained so far. Each row of the matrix is then compared with the
            untrained model among the same classes (`baseline` in the record), and plots show the accuracy on all
            classes seen so far.
        metrics (`Callable[[AccuracyMatrix, Sequence[int | None], Rows | None], dict[str, float]]`, *optional*):
            The metrics in percent of a matrix, the test images of each task, and the baseline. The metrics of
            [`AccuracyMatrix.metrics`] by default.
    """

    name: str
    words: str
    at_test: str
    candidates: Callable[[str, Sequence[str], Sequence[str]], list[str]]
    task_is_known: bool = False
    classes_grow: bool = False
    metrics: Callable[[AccuracyMatrix, Sequence[int | None], Rows | None], dict[str, float]] = _stream_metrics

    def choices(self, tasks: Sequence[str], seen: Sequence[str]) -> dict[str, list[str]]:
        """For each task of a stream, the tasks among whose classes its images are classified.

        Args:
            tasks (`Sequence[str]`): The stream, in order.
            seen (`Sequence[str]`): The tasks trained so far.
        """
        return {task: self.candidates(task, tasks, seen) for task in tasks}


TASK_INCREMENTAL = Scenario(
    "task_incremental",
    words="among the classes of the image's own task",
    at_test="Every image is classified among the classes of its own dataset: which task it comes from is known at "
    "test.",
    candidates=lambda task, tasks, seen: [task],
    task_is_known=True,
)

CLASS_INCREMENTAL = Scenario(
    "class_incremental",
    words="among the classes of all tasks seen so far",
    at_test="Every image is classified among the classes of the tasks seen so far, and none other.",
    # A task that is not yet seen is measured as if it came next.
    candidates=lambda task, tasks, seen: [*seen, *([] if task in seen else [task])],
    classes_grow=True,
    metrics=incremental_metrics,
)

DOMAIN_AGNOSTIC = Scenario(
    "domain_agnostic",
    words="among the classes of all tasks of the stream",
    at_test="Every image is classified among the classes of this stream, and none other.",
    candidates=lambda task, tasks, seen: list(tasks),
)

SCENARIOS = {scenario.name: scenario for scenario in (TASK_INCREMENTAL, CLASS_INCREMENTAL, DOMAIN_AGNOSTIC)}
"""Every scenario by its name."""
