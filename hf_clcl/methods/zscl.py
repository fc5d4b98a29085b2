"""ZSCL: distillation from the initial CLIP on a reference set, weight ensemble and weight consolidation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from transformers import CLIPModel

from .. import losses
from ..data.frames import Frames
from ..teacher import embed_all_images, embed_all_texts
from .base import Embeddings, TaskContext
from .regularized import Regularized


@dataclass
class ZSCL(Regularized):
    """Zero-shot continual learning: learn the task while the similarities of reference images to reference texts stay
    those of the initial CLIP.

    With `E` the teacher's embeddings of M reference texts, `f` and `g` the student's and the teacher's embeddings of R
    reference images, `Z = s f E^T` and `Zt = s g E^T`, both `[R, M]`: the image loss is `KD(Zt, Z)` over texts, the
    text loss `KD(Zt^T, Z^T)` over images. The texts are the teacher's on both sides.

    Source: Zheng et al., ICCV 2023, arXiv 2303.06628, eq. 3-6.

    Args:
        image_weight (`float`, defaults to 1.0): Weight of the image loss (softmax over reference texts).
        text_weight (`float`, defaults to 1.0): Weight of the text loss (softmax over reference images).
        temperature (`float`, defaults to 2.0): Temperature of the distillation.
        l2_weight (`float`, defaults to 1.0): Weight of the L2 penalty to the start of the task.
        averaging_interval (`int`, defaults to 100): Steps between two snapshots of the weight ensemble.
    """

    name: ClassVar[str] = "zscl"
    needs_reference_images: ClassVar[bool] = True
    needs_reference_texts: ClassVar[bool] = True

    image_weight: float = 1.0
    text_weight: float = 1.0
    temperature: float = 2.0
    l2_weight: float = 1.0
    averaging_interval: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        self.teacher_texts: Tensor | None = None
        self.teacher_images: Tensor | None = None

    def problems(self) -> list[str]:
        found = super().problems()
        if self.temperature <= 0:
            found.append(f"temperature: must be above 0, found {self.temperature}")
        found += [
            f"{name}: must not be negative, found {getattr(self, name)}"
            for name in ("image_weight", "text_weight")
            if getattr(self, name) < 0
        ]
        return found

    def begin_task(self, model: CLIPModel, context: TaskContext) -> None:
        super().begin_task(model, context)
        if self.teacher_images is None:  # the initial CLIP and the reference set are the same for the whole run
            teacher = context.initial_model().to(model.device)
            self.teacher_texts = embed_all_texts(teacher, context.reference_input_ids)
            self.teacher_images = embed_all_images(
                teacher,
                context.reference_frames,
                context.normalize,
                context.accelerator,
                context.args.per_device_eval_batch_size,
                "teacher: reference images",
            )

    def reference_frames(self, context: TaskContext) -> Frames | None:
        return context.reference_frames

    def terms(self, model: nn.Module, embeddings: Embeddings, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        terms = super().terms(model, embeddings, batch)
        teacher_images = self.teacher_images[batch["reference_index"]]
        scale = embeddings.scale.detach()
        student = scale * embeddings.reference_images @ self.teacher_texts.T
        teacher = scale * teacher_images @ self.teacher_texts.T
        if self.image_weight:
            loss, divergence = losses.distillation(teacher, student, self.temperature)
            terms["image_distillation_loss"] = self.image_weight * loss
            self.monitor("image_distillation_kl", divergence)
        if self.text_weight:
            loss, divergence = losses.distillation(teacher.T, student.T, self.temperature)
            terms["text_distillation_loss"] = self.text_weight * loss
            self.monitor("text_distillation_kl", divergence)
        return terms


@dataclass
class ZSCLStar(ZSCL):
    """ZSCL without the L2 penalty.

    Source: ZSCL* of Zheng et al., ICCV 2023, table 1.
    """

    name: ClassVar[str] = "zscl_star"
    l2_weight: float = 0.0
