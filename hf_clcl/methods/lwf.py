"""Learning without forgetting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from .base import Embeddings, TaskContext
from .distilling import Distilling

MOST_CAPTIONS = 1000


@dataclass
class LwF(Distilling):
    """Learning without forgetting: distil from the model before the task, on the images and prompts of the task.

    The reference images are a second, independent draw of the task's training images, with the evaluation transform.
    In a task of captions, the reference texts are at most 1000 random captions.

    Source: Li and Hoiem, ECCV 2016, as ZSCL (Zheng et al., ICCV 2023) adapts it to CLIP.

    Args:
        kwargs: The options of [`Distilling`], [`Guided`] and [`Regularized`].
    """

    name: ClassVar[str] = "lwf"
    citation: ClassVar[str] = """@inproceedings{li2016lwf,
  title = {Learning without Forgetting},
  author = {Li, Zhizhong and Hoiem, Derek},
  booktitle = {ECCV},
  year = {2016}
}"""

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        super().begin_task(model, context)
        if context.labels is not None:
            self.text_ids = None  # each step encodes the class prompts anyway

    def reference_texts(self, context: TaskContext) -> Tensor | None:
        if context.labels is not None or len(context.input_ids) <= MOST_CAPTIONS:
            return context.input_ids
        drawn = np.random.default_rng((*context.seed, MOST_CAPTIONS)).permutation(len(context.input_ids))
        return context.input_ids[np.sort(drawn[:MOST_CAPTIONS])]

    def student_reference_texts(self, embeddings: Embeddings) -> Tensor:
        return embeddings.texts if embeddings.extra_texts is None else embeddings.extra_texts
