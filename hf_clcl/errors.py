"""Errors that a user can mend: shown as a message, without a traceback."""

from __future__ import annotations

from collections.abc import Callable

from .processes import lost_another, tell

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


def exit_code(command: Callable[[], object], stopped: str) -> int:
    """Run a command; returns its exit code: that of the error or of the signal that ended it, 0 otherwise.

    Of several processes that end, one tells why.

    Args:
        command (`Callable`): What to run.
        stopped (`str`): What to tell a user who stops it by hand.
    """
    try:
        command()
    except UserError as error:
        tell(f"error: {printable(str(error))}\n")
        return error.exit_code
    except KeyboardInterrupt as stop:
        tell(f"\nstopped; {stopped}\n")
        return getattr(stop, "exit_code", 130)
    except RuntimeError as error:
        message = lost_another(error)
        if message is None:
            raise
        tell(f"error: {printable(message)}\n")
        return 1
    return 0


def printable(words: str) -> str:
    """Words of somebody else for a terminal: what moves its cursor or cannot be written is shown as its number."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in words)
