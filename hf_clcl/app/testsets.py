"""Test images of tasks, loaded from the recipe in a run's record."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.kinds import Kind, kind_of
from ..utils.errors import UserError
from .imports import import_transformers
from .lru import LeastRecentlyUsed
from .runs import Run, is_hub_name

if TYPE_CHECKING:
    from ..data.task import Task

KEPT_TASKS = 64


class TestSets:
    """The tasks of runs, with their test images only.

    Args:
        data_root (`str`, *optional*): Base folder of relative dataset paths; that of the record by default.
    """

    __test__ = False  # for pytest: this class is not a test

    def __init__(self, data_root: str | None = None):
        self.data_root = data_root
        self._tasks = LeastRecentlyUsed(KEPT_TASKS)

    def names(self, run: Run) -> list[str]:
        """The tasks of a run with images; evaluation-only datasets are last."""
        names = dict.fromkeys([*run.record.tasks, *(str(entry.get("name")) for entry in _entries(run))])
        return [name for name in names if self.kind(run, name).has_images] or run.record.tasks[:1]

    def kind(self, run: Run, name: str) -> Kind:
        """Kind of data of a task, by its entry in the recorded recipe."""
        return kind_of(next((entry for entry in _entries(run) if entry.get("name") == name), {}))

    def task(self, run: Run, name: str) -> Task:
        """Load a task with its test images.

        Raises:
            UserError: If the run has no such task, or its data is not available.
        """
        entry = next((entry for entry in _entries(run) if entry.get("name") == name), None)
        if entry is None:
            raise UserError(f"{run.name} has no task {str(name)[:80]!r} with test images in its recipe")
        return self._tasks.get(self.key(run, name), lambda: self._load(run, entry))

    def key(self, run: Run, name: str) -> str:
        """Cache key of a task's data; equal for the same data of two runs."""
        entry = next((entry for entry in _entries(run) if entry.get("name") == name), {})
        return json.dumps([entry, self._root(run), run.record.seed], sort_keys=True, default=str)

    def _root(self, run: Run) -> str | None:
        return self.data_root or (None if run.repo else run.record.recipe.get("data_root"))

    def _load(self, run: Run, entry: dict[str, Any]) -> Task:
        import_transformers()
        from ..config.recipe import TaskEntry
        from ..data.resolve import resolve_task

        known = {field.name for field in dataclasses.fields(TaskEntry)} - {"training", "expect"}
        parsed = TaskEntry(**{key: value for key, value in entry.items() if key in known})
        root = self._root(run)
        if run.repo is not None:
            _check_place(parsed.dataset, root, run)
            if parsed.label_file is not None:
                _check_place(parsed.label_file, root, run)
        seed = 42 if run.record.seed is None else run.record.seed
        note = next((note for note in run.record.datasets if note["task"] == parsed.name), None)
        task = resolve_task(parsed, root, seed, evaluation_only=True)
        if note and task.class_names and len(task.class_names) != note["classes"] and parsed.name in run.record.tasks:
            # Classes of text labels are collected from both splits.
            task = resolve_task(parsed, root, seed)
        if note and task.class_names and len(task.class_names) != note["classes"]:
            raise UserError(
                f"{parsed.name} must have the {note['classes']} classes of the run, got {len(task.class_names)}; "
                "give the same data with --data_root"
            )
        if task.test is None or not task.kind.has_images:
            raise UserError(f"{parsed.name} has no test images")
        return task


def _entries(run: Run) -> list[dict[str, Any]]:
    recipe = run.record.recipe
    return [*recipe.get("tasks", []), *recipe.get("evaluation_only", [])]


def _check_place(dataset: str, root: str | None, run: Run) -> None:
    """Check that a record from the Hub names no local folder outside `--data_root`."""
    if dataset.startswith("rendered:"):
        return
    if root is not None:
        base = Path(root).resolve()
        if (base / dataset).resolve().is_relative_to(base) and (base / dataset).exists():
            return
    if not is_hub_name(dataset) or Path(dataset).exists():
        raise UserError(
            f"{run.name} was tested on the folder {dataset!r}, which is not available here; start the app with "
            "--data_root and the folder that contains it"
        )
