"""The folder of a run: what it holds when a run begins or goes on, and how results are written to it."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable
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
RUNNING = ".running"  # held while a run is at work in its folder
PLOT_SECONDS = 30.0
LOCK_SECONDS = 10.0  # worker processes of a run that was killed may live a little longer


class OutputFolder:
    """The output folder of a run.

    Args:
        path (`Path`): The folder.
        writes (`bool`): Whether this process writes; one of several does.
        plot_seconds (`float`, defaults to 0.0):
            While a run is not finished, its plots are drawn no more often than this: they cost a second or more. 0
            where what is in the folder goes to the Hub after each task.
    """

    def __init__(self, path: Path, writes: bool, plot_seconds: float = 0.0):
        self.path, self.writes, self.plot_seconds = path, writes, plot_seconds
        self._plotted = -math.inf
        self._lock = FileLock(path / RUNNING, timeout=LOCK_SECONDS) if writes else None

    def claim(self) -> None:
        """See that the folder can be written, and that no other run does it until `close`.

        Raises:
            UserError: Where it cannot, or another run is at work in it.
        """
        if self._lock is None:
            return
        self._check_writable()
        try:
            self._lock.acquire()
        except Timeout:
            raise UserError(
                f"another run is at work in {self.path}; wait for its end, or choose another folder with "
                f"--output_dir. If there is none (on a file system without locks), delete {self._lock.lock_file}"
            ) from None
        except (OSError, NotImplementedError) as error:  # a file system that has no locks
            logger.info("%s cannot be locked (%s): see that no two runs share it", self.path, error)

    def open(self, recipe: dict[str, Any]) -> RunRecord | None:
        """The record of a run that is to go on, or `None` for a new one; the folder is to be claimed before.

        Raises:
            UserError: Where the folder belongs to something else, or is not one for all processes.
            RecipeError: Where it holds a run of another recipe; the message tells what differs.
        """
        if self.writes:
            remove_unfinished(self.path)
            for left in (*self.path.glob(".pull-*"), *self.path.glob(".hub-*")):  # of a fetch or a push
                shutil.rmtree(left, ignore_errors=True)
        record = RunRecord.load(self.path / RECORD) if (self.path / RECORD).exists() else None
        if not same_on_all_ranks(record and (len(record.accuracy), record.finished)):
            raise UserError(
                f"the processes find different things in {self.path}: it has to lie on a file system that all "
                "machines share. Choose such a folder with --output_dir, or set save_on_each_node: true, which keeps "
                "a copy on each machine"
            )
        if record is not None:
            refuse_other_recipe(record.recipe, recipe, self.path)
            return record
        leftovers = sorted(p.name for p in self.path.glob("task-*")) if self.path.exists() else []
        if leftovers:
            raise UserError(
                f"{self.path} holds {leftovers[0]} but no {RECORD}: it belongs to something else. Choose another "
                "folder with --output_dir"
            )
        return None

    def close(self) -> None:
        """Let other runs have the folder."""
        if self._lock and self._lock.is_locked:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()

    def task(self, index: int, name: str) -> Path:
        """The folder of a finished task."""
        return self.path / task_folder(index, name)

    def standing(self, record: RunRecord, folder_of: Callable[[int], Path]) -> RunRecord:
        """The record as far as folders of tasks go: a task whose folder is gone is learnt anew, and those after it.

        Args:
            record (`RunRecord`): What the folder holds.
            folder_of (`Callable[[int], Path]`): Folder of a task by its place in the stream.
        """
        done = len(record.accuracy)
        while done and not folder_of(done - 1).exists():
            done -= 1
        if record.finished or done == len(record.accuracy):
            return record
        gone = folder_of(len(record.accuracy) - 1)
        logger.warning(
            "%s is not there: the stream goes on from %s", gone, record.tasks[done - 1] if done else "its start"
        )
        return record.until(record.tasks[done - 1] if done else None)

    def scratch(self, index: int, name: str) -> Path:
        """The folder of the checkpoints within a task, gone when it is finished."""
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
        """Write the record, and what shows its accuracies: plots and card.

        The record comes first, as it costs most to make anew; that of a finished run last, since nothing comes after.
        """
        if not record.finished:
            self.write_record(record)
            self._show(record)
        else:
            self._show(record)
            self.write_record(record)

    def _show(self, record: RunRecord) -> None:
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
        """Remove what only saves time when the run is resumed."""
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


def refuse_other_recipe(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """See that a run goes on with the recipe it began with.

    Raises:
        RecipeError: With each value that differs and that numbers depend on.
    """
    before, now = decisive_values(before), decisive_values(now)
    differing = [
        f"{key}: {before.get(key, 'default')} before, {now.get(key, 'default')} now"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if differing:
        advice = "choose another folder with --output_dir, or give the values that the run began with"
        raise RecipeError([*differing, advice], f"resuming {folder}")


def refuse_other_data(before: RunRecord, now: dict[str, dict[str, str]], folder: Path) -> None:
    """See that a run goes on with the data it began with.

    Raises:
        UserError: With each part of them that is not the same.
    """
    if differing := changes(before.fingerprints, now):
        lines = "".join(f"\n  - {line}" for line in differing)
        raise UserError(
            f"{folder} was begun on other data, and its numbers would mean nothing on both:{lines}\nBring the data "
            "back as they were, or begin anew in another folder with --output_dir"
        )
