"""Exit codes of the commands."""

from __future__ import annotations

from collections.abc import Callable

from ..distributed.processes import lost_process_message, report_once
from ..utils.errors import UserError, printable


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
        report_once(f"error: {printable(str(error))}\n")
        return error.exit_code
    except KeyboardInterrupt as stop:
        report_once(f"\nstopped; {stopped}\n")
        return getattr(stop, "exit_code", 130)
    except RuntimeError as error:
        message = lost_process_message(error)
        if message is None:
            raise
        report_once(f"error: {printable(message)}\n")
        return 1
    return 0
