"""The `evaluate` module: loaded by path as users load it, and imported."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import hf_clcl

evaluate = pytest.importorskip("evaluate")
FOLDER = Path(hf_clcl.__file__).parent / "evaluation" / "metrics" / "continual_accuracy"

# Of ten examples, so many are right: rows are the untrained model, then after each task.
RIGHT = [[3, 4, 5], [9, 3, 4], [8, 7, 5], [6, 6, 8]]


@pytest.fixture
def metric(load_metric) -> Any:
    return load_metric("continual_accuracy")


def examples(right: list[list[int]]) -> dict[str, list[int]]:
    keys = ("predictions", "references", "after_task", "task")
    rows = [(k < n, 1, j, i) for j, row in enumerate(right) for i, n in enumerate(row) for k in range(10)]
    return {key: [int(value) for value in column] for key, column in zip(keys, zip(*rows, strict=True), strict=True)}


def test_the_matrix_and_its_metrics(metric: Any) -> None:
    found = metric.compute(**examples(RIGHT), tasks=["a", "b", "c"])
    assert found["zero_shot"] == [30, 40, 50] and found["accuracy"] == [[90, 30, 40], [80, 70, 50], [60, 60, 80]]
    expected = {"transfer": 37.5, "last": 200 / 3, "forgetting": 20.0, "zero_shot_degradation": 20 / 3}
    assert {key: found[key] for key in expected} == pytest.approx(expected)


def test_batches_and_an_unfinished_stream(metric: Any) -> None:
    values = examples(RIGHT[:3])
    for half in (slice(None, 45), slice(45, None)):
        metric.add_batch(**{key: column[half] for key, column in values.items()})
    found = metric.compute()
    assert len(found["accuracy"]) == 2 and found["transfer"] == 37.5 and "last" not in found


def test_what_was_not_predicted_is_none(metric: Any) -> None:
    found = metric.compute(predictions=[1, 0], references=[1, 1], after_task=[1, 2], task=[0, 1])
    assert found == {"accuracy": [[100.0, None], [None, 0.0]]}


def test_numbers_of_no_task_are_refused(metric: Any) -> None:
    with pytest.raises(ValueError, match="with 1 tasks, after_task must be in 0..1 and task in 0..0, got 1..1 and 3"):
        metric.compute(predictions=[1], references=[1], after_task=[1], task=[3], tasks=["a"])


def test_direct_import() -> None:
    spec = importlib.util.find_spec("hf_clcl.evaluation.metrics.continual_accuracy.continual_accuracy")
    module = importlib.import_module(spec.name)
    found = module.ContinualAccuracy().compute(predictions=[1], references=[1], after_task=[1], task=[0])
    assert found == {"accuracy": [[100.0]], "average": 100.0, "last": 100.0}
