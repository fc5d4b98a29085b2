"""Checkpoints within a task: a branch of their own, so that `main` stays a finished model, and nothing pickled."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..record.run_record import RunRecord
from ..utils.names import TAG, task_folder
from ..utils.required import required

BRANCH = "in-progress"
PLACE = "checkpoints"  # the same in the branch as in the folder of a run

_PATH = re.compile(rf"{PLACE}/({TAG.pattern})/checkpoint-(\d{{1,9}})/[^/]+")
# The training arguments are told by the recipe, and are pickled.
_LEFT_OUT = {"training_args.bin"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a task's training; its folder is `None` where it lies on the Hub."""

    task: str
    step: int
    folder: Path | None = None

    @property
    def path(self) -> str:
        return f"{PLACE}/{self.task}/checkpoint-{self.step}"

    @property
    def local_folder(self) -> Path:
        """Its folder on this machine, which it must have."""
        return required(self.folder, f"the folder of {self.path}")


def checkpoint_in(folder: Path) -> Checkpoint:
    """The checkpoint that lies in a folder of a run."""
    return Checkpoint(folder.parent.name, int(folder.name.rsplit("-", 1)[-1]), folder)


def checkpoints_among(names: Iterable[str]) -> list[Checkpoint]:
    """The checkpoints that files of the branch belong to, the newest last."""
    found = {Checkpoint(match[1], int(match[2])) for match in map(_PATH.fullmatch, names) if match}
    return sorted(found, key=lambda checkpoint: (checkpoint.task, checkpoint.step))


def running_task(record: RunRecord) -> str | None:
    """The tag that the task after the finished ones will have."""
    count = len(record.accuracy)
    return task_folder(count, record.tasks[count]) if count < len(record.tasks) else None


def last_checkpoint(output: Path, record: RunRecord) -> Checkpoint | None:
    """The newest checkpoint of the running task in the folder of a run."""
    folders = Path(output, PLACE, running_task(record) or "nothing").glob("checkpoint-*")
    found = [checkpoint_in(folder) for folder in folders if folder.name.removeprefix("checkpoint-").isdigit()]
    return newest(found, running_task(record))


def newest(checkpoints: Iterable[Checkpoint], task: str | None) -> Checkpoint | None:
    """The newest one of a task."""
    return max((c for c in checkpoints if c.task == task), key=lambda checkpoint: checkpoint.step, default=None)


def stage(checkpoint: Checkpoint, place: Path) -> Checkpoint:
    """Keep a checkpoint, which the training may delete at any moment, until it is pushed; costs links alone."""
    source = checkpoint.local_folder
    folder = place / checkpoint.task / source.name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, copy_function=_link)
    return checkpoint_in(folder)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def portable(checkpoint: Checkpoint) -> dict[str, Path]:
    """The files of a staged checkpoint under their names in the branch, what is pickled written as safetensors."""
    from .plain_state import PICKLED, write_plain

    folder = checkpoint.local_folder
    for file in sorted(folder.iterdir()):
        if PICKLED.fullmatch(file.name):
            write_plain(file, folder)
            file.unlink()
    return {
        f"{checkpoint.path}/{file.name}": file
        for file in sorted(folder.iterdir())
        if file.is_file() and file.name not in _LEFT_OUT
    }
