"""Parse `--key value` options and set up logging for the commands."""

from __future__ import annotations

import logging
import os
import sys

from ..config import recipe_files
from ..config.values import TOKEN
from ..utils.errors import RecipeError


def parse_overrides(rest: list[str]) -> dict[str, str]:
    """Parse `--key value`, `--key=value`, and `--key` alone for `true`.

    Args:
        rest (`list[str]`): Arguments that are not options of the command.

    Raises:
        RecipeError: If a value has no key before it.
    """
    overrides: dict[str, str] = {}
    position = 0
    while position < len(rest):
        key, equals, value = rest[position].partition("=")
        position += 1
        if not key.startswith("--") or key == "--":
            key = TOKEN.sub("***", key)
            raise RecipeError(f"{key!r} belongs to no option; values are given as --key value", "the command line")
        if not equals:
            alone = position == len(rest) or rest[position].startswith("--")
            value = "true" if alone else rest[position]
            position += not alone
        overrides[key[2:]] = value
    return overrides


def set_up_logging() -> None:
    """Log warnings and errors to stderr as plain lines."""
    if os.environ.get("RANK", "0") == "0":
        logging.getLogger(recipe_files.__name__).setLevel(logging.INFO)  # logs which file a name selects
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # otherwise each file that is loaded or saved shows a bar
