"""One command for all: `hf-clcl train|evaluate|compare|cards|hub|app ...`, also as `python -m hf_clcl`."""

from __future__ import annotations

import sys
from importlib import import_module

# Command -> (module with `main(argv)`, what it does); a module is imported when its command is given.
COMMANDS = {
    "train": ("cli.train", "run a recipe: fine-tune a model on a stream of tasks"),
    "evaluate": ("cli.evaluate", "evaluate existing checkpoints on the tasks of a recipe"),
    "compare": ("cli.compare", "set runs side by side"),
    "cards": ("cli.cards", "write model cards and plots again from results.json"),
    "hub": ("cli.hub", "push, pull and list streams on the Hugging Face Hub"),
    "app": ("app.__main__", "open the page that compares checkpoints"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one of the commands; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    name = arguments[0] if arguments else "--help"
    if name in COMMANDS:
        return import_module(f"{__package__}.{COMMANDS[name][0]}").main(arguments[1:])
    lines = "".join(f"  {command:<10}{what}\n" for command, (_, what) in COMMANDS.items())
    usage = f"usage: hf-clcl COMMAND ...\n\n{lines}\nhf-clcl COMMAND --help shows the options of a command.\n"
    if name in ("-h", "--help"):
        sys.stdout.write(usage)
        return 0
    if name == "--version":
        from .utils.version import __version__

        sys.stdout.write(f"hf_clcl {__version__}\n")
        return 0
    sys.stderr.write(f"error: no command {name!r}\n\n{usage}")
    return 2


if __name__ == "__main__":
    sys.exit(main())
