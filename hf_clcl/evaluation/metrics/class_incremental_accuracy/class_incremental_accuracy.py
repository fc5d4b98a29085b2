"""Accuracy over the steps of a class-incremental stream, as an `evaluate` module that works offline."""

# One import per line: `evaluate.load` reads the imports of a module line by line.
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import evaluate
import numpy as np

from hf_clcl.metrics.module_info import info_of_integers

_DESCRIPTION = """\
Accuracy after each step of a class-incremental stream, with one head over all classes seen so far: `average` over the
steps, the first one included, and `last`.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[int]`): Predicted class of each example.
    references (`list[int]`): True class of each example, one of the classes seen up to its step.
    step (`list[int]`): The step after which the model predicted, from 1.

Returns:
    `dict`: `accuracy` (in percent, one for each step), `average` and `last`.

Example:
    >>> metric = evaluate.load("hf_clcl/evaluation/metrics/class_incremental_accuracy")
    >>> metric.compute(predictions=[0, 1, 0, 3], references=[0, 1, 0, 2], step=[1, 1, 2, 2])
    {'accuracy': [100.0, 50.0], 'average': 75.0, 'last': 50.0}
"""

_CITATION = """\
@inproceedings{rebuffi2017icarl,
  title     = {{iCaRL}: Incremental Classifier and Representation Learning},
  author    = {Rebuffi, Sylvestre-Alvise and Kolesnikov, Alexander and Sperl, Georg and Lampert, Christoph H.},
  booktitle = {CVPR},
  year      = {2017}
}
"""


class ClassIncrementalAccuracy(evaluate.Metric):
    """Average and last accuracy on the classes seen so far, from predictions."""

    def _info(self) -> evaluate.MetricInfo:
        names = ("predictions", "references", "step")
        return info_of_integers(_DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION, names)

    def _compute(self, predictions: Sequence[int], references: Sequence[int], step: Sequence[int]) -> dict[str, Any]:
        steps = np.asarray(step)
        count = np.bincount(np.maximum(steps, 0))[1:]
        if steps.min() < 1 or not count.all():
            raise ValueError(f"step: must be 1, 2, ... without gaps, got {', '.join(map(str, np.unique(steps)))}")
        correct = np.bincount(steps, np.asarray(predictions) == np.asarray(references))[1:]
        accuracy = 100 * correct / count
        return {"accuracy": accuracy.tolist(), "average": float(accuracy.mean()), "last": float(accuracy[-1])}
