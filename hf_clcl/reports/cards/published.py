"""The section of a card about published results. Values are shown only if the run is comparable."""

from __future__ import annotations

from ...record.expectations import PublishedComparison, compare_with_published
from ...record.run_record import RunRecord
from ..published import difference_lines, metric_name
from ..terminal import number
from .markdown import table, text


def published_section(record: RunRecord) -> str:
    """Markdown about the published results of a run; empty if its recipe names none.

    Args:
        record (`RunRecord`): The run, finished or not.
    """
    return "\n\n".join(_markdown(found) for found in compare_with_published(record))


def _markdown(found: PublishedComparison) -> str:
    source = f"{text(found.source)} ({text(found.grade)})"
    if lines := difference_lines(found):
        bullets = "\n".join(f"- {text(line)}" for line in lines)
        return f"Not comparable with {source}. This run differs in:\n\n{bullets}"
    rows = [[metric_name(key), number(value, 2), number(wanted, 1)]
            for key, (wanted, value) in found.values.items() if value is not None]  # fmt: skip
    caveats = "\n".join(f"- {text(line)}" for line in found.caveats)
    shown = table(["metric", "this run", "published"], rows, words=(0,))
    return f"{shown}\n\nPublished: {source}." + (f" These differences remain:\n\n{caveats}" if caveats else "")
