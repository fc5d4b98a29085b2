"""Import paths of before: they work, with a warning, and give the modules of today."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from helpers import ROOT
from hf_clcl.utils.moved import MOVED

MODULES = [old for old in MOVED if not old.endswith("__main__")]


@pytest.mark.parametrize("old", MODULES)
def test_an_old_path_gives_the_module_of_today(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"hf_clcl.{old}", raising=False)
    with pytest.warns(DeprecationWarning, match=f"hf_clcl.{MOVED[old]}") as warned:
        module = import_module(f"hf_clcl.{old}")
    today = import_module(f"hf_clcl.{MOVED[old]}")
    assert module is today and module.__spec__.name == module.__name__ == f"hf_clcl.{MOVED[old]}"
    assert len(warned) == 1


def test_what_the_pages_showed() -> None:
    code = (
        "from hf_clcl.evaluation.ranks import ranks, retrieval_metrics\n"
        "from hf_clcl.allocator import keep_freed\n"
        "from hf_clcl.data.world import render_domain, render_reference\n"
        "from hf_clcl.hub import list_checkpoints, list_tasks, pull_record, pull_run, pull_task\n"
        "from hf_clcl.methods import Method\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Python shows a DeprecationWarning where the importing line is the user's own, and names this line.
    assert done.stderr.count("<string>:1: DeprecationWarning: hf_clcl.evaluation.ranks has moved to") == 1
    assert done.stderr.count("<string>:2: DeprecationWarning: hf_clcl.allocator has moved to") == 1


def test_the_command_of_the_cards() -> None:
    done = subprocess.run([sys.executable, "-m", "hf_clcl.cards", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "usage: hf-clcl card" in done.stdout
    assert "DeprecationWarning: hf_clcl.cards has moved to hf_clcl.cli.card" in done.stderr


def test_other_names_are_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_module("hf_clcl.nothing")
    assert not [old for old in MODULES if (ROOT / "hf_clcl" / f"{old.replace('.', '/')}.py").exists()]
