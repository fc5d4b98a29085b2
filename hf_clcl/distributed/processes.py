"""Multi-process error handling: exactly one rank reports an error, and no rank waits for one that has ended."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

from ..utils.errors import UserError

# Parts of the message of a collective operation that lost the process at its other end.
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo", "NCCL", "Socket Timeout")
STORE_TIMEOUT = timedelta(seconds=5)


def is_distributed() -> bool:
    """Whether the launcher started more than one process."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1")


def report_once(text: str) -> None:
    """Write an error message to stderr, unless another process of the run has already reported one."""
    if _is_first_report():
        sys.stderr.write(text)
        sys.stderr.flush()


def lost_process_message(error: BaseException) -> str | None:
    """The message for an error that says that another process is gone; `None` for any other error."""
    if not is_distributed() or not isinstance(error, RuntimeError) or not any(part in str(error) for part in LOST):
        return None
    return (
        f"another process of this run cannot be reached: {str(error).strip().splitlines()[0]}. If it has ended, see "
        "its own message or that of the launcher for the reason. Finished tasks and the last checkpoint are kept: "
        "the same command resumes from there"
    )


def same_on_all_ranks(value: object) -> bool:
    """Whether a value is the same on all ranks. Each rank has to call this with its own value."""
    if not is_distributed():
        return True
    from accelerate.utils import gather_object

    return len(set(gather_object([repr(value)]))) == 1


def check_world_size(before: int, now: int, checkpoint: str) -> None:
    """Check that a task resumes with as many processes as it began with, since they share the batch of each step.

    Args:
        before (`int`): World size that wrote the checkpoint.
        now (`int`): World size of this run.
        checkpoint (`str`): Folder of the checkpoint, for the message.

    Raises:
        UserError: If the two differ.
    """
    if before != now:
        raise UserError(
            f"{checkpoint} was written by {before} process{'es' * (before > 1)}, and this run has {now}: its batches "
            f"would have another size. Start it with {before}, or remove that folder to start the task again"
        )


def _is_first_report() -> bool:
    """Whether this process is the first of the run to call this, by a counter in the rendezvous store.

    If the store cannot be reached, it returns `True`: a message twice is better than none.
    """
    if not is_distributed():
        return True
    from torch.distributed import TCPStore

    try:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(host, port, is_master=False, timeout=STORE_TIMEOUT, wait_for_workers=False)
        return store.add(f"hf_clcl/reported/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", 1) == 1
    except (KeyError, ValueError, RuntimeError):
        return True
