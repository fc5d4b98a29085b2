"""Exit codes of the commands."""

from __future__ import annotations

from collections.abc import Callable

from ..distributed.processes import lost_process_message, report_once
from ..utils.errors import UserError, printable


def exit_code(command: Callable[[], object], stopped: str) -> int:
    """Run a command and return its exit code: that of the error or signal that ended it, otherwise 0.

    If several processes end, one of them reports the reason.

    Args:
        command (`Callable`): The command.
        stopped (`str`): Message for a user who stops it with a signal.
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
