"""Recipes by name: a file of the user is used first, then a recipe of the package."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from helpers import ROOT
from hf_clcl.config.recipe_files import RECIPES, find_recipe, packaged_recipe, recipe_names
from hf_clcl.stream.recipes import read_recipe
from hf_clcl.utils.errors import RecipeError

MINIMAL = "model_name_or_path: m\nmethod: finetune\ntasks: [{name: a, dataset: d}]\n"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory outside the clone."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_files_of_the_folder_have_a_name() -> None:
    files = {path.relative_to(ROOT / "recipes").as_posix() for path in (ROOT / "recipes").rglob("*.yaml")}
    assert {f"{name}.yaml" for name in recipe_names()} == files
    assert {"quickstart", "streams/mtil", "accelerate/fsdp"} <= set(recipe_names())


@pytest.mark.parametrize("name", ["mtil", "mtil.yaml", "recipes/mtil.yaml", "recipes/mtil", "./recipes/mtil.yaml"])
def test_a_recipe_of_the_package_is_found_where_there_is_no_file(elsewhere: Path, name: str, caplog) -> None:
    with caplog.at_level(logging.INFO):
        assert find_recipe(name) == RECIPES / "mtil.yaml"
    assert str(RECIPES / "mtil.yaml") in caplog.text


def test_the_recipe_does_not_depend_on_the_place_of_its_file(elsewhere: Path) -> None:
    assert read_recipe("mtil_lora").to_dict() == read_recipe(ROOT / "recipes" / "mtil_lora.yaml").to_dict()


@pytest.mark.parametrize("place", ["mtil", "mtil.yaml", "recipes/mtil.yaml"])
def test_a_file_of_the_user_is_used_first(elsewhere: Path, place: str) -> None:
    (elsewhere / "recipes").mkdir()
    (elsewhere / place).write_text(MINIMAL)
    assert find_recipe("mtil") == Path(place)
    assert read_recipe("mtil").model_name_or_path == "m"


def test_a_folder_is_no_recipe(elsewhere: Path) -> None:
    (elsewhere / "mtil").mkdir()
    assert find_recipe("mtil") == RECIPES / "mtil.yaml"


def test_a_recipe_of_the_user_includes_one_of_the_package(elsewhere: Path) -> None:
    (elsewhere / "mine").mkdir()
    (elsewhere / "mine" / "short.yaml").write_text("include: quickstart\nmax_steps: 3\n")
    recipe = read_recipe("mine/short.yaml")
    assert recipe.training["max_steps"] == 3 and len(recipe.tasks) == 8


@pytest.mark.parametrize("name", ["../recipes/mtil.yaml", "recipes/../mtil", "/recipes/mtil.yaml", "", ".", "recipes"])
def test_only_names_within_the_package_are_found(elsewhere: Path, name: str) -> None:
    assert packaged_recipe(name) is None
    assert find_recipe(name) == Path(name)


def test_a_name_with_a_typing_error_gets_the_nearest(elsewhere: Path) -> None:
    with pytest.raises(RecipeError, match=r"no such file; did you mean quickstart\? \(`hf-clcl recipes` lists"):
        read_recipe("quikstart")
