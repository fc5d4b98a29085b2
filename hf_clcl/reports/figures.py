"""Plots of a record as PNG and SVG: heat map of the accuracy matrix, and accuracy curves over the stream."""

from __future__ import annotations

import functools
import io
import itertools
import math
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ..metrics.scenarios import SCENARIOS
from ..record.parts import EvaluationOnly, Row
from ..record.run_record import RunRecord
from ..utils.files import whole_file

# Okabe and Ito's palette: distinguishable with all common kinds of colour blindness.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8C8C8C"

MANY = 30
"""Above this number of tasks, figures have no numbers in cells and no panel for each task, for readability."""

_GAINS = matplotlib.colormaps["RdBu"]

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, for the same look everywhere
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "hf_clcl",  # fixed ids in SVG files, for reproducible bytes
    "svg.fonttype": "none",
    "text.parse_math": False,  # names may contain dollar signs
}


def plot_matrix(record: RunRecord, folder: str | Path) -> list[Path]:
    """Draw the accuracy matrix as a heat map: `matrix.png` and `matrix.svg`.

    The first row is zero-shot, the task just trained is framed, evaluation-only datasets are apart on the right.

    Args:
        record (`RunRecord`): The run, finished or not.
        folder (`str` or `Path`): Output folder; created if it does not exist.
    """
    with matplotlib.rc_context(STYLE):
        return save_figure(_matrix_figure(record), Path(folder) / "matrix")


def matrix_figure(record: RunRecord) -> Figure:
    """The accuracy matrix as a heat map; see [`plot_matrix`]."""
    with matplotlib.rc_context(STYLE):
        return _matrix_figure(record)


def curves_figure(record: RunRecord) -> Figure:
    """Accuracy over the stream; see [`plot_curves`]."""
    with matplotlib.rc_context(STYLE):
        draw = _means_figure if len(record.tasks) > MANY else _curves_figure
        return _seen_figure(record) if SCENARIOS[record.scenario].classes_grow else draw(record)


