"""Recipes: YAML and command line to checked values, and every kind of mistake reported at once."""

from pathlib import Path

import pytest
import yaml

from helpers import ROOT
from hf_clcl.stream.recipes import parse_recipe, read_recipe
from hf_clcl.utils.errors import RecipeError

MINIMAL = {"model_name_or_path": "m", "method": "finetune", "tasks": [{"name": "a", "dataset": "d"}]}


def problems_of(values: dict) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(values)
    return str(caught.value)


def write(folder: Path, name: str = "r.yaml", **values: object) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/*.yaml")), ids=lambda path: path.name)
def test_every_recipe_of_the_project_is_valid(path):
    recipe = read_recipe(path)
    assert recipe.tasks
    assert parse_recipe(recipe.to_dict()).to_dict() == recipe.to_dict()


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/*.yaml")), ids=lambda path: path.name)
def test_every_recipe_tells_its_command(path):
    header = "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert "python -m hf_clcl.train" in header or "accelerate launch -m hf_clcl.train" in header
    assert f"recipes/{path.name}" in header


def test_values_go_where_they_belong():
    recipe = parse_recipe(
        {**MINIMAL, "learning_rate": "1e-4", "tasks": [{"name": "a", "dataset": "d", "max_steps": 5}]}
    )
    assert recipe.training == {"learning_rate": 1e-4}
    assert recipe.tasks[0].training == {"max_steps": 5}
    assert recipe.to_dict()["tasks"] == [{"name": "a", "dataset": "d", "max_steps": 5}]


def test_the_command_line_wins(tmp_path):
    path = write(tmp_path, **MINIMAL, learning_rate=1e-5, methods={"zscl": {"l2_weight": 2.0}})
    overrides = {"learning_rate": "3e-4", "bf16": "true", "methods.zscl.l2_weight": "0.5", "output_dir": "out"}
    recipe = read_recipe(path, overrides)
    assert recipe.training == {"learning_rate": 3e-4, "bf16": True, "output_dir": "out"}
    assert recipe.methods["zscl"] == {"l2_weight": 0.5}


def test_include_is_overridden_block_by_block(tmp_path):
    write(tmp_path, "base.yaml", **MINIMAL, max_steps=5, methods={"zscl": {"l2_weight": 2.0, "temperature": 3.0}})
    path = write(tmp_path, "top.yaml", include="base.yaml", max_steps=7, methods={"zscl": {"l2_weight": 1.0}})
    recipe = read_recipe(path)
    assert recipe.training["max_steps"] == 7
    assert recipe.methods["zscl"] == {"l2_weight": 1.0, "temperature": 3.0}


def test_include_of_itself_is_refused(tmp_path):
    path = write(tmp_path, include="r.yaml", **MINIMAL)
    with pytest.raises(RecipeError, match="includes itself"):
        read_recipe(path)


def test_all_problems_are_told_at_once():
    text = problems_of({
        "model_name_or_path": "m", "methd": "zscl", "learning_rate": "fast", "bf16": "maybe", "max_stepss": 3,
        "tasks": [{"name": "a", "dataset": "d", "test_splt": "x"}, {"dataset": "d"}],
    })  # fmt: skip
    assert text.startswith("6 problems")
    for part in (
        "methd: no such key; did you mean method?",
        "learning_rate: must be a number, got 'fast'",
        "bf16: must be true or false, got 'maybe'",
        "max_stepss: no such key; did you mean max_steps?",
        "tasks: a: test_splt: no such key; did you mean test_split?",
        "tasks: entry 2: name: is missing",
    ):
        assert part in text


def test_bounds_and_entries_are_checked_in_the_same_pass():
    text = problems_of({
        **MINIMAL, "learning_rate": -1.0, "seed": 2**32, "peft": {"lora_dropout": 1, "towers": "none"},
        "tasks": [
            {"name": "a", "dataset": "d", "max_steps": True}, {"name": "b", "dataset": "d", "frames": 0},
            {"name": "c", "dataset": "d", "classes": []},
        ],
    })  # fmt: skip
    assert text.startswith("7 problems")
    for part in (
        "learning_rate: must be at least 0, got -1.0",
        "seed: must be between 0 and 4294967295, got 4294967296",
        "peft: lora_dropout: must be below 1, got 1",
        "peft: towers: must be one of both, vision, text, got 'none'",
        "tasks: a: max_steps: must be a whole number, got True",
        "tasks: b: frames: must be at least 1, got 0",
        "tasks: c: classes is empty",
    ):
        assert part in text


def test_plain_values_become_what_a_field_declares():
    recipe = parse_recipe({
        **MINIMAL, "max_steps": "1e3", "weight_decay": 0, "model_revision": 2024, "output_dir": Path("out"),
        "tasks": [{"name": "a", "dataset": "d", "classes": [0, "one"], "class_names": ["x", 2.5]}],
    })  # fmt: skip
    assert recipe.training == {"max_steps": 1000, "weight_decay": 0, "output_dir": "out"}
    assert type(recipe.training["max_steps"]) is int and recipe.model_revision == "2024"
    assert recipe.tasks[0].classes == [0, "one"] and recipe.tasks[0].class_names == ["x", "2.5"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model_name_or_path": None}, "model_name_or_path: must be text, got nothing"),
        ({"tasks": []}, "the stream is empty"),
        ({"tasks": "mnist"}, "tasks: must be a list"),
        ({"tasks": ["mnist"]}, "tasks: entry 1: must be a block of values"),
        ({"tasks": [{"name": "a", "dataset": "d"}, {"name": "A", "dataset": "e"}]}, "two tasks have this name"),
        ({"tasks": [{"name": "../a", "dataset": "d"}]}, "a name has 1 to 64"),
        ({"tasks": [{"name": "a", "dataset": "d", "templates": ["a photo"]}]}, "must have one {}"),
        ({"tasks": [{"name": "a", "dataset": "d", "templates": []}]}, "templates is empty"),
        ({"tasks": [{"name": "a", "dataset": "d", "test_fraction": 1.5}]}, "test_fraction: must be below 1"),
        ({"tasks": [{"name": "a", "dataset": "d", "take_train": 0}]}, "take_train: must be at least 1"),
        ({"tasks": [{"name": "a", "dataset": "d", "bf16": True}]}, "holds for the whole stream"),
        ({"method": "zcsl"}, "no method 'zcsl'; did you mean zscl?"),
        ({"method": "zscl"}, "reference_images: zscl distils on reference images"),
        ({"methods": {"zscl": {"l2": 1}}}, "methods.zscl: l2: no such key; did you mean l2_weight?"),
        ({"methods": {"zscl": {"temperature": 0}}}, "temperature: must be above 0"),
        ({"methods": {"zscl": {"averaging_interval": -1}}}, "averaging_interval: must be 0 (never) or more"),
        ({"methods": {"ewk": {}}}, "methods.ewk: no such method"),
        ({"learning_rate": -1.0}, "learning_rate: must be at least 0"),
        ({"label_smoothing_factor": 1.5}, "label_smoothing_factor: must be between"),
        ({"max_steps": 0}, "max_steps: must be at least 1"),
        ({"max_steps": 2.5}, "max_steps: must be a whole number, got 2.5"),
        ({"bf16": True, "fp16": True}, "bf16 and fp16"),
        ({"lr_scheduler_type": "cosin"}, "lr_scheduler_type: must be one of linear, cosine"),
        ({"trainable": "head"}, "trainable: must be one of both, vision, text"),
        ({"eval_strategy": "steps"}, "every task is evaluated after each task"),
        ({"load_best_model_at_end": True}, "would be cheating"),
        ({"fsdp": "full_shard"}, "the launcher chooses it: accelerate launch"),
    ],
)
def test_mistakes_are_explained(change, message):
    assert message in problems_of({**MINIMAL, **change})


@pytest.mark.parametrize(
    "content, message",
    [
        ("- a\n- b\n", "a recipe must be a YAML mapping"),
        ("", "a recipe must be a YAML mapping of names to values, got nothing"),
        ("a: [1\n", "cannot be read"),
        ("a: !!python/object/apply:os.system ['true']\n", "cannot be read"),
        ("1: 2\n", "a recipe must be a YAML mapping"),
    ],
)
def test_files_that_are_no_recipes(tmp_path, content, message):
    path = tmp_path / "r.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)


def test_a_missing_recipe_tells_its_neighbours(tmp_path):
    write(tmp_path, "mine.yaml", **MINIMAL)
    with pytest.raises(RecipeError, match="mine.yaml"):
        read_recipe(tmp_path / "mien.yaml")
