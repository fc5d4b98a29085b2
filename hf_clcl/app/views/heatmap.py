"""The accuracy matrix as an HTML table of coloured cells."""

from __future__ import annotations

from ...record.run_record import RunRecord
from .html import joined, section, signed, text

MODES = {
    "accuracy": "Accuracy",
    "zero_shot": "Change against zero-shot",
    "best": "Change against the best so far",
}
STRONG = 40.0  # points of change for full colour


def heatmap(record: RunRecord, mode: str = "accuracy", title: str = "") -> str:
    """Accuracy matrix of one run.

    Args:
        record (`RunRecord`): The run, finished or not.
        mode (`str`, defaults to `"accuracy"`): The value in each cell, a key of `MODES`. Colours show the change
            against zero-shot; in mode `"best"`, against the best so far.
        title (`str`): The heading.
    """
    columns = table(record)
    head = joined(
        f'<th scope="col" class="{"outside" if trained is None else ""}" title="{text(name)}">'
        f"<span>{text(name)}</span></th>"
        for name, trained, _ in columns
    )
    states = ["zero-shot", *record.tasks]
    rows = []
    for state, name in enumerate(states):
        waiting = state > len(record.accuracy) or (state == 0 and record.zero_shot is None)
        cells = joined(
            _cell(column, state, untrained(record, place, state), name, mode) for place, column in enumerate(columns)
        )
        rows.append(
            f'<tr class="{"waiting" if waiting else ""}"><th scope="row" title="{text(name)}"><b>{state}</b> '
            f"<span>{text(name)}</span></th>{cells}</tr>"
        )
    words = record.measure[:1].upper() + record.measure[1:] if mode == "accuracy" else MODES[mode]
    hint = (
        f"{words} in {'percent' if mode == 'accuracy' else 'points'}. Rows: the model after each task. Columns: "
        "the test task. Framed: the task just trained."
        + (" Separate columns: evaluation only." if record.evaluation_only else "")
    )
    scale = (
        '<div class="scale" aria-hidden="true"><span>lost</span><i class="loss-full"></i><i class="loss-half"></i>'
        '<i></i><i class="gain-half"></i><i class="gain-full"></i><span>gained</span></div>'
    )
    body = (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(title or "Accuracy matrix")}">'
        f'<table class="matrix"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{joined(rows)}</tbody></table></div>{scale}"
    )
    return section(title or "Accuracy matrix", body, hint, "heat")


def table(record: RunRecord) -> list[tuple[str, int | None, list[float | None]]]:
    """For each column: `(name, index of the state right after its training, [zero-shot, after task 1, ...])`."""
    untrained = record.zero_shot or [None] * len(record.tasks)
    columns: list[tuple[str, int | None, list[float | None]]] = [
        (task, i + 1, [untrained[i], *(row[i] for row in record.accuracy)]) for i, task in enumerate(record.tasks)
    ]
    outside = record.evaluation_only.items()
    return columns + [(name, None, [rows["zero_shot"], *rows["accuracy"]]) for name, rows in outside]


def best_before(values: list[float | None], state: int) -> float | None:
    """Best value before a state."""
    return max((value for value in values[:state] if value is not None), default=None)


def untrained(record: RunRecord, place: int, state: int) -> float | None:
    """Accuracy of the untrained model in a column, among the classes of a state."""
    if place < len(record.tasks):
        return record.untrained(state)[place]
    return table(record)[place][2][0]


def _cell(
    column: tuple[str, int | None, list[float | None]], state: int, zero_shot: float | None, after: str, mode: str
) -> str:
    name, trained, values = column
    value = values[state] if state < len(values) else None
    classes = ("trained " if trained == state else "") + ("outside" if trained is None else "")
    if value is None:
        words = "not measured" if state < len(values) else "not trained yet"
        return f'<td class="none {classes}" data-tip="{text(f"{name}: {words}")}">·</td>'
    best = best_before(values, state)
    against = best if mode == "best" else zero_shot
    change = None if against is None or state == 0 else value - against
    shown = f"{value:.1f}" if mode == "accuracy" or change is None else signed(change)
    tip = [f"{name}, {'zero-shot' if state == 0 else f'after {state} {after}'}", f"{value:.2f} %"]
    if state and zero_shot is not None:
        tip.append(f"{signed(value - zero_shot, 2)} against zero-shot ({zero_shot:.2f})")
    if state and best is not None:
        tip.append(f"{signed(value - best, 2)} against the best so far ({best:.2f})")
    kind, strength = "", 0
    if change is not None and abs(change) >= 0.05:
        kind = "gain" if change > 0 else "loss"
        strength = round(12 + 68 * min(1.0, abs(change) / STRONG) ** 0.7)
    strong = " strong" if strength > 62 else ""
    tooltip = text("\n".join(tip))
    return f'<td class="{kind}{strong} {classes}" style="--k:{strength}%" data-tip="{tooltip}">{shown}</td>'
