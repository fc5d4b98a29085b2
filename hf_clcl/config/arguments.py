"""Training values: `transformers.TrainingArguments` with the defaults of continual CLIP training."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Literal, cast

import torch
from annotated_types import Ge, Gt, Interval, MinLen
from transformers import SchedulerType, TrainingArguments, get_scheduler
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)

from ..distributed.zero import CONFIGURATION, missing
from ..utils.errors import RecipeError
from ..utils.files import CACHE
from ..utils.names import launch_file
from .hub_values import hub_problems, is_repository
from .schedules import OwnSchedulerType, ScheduleName
from .validation import between, build
from .values import nearest

# What one task of the stream may set for itself.
TASK_VALUES = (
    "learning_rate", "max_steps", "num_train_epochs", "warmup_steps", "lr_scheduler_type", "lr_scheduler_kwargs",
    "per_device_train_batch_size", "per_device_reference_batch_size", "gradient_accumulation_steps",
    "label_smoothing_factor", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "optim",
    "min_crop_scale",
)  # fmt: skip

# Values of `TrainingArguments` that have no meaning here, and why.
NOT_USED = {
    "eval_strategy": "every task is evaluated after each task; there is nothing to choose",
    "eval_on_start": "the untrained model is always evaluated first",
    "load_best_model_at_end": "the end of a task is what is kept; a choice by test accuracy would be cheating",
    "auto_find_batch_size": "it would change the method's numbers without telling",
    "resume_from_checkpoint": "the same command goes on where output_dir stands",
    "ignore_data_skip": "resuming is always exact, and skips without reading images",
    "hub_always_push": "a push never starts before the one before it is done, and none is left out",
    "hub_revision": "main is the newest task, and each task is a tag",
    "hub_token": "a token belongs into HF_TOKEN, the login, or the variable that hub_token_env names",
    "fsdp": f"the launcher chooses it: accelerate launch --config_file {launch_file('fsdp')}",
    "deepspeed": f"the launcher chooses it: accelerate launch --config_file {CONFIGURATION}",
    "train_sampling_strategy": "each epoch is a fresh permutation of the task's images",
    "remove_unused_columns": "columns are chosen by the task",
    "label_names": "columns are chosen by the task",
    "neftune_noise_alpha": "it is made for language models",
    "use_liger_kernel": "it is made for language models",
}


BATCH = Interval(ge=1, le=10**6)


class _Once(logging.Filter):
    """Lets each message through once: values are made for each task of a stream, and warn each time."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        told = record.getMessage() in self._told
        self._told.add(record.getMessage())
        return not told


logging.getLogger("transformers.training_args").addFilter(_Once())


