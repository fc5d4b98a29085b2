"""Evaluate existing checkpoints: `hf-clcl evaluate RECIPE --checkpoint DIR_OR_REPOSITORY ...`.

With several devices: `accelerate launch -m hf_clcl.evaluate RECIPE ...`.
"""

from __future__ import annotations

import argparse
import shlex
import sys

from ..stream.checkpoint_sources import checkpoints_of_run, find_checkpoint
from ..utils.errors import RecipeError, printable
from .arguments import parse_overrides, set_up_logging
from .exit_code import exit_code

EPILOG = """\
The recipe names the base model, the tasks and the scenarios; its values can be set on the command line, as for
hf_clcl.train. Checkpoints are rows of the accuracy matrix, in order: the first is the model after the first task. With
--wise_ft_alphas, or with more checkpoints than tasks, they are not a stream: their results are listed in
evaluations.json, evaluations.md and a plot. Use `--wise_ft_alphas 1` for this without mixtures.
If the command stops, the same command resumes.
"""


def main(argv: list[str] | None = None, prog: str = "python -m hf_clcl.evaluate") -> int:
    """Evaluate checkpoints; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    return exit_code(lambda: _run_command(arguments, prog), stopped="the same command resumes")


def _run_command(arguments: list[str], prog: str) -> None:
    parser = argparse.ArgumentParser(
        prog=prog, description="Fill the matrix of a stream from existing checkpoints.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        usage="%(prog)s RECIPE (--checkpoint X ... | --run DIR) [--wise_ft_alphas A ...] [--key value ...]",
    )  # fmt: skip
    parser.add_argument("recipe", help="the recipe, a file or a name: base model, tasks, scenarios")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", nargs="+", metavar="X", help="folders, or owner/name[@revision] on the Hub")
    source.add_argument("--run", metavar="DIR_OR_REPOSITORY", help="all tasks of a finished run")
    parser.add_argument(
        "--wise_ft_alphas", nargs="+", type=float, metavar="A", help="weights of the checkpoint, 0 to 1"
    )
    parser.add_argument("--output_dir", default="evaluation", metavar="DIR", help="folder for results (%(default)s)")
    options, rest = parser.parse_known_args(arguments)
    set_up_logging()
    from ..stream.recipes import read_recipe
    from ..stream.standalone import evaluate

    recipe = read_recipe(options.recipe, {**parse_overrides(rest), "output_dir": options.output_dir})
    names = [task.name for task in recipe.tasks]
    checkpoints = (
        checkpoints_of_run(options.run, names) if options.run else list(map(find_checkpoint, options.checkpoint))
    )
    alphas = options.wise_ft_alphas
    if wrong := [alpha for alpha in alphas or [] if not 0 <= alpha <= 1]:
        raise RecipeError(f"--wise_ft_alphas: must be between 0 and 1, got {wrong[0]:g}", "the command line")
    command = f"{prog} {printable(shlex.join(arguments))}"
    evaluate(recipe, checkpoints, alphas or ([1.0] if len(checkpoints) > len(names) else None), command)


if __name__ == "__main__":
    sys.exit(main())
