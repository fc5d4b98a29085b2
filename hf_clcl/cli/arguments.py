"""What the commands share."""

from __future__ import annotations

import logging
import os
import sys

from ..config import recipe_files
from ..config.values import TOKEN
from ..utils.errors import RecipeError


def pairs(rest: list[str]) -> dict[str, str]:
    """`--key value`, `--key=value`, and `--key` alone for true."""
    pairs: dict[str, str] = {}
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
        pairs[key[2:]] = value
    return pairs


def set_up() -> None:
    """Warnings and errors to the terminal, as plain lines."""
    if os.environ.get("RANK", "0") == "0":
        logging.getLogger(recipe_files.__name__).setLevel(logging.INFO)  # which recipe a name means
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # a bar for each file that is read or written tells nothing here
