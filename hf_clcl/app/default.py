"""The run that is shown when none is named: the quickstart, made first by the training command where need be."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from ..config.recipe_files import find_recipe
from ..record.run_record import RunRecord
from ..utils.errors import UserError
from .runs import RECORD, Run, Runs

ROOT = Path(__file__).resolve().parents[2]
RECIPE = Path("recipes", "quickstart.yaml")
SECONDS_TO_SAVE = 20.0


class DefaultRun(Run):
    """The run of a recipe that another process may still be making.

    Args:
        recipe (`Path`): The recipe, a file or a name.
        folder (`Path`): Where the run is, or will be.
    """

    def __init__(self, recipe: Path, folder: Path):
        values = yaml.safe_load(find_recipe(recipe).read_text(encoding="utf-8"))
        record = RunRecord(
            method=values.get("method", "zscl"),
            model=values["model_name_or_path"],
            tasks=[task["name"] for task in values["tasks"]],
        )
        super().__init__(folder.name, record, folder, pending=True)
        self.recipe = recipe
        self.process: subprocess.Popen | None = None
        self.refresh()

    def make(self) -> None:
        """Start, or go on with, training in a process of its own, whose progress bars are those of the terminal."""
        if self.process is None and not self.record.finished:
            command = [sys.executable, "-m", "hf_clcl.train", str(self.recipe), "--output_dir", str(self.folder)]
            paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
            atexit.register(self.stop)  # also where the page ends before it is there
            with _signals_wait():  # one in the middle of this line would leave a process that nobody ends
                self.process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})

    def stop(self) -> None:
        """End the training, which saves its step in hand; the same command goes on where it stood."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=SECONDS_TO_SAVE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def failed(self) -> bool:
        """Whether training ended before the stream did."""
        return self.process is not None and self.process.poll() not in (None, 0) and not self.record.finished


def default_runs(recipe: Path | None = None, folder: Path | None = None) -> Runs:
    """The quickstart's run, in the making where it is not finished.

    Args:
        recipe (`Path`, *optional*): The recipe; `recipes/quickstart.yaml` here, or that of the package.
        folder (`Path`, *optional*): Its output folder; `outputs/quickstart`.

    Raises:
        UserError: Where the recipe is not there.
    """
    recipe = recipe or RECIPE
    if not find_recipe(recipe).is_file():
        raise UserError(f"{recipe} is not here, and no run is named; give the folder of a run, or owner/name")
    folder = (folder or Path("outputs", "quickstart")).resolve()
    run = DefaultRun(recipe, folder)
    if not (folder / RECORD).exists() or not run.record.finished:
        run.make()
    return Runs([run])


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Delay SIGINT and SIGTERM until the block has ended."""
    if threading.current_thread() is not threading.main_thread():  # Python handles signals in the main thread alone
        yield
        return
    came: list[int] = []
    before = {n: signal.signal(n, lambda number, _: came.append(number)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in came:
        signal.raise_signal(number)
