"""Terminal tables: the tasks before a run, the accuracy matrix and the metrics after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..metrics.accuracy_matrix import ALL_METRICS
from ..metrics.ranks import MEASURES, directions_of
from ..metrics.scenarios import SCENARIOS
from ..record.run_record import RunRecord
from ..record.videos import video_rows

TOLERANCE = 0.05
"""Differences below this number of points, invisible with one decimal, count as neither gain nor loss."""

_STYLES = {"+": "green", "-": "red", " ": ""}


def print_results(record: RunRecord, console: Console | None = None) -> None:
    """Print the accuracy matrix with gains and losses against zero-shot, and the metrics with their meaning.

    Gains are marked with `+`, losses with `-`, the task just trained with `*`, also without colours. If names do not
    fit, columns are headed by the number of the task; if these do not fit either, the table is continued below.

    Args:
        record (`RunRecord`): The run, finished or not.
        console (`rich.console.Console`, *optional*): Where to print; the terminal by default.
    """
    console = console or Console()
    columns = _columns(record)
    label_width, digits, per_block = _fit(console.width, max(map(len, _labels(record))), len(columns))
    for start in range(0, len(columns), per_block):
        console.print(_matrix_table(record, columns[start : start + per_block], label_width, digits, console.width))
    console.print(Text("* task just trained   + above zero-shot   - below zero-shot", style="dim"))
    scenario = SCENARIOS[record.scenario]
    if not scenario.task_is_known:
        all_classes = "; zero-shot: among those of all tasks" if record.baseline else ""
        console.print(Text(f"{scenario.name}: {scenario.words}{all_classes}", style="dim"))
    outside = ", ".join(f"{column.key} {column.name}" for column in columns if column.key.isalpha())
    if outside:
        console.print(Text(f"| evaluated, never trained on: {outside}", style="dim"))
    console.print()
    console.print(_metrics_table(record))
    for table in _retrieval_tables(record):
        console.print()
        console.print(table)
    if rows := video_rows(record):
        console.print()
        console.print(_video_table(rows))
        console.print(Text("BWF: R@1 that earlier tasks lost among their own videos, and among all", style="dim"))
    for name in record.scenarios:
        if record.of(name).metrics:
            console.print(Text(f"\nalso {name}: {SCENARIOS[name].words}", style="dim"))
            console.print(_metrics_table(record.of(name)))
    for task, count in record.skipped_steps.items():
        steps = f"{task}: {count} steps were skipped: a loss or a gradient was not a finite number"
        console.print(Text(steps, style="yellow"))
    if record.unchanged:
        names = ", ".join(record.unchanged)
        console.print(Text(f"training changed no weight in: {names}; these rows repeat the row before", style="red"))
    if not record.accuracy_matrix().finished:
        done = f"{len(record.accuracy)} of {len(record.tasks)} tasks are finished"
        console.print(Text(f"{done}: metrics that need the rest are left out.", style="yellow"))


def print_stream(
    rows: Sequence[Mapping[str, Any]], scenarios: Sequence[str] = (), console: Console | None = None
) -> None:
    """Print the tasks of a recipe without training.

    Args:
        rows (`Sequence[Mapping[str, Any]]`):
            One for each task: `task`, `train`, `test`, `classes`, `shots` (images a class), `prompt`, `steps`, `data`
            (what is loaded).
        scenarios (`Sequence[str]`): Names of the scenarios, the main one first.
        console (`rich.console.Console`, *optional*): Where to print; the terminal by default.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    few = ["shots"] if any(row.get("shots") for row in rows) else []
    heads = ["task", "train", "test", "classes", *few, "steps"]
    table.add_column("", justify="right", style="dim")
    for key in heads:
        table.add_column(key, justify="left" if key == "task" else "right", overflow="fold", no_wrap=key != "task")
    table.add_column("first prompt", overflow="fold")
    for number, row in enumerate(rows, start=1):
        cells = [_count(row.get(key)) for key in heads]
        table.add_row(str(number), *map(escape, cells), escape(str(row.get("prompt") or "")))
    console = console or Console()
    console.print(table)
    for data, group in groupby(enumerate(rows, start=1), key=lambda numbered: numbered[1].get("data")):
        numbers = [number for number, _ in group]
        if data:
            span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
            console.print(Text(f"{span}: {data}", style="dim"))
    for place, name in enumerate(scenarios):
        console.print(Text(f"{'also ' * (place > 0)}{name}: {SCENARIOS[name].words}", style="dim"))


@dataclass
class _Column:
    """A column of the matrix.

    Args:
        key (`str`): A number for a task, a letter for an evaluation-only dataset.
        name (`str`): Name of the task or dataset.
        values (`list[float | None]`): Accuracy of the untrained model, then after each task.
        untrained (`list[float | None]`): Zero-shot accuracy that each value is compared with.
    """

    key: str
    name: str
    values: list[float | None]
    untrained: list[float | None]


def _columns(record: RunRecord) -> list[_Column]:
    rows = range(len(record.accuracy) + 1)
    compared, table = [record.untrained(j) for j in rows], [record.untrained(0), *record.accuracy]
    columns = [
        _Column(str(i + 1), task, [row[i] for row in table], [row[i] for row in compared])
        for i, task in enumerate(record.tasks)
    ]
    for i, (name, entry) in enumerate(record.evaluation_only.items()):
        columns.append(
            _Column(_letter(i), name, [entry["zero_shot"], *entry["accuracy"]], [entry["zero_shot"] for _ in rows])
        )
    return columns


