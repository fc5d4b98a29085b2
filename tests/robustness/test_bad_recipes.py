"""Recipes and command lines that cannot be run: one message each, exit code 2, and the run that is there is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from helpers.bad_inputs import refused
from hf_clcl.cli.train import main

MINIMAL = {"model_name_or_path": "m", "method": "finetune", "tasks": [{"name": "a", "dataset": "d"}]}
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXT = yaml.safe_dump(MINIMAL)

FILES = {
    "empty": (b"", ["a recipe must be a YAML mapping", "got nothing"]),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00", ["cannot be read"]),
    "not UTF-8": ("licence: grün\n".encode("latin-1") + TEXT.encode(), ["cannot be read", "utf-8"]),
    "control characters": (b"a: \x00\x1b[2J\n", ["cannot be read", "character"]),
    "open bracket": (b"tasks: [1\n", ["cannot be read", "line 2"]),
    "tab": (b"a:\n\t- b\n", ["cannot be read", "line 2"]),
    "list": (b"- a\n", ["a recipe must be a YAML mapping"]),
    "two documents": (b"a: 1\n---\nb: 2\n", ["cannot be read", "document"]),
    "object": (b"a: !!python/object/apply:os.system ['true']\n", ["cannot be read", "python/object"]),
    "module": (b"a: !!python/module:os\n", ["cannot be read", "python/module"]),
    "no such day": (b"a: 2026-13-45\n", ["cannot be read", "month"]),
    "5,000 digits": (b"max_steps: " + b"9" * 5000 + b"\n", ["cannot be read", "digits"]),
    "4,200 digits of sixteen": (b"seed: 0x" + b"f" * 4200 + b"\n", ["seed: is too large a number"]),
    "not base 64": (b"a: !!binary ['x']\n", ["cannot be read"]),
    "empty tag": (b"a: !!int ''\n", ["cannot be read"]),
    "key of a list": (b"? [a]\n: 1\n", ["cannot be read", "unhashable"]),
    "key of a number": (b"1: 2\n", ["a recipe must be a YAML mapping of names"]),
    "key twice": (TEXT.encode() + b"method: zscl\n", ["method", "twice", "line"]),
    "deep": (b"[" * 200_000, ["nested too deeply"]),
    "deep lists": (b"- " * 200_000, ["nested too deeply"]),
    "deep keys": (b"? " * 200_000, ["nested too deeply"]),
    "deep blocks": (b"a: " + b"{a: " * 500 + b"1" + b"}" * 500, ["nested too deeply"]),
    "itself": (b"methods: &m {zscl: *m}\n" + TEXT.encode(), ["nested too deeply"]),
    "aliases": (BOMB.encode(), ["too many values"]),
    "two MB": (b"# much\n" * 300_000 + TEXT.encode(), ["2,100,0", "at most 1,048,576"]),
    "include of nothing": (b"include: base.yaml\n", ["base.yaml", "no such file"]),
    "include of a list": (b"include: [a, b]\n", ["include: must be the name of one YAML file"]),
    "include of itself": (b"include: recipe.yaml\n", ["includes itself"]),
    "half a character": (b'licence: "\\ud800"\n' + TEXT.encode(), ["character"]),
    "a zero": (b'output_dir: "a\\0b"\n' + TEXT.encode(), ["output_dir", "control character"]),
}


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A folder with the beginning of a run, in which nothing may change."""
    folder = tmp_path / "out"
    (folder / "task-01-a").mkdir(parents=True)
    (folder / "task-01-a" / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_no_recipes(case, tmp_path, before, capfd):
    content, parts = FILES[case]
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    refused(main, [str(path)], capfd, 2, parts, kept=tmp_path)


VALUES = {
    "model of nothing": ({"model_name_or_path": ""}, ["model_name_or_path", "is empty"]),
    "output of nothing": ({"output_dir": ""}, ["output_dir", "is empty"]),
    "number": ({"learning_rate": float("nan")}, ["learning_rate", "finite"]),
    "no end": ({"weight_decay": float("inf")}, ["weight_decay", "finite"]),
    "text that is no number": ({"learning_rate": "nan"}, ["learning_rate", "finite"]),
    "seed": ({"seed": 2**32}, ["seed", "between 0 and 4294967295"]),
    "data seed": ({"data_seed": -1}, ["data_seed", "between 0"]),
    "steps": ({"max_steps": 10**15}, ["max_steps", "must be at most"]),
    "epochs": ({"num_train_epochs": -1}, ["num_train_epochs", "above 0"]),
    "many epochs": ({"num_train_epochs": 1e300}, ["num_train_epochs", "must be at most"]),
    "batch": ({"per_device_train_batch_size": 10**12}, ["per_device_train_batch_size", "must be at most"]),
    "logging": ({"logging_steps": 0}, ["logging_steps", "above 0"]),
    "saving": ({"save_steps": -3}, ["save_steps", "above 0"]),
    "workers": ({"dataloader_num_workers": 10_000}, ["dataloader_num_workers", "must be at most"]),
    "schedule": ({"lr_scheduler_kwargs": [1]}, ["lr_scheduler_kwargs"]),
    "value of a schedule": ({"lr_scheduler_kwargs": {"cycles": 1}}, ["lr_scheduler_kwargs: cosine", "'cycles'"]),
    "plateau": ({"lr_scheduler_type": "reduce_lr_on_plateau"}, ["needs evaluations within a task; choose another"]),
    "value of an optimiser": ({"optim": "adafactor", "optim_args": "x"}, ["optim: adafactor cannot be used here"]),
    "report": ({"report_to": "teletext"}, ["report_to", "teletext", "none"]),
    "precision": ({"bf16": 3}, ["bf16: must be true or false, got 3"]),
    "optimiser": ({"optim": "adamm"}, ["optim: must be one of", "adamw_torch"]),
    "options of nothing": ({"methods": {1: {}}}, ["methods.1: no such method"]),
    "values of nothing": ({"task_values": {1: {"dataset": "x"}}}, ["task_values.1: there is no task of this name"]),
    "key of a task": ({"tasks": [{"name": "a", "dataset": "d", 3: 4}]}, ["tasks: a: 3: no such key"]),
    "name": ({"tasks": [{"name": "../../a", "dataset": "d"}]}, ["'../../a'", "1 to 64 letters"]),
    "absolute name": ({"tasks": [{"name": "/etc", "dataset": "d"}]}, ["'/etc'", "1 to 64 letters"]),
    "drive": ({"tasks": [{"name": "C:a", "dataset": "d"}]}, ["'C:a'", "1 to 64 letters"]),
    "name of 65": ({"tasks": [{"name": "a" * 65, "dataset": "d"}]}, ["1 to 64 letters"]),
    "nul": ({"tasks": [{"name": "a", "dataset": "d\0"}]}, ["tasks", "control character"]),
    "escape": ({"tasks": [{"name": "a\x1b[2J", "dataset": "d"}]}, ["tasks", "control character"]),
    "class names": (
        {"tasks": [{"name": "a", "dataset": "d", "class_names": [["x"]]}]},
        ["tasks: a: class_names", "got"],
    ),
    "list as a name": (
        {"tasks": [{"name": ["a"], "dataset": "d"}], "task_values": {"a": {}}},
        ["tasks: ['a']: name: must be text, got a list"],
    ),
    "no name": (
        {"evaluation_only": [{"name": "", "dataset": "d"}]},
        ["evaluation_only: entry 1: name: is empty; give a name"],
    ),
    "templates of nothing": (
        {"evaluation_only": [{"name": "e", "dataset": "d", "templates": [None]}]},
        ["evaluation_only: e: templates: must be a list or text, got a list"],
    ),
    "list as a number": (
        {"methods": {"zscl": {"averaging_interval": []}}},
        ["averaging_interval: must be a whole number, got a list"],
    ),
    "few": ({"few_shot": 0}, ["few_shot: must be at least 1"]),
    "expect": ({"tasks": [{"name": "a", "dataset": "d", "expect": {"train": "many"}}]}, ["expect", "whole number"]),
    "rank": ({"peft": {"r": 0}}, ["peft: r: must be at least 1"]),
    "adapter": ({"peft": True}, ["peft", "must be a block of values, got True"]),
    "scenario": ({"scenarios": ["all"]}, ["scenarios", "must be one of task_incremental"]),
    "own method": ({"method": "nowhere.at_all:Mine"}, ["nowhere.at_all", "cannot be loaded"]),
    "own file": ({"method": "nowhere.py:Mine"}, ["nowhere.py", "cannot be loaded"]),
    "half a method": ({"method": ":"}, ["method", "cannot be loaded"]),
    "a token": ({"run_name": "hf_" + "a1" * 17}, ["run_name", "looks like a token", "HF_TOKEN"]),
    "login": ({"hub_token": "x" * 30}, ["hub_token", "HF_TOKEN"]),
    "steps of a task": (
        {"tasks": [{"name": "a", "dataset": "d", "learning_rate": float("nan")}]},
        ["tasks: a: learning_rate", "finite"],
    ),
}


@pytest.mark.parametrize("case", VALUES)
def test_values_that_cannot_be_used(case, tmp_path, before, capfd):
    change, parts = VALUES[case]
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"output_dir": str(before), **MINIMAL, **change}))
    message = refused(main, [str(path)], capfd, 2, parts, kept=tmp_path)
    assert "a1a1" not in message and "x" * 30 not in message


