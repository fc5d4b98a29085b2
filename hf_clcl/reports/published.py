"""Published results beside a run, in words for cards, tables and the app."""

from __future__ import annotations

from ..metrics.accuracy_matrix import ALL_METRICS
from ..record.expectations import PublishedComparison

MOST_DIFFERENCES = 12


def difference_lines(found: PublishedComparison) -> list[str]:
    """What keeps a run from being compared with a published result, a line each."""
    unknown = [name for name, (_, value) in found.values.items() if value is None]
    lines = found.differences[:MOST_DIFFERENCES]
    lines += [f"{len(found.differences) - len(lines)} more fields"] if len(found.differences) > len(lines) else []
    return lines + [f"not measured yet: {', '.join(unknown)}"] * bool(unknown)


def metric_name(key: str) -> str:
    """The name of a metric in words."""
    return ALL_METRICS[key][0] if key in ALL_METRICS else key.replace("_", " ")
