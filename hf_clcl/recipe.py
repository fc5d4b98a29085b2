"""The recipe of a run: what to train, on what, how. Checked as a whole before anything is loaded.

A recipe is a YAML file whose values the command line may override. Values are checked against the types of the
dataclasses below and of `ContinualTrainingArguments`; every problem is reported at once.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from .errors import RecipeError
from .values import build, describe

ADAPTED = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass
class DatasetEntry:
    """Where a dataset lies and how to read it.

    Args:
        dataset (`str`):
            A Hub dataset id, a local folder (images in one folder a class, Parquet files, webdataset tars, or a
            `Dataset.save_to_disk` folder), a Parquet file, or `rendered:<domain>` for the built-in rendered world.
            Relative paths are looked for in `data_root` first.
        config (`str`, *optional*): Configuration of a Hub dataset.
        revision (`str`, *optional*): Branch, tag or commit of a Hub dataset.
        image_column (`str`, *optional*): Column of images; found by its type where not given.
        caption_column (`str`, *optional*): Column of captions (a string or a list of strings).
        licence (`str`, *optional*): Licence of the data, for the model card.
    """

    dataset: str
    config: str | None = None
    revision: str | None = None
    image_column: str | None = None
    caption_column: str | None = None
    licence: str | None = None


@dataclass
class TaskEntry(DatasetEntry):
    """One task of the stream, or one dataset that is only evaluated.

    Args:
        name (`str`): Name of the task: letters, digits, `-` and `_`.
        train_split (`str`, defaults to `"train"`): Split trained on. Slices such as `train[:80%]` are allowed.
        test_split (`str`, defaults to `"test"`): Split evaluated on.
        test_fraction (`float`, *optional*):
            For datasets with a single split: this share of `train_split`, drawn with seed 42, is the test set.
        label_column (`str`, *optional*): Column of labels; found by its type where not given.
        class_names (`list[str]`, `dict[str, str]` or `str`, *optional*):
            Words for the classes in label order; or a renaming `{name in the dataset: words}`; or the name of a
            built-in list (see `hf_clcl/assets/prompts.json`). The dataset's own names where not given.
        templates (`list[str]` or `str`, *optional*):
            Prompts with `{}` in the place of the class name, or the name of a built-in list. The first one is trained
            on, all are averaged for evaluation.
        training_template (`str`, *optional*): The prompt trained on, where it is not the first of `templates`.
        take_train (`int`, *optional*): At most this many training images, drawn with the run's seed.
        take_test (`int`, *optional*): At most this many test images, drawn with the run's seed.
        expect (`dict[str, int]`, *optional*): Numbers to check the data against: `classes`, `train`, `test`.
        split_note (`str`, *optional*): What the model card should say about the split.
        training (`dict`): Training values for this task alone. In YAML they stand beside the keys above.
    """

    name: str = field(default="", metadata={"required": True})
    train_split: str = "train"
    test_split: str = "test"
    test_fraction: float | None = None
    label_column: str | None = None
    class_names: list[str] | dict[str, str] | str | None = None
    templates: list[str] | str | None = None
    training_template: str | None = None
    take_train: int | None = None
    take_test: int | None = None
    expect: dict[str, int] | None = None
    split_note: str | None = None
    training: dict[str, Any] = field(default_factory=dict)


@dataclass
class ReferenceEntry(DatasetEntry):
    """Images or texts that distillation uses as its reference set.

    Args:
        split (`str`, defaults to `"train"`): Split to read.
        take (`int`, *optional*): At most this many, drawn with the run's seed.
        text_column (`str`, *optional*): Column of texts, for reference texts.
    """

    split: str = "train"
    take: int | None = None
    text_column: str | None = None


@dataclass
class LoRA:
    """The `peft` block of a recipe: any method that trains by gradients then learns in low-rank updates alone.

    `W + lora_alpha / r * B A` with `B [out, r]`, zero at first, and `A [r, in]`. Each task starts with a fresh
    adapter, drawn from the same seed, and ends by merging it.

    Source: Hu et al., ICLR 2022, eq. 3, by `peft`.

    Args:
        r (`int`, defaults to 8): Rank.
        lora_alpha (`int`, defaults to 16): The update is scaled by `lora_alpha / r`.
        lora_dropout (`float`, defaults to 0.0): Dropout before `A`.
        target_modules (`list[str]`): Names of the linear layers, those of attention and MLP where not given.
        towers (`str`, defaults to `"both"`): `both`, `vision` or `text`.
        keep_adapters (`bool`, defaults to `False`):
            Save each task's adapter too, in `adapter/` of its folder. It belongs on the model before that task.
    """

    r: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    target_modules: list[str] = field(default_factory=lambda: list(ADAPTED))
    towers: Literal["both", "vision", "text"] = "both"
    keep_adapters: bool = False

    def problems(self) -> list[str]:
        """What is wrong with the values, a line each."""
        found = [
            f"peft: {name}: must be at least 1, found {getattr(self, name)}"
            for name in ("r", "lora_alpha")
            if getattr(self, name) < 1
        ]
        if not 0 <= self.lora_dropout < 1:
            found.append(f"peft: lora_dropout: must be at least 0 and below 1, found {self.lora_dropout}")
        if not self.target_modules:
            found.append(f"peft: target_modules: is empty; leave it out for {', '.join(ADAPTED)}")
        return found


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
        evaluation_only (`list[TaskEntry]`): Datasets evaluated after each task and never trained on.
        reference_images (`ReferenceEntry`, *optional*): Images that distillation looks at.
        reference_texts (`ReferenceEntry`, *optional*): Texts that distillation compares them with. `dataset` may be a
            text file with one text a line.
        peft (`LoRA`, *optional*): Learn low-rank updates alone; whole weights where not given.
        data_root (`str`, *optional*): Folder that relative dataset paths start from.
        licence (`str`, *optional*): Licence of the resulting weights as the Hub spells it, for the model card.
        training (`dict`): Values of `ContinualTrainingArguments`. In YAML they stand beside the keys above.
    """

    model_name_or_path: str
    model_revision: str | None = None
    random_init: bool = False
    method: str = "zscl"
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: list[TaskEntry] = field(default_factory=list)
    evaluation_only: list[TaskEntry] = field(default_factory=list)
    reference_images: ReferenceEntry | None = None
    reference_texts: ReferenceEntry | None = None
    peft: LoRA | None = None
    data_root: str | None = None
    licence: str | None = None
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def method_options(self) -> dict[str, Any]:
        return self.methods.get(self.method, {})

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain YAML values: only what is not default, training values beside the others."""
        return _flatten(self)


def read_recipe(path: str | Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe, let the command line win, and check it as a whole.

    Args:
        path (`str` or `Path`): YAML file. Its `include:` names another file, relative to it, to take values from.
        overrides (`Mapping[str, str]`, *optional*):
            Values from the command line as text; a dotted key reaches into a block (`methods.zscl.l2_weight`).

    Raises:
        RecipeError: With every problem of the recipe, before anything is loaded.
    """
    values = _read_yaml(Path(path))
    for key, text in (overrides or {}).items():
        _override(values, key, text, str(path))
    return parse_recipe(values, source=str(path))


