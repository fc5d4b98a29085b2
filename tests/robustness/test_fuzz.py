"""Anything at all in a recipe, a command or a record: it is read or refused in words, and nothing else happens.

The same few hundred examples at every run, but for constants that Hypothesis takes from modules that happen to be
imported. `HF_CLCL_FUZZ=100 pytest tests/hostile/test_fuzz.py` draws a hundred times as many, others each time.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.records import example
from hf_clcl.cli.arguments import parse_overrides
from hf_clcl.record.repetitions import repetitions
from hf_clcl.record.run_record import RunRecord
from hf_clcl.reports.cards import write_card
from hf_clcl.stream.recipes import parse_recipe, read_recipe
from hf_clcl.utils.errors import RecipeError, UserError

RECIPE = {
    "model_name_or_path": "openai/clip-vit-base-patch16", "method": "zscl", "seed": 3, "learning_rate": 1e-5,
    "max_steps": 100, "bf16": True, "report_to": ["none"], "optim": "adamw_torch", "output_dir": "out/x",
    "methods": {"zscl": {"l2_weight": 1.0, "averaging_interval": 50}}, "lr_scheduler_kwargs": {"num_cycles": 1},
    "tasks": [
        {"name": "a", "dataset": "d/a", "class_names": ["x", "y"], "templates": ["a photo of a {}."], "max_steps": 3},
        {"name": "b", "dataset": "d/b", "classes": [0, "y"], "test_fraction": 0.2, "expect": {"classes": 2}},
        {"name": "c", "dataset": "d/c", "caption_column": "text", "caption_words": ["dog"], "take_train": 5},
    ],
    "evaluation_only": [{"name": "e", "dataset": "d/e", "templates": "cifar10", "class_names": {"x": "z"}}],
    "reference_images": {"dataset": "d/r", "take": 9}, "reference_texts": {"dataset": "t.txt"},
    "scenarios": ["task_incremental", "class_incremental"], "peft": {"r": 4, "target_modules": ["q_proj"]},
    "task_values": {"a": {"dataset": "d/aa"}}, "task_order": ["b", "a", "c"], "licence": "mit", "few_shot": 2,
}  # fmt: skip
RECORD = example(
    scenarios={"class_incremental": {"zero_shot": [1.0, 2.0, 3.0], "accuracy": [[1.0, None, 3.0], [4.0, 5.0, 6.0]]}},
    retrieval={"c": {"zero_shot": {"text_to_image_r1": 50.0}, "after": [{"text_to_image_r1": 4.0}, {}]}},
    recipe={**RECIPE, "hub_model_id": "me/clip", "peft": {"keep_adapters": True}},
).to_dict()  # fmt: skip
PLACE = Path("recipe.yaml")
TIMES = int(os.environ.get("HF_CLCL_FUZZ", "0"))


def bounded(examples: int) -> settings:
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(
        derandomize=not TIMES,
        database=None,
        deadline=None,
        max_examples=examples * max(TIMES, 1),
        suppress_health_check=checks,
    )


# Every character there is, halves of some too.
words = st.text(st.characters(exclude_categories=()), max_size=12) | st.sampled_from(
    ["", "name", "a:b", ".:x", "nan", "1e999", "{}", "../..", "~nobody/x", "<<", "\x1b[2J", "\ud800", "hf_" + "x" * 30]
)
numbers = st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | st.floats()


def within(leaves: st.SearchStrategy, keys: st.SearchStrategy) -> st.SearchStrategy:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=10
    )


of_yaml, of_json = within(numbers | words | st.dates(), words | st.integers()), within(numbers | words, words)


@st.composite
def mutated(draw: st.DrawFn, good: dict[str, Any], structures: st.SearchStrategy) -> dict[str, Any]:
    """Good values with one to three places replaced, dropped or added to."""
    values = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        place: Any = values
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys)) if keys else None
            if key is None or not isinstance(place[key], (dict, list)) or draw(st.booleans()):
                break
            place = place[key]
        action = draw(st.sampled_from(["replace", "replace", "drop", "add"]))
        if action == "add" or key is None:
            new = draw(structures)
            place.append(new) if isinstance(place, list) else place.update({draw(words): new})
        elif action == "drop":
            del place[key]
        else:
            place[key] = draw(structures)
    return values


@st.composite
def spliced(draw: st.DrawFn, good: bytes) -> bytes:
    """A good file with a part of it replaced by something else."""
    start, length = draw(st.integers(0, len(good))), draw(st.integers(0, 40))
    signs = st.sampled_from(
        [b"&a ", b"*a", b"!!", b"? ", b"- ", b"<<: ", b"{[", b'"', b"\\ud800", b"9" * 5000, b"\xff"]
    )
    return good[:start] + draw(st.binary(max_size=6) | signs) + good[start + length :]


def check_recipe(values: Any) -> None:
    try:
        recipe = parse_recipe(values)
    except RecipeError as error:
        assert str(error) and len(str(error)) < 30_000
        return
    again = yaml.safe_load(yaml.safe_dump(recipe.to_dict(), allow_unicode=True).encode())
    assert parse_recipe(again).to_dict() == recipe.to_dict()


@bounded(100)
@given(of_yaml)
def test_arbitrary_structures_as_recipes(values):
    check_recipe(values)


@bounded(300)
@given(mutated(RECIPE, of_yaml))
def test_mutations_of_a_good_recipe(values):
    check_recipe(values)


@bounded(150)
@given(spliced(yaml.safe_dump(RECIPE).encode()))
def test_mutations_of_the_file_of_a_recipe(tmp_path, content):
    path = tmp_path / PLACE
    path.write_bytes(content)
    try:
        read_recipe(path)
    except RecipeError as error:
        assert str(path) in str(error)


@bounded(100)
@given(st.lists(words | words.map("--{}".format) | st.sampled_from(["--seed", "--tasks.a.x", "--method"]), max_size=4))
def test_arbitrary_command_lines(tmp_path, given_words):
    path = tmp_path / PLACE
    path.write_text(yaml.safe_dump(RECIPE))
    try:
        read_recipe(path, parse_overrides(given_words))
    except RecipeError as error:
        assert "hf_xxx" not in str(error)


def check_record(values: Any, folder: Path) -> bool:
    """Whether it is one. What is read can be written, shown and read again."""
    try:
        record = RunRecord.from_dict(values)
    except ValueError as error:
        assert str(error)
        return False
    record.save(folder / "results.json")
    assert RunRecord.load(folder) == record
    assert write_card(record) and repetitions([record]) == [[0]]
    return True


@bounded(80)
@given(of_json)
def test_arbitrary_structures_as_records(tmp_path, values):
    check_record(values, tmp_path)
    check_record(
        {"schema": 1, "method": "m", "model": "m", "tasks": ["a"], "recipe": {"x": values}, "y": values}, tmp_path
    )


@bounded(200)
@given(mutated(RECORD, of_json))
def test_mutations_of_a_good_record(tmp_path, values):
    check_record(values, tmp_path)


@bounded(150)
@given(spliced(json.dumps(RECORD).encode()))
def test_mutations_of_the_file_of_a_record(tmp_path, content):
    (tmp_path / "results.json").write_bytes(content)
    try:
        RunRecord.load(tmp_path)
    except UserError as error:
        assert str(tmp_path) in str(error)


def test_the_good_ones_are_good(tmp_path):
    assert parse_recipe(RECIPE).tasks[0].name == "b" and check_record(RECORD, tmp_path)
    with pytest.raises(RecipeError):
        parse_recipe({})