@dataclass
class ContinualTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` for one stream of tasks.

    Every value means what it means there, and `max_steps`, `num_train_epochs` and `warmup_steps` count within one
    task. Defaults that differ follow the common recipe of ZSCL (Zheng et al., ICCV 2023): batch 64, cosine schedule,
    label smoothing 0.2, no weight decay, no gradient clipping.

    Args:
        lr_scheduler_type (`str`, defaults to `"cosine"`):
            A schedule of `transformers`, or `cosine_zscl`: that of the published ZSCL runs. Its warm-up starts at
            `1 / warmup_steps` instead of 0, and each task has one more step, the last one, with a learning rate of 0.
        logging_steps (`float`, defaults to 10):
            Steps between two logs of the losses; a task with fewer steps is logged once, at its end.
        save_steps (`float`, defaults to 200):
            Steps between two checkpoints within a task. The end of each task is always saved, so a shorter task has
            no checkpoint of its own and is trained again from its start when a run stops within it.
        per_device_reference_batch_size (`int`, *optional*):
            Reference images per device and step; the size of the training batch where not given.
        min_crop_scale (`float`, defaults to 0.9):
            Smallest share of the image's area that the random training crop keeps; 1.0 keeps nearly all of it.
        trainable (`str`, defaults to `"both"`):
            Which towers learn: `both`, `vision` (text frozen) or `text` (vision frozen).
        train_logit_scale (`bool`, defaults to `False`):
            Whether CLIP's temperature learns too. Continual methods keep it frozen; training from scratch needs it.
        checkpoint_texts_above (`int`, defaults to 8192):
            Where the texts of a step have more tokens than this, the text encoder alone runs with gradient
            checkpointing, so that a thousand classes fit into memory; `gradient_checkpointing` is for both encoders.
        skip_nonfinite_steps (`int`, defaults to 0):
            Steps of each task that may be left out because a loss or a gradient is not a finite number; the record
            counts them. One more, or the first where it is 0, stops the task.
        dataloader_num_workers (`int`, *optional*):
            Processes that decode and crop training images. Where it is not given: none on a CPU, which trains more
            slowly than it decodes, else one a core, but for one, and at most 8.
        image_cache_mb (`int`, defaults to 1024):
            Memory for decoded images, in MB per process; 0 decodes each image of the training data every time.
        disk_cache_mb (`int`, defaults to 16384):
            Disk space for the frames of test and reference images, in MB per process and at most half of what is free;
            it is given back when the run ends. 0 keeps them in memory, as far as `image_cache_mb` goes.
        embedding_cache_dir (`str`, *optional*):
            Folder that keeps the embeddings of a teacher that stays the same, for other runs too. Where it is not
            given, a stream keeps them in its `output_dir` until it is done, so that it resumes without them.
        resume_from_hub (`str`, *optional*):
            Repository to go on from: what it holds of this run is fetched into `output_dir` first, the last
            checkpoint within a task too where `hub_strategy` is `checkpoint` or `all_checkpoints`.
        hub_strategy (`str`, defaults to `"every_save"`):
            `every_save` pushes each task as it is finished; `checkpoint` the last checkpoint within the running task
            too, `all_checkpoints` all of them; `end` pushes all tasks at the end.
        hub_overwrite (`bool`, defaults to `False`):
            Whether `push_to_hub` may replace the revisions of a different run in `hub_model_id`.
        hub_token_env (`str`, *optional*):
            Name of the environment variable with the Hub's token; `HF_TOKEN` or the login where not given.
    """

    output_dir: str | None = field(default="outputs/run")
    per_device_train_batch_size: int = field(default=64)
    per_device_eval_batch_size: int = field(default=128)
    learning_rate: float = field(default=1e-5)
    lr_scheduler_type: SchedulerType | str = field(default="cosine")
    label_smoothing_factor: float = field(default=0.2)
    max_grad_norm: float = field(default=0.0)
    logging_steps: float = field(default=10)
    save_steps: float = field(default=200)
    save_total_limit: int | None = field(default=1)
    remove_unused_columns: bool = field(default=False)
    label_names: list[str] | None = field(default_factory=lambda: ["labels"])
    ddp_find_unused_parameters: bool | None = field(default=False)
    logging_nan_inf_filter: bool = field(default=False)
    report_to: None | str | list[str] = field(default="none")

    per_device_reference_batch_size: int | None = field(default=None)
    min_crop_scale: float = field(default=0.9)
    trainable: Literal["both", "vision", "text"] = field(default="both")
    train_logit_scale: bool = field(default=False)
    dataloader_num_workers: int | None = field(default=None)  # type: ignore[assignment]
    checkpoint_texts_above: int = field(default=8192)
    skip_nonfinite_steps: int = field(default=0)
    image_cache_mb: int = field(default=1024)
    disk_cache_mb: int = field(default=16384)
    embedding_cache_dir: str | None = field(default=None)
    resume_from_hub: str | None = field(default=None)
    hub_overwrite: bool = field(default=False)
    hub_token_env: str | None = field(default=None)

    CHOICES: ClassVar[dict[str, Any]] = {"lr_scheduler_type": ScheduleName}
    BOUNDS: ClassVar[dict[str, Any]] = {
        "output_dir": MinLen(1), "learning_rate": Ge(0), "weight_decay": Ge(0), "max_grad_norm": Ge(0),
        "max_steps": Interval(ge=-1, le=10**9), "num_train_epochs": Interval(gt=0, le=10**6),
        "warmup_steps": Interval(ge=0, le=10**9), "logging_steps": Gt(0), "save_steps": Gt(0),
        "save_total_limit": Ge(1), "dataloader_num_workers": Interval(ge=0, le=1024), "disk_cache_mb": Ge(0),
        "image_cache_mb": Interval(ge=0, le=10**9), "checkpoint_texts_above": Ge(0), "skip_nonfinite_steps": Ge(0),
        "per_device_train_batch_size": BATCH, "per_device_eval_batch_size": BATCH,
        "per_device_reference_batch_size": BATCH, "gradient_accumulation_steps": BATCH, "adam_epsilon": Gt(0),
        "adam_beta1": between(0, 1), "adam_beta2": between(0, 1), "label_smoothing_factor": between(0, 0.999),
        "min_crop_scale": between(0.01, 1.0), "seed": between(0, 2**32 - 1), "data_seed": between(0, 2**32 - 1),
    }  # fmt: skip

    def __post_init__(self) -> None:
        if not torch.accelerator.is_available():
            self.use_cpu = True  # else the Trainer refuses bf16 where there is only a CPU
        if self.hub_token:  # it would be saved with every checkpoint
            raise RecipeError(f"hub_token: cannot be set; {NOT_USED['hub_token']}", "the training values")
        if self.dataloader_num_workers is None:
            self.dataloader_num_workers = 0 if self.use_cpu else _workers()
        zscl = self.lr_scheduler_type == OwnSchedulerType.COSINE_ZSCL
        if zscl:
            self.lr_scheduler_type = "cosine"  # `transformers` accepts its own names only
        super().__post_init__()
        if zscl:
            self.lr_scheduler_type = OwnSchedulerType.COSINE_ZSCL

    @classmethod
    def checked(cls, values: dict[str, Any]) -> ContinualTrainingArguments:
        """Training values from plain ones.

        Raises:
            RecipeError: Where a value cannot be used, here or on this machine.
        """
        problems = missing()
        given = build(_Values, values, "", problems, cls)
        problems += cls.problems(given.training) if given else []
        if not problems:
            try:
                args = cls(**given.training)
                _try_optimisation(args)
                return args
            except (ValueError, ImportError, RuntimeError, TypeError, KeyError) as error:
                problems.append(" ".join(str(error).split()))
        raise RecipeError(problems, "the training values")

    @property
    def reference_batch_size(self) -> int:
        return self.per_device_reference_batch_size or self.per_device_train_batch_size

    def of_task(self, own: dict[str, Any], output_dir: str | os.PathLike[str]) -> ContinualTrainingArguments:
        """These values with those that a task sets for itself, for its own folder."""
        if "num_train_epochs" in own and "max_steps" not in own:
            own = {**own, "max_steps": -1}
        return dataclasses.replace(
            self,
            **own,
            output_dir=str(output_dir),
            embedding_cache_dir=self.embedding_cache_dir or os.path.join(self.output_dir or "outputs/run", CACHE),
            report_to="none",
            push_to_hub=False,
        )

    @property
    def closing_steps(self) -> int:
        """Steps after those that were asked for: one with learning rate 0 where the schedule is `cosine_zscl`."""
        return int(self.lr_scheduler_type == OwnSchedulerType.COSINE_ZSCL)

    def steps_for(self, rows: int) -> int:
        """Optimiser steps of a task with so many training rows."""
        return self._steps_asked(rows) + self.closing_steps

    def _steps_asked(self, rows: int) -> int:
        if self.max_steps > 0:
            return self.max_steps
        batch = self.per_device_train_batch_size * self.world_size
        batches = max(1, rows // batch if self.dataloader_drop_last else -(-rows // batch))
        return max(1, math.ceil(self.num_train_epochs * batches / self.gradient_accumulation_steps))

    @classmethod
    def problems(cls, values: dict[str, Any], task: bool = False) -> list[str]:
        """What is wrong with training values whose types and bounds are right, a line each."""
        found = [f"{key}: cannot be set; {NOT_USED[key]}" for key in values if key in NOT_USED]
        if task:
            found += [
                f"{key}: holds for the whole stream; a task may set {', '.join(TASK_VALUES)}"
                for key in values
                if key not in TASK_VALUES
            ]
        if values.get("max_steps") == 0:
            found.append("max_steps: must be at least 1, or -1 to count by num_train_epochs")
        if values.get("bf16") and values.get("fp16"):
            found.append("bf16 and fp16: choose one of the two")
        if values.get("lr_scheduler_type") == "reduce_lr_on_plateau":
            found.append("lr_scheduler_type: reduce_lr_on_plateau needs evaluations within a task; choose another")
        if values.get("lr_scheduler_type") == "greedy":
            found.append("lr_scheduler_type: greedy needs evaluations within a task; choose another")
        if values.get("lr_scheduler_type") == "cosine_zscl" and values.get("lr_scheduler_kwargs"):
            found.append("lr_scheduler_kwargs: cosine_zscl has no options; leave them out")
        found += _tracker_problems(values.get("report_to"))
        found += hub_problems(*(values.get(key) for key in ("push_to_hub", "hub_model_id", "hub_token_env")))
        if values.get("resume_from_hub") and not is_repository(values["resume_from_hub"]):
            found.append(f"resume_from_hub: needs owner/name, found {values['resume_from_hub']!r}")
        return found


@dataclass
class _Values:
    """Training values that stand in no recipe."""

    training: dict[str, Any] = field(default_factory=dict)


def _workers() -> int:
    """Cores of this process, but for the one that trains."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))


def _try_optimisation(args: ContinualTrainingArguments) -> None:
    """Raise now what the schedule and the optimiser would raise at the first task."""
    if args.lr_scheduler_kwargs:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = _name(args.lr_scheduler_type)
        try:
            get_scheduler(schedule, optimizer, 0, 10, dict(cast(dict[str, Any], args.lr_scheduler_kwargs)))
        except Exception as error:
            raise ValueError(f"lr_scheduler_kwargs: {schedule} does not take them: {error}") from None
    if args.optim_args or not _name(args.optim).startswith("adamw_torch"):
        from transformers import Trainer  # takes a second, and the default needs none

        try:
            Trainer.get_optimizer_cls_and_kwargs(args)
        except (ValueError, ImportError, RuntimeError) as error:
            raise ValueError(f"optim: {_name(args.optim)} cannot be used here: {error}") from None


def _name(choice: Enum | str) -> str:
    """The name of a choice, which `TrainingArguments` turns into a member of an enumeration."""
    return str(choice.value) if isinstance(choice, Enum) else choice


def _tracker_problems(report_to: str | list[str] | None) -> list[str]:
    """Which trackers there are not, or not here."""
    known = [*INTEGRATION_TO_CALLBACK, "all", "none"]
    names = [report_to] if isinstance(report_to, str) else report_to or []
    here = [*get_available_reporting_integrations(), "all", "none"]
    found = [
        f"report_to: there is no {name!r}{nearest(name, known)}; there are {', '.join(sorted(known))}"
        for name in names
        if name not in known
    ]
    missing = [name for name in names if name in known and name not in here]
    return found + [f"report_to: {name} is not installed; install it, or leave it out" for name in missing]
