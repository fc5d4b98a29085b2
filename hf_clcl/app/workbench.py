"""Backend of the app: runs, their test images, and their models, which are loaded on first use."""

from __future__ import annotations

import logging
from collections.abc import Generator
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..utils.errors import UserError
from ..utils.required import required
from . import labels as label_lists
from .imports import import_transformers
from .labels import Labels
from .runs import Checkpoint, Run, Runs
from .testsets import TestSets

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

    from ..data.task import Task
    from .encoders import Encoders
    from .outcomes import Change, Outcomes
    from .predictions import Comparison
    from .retrieval import SearchResult

logger = logging.getLogger(__name__)

ALL_TASKS, OWN = "all tasks", "my own"
EXAMPLES = 12

T = TypeVar("T")
Steps = Generator[tuple[float, str], None, T]


class Workbench:
    """Runs, and the computations on them.

    Args:
        runs (`Runs`): The runs of the app.
        data_root (`str`, *optional*): Base folder of relative dataset paths.
        models (`int`, *optional*): How many checkpoints to keep in memory; 12 by default.
    """

    def __init__(self, runs: Runs, data_root: str | None = None, models: int | None = None):
        self.runs, self.tests, self._models = runs, TestSets(data_root), models
        self._encoders: Encoders | None = None
        self._outcomes: Outcomes | None = None
        self._lock = Lock()

    @property
    def encoders(self) -> Encoders:
        """The models. PyTorch is imported on first access, after the page is shown."""
        with self._lock:
            if self._encoders is None:
                import_transformers()
                from .encoders import MODELS, Encoders

                self._encoders = Encoders(self.runs, self._models or MODELS)
            return self._encoders

    @property
    def outcomes(self) -> Outcomes:
        """Cached embeddings of test images."""
        encoders = self.encoders
        with self._lock:
            if self._outcomes is None:
                from .outcomes import Outcomes

                self._outcomes = Outcomes(encoders, self.tests)
            return self._outcomes

    def warm_up(self, run: Run) -> None:
        """Load the models for the first prediction; errors are reported by the prediction itself."""
        try:
            self.encoders.preprocessor(run.name)
            self.encoders.model(run.checkpoints()[0])
        except Exception as error:  # no request has failed
            logger.debug("not warmed up: %s", error)

    def labels(self, run: Run, source: str, own: str = "", template: str = "") -> Labels:
        """The labels to classify among.

        Args:
            run (`Run`): The run with the tasks.
            source (`str`): A task, `"all tasks"` or `"my own"`.
            own (`str`): Labels, one a line, for `"my own"`.
            template (`str`): A prompt with `{}`; that of each task if empty.
        """
        if source == OWN:
            return label_lists.typed(own, template)
        if source != ALL_TASKS:
            return label_lists.of_tasks([self.tests.task(run, source)], template)
        tasks, missing = [], []
        for name in self.tests.names(run):
            try:
                task = self.tests.task(run, name)
            except UserError as error:
                missing.append(f"{name} ({error})")
                continue
            tasks += [task] if task.kind.has_labels else []
        if not tasks:
            raise UserError(f"the labels of {run.name} are not available: {'; '.join(missing)[:300]}. Type your own")
        labels = label_lists.of_tasks(tasks, template)
        note = f"Not available: the labels of {'; '.join(missing)[:300]}." if missing else ""
        return Labels(labels.names, labels.prompts, note)

    def compare(
        self, states: list[Checkpoint], image: Image.Image | None, labels: Labels, truth: str | None
    ) -> Comparison:
        """Classify an image with checkpoints of runs."""
        from .predictions import compare

        if image is None:
            raise UserError("choose an image first: upload, paste or take one, or select an example")
        return compare(self.encoders, states, image, labels, truth)

    def examples(self, run: Run, name: str) -> list[tuple[int, Image.Image, str | None]]:
        """Some test images of a task as `(row, image, label)`, at most one of each class."""
        task, test = self._with_test_images(run, name)
        if not task.kind.has_labels:
            rows = np.linspace(0, len(test) - 1, min(EXAMPLES, len(test))).astype(int).tolist()
            return [(row, test[row][task.image_column], None) for row in rows]
        labels = task.labels("test")
        firsts = {int(label): row for row, label in reversed(list(enumerate(labels)))}
        kinds = sorted(firsts)
        chosen = [kinds[i] for i in np.linspace(0, len(kinds) - 1, min(EXAMPLES, len(kinds))).astype(int)]
        return [(firsts[k], test[firsts[k]][task.image_column], _class_name(task, k)) for k in chosen]

    def example(self, run: Run, name: str, row: int) -> tuple[Image.Image, str | None]:
        """A test image and its label.

        Raises:
            UserError: If the row does not exist.
        """
        task, test = self._with_test_images(run, name)
        if not 0 <= int(row) < len(test):
            raise UserError(f"{name}: the test image must be from 0 to {len(test) - 1}, got {row}")
        image = test[int(row)][task.image_column]
        label = _class_name(task, int(task.labels("test")[int(row)])) if task.kind.has_labels else None
        return image, label

    def change(self, before: str, after: str, run: Run, task: str) -> Steps[Change]:
        """Classify a task's test images with two checkpoints, given by their keys."""
        states = self.runs.checkpoint(before), self.runs.checkpoint(after)
        yield 0.0, "loading"
        return (yield from self.outcomes.change(*states, run, task))

    def search(self, before: str, after: str, run: Run, task: str, text: str) -> Steps[list[SearchResult]]:
        """Search a task's test images by a text with two checkpoints, given by their keys."""
        states = self.runs.checkpoint(before), self.runs.checkpoint(after)
        yield 0.0, "loading"
        from .retrieval import search

        return (yield from search(self.outcomes, self.encoders, states, run, task, text))

    def pictures(self, run: Run, name: str, rows: list[int]) -> list[tuple[Any, str]]:
        """Test images with their label or first caption."""
        task, test = self._with_test_images(run, name)
        shown = []
        for row in rows:
            values = test[row]
            if task.kind.has_labels:
                caption = _class_name(task, values[task.label_column])
            else:
                caption = values[task.caption_column]
                caption = caption if isinstance(caption, str) else caption[0]
            shown.append((values[task.image_column], caption))
        return shown

    def _with_test_images(self, run: Run, name: str) -> tuple[Task, Dataset]:
        task = self.tests.task(run, name)
        return task, required(task.test, f"test of {name}")


def _class_name(task: Task, label: int) -> str:
    return required(task.class_names, f"class_names of {task.name}")[label]
