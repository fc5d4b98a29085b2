"""The output folder of a run: lock it, read it when a run starts or resumes, and write results to it."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from ..data.fingerprint import changes
from ..distributed.processes import same_on_all_ranks
from ..record.repetitions import decisive_values
from ..record.run_record import RunRecord
from ..reports.cards import write_card
from ..reports.figures import plot_curves, plot_matrix
from ..utils.errors import RecipeError, UserError
from ..utils.files import CACHE, remove_unfinished, whole_file
from ..utils.names import CARD, RECIPE, RECORD, task_folder

logger = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
RUNNING = ".running"  # lock file of the run that uses the folder
PLOT_SECONDS = 30.0
LOCK_SECONDS = 10.0  # worker processes of a killed run may live a little longer


class OutputFolder:
    """The output folder of a run.

    Args:
        path (`Path`): The folder.
        writes (`bool`): Whether this process writes; one rank of several does.
        plot_seconds (`float`, defaults to 0.0):
            Seconds between two drawings of the plots of an unfinished run, which take a second or more. With 0, they
            are drawn after each task, which a push to the Hub after each task needs.
    """

    def __init__(self, path: Path, writes: bool, plot_seconds: float = 0.0):
        self.path, self.writes, self.plot_seconds = path, writes, plot_seconds
        self._plotted = -math.inf
        self._lock = FileLock(path / RUNNING, timeout=LOCK_SECONDS) if writes else None

    def claim(self) -> None:
        """Check that the folder can be written, and lock it for this run until `close`.

        Raises:
            UserError: If it cannot be written, or another run uses it.
        """
        if self._lock is None:
            return
        self._check_writable()
        try:
            self._lock.acquire()
        except Timeout:
            raise UserError(
                f"another run uses {self.path}; wait for its end, or choose another folder with --output_dir. If no "
                f"other run exists (on a file system without locks), delete {self._lock.lock_file}"
            ) from None
        except (OSError, NotImplementedError) as error:  # a file system without locks
            logger.info("%s cannot be locked (%s): make sure that no two runs share it", self.path, error)

    def open(self, recipe: dict[str, Any]) -> RunRecord | None:
        """Read the record of the run that the folder holds; call [`claim`] first.

        Args:
            recipe (`dict`): The recipe of this run as plain values.

        Returns:
            `RunRecord`: The record of the run to resume, or `None` for a new run.

        Raises:
            UserError: If the folder belongs to something else, or the ranks do not share it.
            RecipeError: If it holds a run of another recipe; the message names each difference.
        """
        if self.writes:
            remove_unfinished(self.path)
            for left in (*self.path.glob(".pull-*"), *self.path.glob(".hub-*")):  # of a fetch or a push
                shutil.rmtree(left, ignore_errors=True)
        record = RunRecord.load(self.path / RECORD) if (self.path / RECORD).exists() else None
        if not same_on_all_ranks(record and (len(record.accuracy), record.finished)):
            raise UserError(
                f"the ranks read different contents in {self.path}: it must be on a file system that all machines "
                "share. Choose such a folder with --output_dir, or set save_on_each_node: true, which keeps a copy on "
                "each machine"
            )
        if record is not None:
            check_same_recipe(record.recipe, recipe, self.path)
            return record
        task_folders = sorted(p.name for p in self.path.glob("task-*")) if self.path.exists() else []
        if task_folders:
            raise UserError(
                f"{self.path} has {task_folders[0]} but no {RECORD}: it belongs to something else. Choose another "
                "folder with --output_dir"
            )
        return None

    def close(self) -> None:
        """Release the lock of the folder."""
        if self._lock and self._lock.is_locked:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()

    def task(self, index: int, name: str) -> Path:
        """The folder of a finished task."""
        return self.path / task_folder(index, name)

    def drop_missing_tasks(self, record: RunRecord, folder_of: Callable[[int], Path]) -> RunRecord:
        """The record up to the last task whose folder still exists; the tasks after it are trained again.

        Args:
            record (`RunRecord`): The record in the folder.
            folder_of (`Callable[[int], Path]`): Folder of a task by its index in the stream.
        """
        done = len(record.accuracy)
        while done and not folder_of(done - 1).exists():
            done -= 1
        if record.finished or done == len(record.accuracy):
            return record
        missing = folder_of(len(record.accuracy) - 1)
        logger.warning(
            "%s is missing: the stream resumes from %s", missing, record.tasks[done - 1] if done else "its start"
        )
        return record.until(record.tasks[done - 1] if done else None)

    def scratch(self, index: int, name: str) -> Path:
        """The folder of the checkpoints within a task; deleted when the task is finished."""
        return self.checkpoints / self.task(index, name).name

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints within tasks."""
        return self.path / CHECKPOINTS

    def write_record(self, record: RunRecord) -> None:
        """Write the record and the recipe."""
        if not self.writes:
            return
        record.save(self.path / RECORD)
        with whole_file(self.path / RECIPE) as path:
            path.write_text(yaml.safe_dump(record.recipe, sort_keys=False, allow_unicode=True), encoding="utf-8")

    def write(self, record: RunRecord) -> None:
        """Write the record, the plots and the card.

        The record of an unfinished run is written first, since it is the most expensive to compute again. That of a
        finished run is written last, since it marks the run as complete.
        """
        if not record.finished:
            self.write_record(record)
            self._write_report(record)
        else:
            self._write_report(record)
            self.write_record(record)

    def _write_report(self, record: RunRecord) -> None:
        if not self.writes:
            return
        waits = not record.finished and time.monotonic() - self._plotted < self.plot_seconds
        if not waits and record.zero_shot is not None and any(value is not None for value in record.zero_shot):
            plot_matrix(record, self.path)
            plot_curves(record, self.path)
            self._plotted = time.monotonic()
        with whole_file(self.path / CARD) as path:
            path.write_text(write_card(record), encoding="utf-8")

    def forget_cache(self) -> None:
        """Delete the cache, which only saves time when the run is resumed."""
        if self.writes:
            shutil.rmtree(self.path / CACHE, ignore_errors=True)

    def _check_writable(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path / ".writable") as probe:
                probe.touch()
            (self.path / ".writable").unlink()
        except OSError as error:
            raise UserError(
                f"the output folder {self.path} cannot be written ({error.strerror or error}); choose another with "
                "--output_dir"
            ) from None


def check_same_recipe(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Check that a run resumes with the recipe it started with.

    Args:
        before (`Mapping[str, Any]`): The recipe in the record.
        now (`Mapping[str, Any]`): The recipe of this run.
        folder (`Path`): The output folder, for the message.

    Raises:
        RecipeError: With each value that differs and that results depend on.
    """
    old, new = decisive_values(before), decisive_values(now)
    differing = [
        f"{key}: {old.get(key, 'default')} before, {new.get(key, 'default')} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if differing:
        advice = "choose another folder with --output_dir, or give the values that the run started with"
        raise RecipeError([*differing, advice], f"resuming {folder}")


def check_same_data(before: RunRecord, now: dict[str, dict[str, str]], folder: Path) -> None:
    """Check that a run resumes with the data it started with.

    Args:
        before (`RunRecord`): The record of the run, with the fingerprints of its data.
        now (`dict[str, dict[str, str]]`): Fingerprints of the data of this run.
        folder (`Path`): The output folder, for the message.

    Raises:
        UserError: With each part of the data that differs.
    """
    if differing := changes(before.fingerprints, now):
        lines = "".join(f"\n  - {line}" for line in differing)
        raise UserError(
            f"the run in {folder} started with other data, so its results would mix both:{lines}\nRestore the data, "
            "or start again in another folder with --output_dir"
        )
