"""The accuracy matrix as a table of coloured cells, with the values written in them."""

from __future__ import annotations

from ...record import RunRecord
from .html import joined, section, signed, text

MODES = {
    "accuracy": "Accuracy",
    "zero_shot": "Change against zero-shot",
    "best": "Change against the best so far",
}
STRONG = 40.0  # points at which a colour is full


def heatmap(record: RunRecord, mode: str = "accuracy", title: str = "") -> str:
    """The matrix of one run.

    Args:
        record (`RunRecord`): The run, finished or not.
        mode (`str`, defaults to `"accuracy"`): What is written in a cell, by the keys of `MODES`. Colours tell the
            change against zero-shot, and in the last mode that against the best so far.
        title (`str`): What stands above.
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
        cells = joined(_cell(column, state, name, mode) for column in columns)
        rows.append(
            f'<tr class="{"waiting" if waiting else ""}"><th scope="row" title="{text(name)}"><b>{state}</b> '
            f"<span>{text(name)}</span></th>{cells}</tr>"
        )
    hint = (
        f"{MODES[mode]} in {'percent' if mode == 'accuracy' else 'points'}. Rows: the model after each task. Columns: "
        "the task it is tested on. Framed: just trained."
        + (" Set apart: never trained on." if record.evaluation_only else "")
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
    """`(name, the state that has just learnt it, [zero-shot, after task 1, ...])` for each column."""
    untrained = record.zero_shot or [None] * len(record.tasks)
    columns: list[tuple[str, int | None, list[float | None]]] = [
        (task, i + 1, [untrained[i], *(row[i] for row in record.accuracy)]) for i, task in enumerate(record.tasks)
    ]
    outside = record.evaluation_only.items()
    return columns + [(name, None, [rows["zero_shot"], *rows["accuracy"]]) for name, rows in outside]


def best_before(values: list[float | None], state: int) -> float | None:
    """The best value before a state."""
    return max((value for value in values[:state] if value is not None), default=None)


def _cell(column: tuple[str, int | None, list[float | None]], state: int, after: str, mode: str) -> str:
    name, trained, values = column
    value = values[state] if state < len(values) else None
    classes = ("trained " if trained == state else "") + ("outside" if trained is None else "")
    if value is None:
        words = "not measured" if state < len(values) else "not trained yet"
        return f'<td class="none {classes}" data-tip="{text(f"{name}: {words}")}">·</td>'
    untrained, best = values[0], best_before(values, state)
    against = best if mode == "best" else untrained
    change = None if against is None or state == 0 else value - against
    shown = f"{value:.1f}" if mode == "accuracy" or change is None else signed(change)
    tip = [f"{name}, {'zero-shot' if state == 0 else f'after {state} {after}'}", f"accuracy {value:.2f} %"]
    if state and untrained is not None:
        tip.append(f"{signed(value - untrained, 2)} against zero-shot ({untrained:.2f})")
    if state and best is not None:
        tip.append(f"{signed(value - best, 2)} against the best so far ({best:.2f})")
    kind, strength = "", 0
    if change is not None and abs(change) >= 0.05:
        kind = "gain" if change > 0 else "loss"
        strength = round(12 + 68 * min(1.0, abs(change) / STRONG) ** 0.7)
    strong = " strong" if strength > 62 else ""
    said = text("\n".join(tip))
    return f'<td class="{kind}{strong} {classes}" style="--k:{strength}%" data-tip="{said}">{shown}</td>'
