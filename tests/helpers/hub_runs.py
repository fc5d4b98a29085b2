"""Runs to push, and what a repository must hold of them."""

from __future__ import annotations

import json

import torch
from safetensors.torch import save_file

from hf_clcl import RunRecord

NAMES = ["warm", "cold", "pale", "deep"]
TAGS = ["task-00-zero-shot", *(f"task-{index:02d}-{name}" for index, name in enumerate(NAMES, 1))]


class Stopped(Exception):
    """Stands for a process that dies."""


def small_run(folder, size=8, **values):
    record = RunRecord("zscl", "me/base", ["a", "b"], [1.0, 2.0], [[3.0, 2.0], [2.5, 4.0]], finished=True,
                       created="2026-01-01T00:00:00+00:00")  # fmt: skip
    for index, name in enumerate(record.tasks):
        task = folder / f"task-{index + 1:02d}-{name}"
        task.mkdir(parents=True)
        anew = torch.Generator()
        anew.seed()  # weights that the Hub has not seen, so that it has to be sent them
        save_file({"weight": torch.randn(size, generator=anew)}, task / "model.safetensors")
        (task / "config.json").write_text(json.dumps({"task": name}))
    for key, value in values.items():
        setattr(record, key, value)
    record.save(folder / "results.json")
    return folder


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_whole(hub, repo_id, folder):
    """Every revision holds the checkpoint of its task, `main` is the last, and nothing was pushed twice."""
    repo = hub.repos[repo_id]
    tags = ["task-00-zero-shot", *sorted(path.name for path in folder.glob("task-*"))]
    assert sorted(repo.tags) == tags and repo.log == ["initial commit", *tags]
    for tag in tags[1:]:
        for name, content in contents(folder / tag).items():
            assert hub.read(repo_id, name, tag) == content, f"{tag}: {name}"
    assert repo.branches["main"] == repo.tags[tags[-1]]


def python_of(card):
    """The blocks of Python in a card."""
    return [block.split("```")[0] for block in card.split("```python\n")[1:]]
