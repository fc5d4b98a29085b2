"""Images that were forgotten or learnt between two states, and images found by a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...utils.required import required
from ..images import thumbnail
from .html import empty, joined, section, signed, text

if TYPE_CHECKING:
    from ..outcomes import Change
    from ..retrieval import Found

SHOWN = 48


def changes(change: Change, shown: str, class_name: str | None, headings: tuple[str, str]) -> str:
    """The gallery of one kind of change, the classes, and the confusions that changed most."""
    rows = change.rows(shown, class_name)
    before, after = change.accuracy()
    forgotten, learnt = (len(change.rows(k, class_name)) for k in ("forgotten", "learnt"))
    facts = (
        f'<div class="facts"><div><b>{before:.1f} %</b><span>A: {text(headings[0])}</span></div>'
        f'<div><b>{after:.1f} %</b><span>B: {text(headings[1])}</span></div>'
        f'<div class="loss"><b>{forgotten}</b><span>right in A, wrong in B</span></div>'
        f'<div class="gain"><b>{learnt}</b><span>wrong in A, right in B</span></div></div>'
    )  # fmt: skip
    of_class = f" of {class_name}" if class_name else ""
    if len(rows):
        more = f" The first {SHOWN} of {len(rows)}." if len(rows) > SHOWN else ""
        figures = joined(_figure(change, int(row)) for row in rows[:SHOWN])
        title = f"{len(rows)} test images{of_class} {shown}"
        gallery = section(title, f'<div class="pictures">{figures}</div>', f"Right label, then A → B.{more}")
    else:
        gallery = empty(f"No image{of_class} was {shown}", "Try another pair of states, task or class.", "✓")
    return facts + gallery + f'<div class="two">{_confusions(change)}{_classes(change)}</div>'


def _figure(change: Change, row: int) -> str:
    names, test = change.names, required(change.task.test, f"test of {change.task.name}")
    image = test[row][change.task.image_column]
    truth, before, after = (names[int(seen[row])] for seen in (change.truth, change.before, change.after))
    return (
        f'<figure><img src="{thumbnail(image)}" alt="{text(f"test image {row}: {truth}")}" loading="lazy">'
        f"<figcaption><b>{text(truth)}</b><span>{_mark(before == truth)}{text(before)} → "
        f"{_mark(after == truth)}{text(after)}</span></figcaption></figure>"
    )


def _mark(right: bool) -> str:
    return '<i class="yes">✓</i>' if right else '<i class="no">✗</i>'


def _confusions(change: Change) -> str:
    found = change.confusions()
    if not found:
        return section("What is taken for what", "<p>Both states make the same mistakes.</p>")
    most = max(max(row["before"], row["after"]) for row in found)
    rows = joined(
        f'<tr><th scope="row">{text(row["class"])} <span class="muted">taken for</span> {text(row["taken_for"])}</th>'
        f"{_bar(row['before'], most)}{_bar(row['after'], most)}"
        f'<td class="moved {"loss" if row["after"] > row["before"] else "gain"}">'
        f"{signed(row['after'] - row['before'], 0)}</td></tr>"
        for row in found
    )
    return section(
        "What is taken for what",
        _table(("mistake", "A", "B", "change"), rows),
        "The mistakes whose number changed most.",
    )


def _classes(change: Change) -> str:
    rows = joined(
        f'<tr><th scope="row">{text(row["class"])}</th>{_bar(row["before"], row["images"])}'
        f'{_bar(row["after"], row["images"])}<td class="moved {_kind(row["after"] - row["before"])}">'
        f'{signed(row["after"] - row["before"], 0)}</td></tr>'
        for row in change.classes()[:12]
    )  # fmt: skip
    return section(
        "Class by class", _table(("class", "A", "B", "change"), rows), "Right test images, the most lost first."
    )


def _kind(points: int) -> str:
    return "gain" if points > 0 else "loss" if points < 0 else ""


def _bar(value: int, most: int) -> str:
    return f'<td class="bar-cell"><span>{value}</span><i style="width:{100 * value / (most or 1):.0f}%"></i></td>'


def _table(head: Sequence[str], rows: str) -> str:
    cells = joined(f'<th scope="col">{text(each)}</th>' for each in head)
    return (
        f'<div class="scroll"><table class="plain"><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def retrieved(
    found: Sequence[Found], images: Sequence[Sequence[tuple[Any, str]]], headings: tuple[str, str], query: str
) -> str:
    """The best images of two states.

    Args:
        found (`Sequence[Found]`): What each state finds.
        images (`Sequence`): For each state its images, in the same order.
        headings (`tuple[str, str]`): Names of the states.
        query (`str`): The text.
    """
    columns = []
    for place, (each, own) in enumerate(zip(found, images, strict=True)):
        figures = joined(
            f'<figure class="{"new" if other > len(each.rows) else ""}"><img src="{thumbnail(image, 176)}" '
            f'alt="{text(f"rank {rank}, test image {row}: {caption}")}" loading="lazy"><figcaption><b>{rank}</b>'
            f"<span>{'same rank' if other == rank else f'rank {other:,}'} in {'BA'[place]}</span>"
            f'<span class="muted">similarity {similarity:.3f}</span>'
            f"{f'<q>{text(caption)}</q>' if caption else ''}</figcaption></figure>"
            for rank, (row, similarity, other, (image, caption)) in enumerate(
                zip(each.rows, each.similarities, each.other_ranks, own, strict=True), start=1
            )
        )
        columns.append(section(f"{'AB'[place]}: {headings[place]}", f'<div class="pictures ranked">{figures}</div>'))
    same = len(set(found[0].rows) & set(found[1].rows))
    words = f"For “{query}”, {same} of the best {len(found[0].rows)} images are the same in both."
    return f'<p class="summary">{text(words)}</p><div class="two">{joined(columns)}</div>'
