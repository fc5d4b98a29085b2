"""First state of the record of a run: its data, fingerprints and versions; the recipe of a run without a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from ..config.arguments import TASK_VALUES
from ..data.fingerprint import fingerprint, of_reference
from ..data.task import Task
from ..metrics.scenarios import TASK_INCREMENTAL
from ..models.embedding_cache import digest_of_weights
from ..record.parts import DatasetNote, Loss, RecordedRecipe
from ..record.run_record import RunRecord
from ..record.videos import VideoDatabase
from ..utils import environment
from .spec import StreamSpec

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
    """The entry of a task in `datasets` of the record: sizes, source, licence."""
    note: DatasetNote = {
        "task": task.name,
        "dataset": task.source or OBJECT,
        "classes": None if task.class_names is None else len(task.class_names),
        "captions": None if task.kind.has_labels else task.number_of_captions,
        "train": None if task.train is None else len(task.train),
        "test": None if task.test is None else len(task.test),
        "split_note": task.split_note,
        "members": task.split_members,
        "licence": task.licence,
    }
    if task.kind.has_labels:
        del note["captions"]
    if not task.split_members:
        del note["members"]
    return note


def fingerprints(spec: StreamSpec) -> dict[str, dict[str, str]]:
    """Fingerprints of the data of a run: each task, the reference set, and a base model that was given loaded."""
    images, column = spec.reference_images or (None, None)
    reference = of_reference(images, column, spec.reference_texts)
    return {
        **{task.name: fingerprint(task) for task in spec.everything},
        **({"the reference": reference} if reference else {}),
        **({} if isinstance(spec.model, str) else {"the base model": {"weights": digest_of_weights(spec.model)}}),
    }


def logged_losses(history: Iterable[Mapping[str, float]], task: str, step_offset: int) -> list[Loss]:
    """The logged losses of a task, with steps counted from the start of the task.

    Args:
        history (`Iterable[Mapping[str, float]]`): `log_history` of the trainer.
        task (`str`): Name of the task.
        step_offset (`int`): Steps of the stream before this task.
    """
    recorded = ("loss", "_kl", "grad_norm", "learning_rate")
    losses = [
        {"task": task, "step": entry["step"] - step_offset} | {k: v for k, v in entry.items() if k.endswith(recorded)}
        for entry in history
        if "loss" in entry
    ]
    return cast(list[Loss], losses)  # a `Loss` also has the named losses of the method as further keys


def new_video_database(tasks: Sequence[Task]) -> VideoDatabase | None:
    """The empty `video_database` of a record; `None` if the stream has no videos."""
    categories = {task.name: len(task.class_names or ("",)) for task in tasks if task.kind.keeps_database}
    return {"categories": categories, "zero_shot": None, "after": []} if categories else None


def new_record(spec: StreamSpec, recipe: dict[str, Any]) -> RunRecord:
    """The record of a run before its first measurement.

    Args:
        spec (`StreamSpec`): The run.
        recipe (`dict`): Its recipe as plain values.
    """
    args = spec.args
    return RunRecord(
        method=spec.method.name,
        trains_jointly=spec.method.trains_jointly,
        trains_separately=spec.method.trains_separately,
        model=spec.model_name,
        tasks=[task.name for task in spec.tasks],
        scenario=spec.scenarios[0],
        scenarios={name: {"zero_shot": None, "accuracy": []} for name in spec.scenarios[1:]},
        evaluation_only={task.name: {"zero_shot": None, "accuracy": []} for task in spec.evaluation_only},
        retrieval={
            task.name: {"zero_shot": None, "after": []}
            for task in spec.everything
            if not task.kind.has_labels and task.test is not None
        },
        video_database=new_video_database(spec.tasks),
        recipe=cast(RecordedRecipe, recipe),  # checked when the recipe was read
        versions=environment.versions(),
        seed=spec.args.seed,
        device=environment.device_name(spec.args.device),
        datasets=[dataset_note(task) for task in spec.everything],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=spec.command,
        citations=[spec.method.citation] if spec.method.citation else [],
        licence=recipe.get("licence"),
        protocol={"batch_size": args.train_batch_size * args.gradient_accumulation_steps * args.world_size},
    )


def recipe_of_objects(spec: StreamSpec) -> dict[str, Any]:
    """The recipe, as plain values, of a run that was started from Python objects; needed to resume it."""
    args, method = spec.args, spec.method
    defaults = {f.name: f.default for f in dataclasses.fields(args) if f.default is not dataclasses.MISSING}
    values = {name: getattr(args, name) for name in (*TASK_VALUES, *STREAM_VALUES)}
    values = {name: getattr(value, "value", value) for name, value in values.items() if value != defaults.get(name)}
    return {
        "model_name_or_path": spec.model_name,
        "method": method.name,
        "methods": {method.name: method.options()},
        "tasks": [{**_entry(task), **task.training} for task in spec.tasks],
        "evaluation_only": [_entry(task) for task in spec.evaluation_only],
        **({"peft": dataclasses.asdict(spec.peft)} if spec.peft else {}),
        **({"scenarios": list(spec.scenarios)} if list(spec.scenarios) != [TASK_INCREMENTAL.name] else {}),
        **{name: value for name, value in values.items() if isinstance(value, (bool, int, float, str))},
    }


def _entry(task: Task) -> dict[str, Any]:
    counts = {"classes": len(task.class_names or ()), "train": len(task.train or ()), "test": len(task.test or ())}
    return {"name": task.name, "dataset": task.source or OBJECT, "expect": {k: v for k, v in counts.items() if v}}
