"""Push, pull and list streams on the Hub: `hf-clcl hub push OUTPUT_DIR`, `pull REPO`, `list REPO`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from ..hub.client import token_from
from ..hub.pull import list_checkpoints, list_tasks, pull_run
from ..hub.push import push_output
from ..utils.errors import RecipeError
from .exit_code import exit_code


def main(argv: list[str] | None = None, prog: str = "python -m hf_clcl.hub") -> int:
    """Run `push`, `pull` or `list`; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    return exit_code(lambda: _run_command(arguments, prog), stopped="the same command resumes")


def _run_command(arguments: list[str], prog: str) -> None:
    if any(argument.split("=")[0] in ("--token", "--hub_token") for argument in arguments):
        raise RecipeError(
            "a token cannot be part of a command; set HF_TOKEN, log in with `hf auth login`, or name the environment "
            "variable that has it with --hub_token_env",
            "the command line",
        )
    options = _parser(prog).parse_args(arguments)
    for line in options.run(options, token_from(options.hub_token_env)):
        sys.stdout.write(f"{line}\n")


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Streams on the Hub: one repository per stream, one revision per task.",
        epilog="Tokens come from HF_TOKEN or `hf auth login`. Exit code: 0 done, 1 not done, 2 the command is wrong.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    push = commands.add_parser("push", help="push the finished tasks of a run that its repository does not have")
    push.add_argument("output_dir", metavar="OUTPUT_DIR", help="folder of the run")
    push.add_argument("--hub_model_id", metavar="REPO", help="owner/name (that of the recipe)")
    push.add_argument("--hub_private_repo", action="store_true", default=None, help="create it private")
    push.add_argument("--hub_overwrite", action="store_true", help="replace a different run in the repository")
    push.set_defaults(run=_push)

    pull = commands.add_parser("pull", help="download the newest state of a stream, or that after one task")
    pull.add_argument("repo", metavar="REPO", help="owner/name")
    pull.add_argument("--revision", metavar="TASK", help="a task, such as cifar100 or task-03-cifar100")
    pull.add_argument("--output", metavar="DIR", help="folder of the run (outputs/NAME)")
    pull.add_argument("--all", action="store_true", help="download the checkpoints of earlier tasks too")
    pull.set_defaults(run=_pull)

    tasks = commands.add_parser("list", help="list the revisions of a repository, and checkpoints within a task")
    tasks.add_argument("repo", metavar="REPO", help="owner/name")
    tasks.set_defaults(run=_list)

    for command in (push, pull, tasks):
        command.add_argument("--hub_token_env", metavar="NAME", help="environment variable with the token")
    return parser


def _push(options: argparse.Namespace, token: str | None) -> list[str]:
    pushed = push_output(
        options.output_dir, options.hub_model_id, options.hub_private_repo, options.hub_overwrite, token
    )
    return [f"pushed {name}" for name in pushed] or ["nothing to push: the repository has every finished task"]


def _list(options: argparse.Namespace, token: str | None) -> list[str]:
    return [*list_tasks(options.repo, token), *list_checkpoints(options.repo, token)]


def _pull(options: argparse.Namespace, token: str | None) -> list[str]:
    output = Path(options.output or Path("outputs", Path(options.repo).name))
    record = pull_run(options.repo, output, options.revision, options.all, token)
    return [f"{output} has {len(record.accuracy)} of {len(record.tasks)} tasks; see {output / 'README.md'}"]


if __name__ == "__main__":
    sys.exit(main())
