"""Accuracy over a stream of tasks, as an `evaluate` module that works offline."""

# One import per line: `evaluate.load` reads the imports of a module line by line.
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np

from hf_clcl.metrics.accuracy_matrix import AccuracyMatrix
from hf_clcl.metrics.module_info import info_of_integers

_DESCRIPTION = """\
Accuracy of a model on every task of a stream, measured before training and after each task, and the metrics of
continual learning computed from it: transfer, average, last, forgetting, backward transfer, zero-shot degradation.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[int]`): Predicted class of each example.
    references (`list[int]`): True class of each example.
    after_task (`list[int]`): Number of tasks that the model was trained on when it predicted; 0 if untrained.
    task (`list[int]`): Index of the task of each example, from 0.
    tasks (`list[str]`, *optional*): Names of the tasks; `task_0`, `task_1`, ... by default.

Returns:
    `dict`: `accuracy` (a row in percent for each trained task, `None` if there are no predictions), `zero_shot` (the
    row of the untrained model, if there is one), and each metric that is defined.

Example:
    >>> metric = evaluate.load("hf_clcl/evaluation/metrics/continual_accuracy")
    >>> results = metric.compute(
    ...     predictions=[1, 0, 1, 1], references=[1, 1, 1, 1], after_task=[1, 1, 2, 2], task=[0, 1, 0, 1]
    ... )
    >>> results["last"], results["transfer"]
    (100.0, 0.0)
"""

_CITATION = """\
@inproceedings{zheng2023preventing,
  title     = {Preventing Zero-Shot Transfer Degradation in Continual Learning of Vision-Language Models},
  author    = {Zheng, Zangwei and Ma, Mingyuan and Wang, Kai and Qin, Ziheng and Yue, Xiangyu and You, Yang},
  booktitle = {ICCV},
  year      = {2023}
}
"""


class ContinualAccuracy(evaluate.Metric):
    """The accuracy matrix and its metrics, from predictions."""

    def _info(self) -> evaluate.MetricInfo:
        names = ("predictions", "references", "after_task", "task")
        return info_of_integers(_DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION, names)

    def _compute(
        self,
        predictions: Sequence[int],
        references: Sequence[int],
        after_task: Sequence[int],
        task: Sequence[int],
        tasks: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        rows, columns = np.asarray(after_task), np.asarray(task)
        size = len(tasks) if tasks is not None else int(max(columns.max(), rows.max() - 1)) + 1
        if rows.min() < 0 or columns.min() < 0 or rows.max() > size or columns.max() >= size:
            raise ValueError(
                f"with {size} tasks, after_task must be in 0..{size} and task in 0..{size - 1}, got "
                f"{rows.min()}..{rows.max()} and {columns.min()}..{columns.max()}"
            )
        correct, seen = np.zeros((size + 1, size)), np.zeros((size + 1, size))
        np.add.at(correct, (rows, columns), np.asarray(predictions) == np.asarray(references))
        np.add.at(seen, (rows, columns), 1)
        table = [
            [100 * float(c) / float(n) if n else None for c, n in zip(*pair, strict=True)]
            for pair in zip(correct, seen, strict=True)
        ]
        zero_shot, accuracy = table[0] if seen[0].any() else None, table[1 : rows.max() + 1]
        names = list(tasks) if tasks is not None else [f"task_{i}" for i in range(size)]
        return {
            "accuracy": accuracy,
            **({"zero_shot": zero_shot} if zero_shot else {}),
            **AccuracyMatrix(names, accuracy, zero_shot).metrics(),
        }
