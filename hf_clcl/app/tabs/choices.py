"""Choices of checkpoints and tasks for drop-down lists."""

from __future__ import annotations

from ..runs import Run, Runs
from ..workbench import ALL_TASKS, OWN, Workbench


def states(runs: Runs, first: Run | None = None) -> list[tuple[str, str]]:
    """All checkpoints of all runs as `(label, key)`, those of `first` first, including those not trained yet."""
    ordered = sorted(runs, key=lambda run: run is not first)
    several = len(runs) > 1
    return [
        (f"{state.label} · {run.name}" if several else state.label, state.key)
        for run in ordered
        for state in run.all_checkpoints()
    ]


def heading(runs: Runs, key: str) -> str:
    """Display name of a checkpoint."""
    state = runs.checkpoint(key)
    return f"{state.label} · {state.run}" if len(runs) > 1 else state.label


def sources(bench: Workbench, run: Run) -> list[str]:
    """Choices for the source of labels."""
    return [ALL_TASKS, *labelled(bench, run), OWN]


def labelled(bench: Workbench, run: Run) -> list[str]:
    """The tasks of a run with labels."""
    return [name for name in bench.tests.names(run) if bench.tests.kind(run, name).has_labels]


def searchable(bench: Workbench, run: Run) -> list[str]:
    """The tasks whose images can be searched, those with captions first."""
    return sorted(bench.tests.names(run), key=lambda name: bench.tests.kind(run, name).has_labels)


def newest(run: Run) -> str:
    """Key of the newest checkpoint."""
    return run.checkpoints()[-1].key
