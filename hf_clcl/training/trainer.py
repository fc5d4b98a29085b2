"""`ContinualTrainer`: train one task with a continual-learning method in a `transformers.Trainer`."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from datasets import Dataset
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, ProcessorMixin, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, TrainOutput, rotate_checkpoints
from transformers.utils import logging

from ..config.arguments import ContinualTrainingArguments
from ..config.schedules import OwnSchedulerType, get_zscl_schedule
from ..data.batches import ORDER, REFERENCE, Draws, TaskBatches
from ..data.images.frames import Frames, ImageCache, Normalizer
from ..data.inputs import evaluation_tasks
from ..data.task import Task
from ..data.task_data import TaskData
from ..distributed.processes import check_world_size
from ..distributed.tensors import full_tensor
from ..methods import Method, TaskContext, create_method
from ..models.checkpointing import checkpoint_texts
from ..models.embedding_cache import EmbeddingCache
from ..models.fast_layers import fast_layers, use_stock_layers
from ..models.sharded import gathered_model
from ..models.weights import choose_trainable, copy_of, forget_other_trainers
from ..utils.errors import RecipeError, UserError
from ..utils.required import required
from ..utils.unpickling import explain_unpickling_errors
from .checkpoints import METHOD_STATE, PARTIAL, atomic_checkpoint, last_intact_checkpoint, save_state
from .datasets_evaluation import DatasetsEvaluation
from .inputs import check_alone, check_arguments, reference_frames, reference_ids, task_data
from .nonfinite import FiniteSteps, all_finite, not_finite
from .progress import TaskProgress
from .sharded_trainer import ShardedTrainer
from .weight_change import WeightChange

logger = logging.get_logger(__name__)


@dataclass(frozen=True)
class StreamPlace:
    """The position of a task in its stream, and what the tasks share.

    Args:
        index (`int`, defaults to 0): Index of the task in the stream.
        step_offset (`int`, defaults to 0): Steps of the stream before this task; trackers log the sum.
        cache (`ImageCache`, *optional*): Cache of decoded images, shared by the tasks of the stream.
        initial_model (`Callable[[], PreTrainedModel]`, *optional*): Loads the base model of the stream, frozen.
        warned (`set[str]`): Training values that the stream has warned of, once for all its tasks.
    """

    index: int = 0
    step_offset: int = 0
    cache: ImageCache | None = None
    initial_model: Callable[[], PreTrainedModel] | None = None
    warned: set[str] = field(default_factory=set)


class ContinualTrainer(ShardedTrainer):
    """A `transformers.Trainer` that trains a CLIP on one task with a continual-learning method.

    ```python
    trainer = ContinualTrainer(
        model, ContinualTrainingArguments("out", max_steps=100), method="zscl", train_dataset=dataset["train"],
        eval_dataset={"cifar10": dataset["test"]}, processing_class=processor, reference_images=images,
        reference_texts=["a photo of a cat", ...],
    )
    trainer.train()
    trainer.evaluate()
    ```

    Optimizer, schedule and step counts start again with each task, so each task needs its own trainer.
    [`~hf_clcl.run_stream`] does that, and evaluates, saves and resumes. Checkpoints in `args.output_dir` also hold the
    state of the method.

    Args:
        model (`PreTrainedModel`): The model to train; its weights are changed in place.
        args (`ContinualTrainingArguments`): Training values; they are copied, and never changed.
        method (`str`, `Method` or `type[Method]`, defaults to `"zscl"`):
            The continual-learning method: a name of `METHODS`, `file.py:Class`, a class, or an instance.
        train_dataset (`Dataset` or `Task`):
            The training data. The class names of a `Dataset` come from its `ClassLabel` column, and the prompt is "a
            photo of a {}."; a `Task` sets columns, class names and prompts. A `TaskData` is used unchanged.
        eval_dataset (`Dataset`, `Task`, or a `dict` of them, *optional*): The data that [`evaluate`] uses.
        processing_class (`ProcessorMixin`, *optional*):
            Tokenizer and image processor; required unless `train_dataset` is a `TaskData`.
        reference_images (`Dataset`, *optional*): Images of the reference set, for methods that distil on one.
        reference_texts (`Sequence[str]`, *optional*): Texts of the reference set, or their token ids `[M, L]`.
        method_options (`dict`, *optional*): Options of a method that is given by name or class.
        callbacks (`list[TrainerCallback]`, *optional*): As for any `Trainer`.
        stream (`StreamPlace`, *optional*): The position of the task in a stream.

    Raises:
        UserError: If an argument cannot be used; the message says what to pass.
        TrainingError: During training, if a loss is not a finite number.
    """

    args: ContinualTrainingArguments
    processing_class: ProcessorMixin | None
    # `forward` of the models accepts any keyword, which the Trainer takes as a sign that losses are already divided by
    # the number of accumulation steps.
    loss_is_scaled_for_ga = False

    def __init__(
        self,
        model: PreTrainedModel,
        args: ContinualTrainingArguments,
        method: str | Method | type[Method] = "zscl",
        *,
        train_dataset: Dataset | Task | TaskData,
        eval_dataset: Dataset | Task | Mapping[str, Dataset | Task] | None = None,
        processing_class: ProcessorMixin | None = None,
        reference_images: Dataset | Frames | None = None,
        reference_texts: Sequence[str] | Tensor | None = None,
        method_options: dict[str, Any] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        stream: StreamPlace | None = None,
    ):
        check_arguments(args)
        method = create_method(method, method_options)
        if stream is None:
            processing_class = check_alone(model, method, train_dataset, processing_class)
            stream = StreamPlace(cache=ImageCache(args.image_cache_mb))
        if problems := method.reference_problems(reference_images is not None, reference_texts is not None):
            raise RecipeError(problems, "the arguments")
        self.method, self.step_offset, self.cache = method, stream.step_offset, stream.cache
        self._warned = stream.warned
        self.seconds_before = 0.0
        self.weight_change: float | None = None
        self._sums: dict[str, Tensor] = {}
        self._summed = 0
        self._started = time.monotonic()
        self._eval_tasks = None if eval_dataset is None else evaluation_tasks(eval_dataset)
        self._evaluation: DatasetsEvaluation | None = None
        self._untrained: dict[str, float] | None = None
        self.normalize = Normalizer(processing_class.image_processor) if processing_class else _identity
        data = task_data(train_dataset, processing_class, stream.cache, args.min_crop_scale)
        self.data = data
        forget_other_trainers(model)
        choose_trainable(model, args.trainable, args.train_logit_scale)
        checkpoint_texts(model, data.tokens(args.per_device_train_batch_size) > args.checkpoint_texts_above)
        args = copy.copy(args)  # values that are set below and by the Trainer apply to this task only
        args.logging_nan_inf_filter = args.skip_nonfinite_steps > 0  # skipped steps do not enter the mean loss
        super().__init__(
            model=model,
            args=args,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            callbacks=[*(callbacks or []), *method.callbacks()],
        )
        for printing in (ProgressCallback, PrinterCallback):
            self.remove_callback(printing)
        self.finite = FiniteSteps(args.skip_nonfinite_steps, data.name, self.accelerator)
        self.add_callback(self.finite)
        if not args.disable_tqdm:
            self.add_callback(TaskProgress(f"task {stream.index + 1}: {data.name}"))
        self.context = TaskContext(
            name=data.name,
            index=stream.index,
            args=args,
            accelerator=self.accelerator,
            frames=data.frames,
            input_ids=data.input_ids,
            normalize=self.normalize,
            initial_model=stream.initial_model or copy_of(model),
            reference_frames=reference_frames(reference_images, processing_class, stream.cache),
            reference_input_ids=reference_ids(reference_texts, processing_class),
            labels=data.labels,
            captions_of=data.captions_of,
            tokenizer=processing_class.tokenizer if processing_class else None,
            seed=(self._first_seed, stream.index),
            drawn=self._drawn,
            embeddings=EmbeddingCache(Path(args.embedding_cache_dir)) if args.embedding_cache_dir else None,
        )
        self._fit_schedule()

    def train(
        self, resume_from_checkpoint: str | bool | None = None, trial: Any = None, *args: Any, **kwargs: Any
    ) -> TrainOutput:
        """Train on the task, from its start or from a checkpoint, and run the end of the task of the method.

        If there is an `eval_dataset`, its accuracy before training is measured first, unless it is known.

        Args:
            resume_from_checkpoint (`str` or `bool`, *optional*):
                Folder of a checkpoint of this task; `True` for the newest intact one in `args.output_dir`.
            trial, args, kwargs: As for `Trainer.train`.

        Raises:
            UserError: If `resume_from_checkpoint` is `True` and there is no checkpoint.
        """
        if self._eval_tasks is not None and self._untrained is None:
            self._untrained = self._measure()
        with fast_layers(self.model, self.method.wants_patch_tokens):
            return self._train(self._checkpoint(resume_from_checkpoint), trial, *args, **kwargs)

    def _checkpoint(self, resume_from_checkpoint: str | bool | None) -> str | None:
        """The checkpoint folder that a value of `resume_from_checkpoint` means."""
        if not isinstance(resume_from_checkpoint, bool):
            return resume_from_checkpoint
        if not resume_from_checkpoint:
            return None
        newest = last_intact_checkpoint(self._output_dir)
        if newest is None:
            raise UserError(
                f"resume_from_checkpoint: {self._output_dir} has no checkpoint to resume from; leave it out to start "
                "the task"
            )
        return str(newest)

    def _train(self, resume_from_checkpoint: str | None, *args: Any, **kwargs: Any) -> TrainOutput:
        self._started = time.monotonic()
        change = WeightChange(self.model)
        self.method.begin_task(self.model, self.context)
        if resume_from_checkpoint is not None:
            state = load_file(os.path.join(resume_from_checkpoint, METHOD_STATE))
            self.seconds_before = float(state.pop("seconds"))
            check_world_size(
                int(state.pop("processes", self.args.world_size)), self.args.world_size, resume_from_checkpoint
            )
            self.finite.skipped = int(state.pop("skipped", 0))
            self.method.load_state_dict({name: tensor.to(self.args.device) for name, tensor in state.items()})
        with explain_unpickling_errors(resume_from_checkpoint):
            output = super().train(resume_from_checkpoint, *args, **kwargs)
        self._drain()
        self._check_weights()
        with fast_layers(model := gathered_model(self.model), self.method.wants_patch_tokens):
            self.model = self.method.end_task(model)
        use_stock_layers(self.model)  # needed if the method returns a copy
        self.weight_change = change.relative(self.model)
        if self.weight_change == 0.0:
            logger.warning(
                f"{self.data.name}: TRAINING CHANGED NO WEIGHT: after {self.args.max_steps} steps the model equals "
                "the model at the start of the task, and its results are those of the model before the task. Check "
                f"learning_rate (now {self.args.learning_rate:g}), warmup_steps ({self.args.warmup_steps:g}), the "
                f"precision, and the options of the method {self.method.name}"
            )
        return output

    @property
    def seconds(self) -> float:
        """Time spent on this task so far in seconds, including the time before it was stopped."""
        return self.seconds_before + time.monotonic() - self._started

    # Evaluation

    def evaluate(
        self,
        eval_dataset: Dataset | Task | Mapping[str, Dataset | Task] | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Measure accuracy in percent, and its change against the model before training.

        Images are classified with the prompts of their dataset among its own classes. The model before training is
        measured at the start of the first `train()`, on the `eval_dataset` of the constructor. For other datasets no
        change is reported.

        Args:
            eval_dataset (`Dataset`, `Task`, or a `dict` of them, *optional*): Other datasets than the constructor's.
            ignore_keys (`list[str]`, *optional*): Not used; part of the signature of `Trainer.evaluate`.
            metric_key_prefix (`str`, defaults to `"eval"`): Prefix of each metric name.

        Returns:
            `dict[str, float]`: For each dataset `eval_<name>_accuracy`, `eval_<name>_zero_shot_accuracy` (before
            training) and `eval_<name>_zero_shot_change` (their difference, in points). `eval_accuracy` and so on are
            the means, or the values of a dataset without a name. For captions and videos, accuracy is the mean R@1 of
            both directions, and `eval_<name>_image_to_text_r1` and similar metrics are reported too.

        Raises:
            UserError: If there is no `eval_dataset`.
        """
        if eval_dataset is None and self._eval_tasks is None:
            raise UserError("evaluate() needs data: pass eval_dataset to it or to ContinualTrainer")
        measured = self._measure(None if eval_dataset is None else evaluation_tasks(eval_dataset))
        if eval_dataset is None and self._untrained is None and self.state.global_step == 0:
            self._untrained = measured
        before = self._untrained if eval_dataset is None and self._untrained is not None else {}
        for key in [key for key in before if key.endswith("accuracy")]:
            stem = key.removesuffix("accuracy")
            measured = {
                **measured,
                f"{stem}zero_shot_accuracy": before[key],
                f"{stem}zero_shot_change": measured[key] - before[key],
            }
        metrics = {f"{metric_key_prefix}_{key}": value for key, value in measured.items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _measure(self, tasks: Mapping[str, Task] | None = None) -> dict[str, float]:
        """Evaluate the current model, on the `eval_dataset` of the constructor if no tasks are given."""
        if self.processing_class is None:
            raise UserError("evaluation needs a processor: pass ContinualTrainer(..., processing_class=processor)")
        evaluation = self._evaluation if tasks is None else None
        if evaluation is None:
            evaluation = DatasetsEvaluation(
                tasks or self._eval_tasks or {}, self.processing_class, self.accelerator, self.args,
                self.cache or ImageCache(0),
            )  # fmt: skip
        if tasks is None:
            self._evaluation = evaluation
        return evaluation(nn.Module.to(self.accelerator.unwrap_model(self.model), self.args.device))

    # Data

    def get_train_dataloader(self) -> DataLoader:
        args = self.args
        reference = self.method.reference_frames(self.context)
        batches = TaskBatches(
            data=self.data,
            draws=self.draws(len(self.data.frames), args.per_device_train_batch_size, ORDER),
            steps=args.max_steps * args.gradient_accumulation_steps,
            seed=self._seed,
            reference=reference,
            reference_draws=None
            if reference is None
            else self.draws(len(reference), args.reference_batch_size, REFERENCE),
        )
        workers = args.dataloader_num_workers or 0
        return DataLoader(
            batches,
            batch_size=1,  # one item is a batch; when the Trainer resumes, it skips items without reading them
            collate_fn=_only,
            num_workers=workers,
            pin_memory=args.dataloader_pin_memory and self.accelerator.device.type == "cuda",
            prefetch_factor=(args.dataloader_prefetch_factor or 4) if workers else None,
            multiprocessing_context=args.dataloader_multiprocessing_context if workers else None,
        )

    def draws(self, rows: int, batch_size: int, stream: int) -> Draws:
        """The rows of each step: of the task's images (`stream` is `ORDER`) or of the reference set (`REFERENCE`)."""
        args = self.args
        return Draws(
            rows, batch_size, (*self._seed, stream), args.process_index, args.world_size,
            drop_last=args.dataloader_drop_last, wrap=stream == REFERENCE,
        )  # fmt: skip

    def _drawn(self, rows: int) -> np.ndarray:
        """Rows of a reference set of this size that the steps of the task use on all ranks."""
        draws = self.draws(rows, self.args.reference_batch_size, REFERENCE)
        return draws.seen(self.args.max_steps * self.args.gradient_accumulation_steps)

    @property
    def _first_seed(self) -> int:
        return self.args.seed if self.args.data_seed is None else self.args.data_seed

    @property
    def _seed(self) -> tuple[int, ...]:
        return self.context.seed

    def _fit_schedule(self) -> None:
        """Convert epochs into steps, so that a task is one pass of the loader, and fit the intervals to the task."""
        args, rows = self.args, len(self.data.frames)
        draws = self.draws(rows, args.per_device_train_batch_size, ORDER)
        self.steps_per_epoch = draws.steps_per_epoch / args.gradient_accumulation_steps
        args.max_steps = args.steps_for(rows)
        if args.warmup_steps >= args.max_steps and args.warmup_steps > 1:
            never = (
                f"{self.data.name}: a warm-up of {args.warmup_steps:g} steps would never end within {args.max_steps}"
            )
            if args.closing_steps:
                self._warn_once(
                    "warmup_steps", f"{never} steps; cosine_zscl keeps it, as the public code of ZSCL does"
                )
            else:
                fitted = args.max_steps // 10
                self._warn_once(
                    "warmup_steps",
                    f"{never} steps; it is cut to {fitted}, and to a tenth in every task that is too short",
                )
                args.warmup_steps = fitted
        args.logging_steps = min(args.logging_steps, args.max_steps)  # else a short task would log no loss

    def _warn_once(self, value: str, message: str) -> None:
        """Log a warning about a training value, for the first task of a stream that it concerns."""
        if value not in self._warned:
            logger.warning(message)
        self._warned.add(value)

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """The schedule of `lr_scheduler_type`, which may be one of this package."""
        if self.lr_scheduler is None and self.args.lr_scheduler_type == OwnSchedulerType.COSINE_ZSCL:
            warmup = self.args.get_warmup_steps(num_training_steps - 1)  # the last step was not asked for
            self.lr_scheduler = get_zscl_schedule(
                cast(Optimizer, optimizer or self.optimizer), warmup, num_training_steps
            )
            self._created_lr_scheduler = True
        return super().create_scheduler(num_training_steps, optimizer)

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        inputs = super()._prepare_inputs(inputs)
        for name in ("pixel_values", "reference_pixel_values"):
            if name in inputs:
                inputs[name] = self.normalize(inputs[name])
        return inputs

    # Loss and logs

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        terms = self.method.losses(model, inputs)
        loss = torch.stack([term.float() for term in terms.values()]).sum()
        seen = {**terms, **self.method.monitored}
        self.method.monitored.clear()
        if self.finite.losses_finite(seen.values()):
            for name, value in seen.items():
                value = value.detach().float()
                self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._summed += 1
        return (loss, terms) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs |= self._drain()
        fraction = self.state.epoch
        if fraction is not None:
            self.state.epoch = self.state.global_step / self.steps_per_epoch  # for the Trainer, a task is one epoch
        self.state.global_step += self.step_offset
        try:
            super().log(logs, start_time)
        finally:
            self.state.global_step -= self.step_offset
            self.state.epoch = fraction

    def _drain(self) -> dict[str, float]:
        """Means of the named losses since the last call, over all ranks.

        Raises:
            TrainingError: If one is not finite. This runs before each save, so a broken model is never saved.
        """
        if not self._summed:
            return {}
        names = list(self._sums)
        means = torch.stack([self._sums[name] for name in names]) / self._summed
        means = self.accelerator.reduce(means, reduction="mean").tolist()
        self._sums, self._summed = {}, 0
        broken = [name for name, value in zip(names, means, strict=True) if not math.isfinite(value)]
        if broken:
            raise not_finite(self.data.name, ", ".join(broken), self.state, self._get_learning_rate())
        return dict(zip(names, means, strict=True))

    def _check_weights(self) -> None:
        """Raise a `TrainingError` if a weight is not finite, which can happen while every loss is still finite."""
        if not self.finite.on_all_ranks(all_finite(p for p in self.model.parameters() if p.requires_grad)):
            raise not_finite(self.data.name, "a weight of the model", self.state, self._get_learning_rate())

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """Without clipping, compute the norm for logged steps only, since it costs two passes over all gradients."""
        logged = (self.state.global_step + 1) % self.state.logging_steps == 0 or self.args.logging_first_step
        return super()._get_grad_norm(model, grad_norm) if grad_norm is not None or logged else None

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return 0  # the estimate of the Trainer is for language models

    # Checkpoints

    @property
    def _output_dir(self) -> Path:
        return Path(required(self.args.output_dir, "output_dir"))

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._output_dir / PARTIAL)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save a checkpoint with the state of the method in a temporary folder, and move it when it is complete."""
        if self.state.global_step >= self.args.max_steps:
            return  # after the last step the task itself is saved
        sums, summed = dict(self._sums), self._summed
        self._drain()
        self._check_weights()
        self._sums, self._summed = sums, summed
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        with atomic_checkpoint(self._output_dir / name, self.args.should_save) as partial:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            state = {n: full_tensor(t.detach()) for n, t in self.method.state_dict().items()}
            if self.args.should_save:
                own = {"processes": self.args.world_size, "skipped": self.finite.skipped}
                seconds = torch.tensor(self.seconds, dtype=torch.float64)
                save_state({**state, "seconds": seconds, **{n: torch.tensor(v) for n, v in own.items()}}, partial)
        if self.args.should_save:
            rotate_checkpoints(
                output_dir=str(self._output_dir), save_total_limit=self.args.save_total_limit, use_mtime=False
            )
        self.accelerator.wait_for_everyone()


def _only(items: list[Any]) -> Any:
    return items[0]


def _identity(pixel_values: Tensor) -> Tensor:
    return pixel_values
