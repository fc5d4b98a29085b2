"""Checkpoints on the disk: save them atomically, detect damage, and choose the one that a task resumes from."""

from __future__ import annotations

import json
import logging
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..utils.errors import UserError
from ..utils.files import replace_folder

logger = logging.getLogger(__name__)

METHOD_STATE = "method_state.safetensors"
TRAINER_STATE = "trainer_state.json"
PARTIAL = ".partial"  # folder in which the `Trainer` writes a checkpoint before it is complete
DAMAGED = "damaged-"
_NAME = re.compile(r"checkpoint-(\d+)")


def save_state(state: Mapping[str, Tensor], folder: Path) -> None:
    """Save the state of a method; an empty state writes no file."""
    if state:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        save_file(plain, folder / METHOD_STATE)


@contextmanager
def atomic_checkpoint(target: Path, writes: bool) -> Iterator[Path]:
    """Context manager for a temporary folder that all ranks write to; it becomes the checkpoint if the block succeeds.

    Args:
        target (`Path`): The folder of the checkpoint.
        writes (`bool`): Whether this process moves the temporary folder; one rank of several does.
    """
    partial = target.parent / PARTIAL / target.name
    if writes:
        shutil.rmtree(partial.parent, ignore_errors=True)  # left by a process that was killed
    try:
        yield partial
        if writes:
            replace_folder(partial, target)
    finally:
        if writes:
            shutil.rmtree(partial.parent, ignore_errors=True)  # on a full disk this frees the space


def damage(folder: Path, needed: Iterable[str]) -> str | None:
    """Describe the damage of a folder of files; `None` if all files exist and each can be opened.

    The check does not read the weights: the length of a safetensors file is compared with its header, files of
    `torch.save` are archives with their index at the end, and JSON files are parsed.

    Args:
        folder (`Path`): The folder.
        needed (`Iterable[str]`): Names of files that it must hold; `*` matches any characters.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if not files:
        return "it is empty"
    if missing := [name for name in needed if not any(folder.glob(name))]:
        return f"{', '.join(missing)} is missing"
    for file in files:
        if problem := _file_damage(file):
            return f"{file.relative_to(folder)} {problem}"
    return None


def _file_damage(file: Path) -> str | None:
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt"):
                return None
        if file.suffix in (".pt", ".pth"):
            with zipfile.ZipFile(file):
                return None
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError, zipfile.BadZipFile) as error:
        return f"cannot be read: {error}"
    return None


def checkpoint_damage(folder: Path) -> str | None:
    """Describe the damage of a checkpoint within a task; `None` if training can resume from it."""
    sharded = any(path.is_dir() for path in folder.iterdir())
    own = [] if sharded else ["model.safetensors", "optimizer*.pt"]
    if problem := damage(folder, [TRAINER_STATE, METHOD_STATE, "scheduler.pt", "rng_state*.pth", *own]):
        return problem
    state = json.loads((folder / TRAINER_STATE).read_text(encoding="utf-8"))
    step = state.get("global_step") if isinstance(state, dict) else None
    return None if folder.name == f"checkpoint-{step}" else f"{TRAINER_STATE} belongs to step {step}"


def last_intact_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in a folder that training can resume from; `None` if there is none.

    Newer checkpoints that are damaged are logged and renamed, so that `save_total_limit` does not count them.
    """
    numbers = {int(match[1]): path for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))}
    for number in sorted(numbers, reverse=True):
        checkpoint = numbers[number]
        if not (problem := checkpoint_damage(checkpoint)):
            return checkpoint
        renamed = checkpoint.with_name(DAMAGED + checkpoint.name)
        logger.warning("%s is damaged (%s): it is renamed to %s, and the previous one is used", checkpoint, problem,
                       renamed.name)  # fmt: skip
        checkpoint.rename(renamed)
    return None


def check_finished(folder: Path, remembers: bool, hub_model_id: str | None = None) -> None:
    """Check that the folder of a finished task is not damaged.

    Args:
        folder (`Path`): The folder.
        remembers (`bool`): Whether the method has a state from task to task, which must then exist.
        hub_model_id (`str`, *optional*): The repository that may hold the task too.

    Raises:
        UserError: If it is damaged.
    """
    problem = damage(folder, ["config.json", "model.safetensors", *([METHOD_STATE] if remembers else [])])
    if problem:
        download = (
            f", or downloaded with --resume_from_hub {hub_model_id} if that repository has it" if hub_model_id else ""
        )
        raise UserError(
            f"the finished task in {folder} is damaged: {problem}. Restore the folder from a copy if you have one; "
            f"otherwise delete it and run the same command: the task is then trained again{download}"
        )
