"""Errors that a user can fix: printed as a message, without a traceback."""

from __future__ import annotations

MOST_PROBLEMS = 30


class UserError(ValueError):
    """An error that a user can fix. The message says what was found, what is needed and what to do."""

    exit_code = 1


class RecipeError(UserError):
    """A recipe that cannot be run. It is raised before anything is loaded.

    Args:
        problems (`list[str]` or `str`): What is wrong, one line each.
        source (`str`, defaults to `"the recipe"`): Where the values come from.
    """

    exit_code = 2

    def __init__(self, problems: list[str] | str, source: str = "the recipe"):
        self.problems = [problems] if isinstance(problems, str) else problems
        shown = self.problems[:MOST_PROBLEMS]
        left = len(self.problems) - len(shown)
        lines = "\n".join(f"  - {problem}" for problem in [*shown, *([f"and {left} more"] if left else [])])
        super().__init__(f"{len(self.problems)} problem{'s' * (len(self.problems) > 1)} in {source}:\n{lines}")


class DataError(UserError):
    """Data that is missing, unreadable, or different from what its task declares."""


class TrainingError(UserError):
    """Training that cannot continue, for example because the loss is not a number."""


def printable(text: str) -> str:
    """Escape control characters and other unprintable characters of a text, so that a terminal can show it."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1] for character in text
    )
