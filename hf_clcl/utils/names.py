"""Names of the files and folders of a run, and of its revisions on the Hub."""

from __future__ import annotations

import re

RECORD, RECIPE, CARD = "results.json", "recipe.yaml", "README.md"
TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# A task's tag on the Hub, which is also the name of its folder.
TAG = re.compile(r"task-\d{2,}-" + TASK_NAME.pattern)


ZERO_SHOT = "task-00-zero-shot"
"""The Hub revision of the model before the first task."""


def task_folder(index: int, name: str) -> str:
    """Name of the folder, and of the Hub revision, of the task at `index` (from 0) of a stream."""
    return f"task-{index + 1:02d}-{name}"


def launch_file(name: str) -> str:
    """Path of a configuration of `accelerate launch`, and the command that writes it there, for messages."""
    return f"recipes/accelerate/{name}.yaml (`hf-clcl recipes --copy accelerate/{name} recipes` writes it)"
