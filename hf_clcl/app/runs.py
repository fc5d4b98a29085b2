"""Runs that the app shows: output folders, also of running training, and Hub repositories."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..record.run_record import RunRecord
from ..utils.errors import UserError
from ..utils.names import task_folder
from ..utils.required import required

logger = logging.getLogger(__name__)

RECORD = "results.json"
HUB_SECONDS = 120.0  # between requests to a repository whose run is not finished


@dataclass(frozen=True)
class Checkpoint:
    """A state of a run's model: 0 is the untrained model, `n` the model after task `n`."""

    run: str
    index: int
    task: str | None

    @property
    def key(self) -> str:
        """The id of the checkpoint in requests, such as `quickstart@3`."""
        return f"{self.run}@{self.index}"

    @property
    def label(self) -> str:
        """The name of the checkpoint on the page, such as `3 vehicles`."""
        return f"{self.index} {self.task}" if self.task else "0 zero-shot"


@dataclass
class Run:
    """One run of the app.

    Args:
        name (`str`): Its unique name on the page.
        record (`RunRecord`): Its record so far.
        folder (`Path`, *optional*): Its output folder; `None` for a repository.
        repo (`str`, *optional*): Its Hub repository, `owner/name`.
        pending (`bool`, defaults to `False`): Whether its record does not exist yet.
    """

    name: str
    record: RunRecord
    folder: Path | None = None
    repo: str | None = None
    pending: bool = False
    _seen: Any = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """Name and method."""
        return f"{self.name} · {self.record.method}"

    @property
    def done(self) -> int:
        """How many tasks are finished."""
        return len(self.record.accuracy)

    @property
    def live(self) -> bool:
        """Whether the run is not finished."""
        return not self.record.finished

    def checkpoints(self) -> list[Checkpoint]:
        """The checkpoints that exist, from zero-shot to the newest."""
        return self.all_checkpoints()[: self.done + 1]

    def all_checkpoints(self) -> list[Checkpoint]:
        """The checkpoints that exist when the run is finished."""
        return [Checkpoint(self.name, i, task) for i, task in enumerate([None, *self.record.tasks])]

    def stop(self) -> None:
        """Stop a process that the app started for this run; does nothing by default."""

    def refresh(self) -> bool:
        """Reload the record if it has changed; returns whether it has."""
        if self.repo is not None:
            return self._refresh_from_hub(self.repo)
        folder = self._local_folder
        try:
            stamp = (folder / RECORD).stat().st_mtime_ns
        except OSError:
            return False
        if stamp == self._seen:
            return False
        try:
            record = RunRecord.load(folder)
        except UserError as error:
            logger.warning("%s", error)  # keep the previous record
            return False
        first, self._seen = self._seen is None and not self.pending, stamp
        self.record, self.pending = record, False
        return not first

    @property
    def _local_folder(self) -> Path:
        return required(self.folder, f"the folder of {self.name}")

    def _refresh_from_hub(self, repo: str) -> bool:
        from ..hub import pull_record

        now = time.monotonic()
        if self._seen is not None and now - self._seen < HUB_SECONDS:
            return False
        self._seen = now
        try:
            record = pull_record(repo)
        except UserError as error:
            logger.warning("%s", error)
            return False
        changed, self.record = record != self.record, record
        return changed

    def weights(self, index: int) -> Path | str:
        """Folder of a state's checkpoint, or the name of the base model.

        Raises:
            UserError: If the checkpoint does not exist.
        """
        if index == 0 or self.record.trainable_parameters == 0:
            return self._base_model()
        place = len(self.record.tasks) if self.record.trains_jointly else index
        name = task_folder(place - 1, self.record.tasks[place - 1])
        if self.repo is not None:
            from ..hub import pull_task

            return pull_task(self.repo, name)
        folder = self._local_folder / name
        if not folder.is_dir():
            raise UserError(
                f"{self.name} has no checkpoint {name}; download it with `python -m hf_clcl.hub pull REPO --all`, or "
                "run the stream again"
            )
        return folder

    def _base_model(self) -> str:
        model = self.record.model
        if self.repo is not None and not model.startswith("builtin:") and not is_hub_name(model):
            raise UserError(
                f"{self.name}: its base model is a local folder, which a record from the Hub must not name"
            )
        return model


class Runs:
    """All runs of the app, by name, in the order of the command line."""

    def __init__(self, runs: Sequence[Run]):
        self.by_name = {run.name: run for run in runs}

    def __getitem__(self, name: str) -> Run:
        if name not in self.by_name:
            raise UserError(f"the run must be one of {', '.join(self.by_name)}, got {str(name)[:80]!r}")
        return self.by_name[name]

    def __iter__(self) -> Iterator[Run]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)

    def checkpoint(self, key: str) -> Checkpoint:
        """The checkpoint with a key, such as `quickstart@3`.

        Raises:
            UserError: If there is none, or it is not trained yet.
        """
        name, _, index = str(key or "").rpartition("@")
        run = self[name]
        if not index.isdigit() or int(index) > len(run.record.tasks):
            raise UserError(f"{name} has no state {index[:20]!r}; states run from 0 to {len(run.record.tasks)}")
        if int(index) > run.done:
            raise UserError(f"{name}: task {index} is not trained yet; {run.done} tasks are finished")
        return run.all_checkpoints()[int(index)]

    def refresh(self) -> bool:
        """Reload the unfinished runs; returns whether anything is new."""
        return any([run.refresh() for run in self if run.live])

    @property
    def live(self) -> bool:
        """Whether any run is not finished."""
        return any(run.live for run in self)


def open_runs(paths: Iterable[str | Path]) -> Runs:
    """Open runs.

    Args:
        paths (`Iterable[str | Path]`): Output folders, folders that contain runs, or `owner/name` on the Hub.

    Raises:
        UserError: If one of them is not a run.
    """
    runs: dict[str, Run] = {}
    for given in map(str, paths):
        path = Path(given)
        if not path.exists() and is_hub_name(given):
            from ..hub import pull_record

            runs[given] = Run(given, pull_record(given), repo=given)
            continue
        files = [path] if path.is_file() else sorted(path.rglob(RECORD)) if path.is_dir() else []
        if not files:
            raise UserError(f"{given} contains no {RECORD}; give the folder of a run, or owner/name on the Hub")
        for file in files:
            folder = file.resolve().parent
            if not any(run.folder == folder for run in runs.values()):
                name = _name_for(folder, runs)
                runs[name] = Run(name, RunRecord.load(file), folder, _seen=file.stat().st_mtime_ns)
    if not runs:
        raise UserError("give the folder of a run, or owner/name on the Hub")
    return Runs(list(runs.values()))


def is_hub_name(name: str) -> bool:
    """Whether a name is a Hub repository id, `owner/name`."""
    from ..config.hub_values import is_repository

    return is_repository(name)


def _name_for(folder: Path, taken: dict[str, Run]) -> str:
    """Unique name of a folder: its own name, with as many parents as needed."""
    parts = [part.replace("@", "_") for part in folder.parts if part != folder.anchor] or ["run"]
    for count in range(1, len(parts) + 1):
        name = "/".join(parts[-count:])
        if name not in taken:
            return name
    return f"{'/'.join(parts)} ({len(taken) + 1})"
