"""What images are classified among: every scenario from known embeddings, worked out by hand."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from rich.console import Console

from hf_clcl.evaluation import zero_shot
from hf_clcl.evaluation.evaluator import StreamEvaluation
from hf_clcl.evaluation.zero_shot import TestSet, ZeroShotEvaluator
from hf_clcl.metrics.accuracy_matrix import AccuracyMatrix, incremental_metrics, seen_accuracy
from hf_clcl.metrics.scenarios import SCENARIOS, Scenario
from hf_clcl.record.run_record import RunRecord
from hf_clcl.reports.cards import write_card
from hf_clcl.reports.figures import plot_curves
from hf_clcl.reports.terminal import print_results

# Each class points along an axis of its own, but for `c`, which two tasks have.
AXES = {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}
TASKS = {"one": ["a", "b"], "two": ["c", "d"], "three": ["C", "e"]}
# For each image its similarity to a, b, c, d, e, and its label within the task.
IMAGES = {
    "one": [
        ([0.9, 0.1, 0, 0, 0], 0),
        ([0.2, 0.5, 0, 0.8, 0], 1),
        ([0.6, 0.5, 0, 0, 0.7], 0),
        ([0.6, 0.5, 0, 0, 0], 1),
    ],
    "two": [([0, 0, 0.9, 0, 0], 0), ([0, 0.9, 0, 0.8, 0], 1)],
    "three": [([0, 0, 0.6, 0.7, 0.1], 0), ([0, 0, 0.5, 0, 0.4], 1), ([0, 0, 0.1, 0, 0.4], 1)],
}
OWN = {"one": 75.0, "two": 100.0, "three": 200 / 3}
ALL = {"one": 25.0, "two": 50.0, "three": 100 / 3}


class Images(list):
    pass


@pytest.fixture
def evaluator(monkeypatch):
    """An evaluator whose images and texts have the embeddings above."""
    looks = []

    def images(model, source, *args, **kwargs):
        looks.append(source)
        return torch.tensor([vector for vector, _ in source])

    monkeypatch.setattr(zero_shot, "embed_all_images", images)
    monkeypatch.setattr(zero_shot, "embed_all_texts", lambda model, ids: torch.eye(5)[ids])
    monkeypatch.setattr(zero_shot, "tokenize", lambda _, texts: torch.tensor([AXES[t.strip().lower()] for t in texts]))
    tasks = {
        name: TestSet(Images(IMAGES[name]), np.array([label for _, label in IMAGES[name]]), [names])
        for name, names in TASKS.items()
    }
    made = ZeroShotEvaluator(tasks, None, None, Accelerator(cpu=True), 2)
    made.looks = looks
    return made


MODEL = SimpleNamespace(eval=lambda: None, device="cpu")


def test_what_each_scenario_chooses_from():
    names = ["one", "two", "three"]
    assert SCENARIOS["task_incremental"].choices(names, ["one"]) == {name: [name] for name in names}
    assert SCENARIOS["domain_agnostic"].choices(names, []) == {name: names for name in names}
    assert SCENARIOS["class_incremental"].choices(names, ["one"]) == {
        "one": ["one"], "two": ["one", "two"], "three": ["one", "three"],
    }  # fmt: skip


def test_every_scenario_by_hand_from_one_look(evaluator):
    names = list(TASKS)
    wanted = {
        "own": SCENARIOS["task_incremental"].choices(names, []),
        "all": SCENARIOS["domain_agnostic"].choices(names, []),
        "first": SCENARIOS["class_incremental"].choices(names, ["one"]),
        "second": SCENARIOS["class_incremental"].choices(names, ["one", "two"]),
    }
    found = evaluator(MODEL, wanted, show=False)
    assert len(evaluator.looks) == 3
    assert found["own"] == pytest.approx(OWN)
    # Of task one: d beats b, e beats a; of two: b beats d; of three: d beats c, and c beats e.
    assert found["all"] == pytest.approx(ALL)
    assert found["first"] == pytest.approx({"one": 75.0, "two": 50.0, "three": 200 / 3})
    assert found["second"] == pytest.approx({"one": 50.0, "two": 50.0, "three": 100 / 3})
    assert evaluator.classify({"all": wanted["all"]}) == {"all": found["all"]} and len(evaluator.looks) == 3


def test_a_class_that_two_tasks_have_is_right_in_either(evaluator):
    """`c` of task two stands before `C` of task three and is as near: the answer is right all the same."""
    found = evaluator(MODEL, {"x": {"three": ["two", "three"]}, "y": {"three": ["three", "two"]}}, show=False)
    assert found["x"] == found["y"] == {"three": pytest.approx(100 / 3)}
    assert len(evaluator.looks) == 1  # the images of other tasks are not asked for


def stream(monkeypatch, evaluator, scenarios: list[str]) -> StreamEvaluation:
    record = RunRecord(
        "finetune", "m", list(TASKS), scenario=scenarios[0],
        scenarios={name: {"zero_shot": None, "accuracy": []} for name in scenarios[1:]},
        datasets=[
            {"task": name, "dataset": "", "classes": 2, "train": 1, "test": len(rows)}
            for name, rows in IMAGES.items()
        ],
    )  # fmt: skip
    made = StreamEvaluation.__new__(StreamEvaluation)
    made.record, made.show, made.tasks, made.outside, made.zero_shot = record, False, list(TASKS), [], evaluator
    made.searches = {}
    return made


def test_a_class_incremental_stream_fills_the_record(monkeypatch, evaluator):
    evaluation = stream(monkeypatch, evaluator, ["class_incremental", "task_incremental"])
    record = evaluation.record
    logged = evaluation.measure(MODEL, None)
    for task in TASKS:
        evaluation.repeat(MODEL, task)
    assert len(evaluator.looks) == 3  # what has not changed is not looked at again
    rows = [[75.0, 50.0, 200 / 3], [50.0, 50.0, 100 / 3], list(ALL.values())]
    assert record.accuracy == [pytest.approx(row) for row in rows]
    assert record.zero_shot == pytest.approx(list(ALL.values())) and record.baseline == record.accuracy
    assert record.scenarios["task_incremental"]["accuracy"] == [pytest.approx(list(OWN.values()))] * 3
    assert logged["accuracy/one"] == 25.0 and logged["accuracy/task_incremental/one"] == 75.0
    # After each step: 3 of 4; 2 of 4 and 1 of 2; 1 of 4, 1 of 2 and 1 of 3.
    steps = [75.0, 50.0, 100 * 3 / 9]
    assert record.seen == (pytest.approx(steps), pytest.approx(steps))
    assert record.metrics["incremental_average"] == pytest.approx(sum(steps) / 3)
    assert record.metrics["incremental_last"] == record.metrics["zero_shot_last"] == pytest.approx(steps[-1])
    assert record.metrics["forgetting"] == pytest.approx((75 - 25 + 50 - 50) / 2)
    assert record.of("task_incremental").metrics["last"] == pytest.approx(sum(OWN.values()) / 3)
    again = RunRecord.from_dict(record.to_dict())
    assert again == record and again.until("one").scenarios["task_incremental"]["accuracy"] == [
        pytest.approx(list(OWN.values()))
    ]


def test_a_model_that_has_changed_is_looked_at_again(monkeypatch, evaluator):
    evaluation = stream(monkeypatch, evaluator, ["domain_agnostic"])
    evaluation.measure(MODEL, None)
    evaluation.measure(MODEL, "one")
    assert len(evaluator.looks) == 6 and not evaluator.embedded
    evaluation.repeat(MODEL, "two")
    assert evaluation.record.accuracy == [pytest.approx(list(ALL.values()))] * 2 and len(evaluator.looks) == 6


def test_a_new_scenario_needs_nothing_but_its_entry(monkeypatch, evaluator, tmp_path):
    """Among the classes of the last task seen and of the own one: evaluation, record, card, terminal and plots."""
    latest = Scenario(
        "latest_task", "among the classes of the latest task and its own", "Only the latest task is open.",
        lambda task, tasks, seen: [*(other for other in seen[-1:] if other != task), task], classes_grow=True,
        metrics=lambda matrix, images, untrained: {"last": matrix.metrics()["last"]} if matrix.finished else {},
    )  # fmt: skip
    monkeypatch.setitem(SCENARIOS, latest.name, latest)
    evaluation = stream(monkeypatch, evaluator, [latest.name, "task_incremental"])
    record = evaluation.record
    evaluation.measure(MODEL, None)
    for task in TASKS:
        evaluation.repeat(MODEL, task)
    rows = [[75.0, 50.0, 200 / 3], [50.0, 100.0, 100 / 3], [50.0, 100.0, 200 / 3]]
    assert record.accuracy == [pytest.approx(row) for row in rows] and record.baseline == record.accuracy
    assert record.metrics == {"last": pytest.approx(sum(rows[-1]) / 3)}
    assert RunRecord.from_dict(record.to_dict()) == record
    card, console = write_card(record), Console(width=100, file=io.StringIO())
    print_results(record, console)
    assert latest.words in card and latest.at_test in card and "on all classes seen so far" in card
    assert f"latest_task: {latest.words}" in console.file.getvalue()
    plot_curves(record, tmp_path)
    assert "latest-task" in (tmp_path / "curves.svg").read_text()


def test_accuracy_on_all_classes_seen_counts_images():
    rows = [[80.0, 1.0, 1.0], [60.0, 90.0, 1.0], [50.0, 70.0, 20.0]]
    assert seen_accuracy(rows, [100, 300, 50]) == pytest.approx(
        [80.0, (60 * 100 + 90 * 300) / 400, (50 * 100 + 70 * 300 + 20 * 50) / 450]
    )
    assert seen_accuracy(rows, [100, None, 100]) == pytest.approx([80.0, 60.0, 35.0])  # a task without classes
    assert seen_accuracy([[None, 1.0, 1.0]], [1, 1, 1]) == [None]
    unfinished = AccuracyMatrix(["a", "b", "c"], rows[:2])
    assert incremental_metrics(unfinished, [1, 1, 1]) == {}


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"scenarios": {"domain_agnostic": {"zero_shot": None, "accuracy": [[1]]}}},
            "scenarios: domain_agnostic: 1 entries for 0 finished tasks",
        ),
        ({"scenarios": {"x": {"zero_shot": None, "accuracy": []}}}, "scenario: must be one of task_incremental"),
        ({"scenarios": {"x": {"zero_shot": None}}}, "scenarios: x: accuracy: is missing"),
        ({"baseline": [[1.0, 2.0]]}, "2 entries for 1 tasks"),
    ],
)
def test_records_that_contradict_themselves(change, message):
    values = {"schema": 1, "method": "m", "model": "m", "tasks": ["a"], **change}
    with pytest.raises(ValueError, match=message):
        RunRecord.from_dict(values)
