"""HTML of the predictions for one image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .html import joined, notice, percent, section, text
from .lines import Line, line_chart

if TYPE_CHECKING:
    from ..predictions import Comparison

WORDS = {
    "start": ("", ""),
    "right": ("✓", "right"),
    "wrong": ("–", "wrong"),
    "kept": ("✓", "kept"),
    "learnt": ("▲", "learnt"),
    "forgotten": ("▼", "forgotten"),
    "same": ("=", "same"),
    "changed": ("↻", "changed"),
}
FLIPS = ("learnt", "forgotten", "changed")


def predictions(comparison: Comparison) -> str:
    """Summary, chart of probabilities along the stream, and the best labels of each checkpoint."""
    changes = [comparison.change(state) for state in range(len(comparison.checkpoints))]
    flips = {state: change for state, change in enumerate(changes) if change in FLIPS}
    note = notice(comparison.labels.note) if comparison.labels.note else ""
    lines = [
        Line(
            comparison.labels.names[label],
            [100 * float(p) for p in comparison.probabilities[:, label]],
            place,
            note=("true label" if label == comparison.truth else ""),
        )
        for place, label in enumerate(comparison.lines())
    ]
    ticks = [(str(each.index), each.task or "zero-shot") for each in comparison.checkpoints]
    chart = line_chart(lines, ticks, marks=flips, label="Probability of each label along the stream")
    cards = joined(state_card(comparison, state) for state in range(len(changes)))
    return (
        note
        + summary(comparison, changes)
        + section(
            "Along the stream",
            chart,
            "Probability of a label after each task. Vertical lines: the prediction changed.",
        )
        + f'<div class="states">{cards}</div>'
    )


def summary(comparison: Comparison, changes: list[str]) -> str:
    """One sentence about the changes."""
    names, states = comparison.labels.names, comparison.checkpoints
    flips = [(state, change) for state, change in enumerate(changes) if change in FLIPS]
    if not flips:
        first = names[int(comparison.first[0])]
        always = f"every state predicts {first!r}"
        if comparison.truth is not None:
            right = changes[0] == "right"
            always = f"correct from zero-shot to the end: {first!r}" if right else "never correct"
        return f'<p class="summary">No change: {text(always)}.</p>'
    parts = []
    for state, change in flips:
        sign, word = WORDS[change]
        predicted = text(names[int(comparison.first[state])])
        detail = f" to <b>{predicted}</b>" if change != "learnt" else ""
        parts.append(
            f'<span class="badge {change}">{sign} {word}</span> with <b>{text(states[state].label)}</b>{detail}'
        )
    return f'<p class="summary">{"; ".join(parts)}.</p>'


def state_card(comparison: Comparison, state: int, heading: str | None = None) -> str:
    """The best labels of one checkpoint, with bars."""
    checkpoint, change = comparison.checkpoints[state], comparison.change(state)
    sign, word = WORDS[change] if heading is None else ("", "")
    badge = f'<span class="badge {change}">{sign} {word}</span>' if word else ""
    rows = joined(
        f'<li class="{"right" if label == comparison.truth else ""}"><span class="name">'
        f"{'✓ ' if label == comparison.truth else ''}{text(comparison.labels.names[label])}</span>"
        f'<span class="value">{text(percent(p))}</span>'
        f'<span class="fill"><i style="width:{100 * p:.1f}%"></i></span></li>'
        for label, p in comparison.top(state)
    )
    title = text(heading or checkpoint.label)
    return f'<article class="state {change}"><header><h4>{title}</h4>{badge}</header><ol>{rows}</ol></article>'


def side_by_side(comparison: Comparison, headings: tuple[str, str]) -> str:
    """The best labels of two checkpoints, and the change of their probabilities."""
    before, after = comparison.probabilities
    shown = list(dict.fromkeys([*(i for i, _ in comparison.top(0)), *(i for i, _ in comparison.top(1))]))
    shown.sort(key=lambda label: before[label] - after[label])
    rows = joined(
        f'<tr><th scope="row">{text(comparison.labels.names[label])}</th><td>{text(percent(before[label]))}</td>'
        f"<td>{text(percent(after[label]))}</td>{_moved(100 * float(after[label] - before[label]))}</tr>"
        for label in shown
    )
    cards = joined(state_card(comparison, state, headings[state]) for state in (0, 1))
    table = (
        '<div class="scroll"><table class="plain"><thead><tr><th scope="col">label</th><th scope="col">A</th>'
        f'<th scope="col">B</th><th scope="col">change</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )
    return f'<div class="pair">{cards}</div>' + section(
        "From A to B",
        table,
        "Probabilities of the best labels of both, and their change in points, the largest gain first.",
    )


def _moved(points: float) -> str:
    kind = "gain" if points > 0.5 else "loss" if points < -0.5 else ""
    sign = "+" if points > 0.5 else "−" if points < -0.5 else "±"
    return f'<td class="moved {kind}">{sign}{abs(points):.0f}</td>'
