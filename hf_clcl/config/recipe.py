"""The recipe of a run: what to train, on what, how. Checked as a whole before anything is loaded.

A recipe is a YAML file whose values the command line may override. Values are checked against the types of the
dataclasses below and of `ContinualTrainingArguments`; every problem is reported at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..utils.errors import RecipeError
from ..utils.names import TASK_NAME
from .class_incremental import ClassIncremental
from .entries import ReferenceEntry, TaskEntry, repeated
from .expected_results import ExpectedResult, expectation_problems, results_of_method
from .lora import LoRA
from .values import build, type_hints
from .yaml_files import check_values, override, read_yaml, with_task_values

Scenario = Literal["task_incremental", "class_incremental", "domain_agnostic"]


@dataclass
class Recipe:
    """One run: a model taught a stream of tasks by one method.

    Args:
        model_name_or_path (`str`): The CLIP to start from: a Hub id or a local folder.
        model_revision (`str`, *optional*): Branch, tag or commit of a Hub model.
        random_init (`bool`, defaults to `False`): Start from the model's configuration with random weights.
        method (`str`, defaults to `"zscl"`): How to learn without forgetting.
        methods (`dict[str, dict]`): Options for each method, by its name; only those of `method` apply.
        tasks (`list[TaskEntry]`): The stream, in order.
        task_order (`list[str]`, *optional*):
            Names of all tasks in another order than that of `tasks`, for a recipe that includes its stream.
        task_values (`dict[str, dict]`, *optional*):
            Values of single tasks by their names, over those of their entries, for a recipe that includes its stream
            and for the command line (`--task_values.dtd.dataset ikanher/dtd`).
        class_incremental (`ClassIncremental`, *optional*): One dataset cut into steps, in the place of `tasks`.
        scenarios (`list[str]`, defaults to `["task_incremental"]`):
            What an image is classified among: the classes of its own task (`task_incremental`), those of all tasks
            seen so far (`class_incremental`), those of all tasks of the stream (`domain_agnostic`). The first is the
            one that the accuracy matrix shows; the others are measured in the same pass. With a `class_incremental`
            block of images `["class_incremental", "task_incremental"]`. Videos are always searched in both ways.
        few_shot (`int`, *optional*):
            Training images of each class, for tasks that set neither `few_shot` nor `take_train`.
        evaluation_only (`list[TaskEntry]`): Datasets evaluated after each task and never trained on.
        reference_images (`ReferenceEntry`, *optional*): Images that distillation looks at.
        reference_texts (`ReferenceEntry`, *optional*): Texts that distillation compares them with. `dataset` may be a
            text file with one text a line.
        peft (`LoRA`, *optional*): Learn low-rank updates alone; whole weights where not given.
        data_root (`str`, *optional*): Folder that relative dataset paths start from.
        expect_results (`list[ExpectedResult]` or `str`, *optional*):
            Published results of the recipe: rows, or the name of a published table such as `zscl_mtil/order_1`. Only
            rows of `method` apply. Reports show a published value only beside a run whose fields agree.
        licence (`str`, *optional*): Licence of the resulting weights as the Hub spells it, for the model card.
        training (`dict`): Values of `ContinualTrainingArguments`. In YAML they stand beside the keys above.
    """

    model_name_or_path: str
    model_revision: str | None = None
    random_init: bool = False
    method: str = "zscl"
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: list[TaskEntry] = field(default_factory=list)
    task_order: list[str] | None = None
    task_values: dict[str, dict[str, Any]] | None = None
    class_incremental: ClassIncremental | None = None
    scenarios: list[Scenario] = field(default_factory=lambda: ["task_incremental"])
    few_shot: int | None = None
    skip_broken_images: bool = False
    evaluation_only: list[TaskEntry] = field(default_factory=list)
    reference_images: ReferenceEntry | None = None
    reference_texts: ReferenceEntry | None = None
    peft: LoRA | None = None
    data_root: str | None = None
    expect_results: list[ExpectedResult] | str | None = None
    licence: str | None = None
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def method_options(self) -> dict[str, Any]:
        return self.methods.get(self.method, {})

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain YAML values: only what is not default, training values beside the others."""
        values = _flatten(self)
        if self.class_incremental is not None:
            del values["tasks"]  # they follow from the block
        return values


def read_recipe(
    path: str | Path,
    overrides: Mapping[str, str] | None = None,
    checks: Sequence[Callable[[Recipe], list[str]]] = (),
) -> Recipe:
    """Read a recipe, let the command line win, and check it as a whole.

    Args:
        path (`str` or `Path`): YAML file. Its `include:` names another file, relative to it, to take values from.
        overrides (`Mapping[str, str]`, *optional*):
            Values from the command line as text; a dotted key reaches into a block (`methods.zscl.l2_weight`).
        checks (`Sequence[Callable[[Recipe], list[str]]]`): See [`parse_recipe`].

    Raises:
        RecipeError: With every problem of the recipe, before anything is loaded.
    """
    values = read_yaml(Path(path))
    for key, text in (overrides or {}).items():
        override(values, key, text, str(path))
    return parse_recipe(values, str(path), checks)


