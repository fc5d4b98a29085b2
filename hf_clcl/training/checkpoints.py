"""Checkpoints on the disk: whether they are whole, and which one a task goes on from."""

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
PARTIAL = ".partial"  # the folder where the `Trainer` writes a checkpoint
DAMAGED = "damaged-"
_NAME = re.compile(r"checkpoint-(\d+)")


def save_state(state: Mapping[str, Tensor], folder: Path) -> None:
    """Write the state of a method; none for none."""
    if state:
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        save_file(plain, folder / METHOD_STATE)


@contextmanager
def checkpoint_beside(target: Path, writes: bool) -> Iterator[Path]:
    """A folder beside a checkpoint's place that all processes fill; it is moved there when the block ends well.

    Args:
        target (`Path`): The checkpoint's place.
        writes (`bool`): Whether this process moves it; one of several does.
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
            shutil.rmtree(partial.parent, ignore_errors=True)  # on a full disk, it is what fills it


def damage(folder: Path, needed: Iterable[str]) -> str | None:
    """What is wrong with a folder of files, in words; `None` where all are there and each can be opened.

    Weights are cut short where the file is shorter than its header says; what `torch.save` writes is an archive with
    its table at the end; JSON is read. None of it costs the time of reading the weights.

    Args:
        folder (`Path`): The folder.
        needed (`Iterable[str]`): Names of files that it must hold; `*` stands for any characters.
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
    """What is wrong with a checkpoint within a task; `None` where training can go on from it."""
    sharded = any(path.is_dir() for path in folder.iterdir())
    own = [] if sharded else ["model.safetensors", "optimizer*.pt"]
    if problem := damage(folder, [TRAINER_STATE, METHOD_STATE, "scheduler.pt", "rng_state*.pth", *own]):
        return problem
    state = json.loads((folder / TRAINER_STATE).read_text(encoding="utf-8"))
    step = state.get("global_step") if isinstance(state, dict) else None
    return None if folder.name == f"checkpoint-{step}" else f"{TRAINER_STATE} is that of step {step}"


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in a folder that training can go on from.

    Newer ones that are damaged are warned of and set aside, so that they are not counted among those to keep.
    """
    numbers = {int(match[1]): path for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))}
    for number in sorted(numbers, reverse=True):
        checkpoint = numbers[number]
        if not (problem := checkpoint_damage(checkpoint)):
            return checkpoint
        aside = checkpoint.with_name(DAMAGED + checkpoint.name)
        logger.warning("%s is damaged (%s): it is set aside as %s, and the one before is used", checkpoint, problem,
                       aside.name)  # fmt: skip
        checkpoint.rename(aside)
    return None


def check_finished(folder: Path, remembers: bool, hub_model_id: str | None = None) -> None:
    """See that the folder of a finished task is whole.

    Args:
        folder (`Path`): The folder.
        remembers (`bool`): Whether the method keeps something from task to task, which must then be there.
        hub_model_id (`str`, *optional*): The repository that may hold the task as well.

    Raises:
        UserError: Where it is damaged; the message tells what to do.
    """
    problem = damage(folder, ["config.json", "model.safetensors", *([METHOD_STATE] if remembers else [])])
    if problem:
        fetch = (
            f", or, if {hub_model_id} holds it, fetched with --resume_from_hub {hub_model_id}" if hub_model_id else ""
        )
        raise UserError(
            f"the finished task in {folder} is damaged: {problem}. Put a copy of the folder in its place if you have "
            f"one; else delete the folder and give the same command again: the task is then learnt anew{fetch}"
        )
