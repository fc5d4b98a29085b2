"""Line charts as HTML and SVG: text of fixed size at any width, values in tooltips.

`gr.LinePlot` is not used, since it can draw neither bands nor vertical marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from .html import SERIES, joined, swatch, text

T = TypeVar("T")


@dataclass
class Line:
    """One line of a chart.

    Args:
        name (`str`): Its name in the legend.
        values (`Sequence[float | None]`): One for each tick; `None` breaks the line.
        place (`int`): Index of its colour.
        band (`Sequence[tuple[float, float] | None]`, *optional*): Low and high around each value.
        note (`str`): Text after the name in the legend.
        quiet (`bool`): Whether it is drawn faintly and left out of the legend.
    """

    name: str
    values: Sequence[float | None]
    place: int
    band: Sequence[tuple[float, float] | None] | None = None
    note: str = ""
    quiet: bool = False


def line_chart(
    lines: Sequence[Line],
    ticks: Sequence[tuple[str, str]],
    top: float = 100.0,
    low: float = 0.0,
    unit: str = " %",
    digits: int = 1,
    marks: dict[int, str] | None = None,
    legend: bool = True,
    small: bool = False,
    label: str = "",
    dots: bool = True,
) -> str:
    """Draw a line chart.

    Args:
        lines (`Sequence[Line]`): The lines.
        ticks (`Sequence[tuple[str, str]]`): Number and name below each position.
        top, low (`float`): Bounds of the values.
        unit (`str`): Text after a value.
        digits (`int`): Decimals of the values on hover.
        marks (`dict[int, str]`, *optional*): Positions with a vertical line, and its CSS class, such as `learnt`.
        legend (`bool`): Whether the chart has a legend.
        small (`bool`): Whether it is one of many small charts.
        label (`str`): Description for screen readers.
        dots (`bool`): Whether each value has a dot.
    """
    count = max(1, len(ticks))
    across = [100 * (place + 0.5) / count for place in range(count)]

    def up(value: float) -> float:
        return 100 - 100 * (min(max(value, low), top) - low) / ((top - low) or 1)

    shapes, points = [], []
    for line in lines:
        style = f"s{line.place % SERIES}" + (" dashed" if line.place >= SERIES else "") + " quiet" * line.quiet
        if line.band is not None:
            for area in _parts(line.band):
                upper = [f"{across[x]:.2f},{up(high):.2f}" for x, (_, high) in area]
                lower = [f"{across[x]:.2f},{up(least):.2f}" for x, (least, _) in reversed(area)]
                shapes.append(f'<polygon class="band {style}" points="{" ".join(upper + lower)}"/>')
        for part in _parts(line.values):
            places = " ".join(f"{across[x]:.2f},{up(value):.2f}" for x, value in part)
            shapes.append(f'<polyline class="line {style}" points="{places}"/>')
            for x, value in part if dots and not line.quiet else ():
                points.append(f'<i class="dot {style}" style="left:{across[x]:.2f}%;top:{up(value):.2f}%"></i>')
    quarters = [low + (top - low) * step / 4 for step in (range(0, 5, 2) if small else range(5))]
    grid = joined(
        f'<div class="rule" style="top:{up(each):.2f}%"><span>{_short(each)}</span></div>' for each in quarters
    )
    uprights = joined(
        f'<div class="mark {text(kind)}" style="left:{across[x]:.2f}%"></div>' for x, kind in (marks or {}).items()
    )
    hover = joined(
        f'<div class="slot" style="left:{100 * x / count:.2f}%;width:{100 / count:.2f}%" '
        f'data-tip="{text(_tip(lines, x, ticks, unit, digits))}"></div>'
        for x in range(len(ticks))
    )
    below = joined(f"<span><b>{text(number)}</b><small>{text(name)}</small></span>" for number, name in ticks)
    names = joined(
        f"<li>{swatch(line.place)}<span>{text(line.name)}</span><b>{text(line.note)}</b></li>"
        for line in lines
        if not line.quiet
    )
    return (
        f'<figure class="chart{" small" * small}"><div class="plot" role="img" aria-label="{text(label)}">'
        f"{grid}{uprights}"
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{joined(shapes)}</svg>'
        f'{joined(points)}{hover}</div><div class="ticks" style="--n:{count}">{below}</div>'
        + (f'<ul class="legend">{names}</ul>' if legend else "")
        + "</figure>"
    )


def _parts(values: Sequence[T | None]) -> list[list[tuple[int, T]]]:
    """Split at gaps; returns segments of `(position, value)`."""
    parts: list[list[tuple[int, T]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            parts.append([])
        else:
            parts[-1].append((place, value))
    return [part for part in parts if part]


def _tip(lines: Sequence[Line], place: int, ticks: Sequence[tuple[str, str]], unit: str, digits: int) -> str:
    """Text of the tooltip at a position."""
    rows = [" ".join(filter(None, ticks[place]))]
    for line in lines:
        value = line.values[place] if place < len(line.values) else None
        if value is not None:
            band = line.band[place] if line.band else None
            spread = f" ({band[0]:.{digits}f} to {band[1]:.{digits}f})" if band and band[0] != band[1] else ""
            rows.append(f"{line.name}: {value:.{digits}f}{unit}{spread}")
    return "\n".join(rows)


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
