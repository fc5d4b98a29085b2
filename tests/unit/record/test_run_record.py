"""`results.json`: what is written is read again, and what is not a record is refused in words."""

import copy
import json
import math
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.records import example
from hf_clcl.record.run_record import SCHEMA, RunRecord


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    example().save(path)
    assert RunRecord.load(path) == example()
    assert RunRecord.load(path.parent) == example()
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]
    assert list(json.loads(path.read_text()))[:7] == [
        "schema", "method", "model", "tasks", "zero_shot", "accuracy", "metrics",
    ]  # fmt: skip


def test_metrics_of_the_file_are_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    example().save(path)
    path.write_text(path.read_text().replace('"transfer": 41.25', '"transfer": 99.0'))
    assert json.loads(path.read_text())["metrics"]["transfer"] == 99.0
    assert RunRecord.load(path).metrics["transfer"] == pytest.approx(41.25)


def test_totals() -> None:
    assert example().seconds == 5.5 and example().peak_memory_mb == 300.0
    assert example(phases=[]).seconds is None and example(phases=[]).peak_memory_mb is None


def test_a_record_says_whether_training_was_joint_and_old_ones_by_their_method() -> None:
    new = example(method="my_upper_bound", trains_jointly=True).to_dict()
    assert RunRecord.from_dict(new).trains_jointly is True
    for method, expected in (("joint", True), ("zscl", False)):
        old = example(method=method).to_dict()
        del old["trains_jointly"]
        assert RunRecord.from_dict(old).trains_jointly is expected
    assert RunRecord.from_dict(example(method="joint").to_dict()).trains_jointly is False  # what is recorded counts


def test_the_matrix_is_a_table() -> None:
    table = example(accuracy=[[90.0, None, 44.0]]).matrix
    assert list(table.index) == ["zero-shot", "a"] and list(table.columns) == ["a", "b", "c"]
    assert table.loc["a", "a"] == 90.0 and math.isnan(table.loc["a", "b"]) and table.loc["zero-shot", "c"] == 50.0
    nothing = example(zero_shot=None, accuracy=[]).matrix
    assert nothing.shape == (1, 3) and nothing.isna().all(axis=None)


def test_until_a_task() -> None:
    record = example().until("a")
    assert record.accuracy == [[90.0, 38.0, 44.0]] and record.evaluation_only["cifar10"]["accuracy"] == [58.0]
    assert [phase["task"] for phase in record.phases] == [None, "a"] and len(record.losses) == 1
    with pytest.raises(ValueError, match="'c' is not a finished task of this run; finished are: a, b"):
        example().until("c")


def test_values_of_other_libraries_are_written_as_plain_json(tmp_path: Path) -> None:
    losses = [{"task": "a", "step": np.int64(1), "loss": math.nan, "image": np.float32(0.5)}]
    record = example(losses=losses, recipe={"output_dir": Path("out"), "betas": (0.9, 0.99)})
    record.save(tmp_path / "results.json")
    read = RunRecord.load(tmp_path)
    assert read.losses == [{"task": "a", "step": 1, "loss": None, "image": 0.5}]
    assert read.recipe == {"output_dir": "out", "betas": [0.9, 0.99]}


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    example().save(path)
    old = path.read_bytes()
    with pytest.raises(ValueError, match="got nan"):
        example(accuracy=[[math.nan, 1.0, 1.0]]).save(path)

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        example(method="other").save(path)
    assert path.read_bytes() == old and os.listdir(tmp_path) == ["results.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": SCHEMA + 1}, "update hf_clcl"),
        ({"schema": "1"}, "was it written by hf_clcl"),
        ({"schema": None}, "`schema` must be a number"),
        ({"method": 3}, "method: must be text, got 3"),
        ({"tasks": "a"}, "tasks: must be a list, got 'a'"),
        ({"tasks": ["a", "a", "b"]}, "each given once"),
        ({"accuracy": [[1.0]]}, "row 0 of accuracy has 1 entries for 3 tasks"),
        ({"accuracy": [[1.0, 2.0, "x"]]}, "accuracy[0][2]: must be a number, got 'x'"),
        ({"accuracy": {}}, "accuracy: must be a list, got an object"),
        ({"zero_shot": [1.0, 2.0, 300]}, "zero_shot: c: must be a percentage"),
        ({"evaluation_only": {"x": {"zero_shot": 1.0}}}, "evaluation_only: x: accuracy: is missing"),
        ({"evaluation_only": {"x": {"zero_shot": 1.0, "accuracy": [1.0]}}}, "1 entries for 2 finished tasks"),
        ({"phases": [{"phase": "training", "task": "a"}]}, "phases[0]: seconds: is missing"),
        ({"phases": [7]}, "phases[0]: must be an object, got 7"),
        ({"losses": [{"task": "a", "step": 1.5, "loss": 1.0}]}, "losses[0]: step: must be a whole number, got 1.5"),
        ({"finished": 1}, "finished: must be true or false, got 1"),
        ({"seed": True}, "seed: must be a whole number, got True"),
        ({"versions": {"torch": 2}}, "versions: torch: must be text, got 2"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({**example().to_dict(), **change}))
    with pytest.raises(ValueError) as caught:
        RunRecord.load(path)
    assert str(path) in str(caught.value) and message in str(caught.value)


@pytest.mark.parametrize("missing", ["method", "model", "tasks", "schema"])
def test_missing_keys_are_named(tmp_path: Path, missing: str) -> None:
    values = example().to_dict()
    del values[missing]
    (tmp_path / "results.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=missing):
        RunRecord.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"3", b'{"schema": 1}', b"\xff\xfe\x00", b"[" * 100_000, b'{"schema": NaN}']
    + [json.dumps(example().to_dict()).replace("44.0", bad).encode() for bad in ("NaN", "1e999", "-Infinity", '"44"')],
)
def test_what_is_not_a_record_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match="results.json"):
        RunRecord.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere.*No such file.*give a results.json"):
        RunRecord.load(tmp_path / "nowhere")


def test_any_broken_value_is_refused_or_read_and_nothing_else_happens(tmp_path: Path) -> None:
    """One value of a good record after another is replaced by something strange."""
    generator = random.Random(0)
    strange = [None, True, -1, 1e30, "x", "", [], {}, [[]], {"a": 1}, ["a"]]
    refused = 0
    for _ in range(400):
        values = copy.deepcopy(example().to_dict())
        place: Any = values
        while True:
            key = generator.choice(list(place)) if isinstance(place, dict) else generator.randrange(len(place))
            if not isinstance(place[key], (dict, list)) or not place[key] or generator.random() < 0.3:
                break
            place = place[key]
        place[key] = generator.choice(strange)
        try:
            record = RunRecord.from_dict(values)
        except ValueError:
            refused += 1
        else:
            record.save(tmp_path / "results.json")
            assert RunRecord.load(tmp_path) == record
    assert 100 < refused < 390
