"""Fine-tuning with a frozen teacher, whose embeddings are computed once before each task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..config.validation import between
from ..data.images.frames import Frames
from ..data.images.image_source import ImageSource
from ..models.embedding import embed_all_images, embed_all_texts
from ..models.embedding_cache import key_of
from ..models.loading import load_model
from ..models.weights import frozen_copy, move, plain_weights
from ..utils.errors import UserError
from ..utils.required import required
from . import losses
from .averaging import interpolate, load_parameters
from .base import Embeddings, TaskContext
from .regularized import Regularized


@dataclass
class Guided(Regularized, ABC):
    """Base of the methods that compare the student with a frozen teacher on reference images.

    Reference images have the evaluation transform, which is deterministic. So the teacher embeds each of them once and
    is then freed; only a method that draws new texts at each step keeps it. By default, the reference images are those
    of the task.

    Args:
        teacher (`str`, defaults to `"previous"`):
            `previous` (the model at the start of the task), `initial` (the untrained model), `wise` (an interpolation
            of their weights), or the name or folder of a model with the student's architecture and size.
        teacher_mixture (`float`, defaults to 0.8): Weight of `previous` in the `wise` teacher.
    """

    teacher: str = "previous"
    teacher_mixture: Annotated[float, between(0, 1)] = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.teacher_images: Tensor | None = None
        self.teacher_texts: Tensor | None = None
        self._embedded_before: tuple[Any, ...] | None = None

    def model_problems(self, model: PreTrainedModel) -> list[str]:
        problems = super().model_problems(model)
        if self.teacher in ("previous", "initial", "wise"):
            return problems
        return problems + self._shape_problems(model, load_model(self.teacher))

    def _shape_problems(self, model: PreTrainedModel, teacher: PreTrainedModel) -> list[str]:
        needed, given = ({n: tuple(t.shape) for n, t in plain_weights(m).items()} for m in (model, teacher))
        if needed == given:
            return []
        name = next(n for n in {**needed, **given} if needed.get(n) != given.get(n))
        return [
            f"teacher: {self.teacher} must have the student's shape: {name} must be {needed.get(name)}, got "
            f"{given.get(name)}. Choose initial, previous, wise, or a model of the same size"
        ]

    def reference_frames(self, context: TaskContext) -> ImageSource | None:
        return context.frames

    def reference_texts(self, context: TaskContext) -> Tensor | None:
        """Token ids `[M, L]` of the texts that the teacher embeds for this task; `None` for none."""
        return None

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        super().begin_task(model, context)
        frames, texts = self.reference_frames(context), self.reference_texts(context)
        if frames is None:
            return
        rows = context.drawn(len(frames))
        if self.teacher not in ("previous", "wise"):
            # The teacher never changes. If this task uses most of the images, embed all of them for later tasks.
            rows = np.arange(len(frames)) if 2 * len(rows) > len(frames) else rows
            key = (frames, len(rows) == len(frames), None if texts is None else texts.tolist())
            if key[1] and key == self._embedded_before:
                return
            self._embedded_before = key
        teacher = self.build_teacher(model, context)
        if texts is not None:
            self.teacher_texts = embed_all_texts(teacher, texts)
        self.teacher_images = self._embed(teacher, frames, rows, context)

    def _embed(self, teacher: PreTrainedModel, frames: ImageSource, rows: np.ndarray, context: TaskContext) -> Tensor:
        """The teacher's embeddings `[N, d]` of some images, from the disk cache if they are there."""
        batch_size, accelerator, key = context.args.per_device_eval_batch_size, context.accelerator, None
        cache = context.embeddings
        # Only `Frames` can be hashed; the `previous` and the `wise` teacher differ from task to task.
        if cache is not None and self.teacher not in ("previous", "wise") and isinstance(frames, Frames):
            key = key_of(teacher, frames, rows, batch_size, accelerator)
            cached = cache.read(key)
            share = accelerator.reduce(torch.tensor(float(cached is not None), device=accelerator.device), "mean")
            if cached is not None and share == 1:  # all processes must load them, or none
                return cached.to(teacher.device)
        embedded = embed_all_images(
            teacher, frames, context.normalize, accelerator, batch_size, "teacher: reference images", rows,
            show=not context.args.disable_tqdm,
        )  # fmt: skip
        if cache is not None and key is not None and accelerator.is_main_process:
            cache.write(key, embedded)
        return embedded

    def build_teacher(self, model: PreTrainedModel, context: TaskContext) -> PreTrainedModel:
        """The teacher of this task. `previous` is the student itself before the first step: nothing is copied."""
        if self.teacher == "previous":
            return model
        if self.teacher == "initial":
            return move(context.initial_model(), model.device)
        if self.teacher == "wise":
            teacher = move(frozen_copy(context.initial_model()), model.device)
            initial: dict[str, Tensor] = dict(teacher.named_parameters())
            load_parameters(teacher, interpolate(initial, plain_weights(model), self.teacher_mixture))
            return teacher
        teacher = load_model(self.teacher).requires_grad_(False)
        if problems := self._shape_problems(model, teacher):
            raise UserError("; ".join(problems))
        return move(teacher, model.device)

    def terms(self, model: nn.Module, embeddings: Embeddings, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        terms = super().terms(model, embeddings, batch)
        if embeddings.reference_images is not None:
            # Some losses compare the images of a batch with each other, so they need the batch of all processes.
            index = losses.gather_rows(batch["reference_index"])
            embeddings = replace(embeddings, reference_images=losses.gather_rows(embeddings.reference_images))
            teacher_images = required(self.teacher_images, "teacher's embeddings of references")
            terms |= self.guidance(teacher_images[index], embeddings)
        return terms

    @abstractmethod
    def guidance(self, teacher_images: Tensor, embeddings: Embeddings) -> dict[str, Tensor]:
        """The losses between teacher and student.

        Args:
            teacher_images (`Tensor` of shape `[R, d]`): The teacher's embeddings of the reference images of this step.
            embeddings (`Embeddings`): The student's embeddings.
        """
