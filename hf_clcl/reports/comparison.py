"""Comparison of runs and published results as tables: terminal, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..metrics.accuracy_matrix import METRICS, AccuracyMatrix
from ..metrics.ranks import DIRECTIONS
from ..record.expectations import compare_with_published
from ..record.repetitions import recipe_of, repetitions
from ..record.run_record import RunRecord
from ..utils.errors import UserError
from .cards.markdown import table as markdown_table
from .cards.markdown import text
from .published import difference_lines
from .terminal import number

COLUMNS = {
    "incremental_average": "Avg (incr.)",
    "incremental_last": "Last (incr.)",
    "individual": "Individual",
    "transfer": "Transfer",
    "average": "Average",
    "last": "Last",
    "forgetting": "Forgetting",
    "seconds": "seconds",
    "peak_memory_mb": "memory (MB)",
}

# Only in the files, if a run has them. Recall is measured after the last task, and is the mean over caption datasets.
FURTHER_COLUMNS = {
    "updated_accuracy": METRICS["updated_accuracy"][0],
    "unseen_accuracy": METRICS["unseen_accuracy"][0],
    **{f"{way}_r1": f"R@1 {way.replace('_', ' ')}" for way in DIRECTIONS},
}


@dataclass
class Row:
    """One row of the comparison: runs of one recipe over seeds, or a published result.

    Args:
        method (`str`): The method.
        model (`str`): The base model.
        tasks (`tuple[str, ...]`): The tasks in order.
        values (`dict[str, list[float]]`): Values of each metric, one for each run that has it.
        runs (`int`, defaults to 1): Number of runs.
        note (`str`): `"published"`, or how many tasks are finished.
        variant (`str`): Recipe values that differ from other rows of the method.
    """

    method: str
    model: str
    tasks: tuple[str, ...]
    values: dict[str, list[float]] = field(default_factory=dict)
    runs: int = 1
    note: str = ""
    variant: str = ""

    @property
    def name(self) -> str:
        """The method and its variant."""
        return f"{self.method}, {self.variant}" if self.variant else self.method

    @property
    def label(self) -> str:
        """The name with note and number of seeds."""
        notes = [self.note, f"{self.runs} seeds" if self.runs > 1 else ""]
        return self.name + "".join(f" ({note})" for note in notes if note)

    def mean(self, key: str) -> float | None:
        """Mean over runs; `None` if no run has the value."""
        return statistics.fmean(self.values[key]) if self.values.get(key) else None

    def deviation(self, key: str) -> float | None:
        """Standard deviation over seeds (with n - 1); `None` for a single run."""
        return statistics.stdev(self.values[key]) if len(self.values.get(key, ())) > 1 else None

    def cell(self, key: str, digits: int = 2) -> str:
        """Mean and standard deviation as text."""
        mean, deviation = self.mean(key), self.deviation(key)
        digits = 0 if key in ("seconds", "peak_memory_mb") else digits
        if mean is None:
            return "–"
        return number(mean, digits) + (f" ± {number(deviation, digits)}" if deviation is not None else "")


def group_runs(records: Iterable[RunRecord]) -> list[Row]:
    """Group runs into one row for each recipe, over its seeds. Unfinished runs have their own rows."""
    records = list(records)
    groups = [[records[place] for place in places] for places in repetitions(records)]
    rows = [_row(runs) for runs in groups]
    for row, variant in zip(rows, _variants([runs[0] for runs in groups]), strict=True):
        row.variant = variant
    return rows


def expected_rows(records: Iterable[RunRecord]) -> tuple[list[Row], list[str]]:
    """The published results that the recipes of runs name, for runs that are comparable with them.

    Args:
        records (`Iterable[RunRecord]`): The runs.

    Returns:
        `tuple[list[Row], list[str]]`: A row for each published result with a comparable run. For each other result, a
        line that says in what the runs differ. The values of such a result are not shown.
    """
    rows: dict[tuple[str, str], Row] = {}
    notes: dict[tuple[str, str], str] = {}
    for record in records:
        for found in compare_with_published(record):
            key = (found.source, record.method)
            if found.comparable:
                values = {name: [wanted] for name, (wanted, _) in found.values.items()}
                rows[key] = Row(record.method, record.model, tuple(record.tasks), values, note="published")
                if found.caveats:
                    notes[key] = f"{record.method}, published ({found.source}): {' '.join(found.caveats)}"
            elif key not in rows:
                lines = "; ".join(difference_lines(found))
                notes[key] = f"{record.method}: not comparable with {found.source}: {lines}"
    return list(rows.values()), list(notes.values())


def read_published(path: str | Path) -> list[Row]:
    """Read published accuracy matrices from a JSON file.

    Args:
        path (`str` or `Path`): The file, with `tasks`, and `methods` with the `accuracy` matrix of each.

    Raises:
        UserError: If the file cannot be read or has another format.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        tasks, model = tuple(content["tasks"]), str(content.get("model", ""))
        return [
            Row(name, model, tasks, _lists(AccuracyMatrix(tasks, method["accuracy"]).metrics()), note="published")
            for name, method in content["methods"].items()
        ]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{path}: is not a file of published matrices: {reason}; it needs `tasks`, and `methods` with `accuracy`"
        ) from None


