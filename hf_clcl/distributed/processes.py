"""What the processes of one run owe each other: one tells of an error, and none waits for one that has ended."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

from ..utils.errors import UserError

# How a collective operation says that a process at its other end is gone.
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo", "NCCL", "Socket Timeout")
PATIENCE = timedelta(seconds=5)


def several() -> bool:
    """Whether this process is one of several, by what its launcher says."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1")


def tell(text: str) -> None:
    """Write why this process ends, unless another has told why the run ends."""
    if _first_to_tell():
        sys.stderr.write(text)
        sys.stderr.flush()


def lost_another(error: BaseException) -> str | None:
    """What to tell where an error says that another process is gone; `None` where it says anything else."""
    if not several() or not isinstance(error, RuntimeError) or not any(sign in str(error) for sign in LOST):
        return None
    return (
        f"another process of this run cannot be reached: {str(error).strip().splitlines()[0]}. If it has ended, its "
        "own message, or what the launcher says of it, tells why. Finished tasks and the last checkpoint stay: the "
        "same command goes on from there"
    )


def same_everywhere(seen: object) -> bool:
    """Whether all processes see the same; each calls this with what it sees itself."""
    if not several():
        return True
    from accelerate.utils import gather_object

    return len(set(gather_object([repr(seen)]))) == 1


def check_number(before: int, now: int, checkpoint: str) -> None:
    """See that a task goes on with as many processes as began it: each step's batch is that of all of them.

    Raises:
        UserError: Where it does not.
    """
    if before != now:
        raise UserError(
            f"{checkpoint} was written by {before} process{'es' * (before > 1)}, and this run has {now}: its batches "
            f"would be of another size. Start it with {before}, or remove that folder to begin the task anew"
        )


def _first_to_tell() -> bool:
    """Whether no process has asked this before, as the store that the processes found each other by knows.

    Where it cannot be reached, nobody knows, and a message twice is better than none.
    """
    if not several():
        return True
    from torch.distributed import TCPStore

    try:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(host, port, is_master=False, timeout=PATIENCE, wait_for_workers=False)
        return store.add(f"hf_clcl/told/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", 1) == 1
    except (KeyError, ValueError, RuntimeError):
        return True
