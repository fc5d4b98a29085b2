"""Evaluate existing checkpoints: `python -m hf_clcl.evaluate RECIPE --checkpoint DIR_OR_REPOSITORY ...`.

With several devices: `accelerate launch -m hf_clcl.evaluate RECIPE ...`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .command_line import pairs, set_up
from .errors import RecipeError, UserError, exit_code, printable

if TYPE_CHECKING:
    from .recipe import Recipe

EPILOG = """\
The recipe names the base model, the tasks and the scenarios; its values can be set on the command line, as for
hf_clcl.train. Checkpoints are rows of the accuracy matrix, in order: the first is the model after the first task. With
--wise_ft_alphas, or with more checkpoints than tasks, they are no stream but stand side by side in evaluations.json,
evaluations.md and a plot: give `--wise_ft_alphas 1` for this without mixtures.
The same command again goes on where it stopped.
"""


@dataclass(frozen=True)
class Checkpoint:
    """A model on the disk or on the Hub, under the name that the user gave it."""

    name: str
    path: str
    revision: str | None = None


def main(argv: list[str] | None = None) -> int:
    """Evaluate checkpoints; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    return exit_code(lambda: _run_command(arguments), stopped="the same command goes on from here")


def _run_command(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m hf_clcl.evaluate", description="Fill the matrix of a stream from existing checkpoints.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        usage="%(prog)s RECIPE (--checkpoint X ... | --run DIR) [--wise_ft_alphas A ...] [--key value ...]",
    )  # fmt: skip
    parser.add_argument("recipe", help="the recipe: base model, tasks, scenarios")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", nargs="+", metavar="X", help="folders, or owner/name[@revision] on the Hub")
    source.add_argument("--run", metavar="DIR_OR_REPOSITORY", help="all tasks of a finished run")
    parser.add_argument(
        "--wise_ft_alphas", nargs="+", type=float, metavar="A", help="shares of the checkpoint, 0 to 1"
    )
    parser.add_argument("--output_dir", default="evaluation", metavar="DIR", help="where results go (%(default)s)")
    options, rest = parser.parse_known_args(arguments)
    set_up()
    from .recipe import read_recipe

    recipe = read_recipe(options.recipe, {**pairs(rest), "output_dir": options.output_dir})
    names = [task.name for task in recipe.tasks]
    checkpoints = (
        checkpoints_of_run(options.run, names) if options.run else list(map(find_checkpoint, options.checkpoint))
    )
    alphas = options.wise_ft_alphas
    if wrong := [alpha for alpha in alphas or [] if not 0 <= alpha <= 1]:
        raise RecipeError(f"--wise_ft_alphas: must lie between 0 and 1, found {wrong[0]:g}", "the command line")
    command = "python -m hf_clcl.evaluate " + printable(shlex.join(arguments))
    evaluate(recipe, checkpoints, alphas or ([1.0] if len(checkpoints) > len(names) else None), command)


def find_checkpoint(name: str) -> Checkpoint:
    """The checkpoint of this name.

    Raises:
        UserError: Where it is neither a folder of a model nor a name on the Hub.
    """
    from .hub.client import is_repository

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
    from .hub import list_tasks
    from .output import OutputFolder
    from .record import RunRecord

    if Path(run).is_dir():
        output = OutputFolder(Path(run), writes=False)
        folders = [output.task(index, name) for index, name in enumerate(RunRecord.load(run).tasks)]
        found = [Checkpoint(folder.name, str(folder)) for folder in folders if folder.is_dir()]
    else:
        found = [Checkpoint(tag, run, tag) for tag in list_tasks(run) if not tag.startswith("task-00-")]
    names = [checkpoint.name.split("-", 2)[2] for checkpoint in found]
    if not found or names != list(tasks[: len(names)]):
        raise UserError(
            f"--run {run}: holds checkpoints of {', '.join(names) or 'no task'}, and the recipe has "
            f"{', '.join(tasks)}; give the recipe of the run (its recipe.yaml), or single checkpoints as --checkpoint"
        )
    return found


def evaluate(
    recipe: Recipe, checkpoints: Sequence[Checkpoint], alphas: Sequence[float] | None, command: str | None = None
) -> None:
    """Evaluate checkpoints on the tasks of a recipe, and write what came of it to its `output_dir`.

    Args:
        recipe (`Recipe`): Base model, tasks, scenarios and `output_dir`.
        checkpoints (`Sequence[Checkpoint]`): What to evaluate.
        alphas (`Sequence[float]`, *optional*):
            Shares of each checkpoint in a mixture with the base model (WiSE-FT); a stream where not given.
        command (`str`, *optional*): The command, for the record.

    Raises:
        UserError: For anything that the user can mend; what is finished is kept.
    """
    from accelerate import PartialState

    from .standalone import Standalone

    try:
        standalone = Standalone(recipe, command)
        with closing(standalone.output):
            if alphas is None:
                standalone.stream(checkpoints)
            else:
                standalone.mixtures(checkpoints, alphas)
    finally:
        PartialState().destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