def as_markdown(rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """The comparison as a Markdown table, with model and stream if they differ, and notes below it."""
    extra = _differing(rows)
    columns = _columns(rows)
    lines = [[text(row.label), *(text(v) for v in extra(row)), *(row.cell(key) for key in columns)] for row in rows]
    head = ["method", *extra(None), *columns.values()]
    below = "".join(f"\n- {text(note)}" for note in notes) + "\n" * bool(notes)
    return markdown_table(head, lines, words=range(len(head) - len(columns))) + "\n" + below


def as_csv(rows: Sequence[Row]) -> str:
    """The comparison as CSV in full precision, with separate columns for mean and standard deviation."""
    file = io.StringIO()
    writer, columns = csv.writer(file, lineterminator="\n"), _columns(rows)
    writer.writerow(
        ["method", "note", "model", "tasks", "runs", *(f"{k}{end}" for k in columns for end in ("", "_std"))]
    )
    for row in rows:
        values = [value for key in columns for value in (row.mean(key), row.deviation(key))]
        writer.writerow([row.method, row.note, row.model, " ".join(row.tasks), row.runs, *values])
    return file.getvalue()


def print_comparison(rows: Sequence[Row], console: Console | None = None, notes: Sequence[str] = ()) -> None:
    """Print the comparison as a table of 80 characters. The files have more digits, models and streams."""
    console, columns = console or Console(), _main_columns(rows)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("method", overflow="fold")
    for head in columns.values():
        table.add_column(head.replace(" (", "\n("), justify="right", no_wrap=True)
    for row in rows:
        marks = "*" if row.note == "published" else f" x{row.runs}" if row.runs > 1 else ""
        marks += f" ({row.note})" if row.note not in ("", "published") else ""
        table.add_row(Text(row.name + marks), *(row.cell(key, digits=1) for key in columns))
    console.print(table)
    legend = ["* published"] * any(row.note == "published" for row in rows)
    legend += ["x: runs over seeds, mean ± deviation"] * any(row.runs > 1 for row in rows)
    legend += [f"rows differ in {what}" for what in _differing(rows)(None)]
    for line in ["; ".join(legend)] * bool(legend) + list(notes):
        console.print(Text(line, style="dim"))


def _columns(rows: Sequence[Row]) -> dict[str, str]:
    """Columns of the files: the printed ones and further metrics of the runs."""
    further = {key: words for key, words in FURTHER_COLUMNS.items() if any(row.values.get(key) for row in rows)}
    return {**_main_columns(rows), **further}


def _main_columns(rows: Sequence[Row]) -> dict[str, str]:
    """Printed columns; class-incremental streams have other averages than task-incremental ones."""
    incremental = any(row.values.get("incremental_last") for row in rows)
    rare = ("incremental", "individual")
    return {
        key: head
        for key, head in COLUMNS.items()
        if any(row.values.get(key) for row in rows) or not (incremental or key.startswith(rare))
    }


def _row(runs: list[RunRecord]) -> Row:
    first = runs[0]
    values: dict[str, list[float]] = {}
    for run in runs:
        metrics = run.metrics
        if run.trains_jointly:  # there is no transfer and no forgetting where all tasks are trained on at once
            metrics = {key: value for key, value in metrics.items() if key in ("last", "incremental_last")}
        costs = {"seconds": run.seconds, "peak_memory_mb": run.peak_memory_mb}
        for key, value in {**metrics, **_recall(run), **costs}.items():
            values.setdefault(key, []).extend([] if value is None else [value])
    done = len(first.accuracy)
    note = "" if done == len(first.tasks) else f"{done} of {len(first.tasks)} tasks"
    return Row(first.method, first.model, tuple(first.tasks), values, len(runs), note)


def _recall(run: RunRecord) -> dict[str, float]:
    last = [entry["after"][-1] for entry in run.retrieval.values() if run.finished and entry["after"]]
    keys = [f"{way}_r1" for way in DIRECTIONS if last and all(f"{way}_r1" in recall for recall in last)]
    return {key: statistics.fmean(recall[key] for recall in last) for key in keys}


def _variants(records: Sequence[RunRecord]) -> list[str]:
    """For each run, the recipe values that differ from other runs of its method."""
    recipes = [recipe_of(record) for record in records]
    variants = []
    for record, recipe in zip(records, recipes, strict=True):
        same = [other for r, other in zip(records, recipes, strict=True) if r.method == record.method]
        differing = [
            key
            for key, value in recipe.items()
            if key.partition(".")[0] not in ("peft", "tasks", "evaluation_only")
            and any(o.get(key) != value for o in same)
        ]
        parts = ["LoRA"] if "peft" in record.recipe else []
        variants.append(", ".join(parts + [f"{key.rsplit('.', 1)[-1]} {recipe[key]}" for key in differing[:3]]))
    return variants


def _differing(rows: Sequence[Row]) -> Any:
    """Return a function: `extra(row)` gives model and stream if rows differ in them, `extra(None)` the heads."""
    several_models = len({row.model for row in rows}) > 1
    several_streams = len({tuple(map(str.lower, row.tasks)) for row in rows}) > 1

    def extra(row: Row | None) -> list[str]:
        stream = "stream" if row is None else f"{len(row.tasks)} tasks: {row.tasks[0]} ... {row.tasks[-1]}"
        return ["model" if row is None else row.model] * several_models + [stream] * several_streams

    return extra


def _lists(values: Mapping[str, float]) -> dict[str, list[float]]:
    return {key: [value] for key, value in values.items()}
