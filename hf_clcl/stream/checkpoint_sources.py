"""Evaluate existing checkpoints: `python -m hf_clcl.evaluate RECIPE --checkpoint DIR_OR_REPOSITORY ...`.

With several devices: `accelerate launch -m hf_clcl.evaluate RECIPE ...`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.errors import UserError
from ..utils.names import ZERO_SHOT

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Checkpoint:
    """A model on the disk or on the Hub, under the name that the user gave it."""

    name: str
    path: str
    revision: str | None = None


def find_checkpoint(name: str) -> Checkpoint:
    """The checkpoint of this name.

    Raises:
        UserError: Where it is neither a folder of a model nor a name on the Hub.
    """
    from ..config.hub_values import is_repository

    if Path(name).is_dir():
        if (Path(name) / "config.json").is_file():
            return Checkpoint(name, name)
        advice = "give it as --run" if (Path(name) / "results.json").is_file() else "give the folder with the weights"
        raise UserError(f"--checkpoint {name}: the folder holds no config.json; {advice}")
    repository, _, revision = name.partition("@")
    if not is_repository(repository):
        raise UserError(
            f"--checkpoint {name}: no such folder, and no name on the Hub, owner/name or owner/name@revision"
        )
    return Checkpoint(name, repository, revision or None)


def checkpoints_of_run(run: str, tasks: Sequence[str]) -> list[Checkpoint]:
    """The checkpoints of the tasks of a run, a folder or a Hub repository.

    Raises:
        UserError: Where there are none, or they are of other tasks.
    """
    from ..hub import list_tasks
    from ..record.run_record import RunRecord
    from .output import OutputFolder

    if Path(run).is_dir():
        output = OutputFolder(Path(run), writes=False)
        folders = [output.task(index, name) for index, name in enumerate(RunRecord.load(run).tasks)]
        found = [Checkpoint(folder.name, str(folder)) for folder in folders if folder.is_dir()]
    else:
        found = [Checkpoint(tag, run, tag) for tag in list_tasks(run) if tag != ZERO_SHOT]
    names = [checkpoint.name.split("-", 2)[2] for checkpoint in found]
    if not found or names != list(tasks[: len(names)]):
        raise UserError(
            f"--run {run}: holds checkpoints of {', '.join(names) or 'no task'}, and the recipe has "
            f"{', '.join(tasks)}; give the recipe of the run (its recipe.yaml), or single checkpoints as --checkpoint"
        )
    return found
