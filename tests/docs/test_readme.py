"""The commands and the code of the README work as they stand."""

import re
import shlex
import subprocess
import sys

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
    assert README.index(install) < 60
    assert '-c constraints.txt -e ".[app,dev]"' in install and "hf_clcl.train recipes/quickstart.yaml" in install
    assert test.strip().endswith("python -m pytest")


def test_ci_does_what_the_readme_says():
    script = (ROOT / ".ci" / "run").read_text()
    assert '-c constraints.txt -e ".[app,dev]"' in script and "-m pytest" in script


@pytest.mark.parametrize("command", [c for c in commands() if "hf_clcl.train" in c], ids=" ".join)
def test_training_commands_name_valid_recipes(command, monkeypatch):
    from hf_clcl.cli.train import parse_command_line

    monkeypatch.chdir(ROOT)
    options, overrides = parse_command_line(command[command.index("hf_clcl.train") + 1 :])
    assert read_recipe(options.recipe, overrides).tasks


@pytest.mark.parametrize("command", [c for c in commands() if "app.py" in c], ids=" ".join)
def test_the_app_takes_its_command(command):
    from hf_clcl.app.__main__ import _parser

    assert (ROOT / "app.py").exists()
    assert _parser().parse_args(command[command.index("app.py") + 1 :]).runs == [
        "outputs/quickstart",
        "outputs/quickstart-finetune",
    ]


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
def test_the_python_example_runs(tmp_path):
    """The stream from Python objects, then loading one of its checkpoints as the README does."""
    stream, loading = blocks("python")
    loading = loading.replace("quickstart/task-03-digits", "from_python/task-02-dice")
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
