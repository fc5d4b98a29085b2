"""Check of dataset sizes against the numbers that a recipe expects."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.entries import DatasetEntry, TaskEntry
from ..utils.errors import DataError

OF_TASKS = ("classes", "train", "test")


def check_expected(
    entry: DatasetEntry, key: str, sizes: dict[str, int | None], where: str, known: Sequence[str] = OF_TASKS
) -> None:
    """Check that data have the sizes that an entry of a recipe expects.

    Args:
        entry (`DatasetEntry`): The entry in the recipe.
        key (`str`): Name of its block with the numbers: `expect` or `expect_dataset`.
        sizes (`dict[str, int | None]`): Sizes of the data. A size that is missing or `None` is not compared.
        where (`str`): Prefix of error messages.
        known (`Sequence[str]`): Sizes that such an entry may give.

    Raises:
        DataError: If they differ; the message says how to choose other data.
    """
    expected = getattr(entry, key) or {}
    unknown = [name for name in expected if name not in known]
    if unknown:
        listed = ", ".join(known[:-1]) + " and " + known[-1] if len(known) > 1 else f"only {known[0]}"
        raise DataError(f"{where}: {key}: unknown size {unknown[0]!r}; there are {listed}")
    wrong = {name: (sizes[name], n) for name, n in expected.items() if sizes.get(name, n) not in (n, None)}
    if not wrong:
        return
    numbers = ", ".join(f"{has} {name} where {needs} are expected" for name, (has, needs) in wrong.items())
    splits, option = "`split`, `take`", f"--{where}.dataset"
    if isinstance(entry, TaskEntry):
        splits, option = "`train_split`, `test_split`, `test_fraction`", f"--task_values.{entry.name}.dataset"
    raise DataError(
        f"{where}: {entry.dataset} is not the data that the recipe expects: {numbers}. Choose other splits "
        f"({splits}), another copy of the data (`dataset`, `revision`; {option} on the command line), or correct "
        f"`{key}` if this is the data you want"
    )
