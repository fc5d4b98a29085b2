"""What a record says of the data of a run, and of a run that was started from Python objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..config.arguments import TASK_VALUES, ContinualTrainingArguments
from ..config.lora import LoRA
from ..data.fingerprint import fingerprint, of_reference
from ..data.task import Task
from ..methods import Method
from ..record.parts import DatasetNote, Loss
from ..record.run_record import RunRecord
from ..record.videos import VideoDatabase
from ..utils import environment

if TYPE_CHECKING:
    from datasets import Dataset

STREAM_VALUES = (
    "output_dir",
    "seed",
    "bf16",
    "fp16",
    "trainable",
    "train_logit_scale",
    "hub_model_id",
    "hub_strategy",
)
OBJECT = "Python object"


def dataset_note(task: Task) -> DatasetNote:
    """What the data of a task are: sizes, source, licence."""
    sizes = {
        split: None if data is None else len(data) for split, data in (("train", task.train), ("test", task.test))
    }
    captions = {} if task.kind == "classification" else {"captions": task.number_of_captions}
    return {
        "task": task.name,
        "dataset": task.source or OBJECT,
        "classes": None if task.class_names is None else len(task.class_names),
        **captions,
        **sizes,
        "split_note": task.split_note,
        **({"members": task.split_members} if task.split_members else {}),
        "licence": task.licence,
    }


def fingerprints(
    tasks: Iterable[Task], images: Dataset | None, column: str | None, texts: Sequence[str] | None
) -> dict[str, dict[str, str]]:
    """What the data of a run are: of each task, and of the reference."""
    reference = of_reference(images, column, texts)
    return {**{task.name: fingerprint(task) for task in tasks}, **({"the reference": reference} if reference else {})}


def logged_losses(history: Iterable[Mapping[str, float]], task: str, step_offset: int) -> list[Loss]:
    """The losses of a task as its trainer logged them, its steps counted from its own start."""
    named = ("loss", "_kl", "grad_norm", "learning_rate")
    return [
        {"task": task, "step": entry["step"] - step_offset} | {k: v for k, v in entry.items() if k.endswith(named)}
        for entry in history
        if "loss" in entry
    ]


def new_video_database(tasks: Sequence[Task]) -> VideoDatabase | None:
    """What a record says of the videos of a stream before any is embedded; `None` where it has none."""
    categories = {task.name: len(task.class_names or ("",)) for task in tasks if task.kind == "videos"}
    return {"categories": categories, "zero_shot": None, "after": []} if categories else None


def new_record(
    model: str,
    method: str,
    tasks: Sequence[Task],
    evaluation_only: Sequence[Task],
    scenarios: Sequence[str],
    recipe: dict[str, Any],
    args: ContinualTrainingArguments,
    command: str | None,
    citation: str = "",
) -> RunRecord:
    """The record of a run of which nothing is measured yet."""
    everything = [*tasks, *evaluation_only]
    return RunRecord(
        method=method,
        model=model,
        tasks=[task.name for task in tasks],
        scenario=scenarios[0],
        scenarios={name: {"zero_shot": None, "accuracy": []} for name in scenarios[1:]},
        evaluation_only={task.name: {"zero_shot": None, "accuracy": []} for task in evaluation_only},
        retrieval={
            task.name: {"zero_shot": None, "after": []}
            for task in everything
            if task.kind != "classification" and task.test is not None
        },
        video_database=new_video_database(tasks),
        recipe=recipe,
        versions=environment.versions(),
        seed=args.seed,
        device=environment.device_name(args.device),
        datasets=[dataset_note(task) for task in everything],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        citations=[citation] if citation else [],
        licence=recipe.get("licence"),
        protocol={"batch_size": args.train_batch_size * args.gradient_accumulation_steps * args.world_size},
    )


def recipe_of_objects(
    model: str,
    method: Method,
    tasks: list[Task],
    evaluation_only: list[Task],
    args: ContinualTrainingArguments,
    peft: LoRA | None = None,
    scenarios: Sequence[str] = ("task_incremental",),
) -> dict[str, Any]:
    """A recipe, as plain values, of a run that had none: it tells what differs when the run is resumed."""
    defaults = {f.name: f.default for f in dataclasses.fields(args) if f.default is not dataclasses.MISSING}
    values = {name: getattr(args, name) for name in (*TASK_VALUES, *STREAM_VALUES)}
    values = {name: getattr(value, "value", value) for name, value in values.items() if value != defaults.get(name)}
    return {
        "model_name_or_path": model,
        "method": method.name,
        "methods": {method.name: method.options()},
        "tasks": [{**_entry(task), **task.training} for task in tasks],
        "evaluation_only": [_entry(task) for task in evaluation_only],
        **({"peft": dataclasses.asdict(peft)} if peft else {}),
        **({"scenarios": list(scenarios)} if list(scenarios) != ["task_incremental"] else {}),
        **{name: value for name, value in values.items() if isinstance(value, (bool, int, float, str))},
    }


def _entry(task: Task) -> dict[str, Any]:
    counts = {"classes": len(task.class_names or ()), "train": len(task.train or ()), "test": len(task.test or ())}
    return {"name": task.name, "dataset": task.source or OBJECT, "expect": {k: v for k, v in counts.items() if v}}
