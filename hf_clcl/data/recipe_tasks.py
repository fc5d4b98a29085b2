"""Loading of all tasks of a recipe."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .broken import leave_out_broken
from .resolve import Loaded, resolve_task
from .task import Task

if TYPE_CHECKING:
    from ..config.recipe import Recipe


def resolve_stream(recipe: Recipe, seed: int) -> tuple[list[Task], list[Task]]:
    """Load the tasks of a recipe, and its datasets that are only evaluated. A shared dataset is loaded once.

    Args:
        recipe (`Recipe`): The recipe.
        seed (`int`): Seed of the run.

    Returns:
        `tuple[list[Task], list[Task]]`: The tasks of the stream, and those of `evaluation_only`.

    Raises:
        DataError: See [`resolve_task`].
    """
    loaded: Loaded = {}
    resolve = partial(resolve_task, data_root=recipe.data_root, seed=seed, loaded=loaded)
    tasks = [resolve(entry, few_shot=recipe.few_shot) for entry in recipe.tasks]
    others = [resolve(entry, evaluation_only=True) for entry in recipe.evaluation_only]
    if recipe.skip_broken_images:
        for task in [*tasks, *others]:
            leave_out_broken(task)
    return tasks, others
