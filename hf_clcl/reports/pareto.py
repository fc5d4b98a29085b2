"""Plot of a comparison: Transfer against Last with the Pareto front, and the cost of each run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from .figures import BLUE, GREY, ORANGE, STYLE, save_figure

COSTS = {"seconds": "seconds", "peak_memory_mb": "peak memory (MB)"}
# Candidate positions of a label: offset from its point in points, horizontal and vertical alignment.
PLACES = [
    ((6, 0), "left", "center"), ((-6, 0), "right", "center"), ((0, 6), "center", "bottom"), ((0, -6), "center", "top"),
    ((6, 8), "left", "bottom"), ((6, -8), "left", "top"), ((-6, 8), "right", "bottom"), ((-6, -8), "right", "top"),
    ((14, 18), "left", "bottom"), ((14, -18), "left", "top"), ((-14, 18), "right", "bottom"),
    ((-14, -18), "right", "top"),
]  # fmt: skip


class Compared(Protocol):
    """A row of a comparison, as the plot uses it."""

    note: str

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    def mean(self, key: str) -> float | None: ...

    def deviation(self, key: str) -> float | None: ...


def plot_comparison(rows: Sequence[Compared], folder: str | Path) -> list[Path]:
    """Plot Transfer against Last, the Pareto front and the cost of runs: `comparison.png` and `comparison.svg`.

    Published results are hollow, are not part of the front and have no cost. Error bars are standard deviations. A row
    without Transfer, such as joint training, is a vertical line at its Last.

    Args:
        rows (`Sequence[Row]`): The rows of a comparison.
        folder (`str` or `Path`): Output folder; created if it does not exist.
    """
    ended = [row for row in rows if row.mean("last") is not None]
    placed = [row for row in ended if row.mean("transfer") is not None]
    ours = sorted((row for row in ended if row.note != "published"), key=lambda row: _known(row, "last"))
    costs = [key for key in COSTS if sum(row.mean(key) is not None for row in ours) > 1]
    with matplotlib.rc_context(STYLE):
        height = max(4.6, 0.26 * len(ours) + 1)
        figure = Figure(figsize=(6.4 + 2.2 * len(costs), height), layout="constrained")
        axes = figure.subplots(1, 1 + len(costs), width_ratios=[3.2] + [1] * len(costs), squeeze=False)[0]
        _scatter(axes[0], placed)
        for row in ended:
            if row not in placed:
                _bound(axes[0], row)
        for place, (key, panel) in enumerate(zip(costs, axes[1:], strict=True)):
            _bars(panel, ours, key, named=place == 0)
        _label_points(figure, axes[0], placed)
        return save_figure(figure, Path(folder) / "comparison")


def pareto_front(rows: Sequence[Compared]) -> list[Compared]:
    """The rows that no other row beats in both Transfer and Last, from the lowest Last to the highest."""
    best = float("-inf")
    front: list[Compared] = []
    for row in sorted(rows, key=_point, reverse=True):
        if (transfer := _known(row, "transfer")) > best:
            best = transfer
            front.append(row)
    return front[::-1]


def _known(row: Compared, key: str) -> float:
    """The mean of a value.

    Raises:
        ValueError: If the row does not have it.
    """
    value = row.mean(key)
    if value is None:
        raise ValueError(f"{row.name} has no {key}; leave such rows out")
    return value


def _point(row: Compared) -> tuple[float, float]:
    """Coordinates of a row in the plot: Last, Transfer."""
    return _known(row, "last"), _known(row, "transfer")


def _scatter(axes: Axes, rows: Sequence[Compared]) -> None:
    ours = [row for row in rows if row.note != "published"]
    front = pareto_front(ours)
    if len(front) > 1:
        x, y = zip(*map(_point, front), strict=True)
        axes.plot(x, y, color=GREY, linewidth=1, linestyle="--", zorder=1)
    for row in rows:
        published = row.note == "published"
        axes.errorbar(
            *_point(row), xerr=row.deviation("last"), yerr=row.deviation("transfer"),
            fmt="o", markersize=5, color=_colour(row), markerfacecolor="none" if published else BLUE, elinewidth=0.7,
        )  # fmt: skip
    axes.margins(0.15)
    axes.grid(color="#EEEEEE", linewidth=0.6)
    axes.set(xlabel="Last: accuracy on all tasks at the end (%)", ylabel="Transfer: tasks not yet trained (%)")
    notes = ["up and to the right is better"]
    notes += ["dashed: no other run is better in both"] * (len(front) > 1)
    notes += ["hollow: published"] * (len(ours) < len(rows))
    axes.set_title("; ".join(notes), loc="left", fontsize=9)


def _bound(axes: Axes, row: Compared) -> None:
    axes.axvline(_known(row, "last"), color=GREY, linewidth=1, linestyle=":", zorder=1)
    axes.annotate(
        f"{row.label}: Last", (_known(row, "last"), 0), xycoords=("data", "axes fraction"), xytext=(-2, 4),
        textcoords="offset points", rotation=90, ha="right", va="bottom", fontsize=8, color=GREY,
    )  # fmt: skip


def _bars(axes: Axes, rows: Sequence[Compared], key: str, named: bool) -> None:
    known = {place: value for place, row in enumerate(rows) if (value := row.mean(key)) is not None}
    axes.barh(list(known), list(known.values()), color=BLUE, height=0.7)
    for place, value in known.items():
        axes.annotate(f"{value:,.0f}", (value, place), xytext=(3, 0), textcoords="offset points", va="center", size=7)
    axes.set_yticks(range(len(rows)), [row.name for row in rows] if named else [""] * len(rows), fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.3 * max(known.values()))
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.locator_params(axis="x", nbins=3)
    axes.set_title(COSTS[key], loc="left", fontsize=9)


def _label_points(figure: Figure, axes: Axes, rows: Sequence[Compared]) -> None:
    """Place each label at the candidate position with the least overlap.

    adjustText is not used: it ignores error bars, placed four of 17 labels on bars or points, and needs SciPy.
    """
    figure.draw_without_rendering()
    taken = [box for row in rows for box in _marks(axes, row)]
    for row in sorted(rows, key=lambda row: -_known(row, "transfer")):
        tried = [_annotation(axes, row, place) for place in PLACES]
        boxes = [text.get_window_extent() for text in tried]
        covered = [
            sum(_overlap(box, other) for other in taken) + 4 * _outside(box, axes.bbox) + place / 100
            for place, box in enumerate(boxes)
        ]
        best = covered.index(min(covered))
        for place, text in enumerate(tried):
            if place != best:
                text.remove()
        taken.append(boxes[best])


def _marks(axes: Axes, row: Compared) -> list[Bbox]:
    """Bounding boxes of a point and its error bars, in pixels."""
    x, y = _point(row)
    dx, dy = row.deviation("last") or 0.0, row.deviation("transfer") or 0.0
    crosses = [((x, y), (x, y), 6)] + [((x - dx, y), (x + dx, y), 2), ((x, y - dy), (x, y + dy), 2)] * bool(dx or dy)
    return [Bbox(axes.transData.transform([low, high])).padded(space) for low, high, space in crosses]


def _annotation(axes: Axes, row: Compared, place: tuple[tuple[int, int], str, str]) -> Annotation:
    offset, horizontal, vertical = place
    arrow = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5} if abs(offset[0]) > 6 else None
    return axes.annotate(
        row.label, _point(row), xytext=offset, textcoords="offset points",
        ha=horizontal, va=vertical, fontsize=8, color=_colour(row), arrowprops=arrow, annotation_clip=False,
    )  # fmt: skip


def _overlap(first: Bbox, second: Bbox) -> float:
    common = Bbox.intersection(first, second)
    return common.width * common.height if common is not None else 0.0


def _outside(box: Bbox, frame: Bbox) -> float:
    return box.width * box.height - _overlap(box, frame)


def _colour(row: Compared) -> str:
    return ORANGE if row.note == "published" else BLUE
