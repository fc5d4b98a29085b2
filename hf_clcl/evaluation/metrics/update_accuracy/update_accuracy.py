"""Accuracy on classes that a model was and was not updated on, as an `evaluate` module."""

# One import per line: `evaluate.load` reads the imports of a module line by line.
from __future__ import annotations

from collections.abc import Sequence

import evaluate
import numpy as np

from hf_clcl.metrics.accuracy_matrix import update_metrics
from hf_clcl.metrics.module_info import info_of_integers

_DESCRIPTION = """\
The effect of an update of a model: UT-Acc, the accuracy on the classes trained on, and ZS-Acc, the zero-shot accuracy
on classes never trained on. Both are means over groups of examples.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (`list[int]`): Predicted class of each example.
    references (`list[int]`): True class of each example.
    updated (`list[int]`): 1 if the class of the example was trained on, else 0.
    group (`list[int]`): The task or dataset that the example belongs to; all groups have the same weight.

Returns:
    `dict[str, float]`: `updated_accuracy` and `unseen_accuracy` in percent, if there are such examples.

Example:
    >>> metric = evaluate.load("hf_clcl/evaluation/metrics/update_accuracy")
    >>> metric.compute(predictions=[0, 1, 2, 0], references=[0, 1, 2, 1], updated=[1, 1, 0, 0], group=[0, 0, 1, 1])
    {'updated_accuracy': 100.0, 'unseen_accuracy': 50.0}
"""

_CITATION = """\
@article{ding2022vrlwf,
  title   = {Don't Stop Learning: Towards Continual Learning for the {CLIP} Model},
  author  = {Ding, Yuxuan and Liu, Lingqiao and Tian, Chunna and Yang, Jingyuan and Ding, Haoxuan},
  journal = {arXiv preprint arXiv:2207.09248},
  year    = {2022}
}
"""


class UpdateAccuracy(evaluate.Metric):
    """UT-Acc and ZS-Acc, from predictions."""

    def _info(self) -> evaluate.MetricInfo:
        names = ("predictions", "references", "updated", "group")
        return info_of_integers(_DESCRIPTION, _CITATION, _KWARGS_DESCRIPTION, names)

    def _compute(
        self,
        predictions: Sequence[int],
        references: Sequence[int],
        updated: Sequence[int],
        group: Sequence[int],
    ) -> dict[str, float]:
        correct, of_group = np.asarray(predictions) == np.asarray(references), np.asarray(group)
        was_updated = np.asarray(updated).astype(bool)
        means: dict[bool, list[float]] = {True: [], False: []}
        for number in np.unique(of_group):
            kinds = np.unique(was_updated[of_group == number])
            if len(kinds) > 1:
                raise ValueError(f"group {number} has examples of both kinds; updated must be the same within a group")
            means[bool(kinds[0])].append(100 * float(correct[of_group == number].mean()))
        return update_metrics(means[True], means[False])
