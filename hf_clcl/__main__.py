"""The command line: `hf-clcl train|evaluate|compare|card|hub|app|recipes ...`, also as `python -m hf_clcl`."""

from __future__ import annotations

import difflib
import os
import sys
from importlib import import_module

# Command -> (module with `main(argv, prog)`, description). A module is imported only for its command.
COMMANDS = {
    "train": ("cli.train", "run a recipe: fine-tune a model on a stream of tasks"),
    "evaluate": ("cli.evaluate", "evaluate existing checkpoints on the tasks of a recipe"),
    "compare": ("cli.compare", "compare runs in one table and one plot"),
    "card": ("cli.card", "write model cards and plots again from results.json"),
    "hub": ("cli.hub", "push, pull and list streams on the Hugging Face Hub"),
    "app": ("app.__main__", "open the page that compares checkpoints"),
    "recipes": ("cli.recipes", "list the recipes of the package, or copy one"),
}
USAGE = f"""\
usage: hf-clcl COMMAND ...

{"".join(f"  {command:<10}{what}{chr(10)}" for command, (_, what) in COMMANDS.items())}
hf-clcl COMMAND --help shows the options of a command; hf-clcl --version shows the version.
On several GPUs: accelerate launch -m hf_clcl.train RECIPE.

Results go to standard output, everything else to standard error. Exit code: 0 done, 1 not done, 2 the command or the
recipe is wrong, 130 or 143 stopped by a signal.
"""


def main(argv: list[str] | None = None) -> int:
    """Run a command of `COMMANDS`; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    name = arguments[0] if arguments else "--help"
    if name in COMMANDS:
        try:
            code = import_module(f"{__package__}.{COMMANDS[name][0]}").main(arguments[1:], prog=f"hf-clcl {name}")
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # `hf-clcl recipes | head` closes the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
    if name in ("-h", "--help"):
        sys.stdout.write(USAGE)
        return 0
    if name == "--version":
        from .utils.version import __version__

        sys.stdout.write(f"hf-clcl {__version__}\n")
        return 0
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    sys.stderr.write(f"error: no command {name!a}{f'; did you mean {near[0]}?' if near else ''}\n\n{USAGE}")
    return 2


def train_script() -> int:
    """`hf-clcl-train`, deprecated."""
    return _deprecated("train")


def app_script() -> int:
    """`hf-clcl-app`, deprecated."""
    return _deprecated("app")


def _deprecated(command: str) -> int:
    sys.stderr.write(
        f"DeprecationWarning: hf-clcl-{command} is removed in the next release; use `hf-clcl {command}`\n"
    )
    return main([command, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
