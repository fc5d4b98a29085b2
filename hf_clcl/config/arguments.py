"""Training values: `transformers.TrainingArguments` with the defaults of continual CLIP training."""

from __future__ import annotations

import copy
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
from transformers.trainer_pt_utils import AcceleratorConfig

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

_EVALUATION = (
    "it is for the evaluation loop of the Trainer; here accuracy is measured by the method of CLIP, on all images"
)
_BEST = "the model at the end of a task is kept; a choice by test accuracy would be cheating"
_LANGUAGE = "it is for language models"
_ONE_PASS = "the loader of a task is started once, and gives the same batches in the same order at every run"

# Values of `TrainingArguments` that would do nothing here, or harm, and why. All others have an effect.
NOT_USED = {
    "eval_strategy": "every task is evaluated after each task; there is nothing to choose",
    "eval_on_start": "the untrained model is always evaluated first",
    "eval_steps": "every task is evaluated after each task; there is nothing to choose",
    "eval_delay": "every task is evaluated after each task; there is nothing to choose",
    "do_train": "a run always trains and evaluates",
    "do_eval": "a run always trains and evaluates",
    "do_predict": "a run always trains and evaluates",
    "prediction_loss_only": _EVALUATION,
    "eval_do_concat_batches": _EVALUATION,
    "eval_use_gather_object": _EVALUATION,
    "eval_accumulation_steps": _EVALUATION,
    "include_for_metrics": _EVALUATION,
    "batch_eval_metrics": _EVALUATION,
    "bf16_full_eval": "evaluation has the precision of training; set bf16",
    "fp16_full_eval": "evaluation has the precision of training; set fp16",
    "load_best_model_at_end": _BEST,
    "metric_for_best_model": _BEST,
    "greater_is_better": _BEST,
    "auto_find_batch_size": "it would change the results of the method without a message",
    "resume_from_checkpoint": "run the same command again to resume from output_dir",
    "ignore_data_skip": "resuming is always exact, and skips without reading images",
    "save_only_model": "a checkpoint without the state of the optimizer cannot be resumed from",
    "save_on_each_node": "output_dir is written by the first process; other nodes need no copy of it",
    "enable_jit_checkpoint": "SIGTERM and Ctrl-C always save a checkpoint first",
    "restore_callback_states_from_checkpoint": "the callbacks of a run have no state but that of the method",
    "hub_always_push": "a push never starts before the one before it is done, and none is left out",
    "hub_revision": "main is the newest task, and each task is a tag",
    "hub_token": "a token belongs into HF_TOKEN, the login, or the variable that hub_token_env names",
    "fsdp": f"the launcher chooses it: accelerate launch --config_file {launch_file('fsdp')}",
    "fsdp_config": f"the launcher chooses it: accelerate launch --config_file {launch_file('fsdp')}",
    "deepspeed": f"the launcher chooses it: accelerate launch --config_file {CONFIGURATION}",
    "accelerator_config": "the loader shards the batches itself; gradient_accumulation_steps has a value of its own",
    "parallelism_config": "tensor and context parallelism are not supported; choose DDP, FSDP or ZeRO by the launcher",
    "local_rank": "the launcher sets it",
    "train_sampling_strategy": "each epoch is a fresh permutation of the task's images",
    "length_column_name": "each epoch is a fresh permutation of the task's images",
    "dataloader_persistent_workers": _ONE_PASS,
    "dataloader_in_order": _ONE_PASS,
    "remove_unused_columns": "columns are chosen by the task",
    "label_names": "columns are chosen by the task",
    "logging_nan_inf_filter": "skip_nonfinite_steps decides what happens to losses that are not finite",
    "neftune_noise_alpha": _LANGUAGE,
    "use_liger_kernel": _LANGUAGE,
    "liger_kernel_config": _LANGUAGE,
    "use_cache": _LANGUAGE,
    "average_tokens_across_devices": _LANGUAGE,
    "include_num_input_tokens_seen": _LANGUAGE,
    "optim_target_modules": "it is for optimizers of language models (GaLore, APOLLO); choose another optim",
}

# Of these, what a `ContinualTrainer` without a stream takes; `do_eval` follows from `eval_strategy`.
ALONE = frozenset(
    (
        "eval_strategy",
        "eval_steps",
        "eval_delay",
        "eval_on_start",
        "do_eval",
        "restore_callback_states_from_checkpoint",
    )
)


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
            Repository to resume from: what it holds of this run is downloaded into `output_dir` first, the last
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
        if problems := _refused(self._changed()):  # a hub_token would be saved with every checkpoint
            raise RecipeError(problems, "the training values")
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

    def _changed(self) -> dict[str, Any]:
        """The values that are not the defaults, those in `ALONE` left out."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init and f.name not in ALONE}
        default = {
            f.name: f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
            for f in dataclasses.fields(self)
        }
        default["accelerator_config"] = AcceleratorConfig()  # what `TrainingArguments` makes of `None`
        return {key: value for key, value in values.items() if value is not None and value != default[key]}

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
        found = _refused(values)
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
    """Training values alone, validated without a recipe."""

    training: dict[str, Any] = field(default_factory=dict)


def _refused(values: dict[str, Any]) -> list[str]:
    """Values that would do nothing, here or on this machine, a line each with the reason."""
    found = [f"{key}: cannot be set; {NOT_USED[key]}" for key in values if key in NOT_USED]
    if (strategy := _name(values.get("save_strategy") or "no")) not in ("no", "steps"):
        found.append(
            f"save_strategy: {strategy} is not supported: the end of each task is always saved. Choose steps (a "
            "checkpoint every save_steps steps too) or no"
        )
    if _name(values.get("logging_strategy") or "no") == "epoch":
        found.append("logging_strategy: epoch is not supported; choose steps (every logging_steps steps) or no")
    if values.get("use_cpu") or not torch.accelerator.is_available():
        found += [
            f"{key}: needs a GPU, and this run is on a CPU; {instead}"
            for key, instead in (
                ("fp16", "set bf16: true, or leave it out"),
                ("tf32", "leave it out"),
                ("ddp_timeout", "leave it out"),
            )
            if values.get(key)
        ]
    if "tpu_metrics_debug" in (debug := [str(_name(option)) for option in _list(values.get("debug"))]):
        found.append(f"debug: {' '.join(debug)} is not supported; choose underflow_overflow")
    return found


def _list(value: Any) -> list[Any]:
    return value.split() if isinstance(value, str) else list(value or [])


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
            chosen = Trainer.get_optimizer_cls_and_kwargs(args)
            if args.optim_args and chosen == Trainer.get_optimizer_cls_and_kwargs(_without_optim_args(args)):
                raise ValueError("it does not use these optim_args; leave them out")
        except (ValueError, ImportError, RuntimeError) as error:
            raise ValueError(f"optim: {_name(args.optim)} cannot be used here: {error}") from None


def _without_optim_args(args: ContinualTrainingArguments) -> ContinualTrainingArguments:
    copied = copy.copy(args)
    copied.optim_args = None
    return copied


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
