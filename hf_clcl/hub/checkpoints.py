"""Checkpoints within a task: stored in a separate branch of the repository, without pickled files."""

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
PLACE = "checkpoints"  # in the branch and in the output folder

_PATH = re.compile(rf"{PLACE}/({TAG.pattern})/checkpoint-(\d{{1,9}})/[^/]+")
# Pickled; the recipe has the same values.
_SKIPPED = {"training_args.bin"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint within a task.

    Args:
        task (`str`): Tag of the task, such as `task-03-cifar100`.
        step (`int`): Number of training steps.
        folder (`Path`, *optional*): Its local folder; `None` for one on the Hub.
    """

    task: str
    step: int
    folder: Path | None = None

    @property
    def path(self) -> str:
        """Its path in the branch."""
        return f"{PLACE}/{self.task}/checkpoint-{self.step}"

    @property
    def local_folder(self) -> Path:
        """Its local folder.

        Raises:
            ValueError: If it has none.
        """
        return required(self.folder, f"the folder of {self.path}")


def checkpoint_in(folder: Path) -> Checkpoint:
    """The checkpoint in a local folder `.../<task>/checkpoint-<step>`."""
    return Checkpoint(folder.parent.name, int(folder.name.rsplit("-", 1)[-1]), folder)


def checkpoints_among(names: Iterable[str]) -> list[Checkpoint]:
    """The checkpoints of a list of file names, the newest last."""
    checkpoints = {Checkpoint(match[1], int(match[2])) for match in map(_PATH.fullmatch, names) if match}
    return sorted(checkpoints, key=lambda checkpoint: (checkpoint.task, checkpoint.step))


def running_task(record: RunRecord) -> str | None:
    """Tag of the task after the finished ones; `None` if all are finished."""
    count = len(record.accuracy)
    return task_folder(count, record.tasks[count]) if count < len(record.tasks) else None


def last_checkpoint(output: Path, record: RunRecord) -> Checkpoint | None:
    """The newest checkpoint of the current task in an output folder."""
    folders = Path(output, PLACE, running_task(record) or "nothing").glob("checkpoint-*")
    checkpoints = [checkpoint_in(folder) for folder in folders if folder.name.removeprefix("checkpoint-").isdigit()]
    return newest(checkpoints, running_task(record))


def newest(checkpoints: Iterable[Checkpoint], task: str | None) -> Checkpoint | None:
    """The newest checkpoint of a task."""
    return max((c for c in checkpoints if c.task == task), key=lambda checkpoint: checkpoint.step, default=None)


def stage(checkpoint: Checkpoint, place: Path) -> Checkpoint:
    """Copy a checkpoint by hard links, since the trainer may delete it before it is pushed."""
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
    """Files of a staged checkpoint by their path in the branch; pickled states are converted to safetensors."""
    from .plain_state import PICKLED, write_plain

    folder = checkpoint.local_folder
    for file in sorted(folder.iterdir()):
        if PICKLED.fullmatch(file.name):
            write_plain(file, folder)
            file.unlink()
    return {
        f"{checkpoint.path}/{file.name}": file
        for file in sorted(folder.iterdir())
        if file.is_file() and file.name not in _SKIPPED
    }
