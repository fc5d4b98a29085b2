"""Revisions of a run: one before training and one after each task, with the record and all files."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ..record.run_record import RunRecord
from ..utils.errors import UserError
from ..utils.names import RECIPE, RECORD, TAG
from .client import explain

logger = logging.getLogger(__name__)

ADAPTER = "adapter/adapter_config.json"


@dataclass
class Revision:
    """The state of a run after one task.

    Args:
        name (`str`): Its tag.
        record (`RunRecord`): The record after this task.
        files (`dict[str, Path | bytes]`): All files of the repository by path.
    """

    name: str
    record: RunRecord
    files: dict[str, Path | bytes]


def states(record: RunRecord) -> list[RunRecord]:
    """The record before training and after each finished task."""
    start = [record.until(None)] if record.zero_shot is not None else []
    finished = record.tasks[: len(record.accuracy)]
    if record.trains_jointly:  # one model, which has learnt all tasks
        finished = finished[len(record.tasks) - 1 :]
    return start + [record.until(task) for task in finished]


def revision_name(record: RunRecord) -> str:
    """Tag and folder name of a record's newest state.

    Raises:
        UserError: If the task's name is not valid; records from elsewhere are not trusted.
    """
    from ..reports.cards.sections import folder_name

    name = folder_name(record)
    if not TAG.fullmatch(name):
        raise UserError(f"the name of a task must have 1 to 64 letters, digits, '-' and '_', got {name!r:.80}")
    return name


def same_run(one: RunRecord, other: RunRecord) -> bool:
    """Whether two records are states of one run: same start time and recipe, same results of common tasks."""
    first, second = ([r.created, r.method, r.model, r.tasks, r.seed] for r in (one, other))
    rows = ([r.zero_shot, *r.accuracy] if r.zero_shot is not None else [] for r in (one, other))
    return first == second and all(a == b for a, b in zip(*rows, strict=False))


def unpushed(output: Path, record: RunRecord, repo_id: str, known: set[str]) -> Iterator[Revision]:
    """Yield the revisions of a record that are not in `known`, and add them to it; logs those that fail.

    Args:
        output (`Path`): The output folder.
        record (`RunRecord`): The record.
        repo_id (`str`): The repository, `owner/name`.
        known (`set[str]`): Names of pushed or queued revisions.
    """
    for state in states(record):
        name = revision_name(state)
        if name not in known:
            known.add(name)
            try:
                yield prepare(output, state, repo_id)
            except Exception as error:  # any error: training must continue
                logger.warning("%s cannot be pushed: %s", name, explain(error))


def prepare(output: Path, record: RunRecord, repo_id: str) -> Revision:
    """Collect all files of the newest state of a record.

    Raises:
        UserError: If its checkpoint does not exist.
    """
    from ..reports.cards import save_card

    name, count = revision_name(record), len(record.accuracy)
    folder = output / name
    files: dict[str, Path | bytes] = {}
    if folder.is_dir():
        files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    elif count and record.trainable_parameters != 0:
        raise UserError(f"its checkpoint does not exist in {output}")
    else:
        base = {"base_model": record.model, "revision": record.recipe.get("model_revision")}
        files = {"base_model.json": json.dumps(base, indent=2).encode()}
    if ADAPTER in files:
        files[ADAPTER] = _adapter_of(record, folder / ADAPTER, repo_id)
    # The card names the repository that it is pushed to, not that of the recipe.
    shown = replace(record, recipe={**record.recipe, "hub_model_id": repo_id})
    of_task = record.tasks[count - 1] if count and not record.finished else None
    with TemporaryDirectory() as scratch:
        record.save(Path(scratch, RECORD))
        save_card(shown, scratch, of_task)
        files |= {file.name: file.read_bytes() for file in Path(scratch).iterdir()}
    if (output / RECIPE).exists():
        files[RECIPE] = (output / RECIPE).read_bytes()
    return Revision(name, record, files)


def _adapter_of(record: RunRecord, config: Path, repo_id: str) -> bytes:
    """Configuration of a task's adapter with its base: the previous revision, or the base model."""
    count = len(record.accuracy)
    base: tuple[str, str | None]
    if count > 1:
        base = (repo_id, revision_name(record.until(record.tasks[count - 2])))
    else:
        base = (record.model, record.recipe.get("model_revision"))
    values = json.loads(config.read_text(encoding="utf-8"))
    return json.dumps({**values, "base_model_name_or_path": base[0], "revision": base[1]}, indent=2).encode()