def plot_curves(record: RunRecord, folder: str | Path) -> list[Path]:
    """Draw the accuracy of each task over the stream, one panel a task: `curves.png` and `curves.svg`.

    If the classes grow along the stream, draw the accuracy on all classes seen so far against their number. For many
    tasks, draw the means over learnt tasks and over tasks not yet learnt.

    Args:
        record (`RunRecord`): The run, finished or not.
        folder (`str` or `Path`): Output folder; created if it does not exist.
    """
    with matplotlib.rc_context(STYLE):
        return save_figure(curves_figure(record), Path(folder) / "curves")


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG and SVG, atomically. The same figure gives the same bytes."""
    contents = {}
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": "hf_clcl"})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=150, bbox_inches="tight", metadata=metadata)
        content = _with_palette(buffer) if suffix == "png" else buffer.getvalue()
        contents[stem.with_name(f"{stem.name}.{suffix}")] = content
    for path, content in contents.items():
        with whole_file(path) as file:
            file.write_bytes(content)
    return list(contents)


def _with_palette(png: io.BytesIO) -> bytes:
    """Reduce a PNG to 256 colours, a third of the bytes."""
    smaller = io.BytesIO()
    Image.open(png).convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        smaller, "PNG", optimize=True
    )
    return smaller.getvalue()


def _matrix_figure(record: RunRecord) -> Figure:
    tasks, outside = len(record.tasks), record.evaluation_only
    names = [*record.tasks, *outside]
    rows = [record.untrained(0), *record.accuracy]
    table = [[*row, *(_over_time(column)[j] for column in outside.values())] for j, row in enumerate(rows)]
    beside = [column["zero_shot"] for column in outside.values()]
    # Evaluation-only columns start half a cell further right.
    places = [i + (0.4 if i >= tasks else 0) for i in range(len(names))]
    many = len(names) > MANY
    cell = (0.31 * MANY / len(names), 0.21 * MANY / len(names)) if many else (0.62, 0.42)
    size = (max(4.5, 2.2 + cell[0] * len(names)), 1.8 + max(cell[1] * len(rows), 1.0))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    colours = [
        [
            _gain_colour(value, untrained) if y else "#F2F2F2"
            for value, untrained in zip(row, [*record.untrained(y), *beside], strict=True)
        ]
        for y, row in enumerate(table)
    ]
    if many:
        _draw_small_cells(axes, places, table, colours, tasks)
    else:
        _draw_cells(axes, places, table, colours)
    axes.set(xlim=(-0.5, places[-1] + 0.5), ylim=(len(rows) - 0.5, -0.5))
    shown = slice(None, None, -(-len(names) // MANY))  # as many names as fit
    labels = [f"{j}  {_short(task)}" for j, task in enumerate(record.tasks[: len(record.accuracy)], start=1)]
    axes.set_xticks(
        places[shown], [_short(name) for name in names][shown], rotation=40, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(range(len(rows))[shown], ["zero-shot", *labels][shown])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("evaluated on" + (" (set apart: never trained on)" if outside else ""))
    axes.set_ylabel("after training")
    compared = "zero-shot among the same classes" if record.baseline else "zero-shot"
    figure.suptitle(
        f"{record.method}: {record.shown_measure} in %\nblue above {compared}, red below; framed where just trained",
        x=0.01,
        ha="left",
        fontsize=10,
    )
    return figure


def _draw_cells(axes: Axes, places: list[float], table: list[Row], colours: list[list[str]]) -> None:
    """Draw cells with numbers; the task just trained is framed."""
    for y, (row, of_row) in enumerate(zip(table, colours, strict=True)):
        for x, value, colour in zip(places, row, of_row, strict=True):
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1))
            dark = sum(to_rgb(colour)) < 1.4
            text = "–" if value is None else f"{value:.1f}"
            axes.text(x, y, text, ha="center", va="center", color="white" if dark else "black")
    for i in range(len(table) - 1):
        axes.add_patch(
            Rectangle((i - 0.45, i + 0.55), 0.9, 0.9, fill=False, edgecolor="black", linewidth=1.8, zorder=3)
        )


def _draw_small_cells(axes: Axes, places: list[float], table: list[Row], colours: list[list[str]], tasks: int) -> None:
    """Draw a large matrix without numbers: one image for tasks, one for evaluation-only datasets."""
    cells = np.array([[to_rgb(colour) for colour in of_row] for of_row in colours])
    for start, end in ((0, tasks), (tasks, len(places))):
        if start < end:
            extent = (places[start] - 0.5, places[end - 1] + 0.5, len(table) - 0.5, -0.5)
            axes.imshow(cells[:, start:end], extent=extent, aspect="auto", interpolation="nearest")
    trained = range(len(table) - 1)
    axes.plot(
        trained, [i + 1 for i in trained], "s", color="black", fillstyle="none", markersize=3, markeredgewidth=0.5
    )


@functools.lru_cache(maxsize=2**14)
def _gain_colour(value: float | None, untrained: float | None) -> str:
    """Blue for a gain over zero-shot, red for a loss; the exponent makes small differences visible."""
    if value is None or untrained is None:
        return "#F2F2F2"
    share = min(1.0, abs(value - untrained) / 50) ** 0.6
    return to_hex(_GAINS(0.5 + math.copysign(0.45 * share, value - untrained)))


def _seen_figure(record: RunRecord) -> Figure:
    counts = {note["task"]: note["classes"] or 0 for note in record.datasets}
    classes = list(itertools.accumulate(counts.get(task, 0) for task in record.tasks))
    model, untrained = record.seen
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(classes[: len(untrained)], _numbers(untrained), color=GREY, linestyle=":", marker=".", label="zero-shot")
    axes.plot(classes[: len(model)], _numbers(model), color=BLUE, marker="o", markersize=4, label=record.method)
    axes.set(ylim=(0, None), xlabel="classes seen so far, and classified among")
    axes.set_ylabel("accuracy on all of them in %")
    axes.grid(color="#EEEEEE", linewidth=0.6)
    axes.legend(frameon=False)
    figure.suptitle(f"{record.method}: {record.scenario.replace('_', '-')}", x=0.01, ha="left", fontsize=10)
    return figure


def _curves_figure(record: RunRecord) -> Figure:
    untrained = record.zero_shot or [None] * len(record.tasks)
    panels: list[tuple[str, Row, int | None]] = [
        (task, [untrained[i], *(row[i] for row in record.accuracy)], i + 1) for i, task in enumerate(record.tasks)
    ]
    panels += [(name, _over_time(column), None) for name, column in record.evaluation_only.items()]
    columns = min(4, len(panels))
    lines = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(2.5 * columns + 0.5, 1.75 * lines + 0.8), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (name, values, trained) in zip(grid.flat, panels, strict=False):
        for _, other, _ in panels:
            axes.plot(_numbers(other), color="#DDDDDD", linewidth=0.7, zorder=1)
        if values[0] is not None:
            axes.axhline(values[0], color=GREY, linewidth=1, linestyle=":", zorder=2)
        style = {"color": BLUE, "linewidth": 1.8, "zorder": 3}
        axes.plot(_numbers(values), linestyle="-" if trained else "--", marker=".", markersize=4, **style)
        if trained and trained < len(values) and values[trained] is not None:
            axes.axvline(trained, color=ORANGE, linewidth=0.8, zorder=2)
            axes.plot(trained, values[trained], "o", color=ORANGE, markersize=6, zorder=4)
        axes.set_title(f"{trained}  {_short(name, 26)}" if trained else _short(name, 26), loc="left", fontsize=9)
        axes.set(ylim=(-3, 103), yticks=(0, 50, 100), xlim=(-0.3, len(record.tasks) + 0.3))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.grid(axis="y", color="#EEEEEE", linewidth=0.6)
    for place, axes in enumerate(grid.flat):
        axes.set_visible(place < len(panels))
        # A panel above an empty cell is the lowest of its column and needs tick labels.
        axes.tick_params(labelbottom=place + columns >= len(panels))
    figure.supxlabel("tasks trained so far (0: zero-shot)", fontsize=9)
    figure.supylabel(f"{record.shown_measure} in %", fontsize=9)
    dashed = "; dashed: never trained on" if record.evaluation_only else ""
    figure.suptitle(
        f"{record.method}: orange where trained; dotted: zero-shot{dashed}", x=0.01, ha="left", fontsize=10
    )
    return figure


def _means_figure(record: RunRecord) -> Figure:
    """Means over the tasks of a long stream, which has too many tasks for panels."""
    untrained = record.zero_shot or [None] * len(record.tasks)
    rows = [untrained, *record.accuracy]
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    lines = {
        "tasks learnt so far": ([_mean(row[:count]) for count, row in enumerate(rows)], BLUE, "-"),
        "tasks not yet learnt": ([_mean(row[count:]) for count, row in enumerate(rows)], ORANGE, "-"),
        "zero-shot, all tasks": ([_mean(untrained)] * len(rows), GREY, ":"),
    }
    if outside := [_over_time(column) for column in record.evaluation_only.values()]:
        lines["never trained on"] = ([_mean(list(values)) for values in zip(*outside, strict=True)], GREY, "--")
    for label, (values, colour, style) in lines.items():
        axes.plot(_numbers(values), color=colour, linestyle=style, label=label)
    axes.set(ylim=(-3, 103), xlabel="tasks trained so far (0: zero-shot)")
    axes.set_ylabel(f"mean {record.shown_measure} in %")
    axes.grid(color="#EEEEEE", linewidth=0.6)
    axes.legend(frameon=False)
    figure.suptitle(f"{record.method}: means over {len(record.tasks)} tasks", x=0.01, ha="left", fontsize=10)
    return figure


def _mean(values: Row) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _over_time(column: EvaluationOnly) -> Row:
    return [column["zero_shot"], *column["accuracy"]]


def _numbers(values: list[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _short(name: str, longest: int = 22) -> str:
    """Shorten a long name in its middle, since similar names often differ at the end."""
    half = longest // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-(longest - half - 1) :]}"
