"""Scenarios as data, and that nothing else in the package names one."""

import ast
import re
from pathlib import Path

import pytest

import hf_clcl
from hf_clcl.metrics.accuracy_matrix import AccuracyMatrix, incremental_metrics
from hf_clcl.metrics.scenarios import SCENARIOS

PACKAGE = Path(hf_clcl.__file__).parent
HOME = "metrics/scenarios.py"
BLOCK = "class_incremental"  # also a key of recipes


def names_in(source: str) -> list[str]:
    """String constants, parts of f-strings included and docstrings left out, that hold the name of a scenario."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        if re.search(rf"\b({'|'.join(SCENARIOS)})\b", node.value)
    ]


def test_what_counts_as_a_name():
    source = '"""task_incremental"""\nx = f"class_incremental/{y}" if z == "domain_agnostic" else "class_incremental_"'
    assert sorted(names_in(source)) == ["class_incremental/", "domain_agnostic"]


def test_scenarios_are_named_in_their_home_alone():
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {text}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).as_posix() != HOME
        for text in names_in(path.read_text(encoding="utf-8"))
        # Messages of the recipe about the block of this name.
        if not (path.parent.name == "config" and BLOCK in text and text != BLOCK)
    }
    assert not found


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_whole(name):
    scenario, tasks = SCENARIOS[name], ["a", "b", "c"]
    assert scenario.name == name and scenario.words.startswith("among the classes of") and scenario.at_test[-1] == "."
    for seen in ([], ["a"], ["a", "b"], tasks):
        for task, candidates in scenario.choices(tasks, seen).items():
            assert task in candidates and len(set(candidates)) == len(candidates) and set(candidates) <= set(tasks)
    changes = scenario.choices(tasks, ["a"]) != scenario.choices(tasks, ["a", "b"])
    assert changes == scenario.classes_grow
    assert scenario.task_is_known == (scenario.choices(tasks, tasks) == {task: [task] for task in tasks})


def test_which_metrics_belong_to_a_scenario():
    matrix = AccuracyMatrix(["a", "b"], [[80.0, 50.0], [70.0, 90.0]], [60.0, 40.0])
    untrained, images = [[60.0, 40.0], [50.0, 40.0]], [100, 300]
    for name, scenario in SCENARIOS.items():
        found = scenario.metrics(matrix, images, untrained)
        assert found == (incremental_metrics(matrix, images, untrained) if name == BLOCK else matrix.metrics())
        assert ("incremental_last" in found) == scenario.classes_grow
