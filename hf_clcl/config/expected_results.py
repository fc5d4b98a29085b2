"""Expected results of a recipe: published values, their source, and the fields of a run that must agree with it."""

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
            Fields that must agree, with their published values. A field is a dotted name of the recipe
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
    published = SAME_METHOD.get(method, method)
    matching = [row for row in rows if SAME_METHOD.get(row.method, row.method) == published]
    old, new = f"methods.{published}.", f"methods.{method}."
    return [
        dataclasses.replace(row, method=method, agree={k.replace(old, new): value for k, value in row.agree.items()})
        for row in matching
    ]


def expectation_problems(expected: list[ExpectedResult] | str | None) -> list[str]:
    """Problems of the `expect_results` of a recipe, one line each."""
    if isinstance(expected, str):
        return [] if expected in named("results") else [unknown("expect_results", expected, named("results"))]
    return [f"expect_results: {row.method}: must have values and a source" for row in expected or []
            if not row.values or not row.source]  # fmt: skip
