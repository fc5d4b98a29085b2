"""Commands and recipe keys on the pages: each command parses, and `llms.txt` has exactly the keys that exist."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
import yaml
from transformers import TrainingArguments

import hf_clcl
from helpers import ROOT
from hf_clcl.__main__ import COMMANDS, main
from hf_clcl.config.arguments import ContinualTrainingArguments
from hf_clcl.config.class_incremental import ClassIncremental
from hf_clcl.config.entries import DatasetEntry, ReferenceEntry, TaskEntry
from hf_clcl.config.lora import LoRA
from hf_clcl.config.recipe import Recipe
from hf_clcl.config.recipe_files import find_recipe
from hf_clcl.metrics.scenarios import SCENARIOS
from hf_clcl.stream.recipes import parse_recipe, read_recipe

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "AGENTS.md", ROOT / "llms.txt", *ROOT.glob("docs/*.md")]
LLMS = (ROOT / "llms.txt").read_text(encoding="utf-8")
# Keys that belong to all values of a run, and where their rows are.
ROWS = {
    "the recipe": {*(f.name for f in dataclasses.fields(Recipe))} - {"training"},
    "`class_incremental`": {f.name for f in dataclasses.fields(ClassIncremental)}
    - {f.name for f in dataclasses.fields(TaskEntry)},
    "`reference_images`": {f.name for f in dataclasses.fields(ReferenceEntry)},
    "`peft`": {f.name for f in dataclasses.fields(LoRA)},
}


def commands(page: Path) -> list[list[str]]:
    """The `hf-clcl` commands and `-m hf_clcl.train` commands in the blocks of a page, as words."""
    found = []
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    for block in (text for language, text in blocks if language in ("", "bash")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True) if "hf-clcl" in line or "-m hf_clcl." in line else []
            for start, word in enumerate(words):
                if word.rpartition("/")[2] == "hf-clcl" and words[start - 1] != "install":
                    found.append(words[start + 1 :])
                elif word.startswith("hf_clcl.") and words[start - 1] == "-m":
                    found.append([word.removeprefix("hf_clcl."), *words[start + 1 :]])
    return found


SHOWN = [(page.relative_to(ROOT).as_posix(), words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize("page, words", SHOWN, ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_a_command_exists_and_takes_its_options(page: str, words: list[str], capsys, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    name, *rest = words
    assert name in COMMANDS
    takes_a_recipe = name in ("train", "evaluate")
    if takes_a_recipe and rest[0] != "RECIPE":
        assert find_recipe(rest[0]).is_file()
    options = {word.partition("=")[0] for word in rest if word.startswith("--")}
    with pytest.raises(SystemExit):
        main([name, *rest[: name == "hub"], "--help"])
    known = set(re.findall(r"--\w+", capsys.readouterr().out))
    values = {option.removeprefix("--") for option in options - known}
    assert takes_a_recipe or not values, values
    fields = {f.name for cls in (Recipe, ContinualTrainingArguments) for f in dataclasses.fields(cls)}
    assert {value.partition(".")[0] for value in values} <= fields


def test_pages_show_commands() -> None:
    assert len(SHOWN) > 20 and {words[0] for page, words in SHOWN if page == "llms.txt"} == set(COMMANDS)


def row(start: str) -> set[str]:
    """The keys in the row of the table of `llms.txt` whose first cell starts so."""
    (cells,) = re.findall(rf"^\| {re.escape(start)}[^|]*\|([^|]*)\|$", LLMS, re.M)
    return set(re.findall(r"`([a-z_]+)`", cells))


@pytest.mark.parametrize("start", ROWS)
def test_the_keys_of_a_block_are_complete(start: str) -> None:
    assert row(start) == ROWS[start]


def test_the_keys_of_tasks_are_complete() -> None:
    parts = [row("an entry of `tasks`"), row("a task of captions"), row("a task of videos")]
    assert set().union(*parts) == {f.name for f in dataclasses.fields(TaskEntry)} - {"training"}
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert {f.name for f in dataclasses.fields(DatasetEntry)} <= row("an entry") | row("a task of captions")


def test_the_training_values_are_complete() -> None:
    ours = {f.name for f in dataclasses.fields(ContinualTrainingArguments) if f.init}
    assert row("training values") == ours - {f.name for f in dataclasses.fields(TrainingArguments)}


def test_methods_and_scenarios_are_complete() -> None:
    (methods,) = re.findall(r"^- `method`: (.*), or `file.py:Class`", LLMS, re.M)
    assert re.findall(r"`(\w+)`", methods) == list(hf_clcl.METHODS)
    assert f"one of {len(hf_clcl.METHODS)} methods" in LLMS
    (scenarios,) = re.findall(r"^- `scenarios`: (.*)$", LLMS, re.M)
    assert re.findall(r"`(\w+)`", scenarios) == list(SCENARIOS)


def test_the_recipe_is_valid() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", LLMS, re.M | re.S)
    assert [task.name for task in parse_recipe(yaml.safe_load(block)).tasks] == ["birds", "dtd"]


def test_the_pitfall_of_floats() -> None:
    assert yaml.safe_load("1e-5") == "1e-5" and yaml.safe_load("1.0e-5") == 1e-5


def test_the_record_has_what_is_shown() -> None:
    record = hf_clcl.RunRecord.load(ROOT / "model_cards" / "quickstart-zscl")
    (block,) = re.findall(r"^```python\n(.*?)^```", LLMS, re.M | re.S)
    assert all(hasattr(record, name) for name in re.findall(r"record\.(\w+)", block))
    assert {"transfer", "average", "last", "forgetting"} <= set(record.metrics)


def test_include_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("include: mtil\n")
    assert len(read_recipe(tmp_path / "mine.yaml").tasks) == 11
