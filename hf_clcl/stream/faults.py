"""Error messages with advice for out of memory, a full disk and a folder without write permission."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError

from ..utils.errors import UserError
from ..utils.files import free_bytes, nearest_existing
from ..utils.required import required

if TYPE_CHECKING:
    from ..config.arguments import ContinualTrainingArguments
    from ..record.run_record import RunRecord

logger = logging.getLogger(__name__)

MB = 2**20
FLOAT = 4  # bytes of a weight in fp32
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
# Libraries that are not written in Python report the error of the system only in their message.
_DISK_MESSAGES = ("No space left on device", "Disk quota exceeded", "File too large", "PytorchStreamWriter failed")


@contextmanager
def explain_disk_errors(folder: Path) -> Iterator[None]:
    """Context manager for code that writes to a folder: turns errors of the disk into a message with advice.

    Args:
        folder (`Path`): The folder.

    Raises:
        UserError: If the disk is full or broken.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        message = str(error)
        if getattr(error, "errno", None) not in _DISK_ERRORS and not any(part in message for part in _DISK_MESSAGES):
            raise
        reason = getattr(error, "strerror", None) or " ".join(message.split())[:200]
        raise UserError(
            f"{folder} cannot be written to: {reason} ({free_bytes(folder) / MB:,.0f} MB are free). Finished tasks "
            "and the last complete checkpoint are kept. Free some disk space, then the same command resumes. A "
            "smaller save_total_limit and a larger save_steps need less space"
        ) from error


@contextmanager
def explain_out_of_memory(phase: str, args: ContinualTrainingArguments, adapters: bool) -> Iterator[None]:
    """Context manager that turns an out-of-memory error into a message that says which values need less memory.

    Args:
        phase (`str`): What runs, for the message: begins with `training` or `evaluation`.
        args (`ContinualTrainingArguments`): The values that the memory depends on.
        adapters (`bool`): Whether the run already trains only low-rank updates.

    Raises:
        UserError: If the device or the machine is out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not full and "can't allocate memory" not in str(error):
            raise
        if phase.startswith("evaluation"):
            size = args.per_device_eval_batch_size
            advice = [f"per_device_eval_batch_size: {max(1, size // 2)} (it is {size})"]
        else:
            advice = _training_advice(args, adapters)
        device = args.device.type
        raise UserError(
            f"{phase}: out of memory on the {'CPU' if device == 'cpu' else device + ' device'}: "
            f"{' '.join(str(error).split())[:200]}. Finished tasks and the last checkpoint are kept. Less memory is "
            "needed with (smallest change of the results first):\n" + "\n".join(f"  - {line}" for line in advice)
        ) from error


def _training_advice(args: ContinualTrainingArguments, adapters: bool) -> list[str]:
    size, steps = args.per_device_train_batch_size, args.gradient_accumulation_steps
    advice = []
    if size > 1:
        advice.append(
            f"per_device_train_batch_size: {size // 2} with gradient_accumulation_steps: {2 * steps} (they are {size} "
            f"and {steps}): the same effective batch in smaller parts"
        )
    if not args.gradient_checkpointing:
        advice.append("gradient_checkpointing: true: the same results, about a third slower")
    if not (args.bf16 or args.fp16):
        advice.append("bf16: true: half the memory for activations")
    if args.reference_batch_size > 1:
        advice.append(
            f"per_device_reference_batch_size: {args.reference_batch_size // 2} (it is {args.reference_batch_size}), "
            "for methods with reference images"
        )
    if not adapters:
        advice.append("peft: {r: 16}: low-rank updates (LoRA), without an optimizer state for each weight")
    return [*advice, "image_cache_mb: 0, if it is the memory of the machine and not of a GPU"]


def check_writable(folder: Path) -> None:
    """Check that a folder can be written to or created, without creating it.

    Raises:
        UserError: If it cannot.
    """
    nearest = nearest_existing(folder)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        reason = "is read-only or belongs to another user" if nearest.is_dir() else "is not a folder"
        raise UserError(
            f"the output folder {folder} cannot be written ({nearest} {reason}); choose another with --output_dir"
        )


def check_room(folder: Path, args: ContinualTrainingArguments, record: RunRecord, steps: list[int]) -> None:
    """Check that the disk has space for the checkpoints of a run.

    Estimate: each finished task keeps the weights. A checkpoint within a task holds the weights, two moments of Adam
    and one more copy of the trained weights for the method. A new one is written before the oldest is deleted.

    Args:
        folder (`Path`): The output folder.
        args (`ContinualTrainingArguments`): How often checkpoints are written, and how many are kept.
        record (`RunRecord`): Gives the number of parameters and of trainable parameters.
        steps (`list[int]`): Steps of each remaining task.

    Raises:
        UserError: If there is no space for the next task. A lack of space for later tasks is logged as a warning.
    """
    if not steps:
        return
    task = FLOAT * required(record.total_parameters, "total_parameters of the record")
    written = max(_checkpoints(args, count) for count in steps)
    trainable = required(record.trainable_parameters, "trainable_parameters of the record")
    within = written * (task + 3 * FLOAT * trainable)
    free, needed = free_bytes(folder), len(steps) * task + within
    if free >= needed:
        return
    numbers = (
        f"{folder} has {free / MB:,.0f} MB free; about {needed / MB:,.0f} MB are needed: {len(steps)} tasks of "
        f"{task / MB:,.0f} MB each, and {within / MB:,.0f} MB for checkpoints within a task"
    )
    advice = "Free some disk space, choose another --output_dir, or keep fewer checkpoints (save_total_limit)"
    if free < task + within:
        raise UserError(f"{numbers}. {advice}")
    logger.warning("%s. The run starts, and will stop when the disk is full. %s", numbers, advice)


def _checkpoints(args: ContinualTrainingArguments, steps: int) -> int:
    """How many checkpoints of a task with this number of steps are on the disk at the same time."""
    if args.save_strategy == "no":
        return 0
    interval = args.save_steps if args.save_steps >= 1 else max(1, args.save_steps * steps)
    return min(int((steps - 1) // interval), (args.save_total_limit or steps) + 1)
