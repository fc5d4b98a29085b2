"""A run beside its published results: the one place that decides whether they are comparable."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from .repetitions import decisive_values
from .run_record import RunRecord


@dataclass(frozen=True)
class PublishedComparison:
    """A published result of the method of a run.

    Args:
        values (`dict[str, tuple[float, float | None]]`): The published value and that of the run, for each metric.
        source (`str`): The publication.
        grade (`str`): Grade of the evidence, such as `published table`.
        differences (`list[str]`): Fields in which the run differs; with any, the values are not comparable.
        caveats (`list[str]`): Differences that remain in any run.
    """

    values: dict[str, tuple[float, float | None]]
    source: str
    grade: str
    differences: list[str] = field(default_factory=list)
    caveats: list[str] = field(default_factory=list)

    @property
    def comparable(self) -> bool:
        """Whether the run agrees in every field that the published result needs, and has measured its metrics."""
        return not self.differences and all(found is not None for _, found in self.values.values())


def compare_with_published(record: RunRecord) -> list[PublishedComparison]:
    """The published results of a run, and in which fields the run differs from them.

    Args:
        record (`RunRecord`): A run, finished or not. Its recipe holds what is expected (`expect_results`).

    Returns:
        `list[PublishedComparison]`: One for each expected result of the method of the run.
    """
    values, metrics = decisive_values(record.recipe), record.metrics
    expected = record.recipe.get("expect_results")
    rows = [row for row in expected if isinstance(row, dict)] if isinstance(expected, list) else []
    return [
        PublishedComparison(
            {key: (float(value), metrics.get(key)) for key, value in row.get("values", {}).items()},
            str(row.get("source", "")),
            str(row.get("grade", "published table")),
            [
                f"{name}: {_words(found)}, published {_words(wanted)}"
                for name, wanted in row.get("agree", {}).items()
                if not _same(found := _field(record, values, name), wanted)
            ],
            [str(caveat) for caveat in row.get("caveats", [])],
        )
        for row in rows
        if row.get("method") == record.method
    ]


def _field(record: RunRecord, values: dict[str, Any], name: str) -> Any:
    """A field of a run: a value of its recipe, or a fact of its data and processes."""
    if name == "batch_size":
        steps = values.get("gradient_accumulation_steps", 1)
        of_one = values.get("per_device_train_batch_size")
        return record.protocol.get("batch_size", of_one and of_one * steps)
    if name.startswith("members."):
        notes = {note["task"]: note.get("members") for note in record.datasets}
        return notes.get(name.removeprefix("members."))
    return values.get(name)


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(found, (int, float)):
        return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-12)
    return bool(found == wanted)


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "not set" if value is None else str(value)