def parse_recipe(values: Mapping[str, Any], source: str = "the recipe") -> Recipe:
    """Turn plain values into a checked `Recipe`.

    Raises:
        RecipeError: With every problem found.
    """
    from .arguments import ContinualTrainingArguments
    from .methods import check_method

    problems: list[str] = []
    training_types = typing.get_type_hints(ContinualTrainingArguments)
    training_fields = {
        f.name: training_types[f.name] for f in dataclasses.fields(ContinualTrainingArguments) if f.init
    }
    recipe = build(Recipe, values, "", problems, training_fields)
    if not recipe.tasks and not problems:
        problems.append("tasks: the stream is empty; list at least one task with `name` and `dataset`")
    _check_names(recipe, problems)
    _check_templates(recipe, problems)
    if not problems:
        problems += ContinualTrainingArguments.problems(recipe.training)
        for task in recipe.tasks:
            where = f"tasks: {task.name}: "
            problems += [where + problem for problem in ContinualTrainingArguments.problems(task.training, task=True)]
        problems += recipe.peft.problems() if recipe.peft else []
        problems += check_method(recipe)
    if problems:
        raise RecipeError(problems, source)
    return recipe


def _read_yaml(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    if path.resolve() in seen:
        raise RecipeError(f"include: {path} includes itself", str(seen[0]))
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(
            f"no such file{_yaml_beside(path)}; the recipes of this project lie in recipes/", str(path)
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"cannot be read: {error}", str(path)) from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise RecipeError(f"a recipe is a YAML mapping of names to values, found {describe(values)}", str(path))
    include = values.pop("include", None)
    if include is None:
        return values
    if not isinstance(include, str):
        raise RecipeError(f"include: needs the name of one YAML file, found {describe(include)}", str(path))
    return _merge(_read_yaml(path.parent / include, (*seen, path.resolve())), values)


def _yaml_beside(path: Path) -> str:
    near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
    return f"; beside it: {', '.join(near)}" if near else ""


def _merge(base: dict[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Values of `top` over those of `base`, block by block."""
    merged = dict(base)
    for key, value in top.items():
        both_blocks = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both_blocks else value
    return merged


def _override(values: dict[str, Any], key: str, text: str, source: str) -> None:
    *blocks, last = key.split(".")
    for block in blocks:
        values = values.setdefault(block, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--{key}: {block} is not a block of values", source)
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        values[last] = text


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


def _check_templates(recipe: Recipe, problems: list[str]) -> None:
    for task in [*recipe.tasks, *recipe.evaluation_only]:
        listed = task.templates if isinstance(task.templates, list) else []
        for template in [*listed, *([task.training_template] if task.training_template else [])]:
            if template.count("{}") != 1:
                problems.append(f"tasks: {task.name}: template {template!r} needs one {{}} for the class name")
        if task.templates == []:
            problems.append(f"tasks: {task.name}: templates is empty; leave it out or list at least one")
        if task.test_fraction is not None and not 0 < task.test_fraction < 1:
            problems.append(f"tasks: {task.name}: test_fraction must lie between 0 and 1, found {task.test_fraction}")
        for key in ("take_train", "take_test"):
            if getattr(task, key) is not None and getattr(task, key) < 1:
                problems.append(f"tasks: {task.name}: {key} must be at least 1, found {getattr(task, key)}")


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
