"""Relational knowledge distillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..utils.required import required
from . import losses
from .base import Embeddings
from .guided import Guided


@dataclass
class RKD(Guided):
    """Distil the distances and angles among the image embeddings `[R, d]` of a batch from the model before the task.

    See [`~hf_clcl.methods.losses.relational_distance`] and [`~hf_clcl.methods.losses.relational_angle`].
    The images are those of the task.

    Source: Park et al., CVPR 2019, sections 3.2.1 (distance) and 3.2.2 (angle), with its weights for classification.

    Args:
        distance_weight (`float`, defaults to 25.0): Weight of the distances of pairs.
        angle_weight (`float`, defaults to 50.0): Weight of the angles of triplets; they need `R^3` numbers in memory.
        kwargs: The options of [`Guided`] and [`Regularized`].
    """

    name: ClassVar[str] = "rkd"
    citation: ClassVar[str] = """@inproceedings{park2019rkd,
  title = {Relational Knowledge Distillation},
  author = {Park, Wonpyo and Kim, Dongju and Lu, Yan and Cho, Minsu},
  booktitle = {CVPR},
  year = {2019}
}"""

    distance_weight: float = 25.0
    angle_weight: float = 50.0

    def guidance(self, teacher_images: Tensor, embeddings: Embeddings) -> dict[str, Tensor]:
        images, terms = required(embeddings.reference_images, "embeddings of references"), {}
        if self.distance_weight:
            terms["distance_loss"] = self.distance_weight * losses.relational_distance(teacher_images, images)
        if self.angle_weight:
            terms["angle_loss"] = self.angle_weight * losses.relational_angle(teacher_images, images)
        return terms
