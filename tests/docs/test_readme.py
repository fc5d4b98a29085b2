"""The commands and the code of the README work as they stand."""

import re
import shlex
import subprocess
import sys
from functools import partial

import pytest
import yaml

from helpers import ROOT
from hf_clcl.stream.recipes import parse_recipe, read_recipe

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [shlex.split(part, comments=True) for line in lines for part in line.split("&&")]


def test_the_two_commands_come_first():
    install, test = blocks("bash")[:2]
    assert install.count("\n") == test.count("\n") == 1
    assert '-c constraints.txt -e ".[app,dev]"' in install and "hf_clcl.train recipes/quickstart.yaml" in install
    assert test.strip().endswith("python -m pytest")


def test_it_is_short():
    assert len(README.split()) <= 1000


def test_ci_does_what_the_readme_says():
    script = (ROOT / ".ci" / "run").read_text()
    assert '-c constraints.txt -e ".[app,dev]"' in script and "-m pytest" in script


RUNS = [c for c in commands() if "hf_clcl.train" in c or c[:2] == ["hf-clcl", "train"]]


@pytest.mark.parametrize("command", RUNS, ids=" ".join)
def test_training_commands_name_valid_recipes(command, monkeypatch):
    from hf_clcl.cli.train import parse_command_line

    monkeypatch.chdir(ROOT)
    start = command.index("hf_clcl.train" if "hf_clcl.train" in command else "train")
    options, overrides = parse_command_line(command[start + 1 :])
    assert read_recipe(options.recipe, overrides).tasks


def test_a_space_installs_what_the_package_needs():
    tomllib = pytest.importorskip("tomllib", reason="reading pyproject.toml needs Python 3.11")

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        *project["dependencies"],
        *project["optional-dependencies"]["app"],
    ]


def test_the_recipe_shown_is_valid():
    (recipe,) = blocks("yaml")
    assert [task.name for task in parse_recipe(yaml.safe_load(recipe)).tasks] == ["birds", "parts"]


@pytest.mark.slow
def test_the_notebook_example_runs(tmp_path, monkeypatch, tiny_clip, colours):
    """The eight lines as they stand; data and model of the Hub are replaced by small ones on this machine."""
    import datasets
    import transformers

    def load_dataset(name: str, split: str | None = None):
        splits = {"train": colours(24), "validation": colours(12, seed=1), "test": colours(9, seed=2)}
        return colours(12, seed=3) if split else splits

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    for cls in (transformers.CLIPModel, transformers.CLIPProcessor):
        monkeypatch.setattr(cls, "from_pretrained", partial(cls.from_pretrained, tiny_clip), raising=True)
        original = cls.from_pretrained
        monkeypatch.setattr(cls, "from_pretrained", lambda name, original=original: original())
    code = blocks("python")[0].replace("max_steps=100", "max_steps=3, use_cpu=True")
    assert code.count("\n") <= 16
    scope: dict = {}
    exec(code.replace("trainer.evaluate()", "measured = trainer.evaluate()"), scope)
    assert {"eval_food_accuracy", "eval_cifar10_zero_shot_change"} <= scope["measured"].keys()


@pytest.mark.slow
def test_the_python_example_runs(tmp_path):
    """The stream from Python objects, then loading one of its checkpoints as the README does."""
    _, stream, loading = blocks("python")
    pulled, local = "your-name/clip-quickstart", "outputs/from_python/task-02-dice"
    loading = loading.replace(f'"{pulled}", revision="task-03-digits"', f'"{local}"')
    loading = loading.replace("outputs/quickstart/task-03-digits", local)
    assert loading.count(local) == 2
    done = subprocess.run(
        [sys.executable, "-c", f"{stream}\n{loading}"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.split()) == 2
    assert (tmp_path / "outputs/from_python/results.json").exists()


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_scripts_named_exist():
    for path in re.findall(r"(?:scripts|benchmarks|recipes)/[\w/]+\.(?:py|yaml)", README):
        assert (ROOT / path).exists(), path
