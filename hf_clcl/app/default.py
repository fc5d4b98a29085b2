"""Default run of the app: the quickstart recipe, trained in a subprocess if it is not finished."""

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
    """A run of a recipe that a subprocess may still be training.

    Args:
        recipe (`Path`): File or name of the recipe.
        folder (`Path`): Output folder of the run, which need not exist yet.
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

    def train(self) -> None:
        """Start or resume training in a subprocess, whose progress bars appear in the terminal."""
        if self.process is None and not self.record.finished:
            command = [sys.executable, "-m", "hf_clcl.train", str(self.recipe), "--output_dir", str(self.folder)]
            paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
            atexit.register(self.stop)  # also if the app exits during start-up
            with _delayed_signals():  # a signal during this line would leave an orphaned process
                self.process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})

    def stop(self) -> None:
        """Stop the training process, which saves a checkpoint first; the same command resumes from it."""
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
        """Whether the training process failed before the last task was finished."""
        return self.process is not None and self.process.poll() not in (None, 0) and not self.record.finished


def default_runs(recipe: Path | None = None, folder: Path | None = None) -> Runs:
    """Open the quickstart run, and start training it if it is not finished.

    Args:
        recipe (`Path`, *optional*): The recipe; by default `recipes/quickstart.yaml`, or the recipe of the package.
        folder (`Path`, *optional*): The output folder; `outputs/quickstart` by default.

    Raises:
        UserError: If the recipe does not exist.
    """
    recipe = recipe or RECIPE
    if not find_recipe(recipe).is_file():
        raise UserError(f"{recipe} does not exist and no run is given; give the folder of a run, or owner/name")
    folder = (folder or Path("outputs", "quickstart")).resolve()
    run = DefaultRun(recipe, folder)
    if not (folder / RECORD).exists() or not run.record.finished:
        run.train()
    return Runs([run])


@contextmanager
def _delayed_signals() -> Iterator[None]:
    """Delay SIGINT and SIGTERM until the block has ended."""
    if threading.current_thread() is not threading.main_thread():  # Python handles signals in the main thread only
        yield
        return
    received: list[int] = []
    handlers = {
        n: signal.signal(n, lambda number, _: received.append(number)) for n in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for pending in received:
        signal.raise_signal(pending)
