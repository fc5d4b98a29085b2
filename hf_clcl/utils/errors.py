"""Errors that a user can mend: shown as a message, without a traceback."""

from __future__ import annotations

MOST_PROBLEMS = 30


class UserError(ValueError):
    """Something a user can mend; the message tells what was found, what is needed and what to do."""

    exit_code = 1


class RecipeError(UserError):
    """A recipe that cannot be run: found before anything is loaded."""

    exit_code = 2

    def __init__(self, problems: list[str] | str, source: str = "the recipe"):
        self.problems = [problems] if isinstance(problems, str) else problems
        shown = self.problems[:MOST_PROBLEMS]
        left = len(self.problems) - len(shown)
        lines = "\n".join(f"  - {problem}" for problem in [*shown, *([f"and {left} more"] if left else [])])
        super().__init__(f"{len(self.problems)} problem{'s' * (len(self.problems) > 1)} in {source}:\n{lines}")


class DataError(UserError):
    """Data that is missing, unreadable or not what its task says."""


class TrainingError(UserError):
    """Training that cannot go on, such as a loss that is not a number."""


def printable(words: str) -> str:
    """Words of somebody else for a terminal: what moves its cursor or cannot be written is shown as its number."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in words)
