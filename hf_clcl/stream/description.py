"""What a record says of the data of a run, and of a run that was started from Python objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..config.arguments import TASK_VALUES
from ..data.fingerprint import fingerprint, of_reference
from ..data.task import Task
from ..metrics.scenarios import TASK_INCREMENTAL
from ..models.embedding_cache import digest_of_weights
from ..record.parts import DatasetNote, Loss
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
    """What the data of a task are: sizes, source, licence."""
    sizes = {
        split: None if data is None else len(data) for split, data in (("train", task.train), ("test", task.test))
    }
    captions = {} if task.kind.has_labels else {"captions": task.number_of_captions}
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


def fingerprints(spec: StreamSpec) -> dict[str, dict[str, str]]:
    """Fingerprints of the data of a run: of each task, of the reference set, and of a model that has no name."""
    images, column = spec.reference_images or (None, None)
    reference = of_reference(images, column, spec.reference_texts)
    return {
        **{task.name: fingerprint(task) for task in spec.everything},
        **({"the reference": reference} if reference else {}),
        **({} if isinstance(spec.model, str) else {"the base model": {"weights": digest_of_weights(spec.model)}}),
    }


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
    categories = {task.name: len(task.class_names or ("",)) for task in tasks if task.kind.keeps_database}
    return {"categories": categories, "zero_shot": None, "after": []} if categories else None


def new_record(spec: StreamSpec, recipe: dict[str, Any]) -> RunRecord:
    """The record of a run of which nothing is measured yet.

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
        recipe=recipe,
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
    """A recipe, as plain values, of a run without one: a resumed run is compared with it."""
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
