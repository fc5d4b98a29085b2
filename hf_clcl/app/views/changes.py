"""HTML of forgotten and learnt images, and of search results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...utils.required import required
from ..images import thumbnail
from .html import empty, joined, section, signed, text

if TYPE_CHECKING:
    from ..outcomes import Change
    from ..retrieval import SearchResult

SHOWN = 48


def changes(change: Change, shown: str, class_name: str | None, headings: tuple[str, str]) -> str:
    """Gallery of forgotten or learnt images, accuracy by class, and the confusions that changed most.

    Args:
        change (`Change`): The predictions before and after.
        shown (`str`): `"forgotten"` or `"learnt"`.
        class_name (`str`, *optional*): Show only this class.
        headings (`tuple[str, str]`): Names of the two checkpoints.
    """
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
        gallery = section(title, f'<div class="pictures">{figures}</div>', f"True label, then A → B.{more}")
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
    confusions = change.confusions()
    if not confusions:
        return section("Confusions", "<p>Both states make the same mistakes.</p>")
    most = max(max(row["before"], row["after"]) for row in confusions)
    rows = joined(
        f'<tr><th scope="row">{text(row["class"])} <span class="muted">taken for</span> {text(row["taken_for"])}</th>'
        f"{_bar(row['before'], most)}{_bar(row['after'], most)}"
        f'<td class="moved {"loss" if row["after"] > row["before"] else "gain"}">'
        f"{signed(row['after'] - row['before'], 0)}</td></tr>"
        for row in confusions
    )
    return section(
        "Confusions",
        _table(("mistake", "A", "B", "change"), rows),
        "The confusions whose number changed most.",
    )


def _classes(change: Change) -> str:
    rows = joined(
        f'<tr><th scope="row">{text(row["class"])}</th>{_bar(row["before"], row["images"])}'
        f'{_bar(row["after"], row["images"])}<td class="moved {_kind(row["after"] - row["before"])}">'
        f'{signed(row["after"] - row["before"], 0)}</td></tr>'
        for row in change.classes()[:12]
    )  # fmt: skip
    return section(
        "Class by class", _table(("class", "A", "B", "change"), rows), "Correct test images, the largest loss first."
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
    results: Sequence[SearchResult], images: Sequence[Sequence[tuple[Any, str]]], headings: tuple[str, str], query: str
) -> str:
    """Search results of two checkpoints side by side.

    Args:
        results (`Sequence[SearchResult]`): The results of each checkpoint.
        images (`Sequence`): The images of each result, in the same order.
        headings (`tuple[str, str]`): Names of the checkpoints.
        query (`str`): The text.
    """
    columns = []
    for place, (each, own) in enumerate(zip(results, images, strict=True)):
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
    same = len(set(results[0].rows) & set(results[1].rows))
    words = f"For “{query}”, {same} of the best {len(results[0].rows)} images are the same in both."
    return f'<p class="summary">{text(words)}</p><div class="two">{joined(columns)}</div>'
