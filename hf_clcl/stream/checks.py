"""Checks of a stream before anything is loaded: names, data, method, adapters and launcher."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

from ..config.arguments import TASK_VALUES, ContinualTrainingArguments
from ..config.lora import LoRA
from ..config.validation import build
from ..data.task import Task
from ..distributed.launcher import LaunchNeeds, launch_problems
from ..methods import Method
from ..metrics.scenarios import SCENARIOS
from ..utils.errors import RecipeError
from .spec import StreamSpec

logger = logging.getLogger(__name__)


def launch_needs(
    method: Method, args: ContinualTrainingArguments, peft: LoRA | None, tasks: Sequence[Task]
) -> LaunchNeeds:
    """What a stream needs from its launcher.

    Args:
        method (`Method`): The continual-learning method.
        args (`ContinualTrainingArguments`): Training values of the stream.
        peft (`LoRA`, *optional*): Train low-rank updates only.
        tasks (`Sequence[Task]`): The stream; a task may set its own optimizer.
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


def check_stream(spec: StreamSpec) -> None:
    """Check that a stream can be trained on this machine and with this launcher.

    Args:
        spec (`StreamSpec`): The run.

    Raises:
        RecipeError: With every problem.
    """
    needs = launch_needs(spec.method, spec.args, spec.peft, spec.tasks)
    if problems := [*stream_problems(spec), *launch_problems(needs)]:
        raise RecipeError(problems, "the stream")
    for task in spec.tasks:
        if task.test is None:
            logger.warning("%s: has no test data: the task is trained, but its retrieval is not measured", task.name)


def stream_problems(spec: StreamSpec) -> list[str]:
    """What is wrong with a stream, one line each.

    Args:
        spec (`StreamSpec`): The run.
    """
    tasks, scenarios, peft = spec.tasks, spec.scenarios, spec.peft
    names = [task.name.lower() for task in spec.everything]
    problems = [
        f"two tasks are called {name!r}; give each its own name" for name in set(names) if names.count(name) > 1
    ]
    if not tasks:
        problems.append("the stream is empty; give at least one task")
    if not scenarios or len({*scenarios} & {*SCENARIOS}) < len(scenarios):
        problems.append(f"scenarios: must be one or more of {', '.join(SCENARIOS)}, each once, got {scenarios}")
    problems += [f"{t.name}: has no training data" for t in tasks if t.train is None]
    problems += [
        f"{t.name}: has no test data"
        for t in spec.everything
        if t.test is None and (t.kind.needs_test or t in spec.evaluation_only)
    ]
    problems += spec.method.reference_problems(spec.reference_images is not None, bool(spec.reference_texts))
    problems += spec.method.stream_problems(tasks)
    if peft is not None:
        build(LoRA, dataclasses.asdict(peft), "peft: ", problems)
        problems += spec.method.adapter_problems()
    for task in tasks:
        unknown = set(task.training) - set(TASK_VALUES)
        problems += [f"{task.name}: {key} cannot be set for one task" for key in sorted(unknown)]
    return problems
