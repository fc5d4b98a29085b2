"""`Recipe`: model, method, tasks and training values of a run, read from YAML and checked before anything is loaded.

The command line may override values of the file. Values are checked against the types of the dataclasses below and of
`ContinualTrainingArguments`. All problems are reported together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from ..metrics.scenarios import CLASS_INCREMENTAL, SCENARIOS, TASK_INCREMENTAL
from ..utils.errors import RecipeError
from ..utils.names import TASK_NAME
from .class_incremental import ClassIncremental
from .entries import ReferenceEntry, TaskEntry, repeated
from .expected_results import ExpectedResult, expectation_problems, results_of_method
from .lora import LoRA
from .recipe_files import find_recipe
from .validation import build
from .yaml_files import check_values, override, read_yaml, with_task_values

if TYPE_CHECKING:
    ScenarioName = str
else:  # a type checker cannot read computed names
    ScenarioName = Literal[tuple(SCENARIOS)]


@dataclass
class Recipe:
    """One run: a model that is trained on a stream of tasks with one method.

    Args:
        model_name_or_path (`str`): The base model: a Hub id or a local folder.
        model_revision (`str`, *optional*): Branch, tag or commit of a Hub model.
        random_init (`bool`, defaults to `False`): Start from the model's configuration with random weights.
        method (`str`, defaults to `"zscl"`): The continual-learning method.
        methods (`dict[str, dict]`): Options of methods by their names; only those of `method` apply.
        tasks (`list[TaskEntry]`): The stream, in order.
        task_order (`list[str]`, *optional*):
            Names of all tasks in the order to train them, for a recipe that includes its stream.
        task_values (`dict[str, dict]`, *optional*):
            Values of single tasks by their names, which override those of their entries, for a recipe that includes
            its stream and for the command line (`--task_values.dtd.dataset ikanher/dtd`).
        class_incremental (`ClassIncremental`, *optional*): One dataset, split into steps by class, instead of `tasks`.
        scenarios (`list[str]`, defaults to `["task_incremental"]`):
            Names of [`~hf_clcl.metrics.scenarios`], which define the classes that an image is classified among. The
            accuracy matrix shows the first one; the others are measured in the same pass. With a `class_incremental`
            block of images, the default is `["class_incremental", "task_incremental"]`. Videos are always searched in
            both ways.
        few_shot (`int`, *optional*):
            Training images of each class, for tasks that set neither `few_shot` nor `take_train`.
        skip_broken_images (`bool`, defaults to `False`): Skip images that cannot be decoded.
        evaluation_only (`list[TaskEntry]`): Datasets that are evaluated after each task and never trained on.
        reference_images (`ReferenceEntry`, *optional*): Images of the reference set, for methods that distil on one.
        reference_texts (`ReferenceEntry`, *optional*): Texts of the reference set. `dataset` may be a text file with
            one text per line.
        peft (`LoRA`, *optional*): Train low-rank updates only; all weights are trained if not given.
        data_root (`str`, *optional*): Folder that relative dataset paths start from.
        expect_results (`list[ExpectedResult]` or `str`, *optional*):
            Published results of the recipe: rows, or the name of a published table such as `zscl_mtil/order_1`. Only
            rows of `method` apply. Reports show a published value only beside a run whose fields agree.
        licence (`str`, *optional*): Licence of the resulting weights as the Hub spells it, for the model card.
        training (`dict`): Values of `ContinualTrainingArguments`. In YAML they are beside the keys above.
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
    scenarios: list[ScenarioName] = field(default_factory=lambda: [TASK_INCREMENTAL.name])
    few_shot: Annotated[int, Ge(1)] | None = None
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
        """Options of the method of this run."""
        return self.methods.get(self.method, {})

    def problems(self) -> list[str]:
        """Problems of the combination of values, one line each."""
        problems = self.name_problems()
        if not self.tasks and self.class_incremental is None:
            problems.append("tasks: the stream is empty; list at least one task with `name` and `dataset`")
        if self.tasks and self.class_incremental is not None:
            problems.append("tasks and class_incremental: choose one of the two; the block defines the tasks")
        problems += [f"scenarios: {name} is listed twice" for name in repeated(self.scenarios)]
        if not self.scenarios:
            problems.append(f"scenarios: is empty; remove it for {TASK_INCREMENTAL.name}")
        return problems

    def name_problems(self) -> list[str]:
        """Problems of the names of the tasks, one line each."""
        names = [task.name for task in [*self.tasks, *self.evaluation_only]]
        problems = [
            f"tasks: {name!r}: a name has 1 to 64 letters, digits, '-' and '_', since it names a folder"
            for name in names
            if not TASK_NAME.fullmatch(name)
        ]
        twice = repeated(name.lower() for name in names)
        return problems + [f"tasks: {name}: two tasks have this name; give each its own" for name in twice]

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain YAML values: those that are not the default, training values at the top level."""
        values = _flatten(self)
        if self.class_incremental is not None:
            del values["tasks"]  # the block defines them
        return values


def read_recipe(
    path: str | Path,
    overrides: Mapping[str, str] | None = None,
    checks: Sequence[Callable[[Recipe], list[str]]] = (),
) -> Recipe:
    """Read a recipe, apply the values of the command line, and check the result.

    Args:
        path (`str` or `Path`):
            YAML file, or the name of a recipe of the package: see [`~hf_clcl.config.recipe_files.find_recipe`]. Its
            `include:` names another file, relative to it, whose values it takes.
        overrides (`Mapping[str, str]`, *optional*):
            Values from the command line as text; a dotted key reaches into a block (`methods.zscl.l2_weight`).
        checks (`Sequence[Callable[[Recipe], list[str]]]`): See [`parse_recipe`].

    Raises:
        RecipeError: With every problem of the recipe; nothing is loaded before.
    """
    path = find_recipe(path)
    values = read_yaml(path)
    for key, text in (overrides or {}).items():
        override(values, key, text, str(path))
    return parse_recipe(values, str(path), checks)


def parse_recipe(
    values: Mapping[str, Any], source: str = "the recipe", checks: Sequence[Callable[[Recipe], list[str]]] = ()
) -> Recipe:
    """Turn plain values into a checked `Recipe`.

    Args:
        values (`Mapping[str, Any]`): The values, as read from YAML.
        source (`str`, defaults to `"the recipe"`): What an error names as their source.
        checks (`Sequence[Callable[[Recipe], list[str]]]`):
            Further checks; each returns its problems, one line each.

    Raises:
        RecipeError: With every problem of the recipe.
    """
    from .arguments import ContinualTrainingArguments  # it imports torch

    check_values(values, source)
    problems: list[str] = []
    values = with_task_values(values, problems)
    recipe = build(Recipe, values, "", problems, ContinualTrainingArguments)
    if recipe is None or problems:
        raise RecipeError(problems, source)
    if recipe.class_incremental is not None:
        recipe.tasks = recipe.class_incremental.tasks()
        if "scenarios" not in values and recipe.class_incremental.video_column is None:
            recipe.scenarios = [CLASS_INCREMENTAL.name, TASK_INCREMENTAL.name]
        problems += recipe.name_problems()
    if recipe.task_order is not None:
        _order_tasks(recipe, problems)
    problems += ContinualTrainingArguments.problems(recipe.training)
    for task in recipe.tasks:
        where = f"tasks: {task.name}: "
        problems += [where + problem for problem in ContinualTrainingArguments.problems(task.training, task=True)]
    problems += expectation_problems(recipe.expect_results)
    problems += [problem for check in checks for problem in check(recipe)]
    if problems:
        raise RecipeError(problems, source)
    recipe.expect_results = results_of_method(recipe.expect_results, recipe.method) or None
    return recipe


def _order_tasks(recipe: Recipe, problems: list[str]) -> None:
    """Put the tasks in the order of `task_order` and clear it."""
    tasks, order = {task.name: task for task in recipe.tasks}, recipe.task_order or []
    faults = {
        "missing": [name for name in tasks if name not in order],
        "no tasks": [name for name in order if name not in tasks],
        "listed twice": repeated(order),
    }
    lines = [f"{fault} {', '.join(names)}" for fault, names in faults.items() if names]
    if recipe.class_incremental is not None:
        problems.append("task_order: the steps of class_incremental follow `class_order` or `class_seed`; remove it")
    elif lines:
        problems.append(f"task_order: must name all {len(tasks)} tasks, each once: {'; '.join(lines)}")
    else:
        recipe.tasks, recipe.task_order = [tasks[name] for name in order], None


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
        make = fields[name].default_factory
        default = fields[name].default if make is dataclasses.MISSING else make()
        if getattr(entry, name) != default:
            values[name] = _flatten(getattr(entry, name))
    return {**values, **getattr(entry, "training", {})}
