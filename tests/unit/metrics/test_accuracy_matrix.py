"""The metrics against a matrix worked out by hand and against published ones."""

import json
import math
import re

import numpy as np
import pytest

from hf_clcl.metrics.accuracy_matrix import METRICS, AccuracyMatrix

TASKS = ["a", "b", "c"]
ZERO_SHOT = [30.0, 40.0, 50.0]
ACCURACY = [[90.0, 38.0, 44.0], [80.0, 70.0, 45.0], [84.0, 60.0, 75.0]]
BY_HAND = {
    "transfer": (38 + (44 + 45) / 2) / 2,  # per task first: c counts two rows, b one
    "average": (90 + 38 + 44 + 80 + 70 + 45 + 84 + 60 + 75) / 9,
    "last": (84 + 60 + 75) / 3,
    "forgetting": ((90 - 84) + (70 - 60)) / 2,
    "backward_transfer": ((84 - 90) + (60 - 70)) / 2,
    "zero_shot_degradation": ((40 - 38) + (50 - 44) + (50 - 45)) / 3,
}


def test_every_metric_by_hand() -> None:
    metrics = AccuracyMatrix(TASKS, ACCURACY, ZERO_SHOT).metrics()
    assert metrics == pytest.approx(BY_HAND)
    assert list(metrics) == [key for key in METRICS if key in BY_HAND]
    assert all(type(value) is float for value in metrics.values())


def test_forgetting_looks_at_the_best_row_and_backward_transfer_at_the_diagonal() -> None:
    """Task a is better after b than after itself, and b was better before it was trained."""
    metrics = AccuracyMatrix(TASKS, [[50, 80, 10], [60, 70, 10], [40, 65, 20]]).metrics()
    assert metrics["forgetting"] == pytest.approx(((60 - 40) + (80 - 65)) / 2)
    assert metrics["backward_transfer"] == pytest.approx(((40 - 50) + (65 - 70)) / 2)
    assert "zero_shot_degradation" not in metrics


def test_per_task() -> None:
    per_task = AccuracyMatrix(TASKS, ACCURACY, ZERO_SHOT).per_task()
    assert per_task["a"] == pytest.approx({"average": (90 + 80 + 84) / 3, "last": 84.0})
    assert per_task["c"] == pytest.approx({"transfer": 44.5, "average": (44 + 45 + 75) / 3, "last": 75.0})


@pytest.mark.parametrize(
    ("rows", "defined"),
    [
        ([], set()),
        (ACCURACY[:1], set()),
        (ACCURACY[:2], {"transfer", "zero_shot_degradation"}),
        ([[90, 38, None], ACCURACY[1], ACCURACY[2]], {"last", "backward_transfer", "forgetting"}),
        ([[90, None, None], [80, 70, None], [84, 60, 75]], {"last", "backward_transfer"}),
        (
            [ACCURACY[0], ACCURACY[1], [84, 60, None]],
            {"transfer", "zero_shot_degradation"} | {"forgetting", "backward_transfer"},
        ),
    ],
)
def test_incomplete_matrices_give_what_is_defined_and_no_more(rows: list, defined: set[str]) -> None:
    metrics = AccuracyMatrix(TASKS, rows, ZERO_SHOT).metrics()
    assert metrics == pytest.approx({name: BY_HAND[name] for name in defined})


def test_a_single_task_has_no_transfer_and_nothing_to_forget() -> None:
    assert AccuracyMatrix(["a"], [[90.0]], [30.0]).metrics() == {"average": 90.0, "last": 90.0}
    assert AccuracyMatrix(["a"], []).metrics() == {}


def test_numpy_is_accepted_and_plain_values_are_kept() -> None:
    matrix = AccuracyMatrix(tuple(TASKS), np.array(ACCURACY, dtype=np.float32), np.array(ZERO_SHOT))
    assert matrix.accuracy == ACCURACY and type(matrix.accuracy[0][0]) is float
    assert matrix.metrics() == pytest.approx(BY_HAND)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "at least one name"),
        ((["a", "a"], []), "each given once"),
        (("ab", []), "list of names"),
        ((["a"], [[1], [2]]), "2 rows for 1 tasks"),
        ((["a", "b"], [[1]]), "row 0 of accuracy has 1 entries for 2 tasks"),
        ((["a"], [[1]], [1, 2]), "zero_shot has 2 entries"),
        ((["a"], [[101]]), "percentage from 0 to 100"),
        ((["a"], [[-1]]), "got -1"),
        ((["a"], [[math.nan]]), "got nan"),
        ((["a"], [["90"]]), "got '90'"),
        ((["a"], [[True]]), "got True"),
        ((["a"], ["x"]), "must be a list, got 'x'"),
        ((["a"], None), "accuracy must be a list"),
    ],
)
def test_bad_matrices_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        AccuracyMatrix(*arguments)


def test_published_matrices_give_the_published_metrics(shared) -> None:
    published = json.loads((shared / "published" / "mtil_order_1.json").read_text())
    assert len(published["methods"]) == 7
    for name, method in published["methods"].items():
        metrics = AccuracyMatrix(published["tasks"], method["accuracy"], published["zero_shot"]).metrics()
        for key in ("transfer", "average", "last"):
            assert metrics[key] == pytest.approx(method[key], abs=1e-3), (name, key)
