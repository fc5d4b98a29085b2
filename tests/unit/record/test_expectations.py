"""Published results are shown only beside runs that agree with them in every field."""

from __future__ import annotations

import dataclasses
import re

import pytest

from helpers import ROOT
from hf_clcl.cli.compare import main
from hf_clcl.config.expected_results import expected_results, results_of_method
from hf_clcl.record.expectations import compare_with_published
from hf_clcl.record.repetitions import decisive_values
from hf_clcl.record.run_record import RunRecord
from hf_clcl.reports.cards import write_card
from hf_clcl.stream.recipes import parse_recipe, read_recipe
from hf_clcl.utils.errors import RecipeError


def finished_run(recipe: str = "mtil.yaml", overrides: dict[str, str] | None = None, **facts) -> RunRecord:
    """The record of a run of a recipe with the published members of splits, and any accuracies."""
    parsed = read_recipe(ROOT / "recipes" / recipe, overrides)
    names = [task.name for task in parsed.tasks]
    notes = [
        {
            "task": task.name, "dataset": task.dataset, "classes": 10, "train": 100, "test": 100, "licence": "MIT",
            **({"members": "published"} if task.split == "published" else {}),
        }
        for task in parsed.tasks
    ]  # fmt: skip
    rows = [[50.0] * len(names) for _ in names]
    values = {"zero_shot": [40.0] * len(names), "accuracy": rows, "recipe": parsed.to_dict(), "datasets": notes}
    values |= {"finished": True, "protocol": {"batch_size": 64}, **facts}
    record = RunRecord(parsed.method, parsed.model_name_or_path, names, **values)
    return RunRecord.from_dict(record.to_dict())  # as it is read back from the file


def test_a_run_of_the_recipe_is_comparable():
    (found,) = compare_with_published(finished_run())
    assert found.comparable and found.values["transfer"] == (68.1, 50.0) and found.caveats
    card = write_card(finished_run())
    assert "## Published results" in card and re.search(r"\| Transfer +\| +50\.00 \| +68\.1 \|", card)


@pytest.mark.parametrize(
    ("overrides", "facts", "difference"),
    [
        ({"max_steps": "500"}, {}, "max_steps: 500, published 1000"),
        ({"methods.zscl.l2_weight": "0.5"}, {}, "methods.zscl.l2_weight: 0.5, published 1.0"),
        ({"task_values.mnist.templates": "mnist"}, {}, "tasks.mnist.templates: mnist, published zscl_mtil/mnist"),
        ({"few_shot": "16"}, {}, "few_shot: 16, published not set"),
        ({}, {"protocol": {"batch_size": 128}}, "batch_size: 128, published 64"),
        ({}, {"datasets": []}, "members.eurosat: not set, published published"),
        ({"per_device_train_batch_size": "16"}, {"protocol": {"batch_size": 64}}, None),
    ],
)  # fmt: skip
def test_a_run_that_differs_shows_what_differs_and_no_published_number(overrides, facts, difference):
    record = finished_run(overrides=overrides, **facts)
    (found,) = compare_with_published(record)
    assert found.comparable == (difference is None) and (difference is None or difference in found.differences)
    card = write_card(record)
    assert ("| 68.1 |" in card) == found.comparable and ("Not comparable with" in card) != found.comparable


def test_an_unfinished_run_has_no_published_numbers_beside_it():
    record = finished_run()
    record.accuracy, record.finished = record.accuracy[:3], False
    (found,) = compare_with_published(record)
    assert not found.comparable and "not measured yet: " in write_card(record) and "68.1" not in write_card(record)


def test_the_comparison_has_published_rows_for_comparable_runs_alone(tmp_path, capsys):
    for name, steps in (("same", "1000"), ("other", "500")):
        method = {"same": "zscl", "other": "finetune"}[name]
        (tmp_path / name).mkdir()
        finished_run(overrides={"method": method, "max_steps": steps}).save(tmp_path / name / "results.json")
    assert main([str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    shown, table = capsys.readouterr().out, (tmp_path / "out" / "comparison.md").read_text()
    assert "| zscl (published) | 68.10 | 75.40 | 83.60 |" in table and "finetune (published)" not in table
    assert "max_steps: 500, published 1000" in " ".join(table.split()) and "zscl*" in shown
    assert "44.6" not in table + shown


def test_rows_of_one_method_and_its_other_name():
    table = expected_results("zscl_mtil/order_1")
    assert len(table) == 9
    ours, theirs = (results_of_method("zscl_mtil/order_1", name)[0] for name in ("vr_lwf", "lwf_vr"))
    assert ours.values == theirs.values == {"transfer": 57.2, "average": 65.1, "last": 76.6}
    assert "methods.vr_lwf.number" in ours.agree and "methods.lwf_vr.number" in theirs.agree
    assert results_of_method(table, "ewc") == [] == results_of_method(None, "zscl")


def test_expected_results_of_a_user():
    values = {
        "model_name_or_path": "m", "method": "finetune", "tasks": [{"name": "a", "dataset": "d"}],
        "expect_results": [{"method": "finetune", "values": {"last": 80}, "source": "ours", "agree": {"seed": 1}}],
    }  # fmt: skip
    recipe = parse_recipe(values)
    assert recipe.expect_results[0].values == {"last": 80.0} and parse_recipe(recipe.to_dict()) == recipe
    assert not any("expect_results" in key for key in decisive_values(recipe.to_dict()))
    wrong = {**values, "expect_results": "zscl_mtil/order_3"}
    with pytest.raises(RecipeError, match="expect_results: no 'zscl_mtil/order_3'; did you mean zscl_mtil/order_"):
        parse_recipe(wrong)
    with pytest.raises(RecipeError, match="must have values and a source"):
        parse_recipe({**values, "expect_results": [{"method": "finetune"}]})


def test_a_broken_expectation_in_a_record_is_left_out():
    record = dataclasses.replace(finished_run(), recipe={"method": "zscl", "expect_results": ["x", 3]})
    assert compare_with_published(record) == []
