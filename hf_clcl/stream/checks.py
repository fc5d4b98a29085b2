"""What keeps a stream from being learnt, found before anything is loaded."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from ..config.arguments import TASK_VALUES, ContinualTrainingArguments
from ..config.lora import LoRA
from ..config.validation import build
from ..data.task import Task
from ..distributed.launcher import LaunchNeeds
from ..methods import Method
from ..metrics.scenarios import SCENARIOS
from ..utils.errors import RecipeError

logger = logging.getLogger(__name__)


def launch_needs(
    method: Method, args: ContinualTrainingArguments, peft: LoRA | None, tasks: Sequence[Task]
) -> LaunchNeeds:
    """What a stream needs of its launcher.

    Args:
        method (`Method`): How to learn.
        args (`ContinualTrainingArguments`): Training values of the stream.
        peft (`LoRA`, *optional*): Train low-rank updates alone.
        tasks (`Sequence[Task]`): The stream; a task may have an optimizer of its own.
    """
    named = [args.optim, *(task.training["optim"] for task in tasks if task.training.get("optim"))]
    return LaunchNeeds(
        mixed_precision=args.mixed_precision,
        adapters=peft is not None,
        trains_logit_scale=args.train_logit_scale,
        skips_nonfinite_steps=args.skip_nonfinite_steps > 0,
        optimizers=frozenset(str(getattr(name, "value", name)) for name in named),
        moves_weights=method.moves_weights,
        keeps_on_cpu=method.keeps_on_cpu,
    )


def check_stream(tasks: Sequence[Task], *others: Any, further: Sequence[str] = ()) -> None:
    """See that a stream can be learnt; the arguments are those of [`stream_problems`], and `further` problems.

    Raises:
        RecipeError: With every problem found.
    """
    if problems := [*stream_problems(tasks, *others), *further]:
        raise RecipeError(problems, "the stream")
    for task in tasks:
        if task.test is None:
            logger.warning("%s: has no test data: it is trained on, and its retrieval is not measured", task.name)


def stream_problems(
    tasks: Sequence[Task],
    evaluation_only: Sequence[Task],
    scenarios: Sequence[str],
    method: Method,
    peft: LoRA | None,
    has_images: bool,
    has_texts: bool,
) -> list[str]:
    """What is wrong with a stream, a line each.

    Args:
        tasks (`Sequence[Task]`): The stream, in order.
        evaluation_only (`Sequence[Task]`): Datasets that are never trained on.
        scenarios (`Sequence[str]`): How accuracy is measured.
        method (`Method`): How to learn.
        peft (`LoRA`, *optional*): Learn low-rank updates alone.
        has_images, has_texts (`bool`): Whether reference images and texts are given.
    """
    names = [task.name.lower() for task in [*tasks, *evaluation_only]]
    problems = [
        f"two tasks are called {name!r}; give each its own name" for name in set(names) if names.count(name) > 1
    ]
    if not tasks:
        problems.append("the stream is empty; give at least one task")
    if not scenarios or len({*scenarios} & {*SCENARIOS}) < len(scenarios):
        problems.append(f"scenarios: needs one or more of {', '.join(SCENARIOS)}, each once, found {scenarios}")
    problems += [f"{t.name}: has no training data" for t in tasks if t.train is None]
    problems += [
        f"{t.name}: has no test data"
        for t in [*tasks, *evaluation_only]
        if t.test is None and (t.kind != "captions" or t in evaluation_only)
    ]
    if method.needs_reference_images and not has_images:
        problems.append(f"{method.name} distils on reference images: give reference_images")
    if method.needs_reference_texts and not has_texts:
        problems.append(f"{method.name} distils on reference texts: give reference_texts")
    problems += method.stream_problems(tasks)
    if peft is not None:
        build(LoRA, dataclasses.asdict(peft), "peft: ", problems)
        problems += method.adapter_problems()
    for task in tasks:
        unknown = set(task.training) - set(TASK_VALUES)
        problems += [f"{task.name}: {key} cannot be set for one task" for key in sorted(unknown)]
    return problems
