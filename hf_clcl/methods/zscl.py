"""ZSCL: distillation from the initial CLIP on a reference set, weight ensemble and weight consolidation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..data.images.frames import Frames
from .base import TaskContext
from .distilling import Distilling


@dataclass
class ZSCL(Distilling):
    """Zero-shot continual learning: distil from the initial CLIP on images and texts that belong to no task.

    The losses are those of [`Distilling`], and the texts the teacher's on both sides; beside them stand the weight
    ensemble and the L2 penalty of [`Regularized`].

    Source: Zheng et al., ICCV 2023, arXiv 2303.06628.

    Args:
        l2_weight (`float`, defaults to 1.0): Weight of the L2 penalty to the start of the task.
        averaging_interval (`int`, *optional*):
            Steps between two snapshots of the weight ensemble; a tenth of the steps of the task where not given (100
            of 1000).
        teacher (`str`, defaults to `"initial"`): See [`Guided`].
        kwargs: The other options of [`Distilling`], [`Guided`] and [`Regularized`].
    """

    name: ClassVar[str] = "zscl"

    l2_weight: float = 1.0
    averaging_interval: int | None = None
    teacher: str = "initial"

    needs_reference_images = True
    needs_reference_texts = True

    def reference_frames(self, context: TaskContext) -> Frames | None:
        return context.reference_frames

    def reference_texts(self, context: TaskContext) -> Tensor | None:
        return context.reference_input_ids