ARGUMENTS = {
    "nothing": ([], ["give one recipe"]),
    "a folder": (["FOLDER"], ["cannot be read", "directory"]),
    "one dash": (["RECIPE", "-x"], ["'-x' belongs to no option"]),
    "no name": (["RECIPE", "--=3"], ["'--' belongs to no option"]),
    "only dots": (["RECIPE", "--..", "3"], ["no such key"]),
    "no value": (["RECIPE", "--output_dir"], ["output_dir: must be text"]),
    "into a list": (["RECIPE", "--tasks.a.dataset", "x"], ["--tasks.a.dataset: tasks is not a block"]),
    "into a number": (["RECIPE", "--seed.a", "x"], ["seed"]),
    "a list": (["RECIPE", "--tasks", "["], ["tasks", "got"]),
    "an object": (["RECIPE", "--seed", "!!python/object/apply:os.getpid []"], ["seed: must be a whole number"]),
    "no such day": (["RECIPE", "--seed", "2026-13-45"], ["seed: must be a whole number"]),
    "5,000 digits": (["RECIPE", "--seed", "9" * 5000], ["seed"]),
    "aliases": (["RECIPE", "--tasks", "[" + "&a [1], " + "*a, " * 3 + "]"], ["tasks: entry 1"]),
    "bytes": (["RECIPE", "--run_name", "caf\udce9"], ["run_name", "character"]),
    "a token": (["RECIPE", "--run_name", "hf_" + "a1" * 17], ["looks like a token"]),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_commands_that_cannot_be_run(case, tmp_path, before, capfd):
    given, parts = ARGUMENTS[case]
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"output_dir": str(before), **MINIMAL}))
    places = {"RECIPE": str(path), "FOLDER": str(tmp_path)}
    message = refused(main, [places.get(word, word) for word in given], capfd, 2, parts, kept=tmp_path)
    assert "a1a1" not in message
