"""`hf-clcl`: its commands, their names in help, exit codes, and the deprecated scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

from helpers import ROOT
from hf_clcl import __main__ as command
from hf_clcl import __version__


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, **options
    )


def test_help_lists_the_commands(capsys) -> None:
    assert command.main(["--help"]) == command.main([]) == command.main(["-h"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in command.COMMANDS) and "Exit code" in shown
    assert shown.isascii() and max(map(len, shown.splitlines())) < 120


def test_version(capsys) -> None:
    assert command.main(["--version"]) == 0
    assert capsys.readouterr().out == f"hf-clcl {__version__}\n"


@pytest.mark.parametrize("name, near", [("evalute", "evaluate"), ("cards", "card"), ("trian", "train")])
def test_an_unknown_command_gets_the_nearest(name: str, near: str, capsys) -> None:
    assert command.main([name]) == 2
    shown = capsys.readouterr()
    assert f"error: no command '{name}'; did you mean {near}?" in shown.err and not shown.out


@pytest.mark.parametrize("name", command.COMMANDS)
def test_help_names_the_command_as_it_was_called(name: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: hf-clcl {name} ") and "\x1b" not in shown


@pytest.mark.parametrize("name", ["train", "evaluate", "compare", "hub", "app"])
def test_help_of_the_module(name: str, capsys) -> None:
    with pytest.raises(SystemExit):
        import_module(f"hf_clcl.{command.COMMANDS[name][0]}").main(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: python -m hf_clcl.{name} ")


def test_modules_are_commands() -> None:
    for name in ("hf_clcl", "hf_clcl.hub", "hf_clcl.compare"):
        done = run(name, "--help")
        assert done.returncode == 0 and done.stdout.startswith("usage: "), done.stderr
    assert run("hf_clcl", "nothing").returncode == 2


@pytest.mark.parametrize("script, name", [(command.train_script, "train"), (command.app_script, "app")])
def test_deprecated_scripts(script, name: str, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", [f"hf-clcl-{name}", "--help"])
    with pytest.raises(SystemExit):
        script()
    shown = capsys.readouterr()
    assert shown.err.startswith("DeprecationWarning: ") and f"use `hf-clcl {name}`" in shown.err
    assert shown.out.startswith(f"usage: hf-clcl {name} ")


def test_the_record_has_the_command_as_it_was_called(recipe) -> None:
    options = [str(recipe), "--method", "finetune", "--max_steps", "1"]
    assert command.main(["train", *options]) == 0
    record = json.loads((recipe.parent / "out" / "results.json").read_text())
    assert record["command"] == " ".join(["hf-clcl train", *options])


def test_a_closed_pipe_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "hf_clcl", "recipes"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1