def parse_recipe(
    values: Mapping[str, Any], source: str = "the recipe", checks: Sequence[Callable[[Recipe], list[str]]] = ()
) -> Recipe:
    """Turn plain values into a checked `Recipe`.

    Args:
        values (`Mapping[str, Any]`): The values, as YAML gives them.
        source (`str`, defaults to `"the recipe"`): What an error names as their source.
        checks (`Sequence[Callable[[Recipe], list[str]]]`):
            Further checks of floors above this one; each returns its problems, one line each.

    Raises:
        RecipeError: With every problem found.
    """
    from .arguments import ContinualTrainingArguments  # it imports torch

    check_values(values, source)
    problems: list[str] = []
    training_types = type_hints(ContinualTrainingArguments)
    training_fields = {
        f.name: training_types[f.name] for f in dataclasses.fields(ContinualTrainingArguments) if f.init
    }
    values = with_task_values(values, problems)
    recipe = build(Recipe, values, "", problems, training_fields)
    if recipe.training.get("output_dir") == "":
        problems.append("output_dir: is empty; give a name")
    _check_entries(recipe, problems)
    if recipe.class_incremental is not None and not problems:
        recipe.tasks = recipe.class_incremental.tasks()
        if "scenarios" not in values and recipe.class_incremental.video_column is None:
            recipe.scenarios = ["class_incremental", "task_incremental"]
    if not recipe.tasks and not problems:
        problems.append("tasks: the stream is empty; list at least one task with `name` and `dataset`")
    _check_names(recipe, problems)
    if recipe.task_order is not None and not problems:
        _order_tasks(recipe, problems)
    if not problems:
        problems += ContinualTrainingArguments.problems(recipe.training)
        for task in recipe.tasks:
            where = f"tasks: {task.name}: "
            problems += [where + problem for problem in ContinualTrainingArguments.problems(task.training, task=True)]
        problems += recipe.peft.problems() if recipe.peft else []
        problems += expectation_problems(recipe.expect_results)
        problems += [problem for check in checks for problem in check(recipe)]
    if problems:
        raise RecipeError(problems, source)
    recipe.expect_results = results_of_method(recipe.expect_results, recipe.method) or None
    return recipe


def _check_names(recipe: Recipe, problems: list[str]) -> None:
    seen: set[str] = set()
    for task in [*recipe.tasks, *recipe.evaluation_only]:
        if not task.name:
            continue
        if not TASK_NAME.fullmatch(task.name):
            problems.append(
                f"tasks: {task.name!r}: a name has 1 to 64 letters, digits, '-' and '_', since it names a folder"
            )
        if task.name.lower() in seen:
            problems.append(f"tasks: {task.name}: two tasks have this name; give each its own")
        seen.add(task.name.lower())


def _order_tasks(recipe: Recipe, problems: list[str]) -> None:
    """Put the tasks in the order of `task_order`, which is then of no more use."""
    tasks = {task.name: task for task in recipe.tasks}
    faults = {
        "missing": [name for name in tasks if name not in recipe.task_order],
        "no tasks": [name for name in recipe.task_order if name not in tasks],
        "listed twice": repeated(recipe.task_order),
    }
    told = [f"{what} {', '.join(names)}" for what, names in faults.items() if names]
    if recipe.class_incremental is not None:
        problems.append(
            "task_order: the steps of class_incremental follow `class_order` or `class_seed`; leave it out"
        )
    elif told:
        problems.append(f"task_order: needs the names of all {len(tasks)} tasks, each once: {'; '.join(told)}")
    else:
        recipe.tasks, recipe.task_order = [tasks[name] for name in recipe.task_order], None


def _check_entries(recipe: Recipe, problems: list[str]) -> None:
    """Problems of each entry by itself, and of what the scenarios make of them together."""
    for task in [*recipe.tasks, *recipe.evaluation_only]:
        problems += [f"tasks: {task.name}: {problem}" for problem in task.problems()]
    block = recipe.class_incremental
    if block is not None:
        problems += [f"class_incremental: {problem}" for problem in block.problems()]
        if recipe.tasks:
            problems.append("tasks and class_incremental: choose one of the two; the block makes the tasks")
    problems += [f"scenarios: {name} is listed twice" for name in repeated(recipe.scenarios)]
    if not recipe.scenarios:
        problems.append("scenarios: is empty; leave it out for task_incremental")
    if isinstance(recipe.few_shot, int) and recipe.few_shot < 1:
        problems.append(f"few_shot: must be at least 1, found {recipe.few_shot}")


def _flatten(entry: Any) -> Any:
    if isinstance(entry, list):
        return [_flatten(item) for item in entry]
    if not dataclasses.is_dataclass(entry):
        return entry
    values: dict[str, Any] = {}
    fields = {f.name: f for f in dataclasses.fields(entry)}
    for name in ["name", *(n for n in fields if n not in ("name", "training"))]:
        if name not in fields:
            continue
        default = fields[name].default
        if fields[name].default_factory is not dataclasses.MISSING:
            default = fields[name].default_factory()
        if getattr(entry, name) != default:
            values[name] = _flatten(getattr(entry, name))
    return {**values, **getattr(entry, "training", {})}