def _letter(index: int) -> str:
    return chr(ord("a") + index % 26) * (index // 26 + 1)


def _labels(record: RunRecord) -> list[str]:
    return ["zero-shot", *(f"{j} {task}" for j, task in enumerate(record.tasks, start=1))]


def _fit(width: int, label: int, columns: int) -> tuple[int, int, int]:
    """Fit the table into a width: returns label width, decimals, and columns side by side."""
    shortest = min(label, 14)
    for digits in (1, 0):
        # A cell is "*100.0+" or "*100+"; 3 characters are for the bar before the evaluation-only columns.
        left = width - columns * (5 + 2 * digits) - 3
        if left >= shortest:
            return min(label, left), digits, columns
    return shortest, 1, max(1, (width - shortest - 3) // 7)


def _matrix_table(record: RunRecord, columns: list[_Column], label_width: int, digits: int, width: int) -> Table:
    cell = 5 + 2 * digits
    named = label_width + 2 + sum(max(cell, len(column.name) + 2) for column in columns) + 2 <= width
    table = Table(box=None, padding=0, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column("after task", width=label_width + 1, no_wrap=True, overflow="crop")
    first_outside = next((column for column in columns if column.key.isalpha()), None)
    for column in columns:
        if column is first_outside:
            table.add_column("", width=2)
        head = Text(f"{column.name if named else column.key} ")
        table.add_column(head, justify="right", no_wrap=True, min_width=cell)
    for j, label in enumerate(_labels(record)):
        row: list[Text | str] = [Text(label[:label_width], style="" if j <= len(record.accuracy) else "dim")]
        for column in columns:
            row += ["|"] if column is first_outside else []
            row.append(_cell(column, j, digits))
        table.add_row(*row)
    return table


def _cell(column: _Column, j: int, digits: int) -> Text:
    trained, value = column.key == str(j), column.values[j] if j < len(column.values) else None
    if value is None:
        return Text(". " if j >= len(column.values) else "? ", style="dim")
    mark = gain_mark(value, column.untrained[j]) if j else " "
    style = f"bold {_STYLES[mark]}" if trained else _STYLES[mark]
    return Text(f"{'*' if trained else ' '}{number(value, digits)}{mark}", style=style.strip())


def number(value: float, digits: int = 1) -> str:
    """Format a number with fixed digits, without negative zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def gain_mark(value: float | None, before: float | None) -> str:
    """`+` for a gain, `-` for a loss, a space for neither."""
    if value is None or before is None or abs(value - before) < TOLERANCE:
        return " "
    return "+" if value > before else "-"


def metric_words(record: RunRecord, key: str) -> tuple[str, str]:
    """Name and meaning of a metric in this run, whose tasks may be retrieval."""
    name, meaning = ALL_METRICS[key]
    return name, meaning.replace("mean accuracy on", f"mean {record.measure} on")


def retrieval_rows(record: RunRecord) -> list[tuple[str, str, dict[str, float]]]:
    """`(dataset, state of the model, measures)`: zero-shot, right after its own task, and now."""
    rows = []
    for name, entry in record.retrieval.items():
        count = len(entry["after"])
        own = record.tasks.index(name) + 1 if name in record.tasks else count
        for place in sorted({0, min(own, count), count}):
            measures = entry["after"][place - 1] if place else entry["zero_shot"]
            if measures:
                rows.append((name, f"after {place} {record.tasks[place - 1]}" if place else "zero-shot", measures))
    return rows


def _retrieval_tables(record: RunRecord) -> list[Table]:
    """A table for each direction of retrieval."""
    rows, tables = retrieval_rows(record), []
    for direction in dict.fromkeys(way for *_, measures in rows for way in directions_of(measures)):
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column(f"{direction.replace('_', ' ')} retrieval", overflow="fold")
        table.add_column("model", overflow="fold")
        for head in MEASURES.values():
            table.add_column(head, justify="right", no_wrap=True)
        for name, state, measures in rows:
            cells = [measures.get(f"{direction}_{key}") for key in MEASURES]
            table.add_row(escape(name), escape(state), *("" if value is None else number(value) for value in cells))
        tables.append(table)
    return tables


def _video_table(rows: Sequence[tuple[str, dict[str, float], float | None, float | None]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("all videos, after task", overflow="fold")
    for head in (*MEASURES.values(), "BWF", "among all"):
        table.add_column(head, justify="right", no_wrap=True)
    for state, measures, *lost in rows:
        cells = [*(measures.get(key) for key in MEASURES), *lost]
        table.add_row(escape(state), *("" if value is None else number(value) for value in cells))
    return table


def _metrics_table(record: RunRecord) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="bold")
    table.add_column(overflow="fold", style="dim")
    for name, value in record.metrics.items():
        words, meaning = metric_words(record, name)
        table.add_row(words, number(value, 2), meaning)
    return table


def _count(value: Any) -> str:
    """Format a count with thousands separators; `None` is empty."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
