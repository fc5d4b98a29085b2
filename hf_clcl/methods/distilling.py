"""Distillation of image-text similarities: the base of LwF, VR-LwF, iCaRL and ZSCL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Gt
from torch import Tensor
from transformers import PreTrainedModel

from ..utils.required import required
from . import losses
from .base import Embeddings, TaskContext
from .guided import Guided


@dataclass
class Distilling(Guided):
    """Train on the task, and distil the similarities of reference images and reference texts from the teacher.

    With `E` the teacher's embeddings of M reference texts `[M, d]`, `f` and `g` the student's and the teacher's of R
    reference images `[R, d]`, `Z = s f E^T` and `Zt = s g E^T`, both `[R, M]`: the image loss is `KD(Zt, Z)` over
    texts, the text loss `KD(Zt^T, Z^T)` over images. See [`~hf_clcl.methods.losses.distillation`] for `KD`.

    Source: Zheng et al., ICCV 2023, arXiv 2303.06628 and its public code, ablations included.

    Args:
        image_weight (`float`, defaults to 1.0): Weight of the image loss (softmax over reference texts).
        text_weight (`float`, defaults to 1.0): Weight of the text loss (softmax over reference images).
        temperature (`float`, defaults to 2.0): Temperature of the distillation.
        direction (`str`, defaults to `"forward"`):
            `forward` (cross-entropy of the teacher's distribution with the student's) or `reverse` (divergence of the
            student's from the teacher's).
        student_texts (`bool`, defaults to `False`):
            Encode the reference texts of `Z` with the student's text encoder, so that distillation trains it too. This
            is slow: they are encoded at each step.
        feature_mse_weight (`float`, defaults to 0.0):
            Weight of the mean squared error between the image embeddings `f` and `g`.
        relational_weight (`float`, defaults to 0.0):
            Weight of the distillation of the similarities among the images, `s f f^T`, without the diagonal.
    """

    name: ClassVar[str] = "distilling"

    image_weight: float = 1.0
    text_weight: float = 1.0
    temperature: Annotated[float, Gt(0)] = 2.0
    direction: Literal["forward", "reverse"] = "forward"
    student_texts: bool = False
    feature_mse_weight: float = 0.0
    relational_weight: float = 0.0

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        self.text_ids: Tensor | None = None
        super().begin_task(model, context)
        if self.student_texts:
            self.text_ids = self.reference_texts(context)

    def extra_texts(self) -> Tensor | None:
        return self.text_ids

    def guidance(self, teacher_images: Tensor, embeddings: Embeddings) -> dict[str, Tensor]:
        scale, images = embeddings.scale.detach(), required(embeddings.reference_images, "embeddings of references")
        teacher_texts = required(self.teacher_texts, "teacher's embeddings of texts")
        texts = self.student_reference_texts(embeddings) if self.student_texts else teacher_texts
        student, teacher = scale * images @ texts.T, scale * teacher_images @ teacher_texts.T
        reverse = self.direction == "reverse"
        terms = {}
        if self.image_weight:
            loss, divergence = losses.distillation(teacher, student, self.temperature, reverse)
            terms["image_distillation_loss"] = self.image_weight * loss
            self.monitor("image_distillation_kl", divergence)
        if self.text_weight:
            loss, divergence = losses.distillation(teacher.T, student.T, self.temperature, reverse)
            terms["text_distillation_loss"] = self.text_weight * loss
            self.monitor("text_distillation_kl", divergence)
        if self.feature_mse_weight:
            terms["feature_loss"] = self.feature_mse_weight * losses.feature_mse(teacher_images, images)
        if self.relational_weight:
            loss = losses.relational(teacher_images, images, scale, self.temperature)
            terms["relational_loss"] = self.relational_weight * loss
        return terms

    def student_reference_texts(self, embeddings: Embeddings) -> Tensor:
        """The student's embeddings `[M, d]` of the reference texts; used with `student_texts`."""
        return required(embeddings.extra_texts, "student's embeddings of texts")
