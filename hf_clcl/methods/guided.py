"""Fine-tuning beside a frozen teacher, whose embeddings are computed once, before the task."""

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
from ..models.embedding import embed_all_images, embed_all_texts
from ..models.embedding_cache import key_of
from ..models.loading import load_model
from ..models.weights import frozen_copy, plain_weights
from ..utils.errors import UserError
from . import losses
from .averaging import interpolate, load_parameters
from .base import Embeddings, TaskContext
from .regularized import Regularized


@dataclass
class Guided(Regularized, ABC):
    """Base of the methods that compare the student with a frozen teacher on a second stream of images.

    Reference images have the evaluation transform, which is deterministic, so the teacher embeds each of them once and
    is then let go; only a method that draws new texts at each step keeps it. Unless a method says otherwise, the
    images are the task's own.

    Args:
        teacher (`str`, defaults to `"previous"`):
            `previous` (the model at the start of the task), `initial` (the zero-shot CLIP), `wise` (a mixture of their
            weights), or the name or folder of any CLIP of the student's shape.
        teacher_mixture (`float`, defaults to 0.8): Share of `previous` in the `wise` teacher; the rest is `initial`.
    """

    teacher: str = "previous"
    teacher_mixture: Annotated[float, between(0, 1)] = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.teacher_images: Tensor | None = None
        self.teacher_texts: Tensor | None = None
        self._asked: tuple[Any, ...] | None = None

    def model_problems(self, model: PreTrainedModel) -> list[str]:
        found = super().model_problems(model)
        if self.teacher in ("previous", "initial", "wise"):
            return found
        return found + self._shape_problems(model, load_model(self.teacher))

    def _shape_problems(self, model: PreTrainedModel, teacher: PreTrainedModel) -> list[str]:
        mine, theirs = ({n: tuple(t.shape) for n, t in plain_weights(m).items()} for m in (model, teacher))
        if mine == theirs:
            return []
        differing = next(n for n in {**mine, **theirs} if mine.get(n) != theirs.get(n))
        return [
            f"teacher: {self.teacher} is no CLIP of the student's shape: {differing} is {theirs.get(differing)}, "
            f"the student's {mine.get(differing)}. Choose initial, previous, wise, or a CLIP of the same size"
        ]

    def reference_frames(self, context: TaskContext) -> Frames | None:
        return context.frames

    def reference_texts(self, context: TaskContext) -> Tensor | None:
        """Token ids `[M, L]` of the texts that the teacher embeds for this task, if any."""
        return None

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        super().begin_task(model, context)
        frames, texts = self.reference_frames(context), self.reference_texts(context)
        if frames is None:
            return
        rows = context.drawn(len(frames))
        if self.teacher not in ("previous", "wise"):
            # The same teacher all along: where the task looks at most of the images, embed them all for later tasks.
            rows = np.arange(len(frames)) if 2 * len(rows) > len(frames) else rows
            asked = (frames, len(rows) == len(frames), None if texts is None else texts.tolist())
            if asked[1] and asked == self._asked:
                return
            self._asked = asked
        teacher = self.build_teacher(model, context)
        if texts is not None:
            self.teacher_texts = embed_all_texts(teacher, texts)
        self.teacher_images = self._embedded(teacher, frames, rows, context)

    def _embedded(self, teacher: PreTrainedModel, frames: Frames, rows: np.ndarray, context: TaskContext) -> Tensor:
        """The teacher's embeddings `[N, d]` of some images, from the disk where it has given them before."""
        batch_size, accelerator, key = context.args.per_device_eval_batch_size, context.accelerator, None
        # The previous model never comes again; what is no `Frames` does not tell what its images depend on.
        if context.embeddings is not None and self.teacher not in ("previous", "wise") and isinstance(frames, Frames):
            key = key_of(teacher, frames, rows, batch_size, accelerator)
            kept = context.embeddings.read(key)
            found = torch.tensor(float(kept is not None), device=accelerator.device)
            if accelerator.reduce(found, reduction="mean") == 1:  # all processes have them, or none takes them
                return kept.to(teacher.device)
        embedded = embed_all_images(
            teacher, frames, context.normalize, accelerator, batch_size, "teacher: reference images", rows,
            show=not context.args.disable_tqdm,
        )  # fmt: skip
        if key is not None and accelerator.is_main_process:
            context.embeddings.write(key, embedded)
        return embedded

    def build_teacher(self, model: PreTrainedModel, context: TaskContext) -> PreTrainedModel:
        """The teacher of this task. The previous model is the student as it stands now, so nothing is copied."""
        if self.teacher == "previous":
            return model
        if self.teacher == "initial":
            return context.initial_model().to(model.device)
        if self.teacher == "wise":
            teacher = frozen_copy(context.initial_model()).to(model.device)
            initial, previous = dict(teacher.named_parameters()), plain_weights(model)
            load_parameters(teacher, interpolate(initial, previous, self.teacher_mixture))
            return teacher
        teacher = load_model(self.teacher).requires_grad_(False)
        if problems := self._shape_problems(model, teacher):
            raise UserError("; ".join(problems))
        return teacher.to(model.device)

    def terms(self, model: nn.Module, embeddings: Embeddings, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        terms = super().terms(model, embeddings, batch)
        if embeddings.reference_images is not None:
            # Some of these losses compare the images of a batch with each other: the batch of all processes.
            index = losses.gather_rows(batch["reference_index"])
            embeddings = replace(embeddings, reference_images=losses.gather_rows(embeddings.reference_images))
            terms |= self.guidance(self.teacher_images[index], embeddings)
        return terms

    @abstractmethod
    def guidance(self, teacher_images: Tensor, embeddings: Embeddings) -> dict[str, Tensor]:
        """The losses between teacher and student.

        Args:
            teacher_images (`Tensor` of shape `[R, d]`): The teacher's embeddings of the reference images of this step.
            embeddings (`Embeddings`): The student's.
        """
