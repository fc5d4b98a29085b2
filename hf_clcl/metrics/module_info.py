"""Descriptions of the `evaluate` modules of this package."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate


def info_of_integers(description: str, citation: str, arguments: str, names: Sequence[str]) -> evaluate.MetricInfo:
    """Build the description of a module whose inputs are integers.

    Args:
        description (`str`): What the metric measures.
        citation (`str`): BibTeX.
        arguments (`str`): Its arguments, its return value, and an example.
        names (`Sequence[str]`): Names of the inputs; an example has one integer for each.
    """
    return evaluate.MetricInfo(
        description=description,
        citation=citation,
        inputs_description=arguments,
        features=datasets.Features({name: datasets.Value("int64") for name in names}),
    )
