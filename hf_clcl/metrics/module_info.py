"""What the `evaluate` modules of this package say of themselves."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate


def info_of_integers(description: str, citation: str, arguments: str, names: Sequence[str]) -> evaluate.MetricInfo:
    """The information of a module whose inputs are whole numbers, one of each name an example.

    Args:
        description (`str`): What the metric tells.
        citation (`str`): BibTeX.
        arguments (`str`): Its arguments, what it returns, and an example.
        names (`Sequence[str]`): Names of the inputs.
    """
    return evaluate.MetricInfo(
        description=description,
        citation=citation,
        inputs_description=arguments,
        features=datasets.Features({name: datasets.Value("int64") for name in names}),
    )
