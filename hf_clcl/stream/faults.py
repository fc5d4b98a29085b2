"""What a machine lacks, as advice: memory, room on the disk, the right to write."""

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

if TYPE_CHECKING:
    from ..config.arguments import ContinualTrainingArguments
    from ..record.run_record import RunRecord

logger = logging.getLogger(__name__)

MB = 2**20
FLOAT = 4  # bytes of a weight, which are kept in fp32
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
# Libraries that are not Python's tell of the system's error in words alone.
_NO_ROOM_WORDS = ("No space left on device", "Disk quota exceeded", "File too large", "PytorchStreamWriter failed")


@contextmanager
def room_on_disk(folder: Path) -> Iterator[None]:
    """A block that writes to a folder.

    Raises:
        UserError: Where the disk is full or broken, with what to do.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        words = str(error)
        if getattr(error, "errno", None) not in _NO_ROOM and not any(part in words for part in _NO_ROOM_WORDS):
            raise
        reason = getattr(error, "strerror", None) or " ".join(words.split())[:200]
        raise UserError(
            f"{folder} cannot be written to: {reason} ({free_bytes(folder) / MB:,.0f} MB are free). Finished tasks "
            "and the last whole checkpoint are kept. Free some room, then the same command goes on. A smaller "
            "save_total_limit and larger save_steps need less"
        ) from error


@contextmanager
def memory_for(doing: str, args: ContinualTrainingArguments, adapters: bool) -> Iterator[None]:
    """A block that may take more memory than there is.

    Args:
        doing (`str`): What it does: `training` or `evaluation`, and on what.
        args (`ContinualTrainingArguments`): The values that the memory depends on.
        adapters (`bool`): Whether low-rank updates alone are learnt already.

    Raises:
        UserError: Where the memory of the device or of the machine is full, with what to do.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not full and "can't allocate memory" not in str(error):
            raise
        if doing.startswith("evaluation"):
            size = args.per_device_eval_batch_size
            advice = [f"per_device_eval_batch_size: {max(1, size // 2)} (it is {size})"]
        else:
            advice = _training_advice(args, adapters)
        device = args.device.type
        raise UserError(
            f"{doing}: out of memory on the {'CPU' if device == 'cpu' else device + ' device'}: "
            f"{' '.join(str(error).split())[:200]}. Finished tasks and the last checkpoint are kept. What needs less, "
            "the first changing the numbers least:\n" + "\n".join(f"  - {line}" for line in advice)
        ) from error


def _training_advice(args: ContinualTrainingArguments, adapters: bool) -> list[str]:
    size, steps = args.per_device_train_batch_size, args.gradient_accumulation_steps
    advice = []
    if size > 1:
        advice.append(
            f"per_device_train_batch_size: {size // 2} with gradient_accumulation_steps: {2 * steps} (they are {size} "
            f"and {steps}): the same batch in smaller parts"
        )
    if not args.gradient_checkpointing:
        advice.append("gradient_checkpointing: true: the same numbers, about a third slower")
    if not (args.bf16 or args.fp16):
        advice.append("bf16: true: half the memory for activations")
    if args.reference_batch_size > 1:
        advice.append(
            f"per_device_reference_batch_size: {args.reference_batch_size // 2} (it is {args.reference_batch_size}), "
            "for methods with reference images"
        )
    if not adapters:
        advice.append("peft: {r: 16}: low-rank updates (LoRA), without an optimiser's state for each weight")
    return [*advice, "image_cache_mb: 0, where it is the memory of the machine and not of a GPU"]


def refuse_unwritable(folder: Path) -> None:
    """See that a folder can be written to, or made, before anything is loaded; nothing is made yet.

    Raises:
        UserError: Where it cannot.
    """
    nearest = nearest_existing(folder)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        reason = "is read-only or not yours" if nearest.is_dir() else "is no folder"
        raise UserError(
            f"the output folder {folder} cannot be written ({nearest} {reason}); choose another with --output_dir"
        )


def check_room(folder: Path, args: ContinualTrainingArguments, record: RunRecord, steps: list[int]) -> None:
    """See that what a run is going to keep has room on the disk.

    The estimate: each task keeps the weights; within a task, a checkpoint is weights, two moments of Adam, and one
    more copy of what learns for the method, and the new one is written before the oldest is deleted.

    Args:
        folder (`Path`): The output folder.
        args (`ContinualTrainingArguments`): How often checkpoints are written, and how many are kept.
        record (`RunRecord`): Knows the number of weights, and of those that learn.
        steps (`list[int]`): Steps of each task that is left.

    Raises:
        UserError: Where not even the next task has room. Where later ones have none, it is warned of.
    """
    if not steps:
        return
    task = FLOAT * record.total_parameters
    written = max(_checkpoints(args, count) for count in steps)
    within = written * (task + 3 * FLOAT * record.trainable_parameters)
    free, needed = free_bytes(folder), len(steps) * task + within
    if free >= needed:
        return
    numbers = (
        f"{folder} has {free / MB:,.0f} MB free; about {needed / MB:,.0f} MB are needed: {len(steps)} tasks of "
        f"{task / MB:,.0f} MB each, and {within / MB:,.0f} MB for checkpoints within a task"
    )
    advice = "Free some room, choose another disk with --output_dir, or keep fewer checkpoints (save_total_limit)"
    if free < task + within:
        raise UserError(f"{numbers}. {advice}")
    logger.warning("%s. The run begins, and will stop when the disk is full. %s", numbers, advice)


def _checkpoints(args: ContinualTrainingArguments, steps: int) -> int:
    """Checkpoints of a task of so many steps that lie on the disk at once."""
    if args.save_strategy == "no":
        return 0
    interval = args.save_steps if args.save_steps >= 1 else max(1, args.save_steps * steps)
    return min(int((steps - 1) // interval), (args.save_total_limit or steps) + 1)
