"""Expected results of a recipe: published values, where they come from, and which fields of a run have to agree."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from .protocols import named, protocol, unknown

SAME_METHOD = {"vr_lwf": "lwf_vr"}
"""Methods with two names: ours, and that of the published tables."""


@dataclass
class ExpectedResult:
    """The published result of one method, and what a run needs for a fair comparison with it.

    Args:
        method (`str`): Name of the method.
        values (`dict[str, float]`): Metrics in percent by their name in `results.json`, such as `transfer`.
        source (`str`): The publication.
        grade (`str`): Grade of the evidence: `published table`, `published table, second hand` or `from memory`.
        agree (`dict[str, Any]`):
            Fields that have to agree, with their published values. A field is a dotted name of the recipe
            (`tasks.mnist.learning_rate`), `batch_size` (over all processes, with accumulation) or `members.<task>`
            (which rule chose the rows of a split). `null` means that the recipe does not set the field.
        caveats (`list[str]`): Differences that remain in any run, shown beside the values.
    """

    method: str = field(default="", metadata={"required": True})
    values: dict[str, float] = field(default_factory=dict)
    source: str = ""
    grade: str = "published table"
    agree: dict[str, Any] = field(default_factory=dict)
    caveats: list[str] = field(default_factory=list)


def expected_results(name: str) -> list[ExpectedResult]:
    """All rows of a published table.

    Args:
        name (`str`): Name of the table, such as `zscl_mtil/order_1`.

    Raises:
        KeyError: If no protocol has this table.
    """
    table = named("results")[name]
    settings = protocol(name.partition("/")[0]).get("settings", {})
    options = {key: value for key, value in settings.items() if key.startswith("methods.")}
    return [
        ExpectedResult(
            method,
            dict(values),
            table["source"],
            table["grade"],
            {
                **table["agree"],
                **{key: value for key, value in options.items() if key.startswith(f"methods.{method}.")},
            },
            list(table["caveats"]),
        )
        for method, values in table["methods"].items()
    ]


def results_of_method(expected: list[ExpectedResult] | str | None, method: str) -> list[ExpectedResult]:
    """The expected results of one method, from rows or from the name of a table."""
    rows = expected_results(expected) if isinstance(expected, str) else expected or []
    wanted = SAME_METHOD.get(method, method)
    found = [row for row in rows if SAME_METHOD.get(row.method, row.method) == wanted]
    renamed = {key: value.replace(f"methods.{wanted}.", f"methods.{method}.") for key, value in _names(found).items()}
    return [
        dataclasses.replace(row, method=method, agree={renamed[key]: value for key, value in row.agree.items()})
        for row in found
    ]


def expectation_problems(expected: list[ExpectedResult] | str | None) -> list[str]:
    """What is wrong with the `expect_results` of a recipe, a line each."""
    if isinstance(expected, str):
        return [] if expected in named("results") else [unknown("expect_results", expected, named("results"))]
    return [f"expect_results: {row.method}: needs values and a source" for row in expected or []
            if not row.values or not row.source]  # fmt: skip


def _names(rows: list[ExpectedResult]) -> dict[str, str]:
    return {key: key for row in rows for key in row.agree}
