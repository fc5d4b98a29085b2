"""Find the checkpoints that the evaluate command names: local folders, Hub repositories, tasks of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..utils.errors import UserError
from ..utils.names import ZERO_SHOT


@dataclass(frozen=True)
class Checkpoint:
    """A model in a local folder or on the Hub.

    Args:
        name (`str`): The name that the user gave it.
        path (`str`): The folder or the Hub repository.
        revision (`str`, *optional*): Branch, tag or commit of the repository.
    """

    name: str
    path: str
    revision: str | None = None


def find_checkpoint(name: str) -> Checkpoint:
    """Find the checkpoint with this name.

    Args:
        name (`str`): A folder, `owner/name` or `owner/name@revision`.

    Raises:
        UserError: If it is neither a folder with a model nor the name of a Hub repository.
    """
    from ..config.hub_values import is_repository

    if Path(name).is_dir():
        if (Path(name) / "config.json").is_file():
            return Checkpoint(name, name)
        advice = "give it as --run" if (Path(name) / "results.json").is_file() else "give the folder with the weights"
        raise UserError(f"--checkpoint {name}: the folder has no config.json; {advice}")
    repository, _, revision = name.partition("@")
    if not is_repository(repository):
        raise UserError(
            f"--checkpoint {name}: must be a folder that exists, or owner/name or owner/name@revision on the Hub"
        )
    return Checkpoint(name, repository, revision or None)


def checkpoints_of_run(run: str, tasks: Sequence[str]) -> list[Checkpoint]:
    """Find the checkpoints of the finished tasks of a run.

    Args:
        run (`str`): The output folder of the run, or its Hub repository.
        tasks (`Sequence[str]`): Names of the tasks of the recipe, in order.

    Raises:
        UserError: If there are no checkpoints, or if they belong to other tasks.
    """
    from ..hub import list_tasks
    from ..record.run_record import RunRecord
    from .output import OutputFolder

    if Path(run).is_dir():
        output = OutputFolder(Path(run), writes=False)
        folders = [output.task(index, name) for index, name in enumerate(RunRecord.load(run).tasks)]
        checkpoints = [Checkpoint(folder.name, str(folder)) for folder in folders if folder.is_dir()]
    else:
        checkpoints = [Checkpoint(tag, run, tag) for tag in list_tasks(run) if tag != ZERO_SHOT]
    names = [checkpoint.name.split("-", 2)[2] for checkpoint in checkpoints]
    if not checkpoints or names != list(tasks[: len(names)]):
        raise UserError(
            f"--run {run}: has checkpoints of {', '.join(names) or 'no task'}, and the recipe has "
            f"{', '.join(tasks)}; give the recipe of the run (its recipe.yaml), or single checkpoints as --checkpoint"
        )
    return checkpoints
