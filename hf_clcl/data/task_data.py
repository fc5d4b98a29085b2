"""The training data of one task as model inputs: frames and token ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..utils.required import required
from .images.frames import Frames, ImageCache, ImageProcessor
from .images.image_source import TrainingImageSource
from .texts.captions import tokenize_captions
from .texts.tokens import stack_texts, tokenize

if TYPE_CHECKING:
    from transformers import ProcessorMixin

    from .task import Task


@dataclass
class TaskData:
    """The training data of one task as model inputs.

    Args:
        name (`str`): Name of the task.
        frames (`TrainingImageSource`): Its images.
        input_ids (`Tensor`): Class prompts `[C, L]`, or the captions of all images `[captions, L]`.
        labels (`np.ndarray` of shape `[rows]`, *optional*): Class indices.
        captions_of (`list[np.ndarray]`, *optional*): For captions, the rows of `input_ids` that describe each image.
        class_groups (`Tensor` of shape `[C]`, *optional*): The task of each class, if several tasks are joined.
    """

    name: str
    frames: TrainingImageSource
    input_ids: Tensor
    labels: np.ndarray | None = None
    captions_of: list[np.ndarray] | None = None
    class_groups: Tensor | None = None

    @classmethod
    def of(cls, task: Task, processor: ProcessorMixin, cache: ImageCache | None, min_crop_scale: float) -> TaskData:
        """The data of a task for the model that a processor belongs to."""
        labels = captions_of = None
        if not task.kind.has_labels:
            texts, captions_of = task.captions()
            input_ids = tokenize_captions(processor.tokenizer, texts, f"task {task.name}")
        else:
            labels = task.labels("train")
            input_ids = tokenize(processor.tokenizer, task.training_prompts)
        frames = frames_of(task, "train", processor.image_processor, cache, min_crop_scale)
        return cls(task.name, frames, input_ids, labels, captions_of)

    def tokens(self, batch_size: int) -> int:
        """Number of text tokens of a step: of all class prompts, or of one caption for each of `batch_size` images."""
        texts = len(self.input_ids) if self.captions_of is None else batch_size
        return texts * self.input_ids.shape[1]

    @classmethod
    def joined(cls, name: str, tasks: Sequence[TaskData]) -> TaskData:
        """Join the data of several tasks, all with labels or all with captions. Text indices are renumbered."""
        sizes = [len(task.input_ids) for task in tasks]
        frames, input_ids = JoinedFrames([task.frames for task in tasks]), stack_texts(*[t.input_ids for t in tasks])
        if tasks[0].captions_of is not None:
            groups = [required(task.captions_of, f"captions of {task.name}") for task in tasks]
            captions_of = [rows + sum(sizes[:i]) for i, group in enumerate(groups) for rows in group]
            return cls(name, frames, input_ids, captions_of=captions_of)
        return cls(
            name,
            frames,
            input_ids,
            np.concatenate([required(t.labels, f"labels of {t.name}") + sum(sizes[:i]) for i, t in enumerate(tasks)]),
            class_groups=torch.arange(len(tasks)).repeat_interleave(torch.tensor(sizes)),
        )


class JoinedFrames:
    """The images of several tasks in a row, with the interface of [`Frames`]."""

    def __init__(self, parts: Sequence[TrainingImageSource]):
        self.parts, self.ends = parts, np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def evaluation_batch(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        return torch.cat([part.evaluation_batch([row]) for part, row, _ in self._located(indices)])

    def training_batch(self, indices: Sequence[int] | np.ndarray, seeds: Sequence[Sequence[int]]) -> Tensor:
        return torch.cat([part.training_batch([row], [seeds[i]]) for part, row, i in self._located(indices)])

    def _located(self, indices: Sequence[int] | np.ndarray) -> Iterator[tuple[TrainingImageSource, int, int]]:
        for position, index in enumerate(indices):
            part = int(np.searchsorted(self.ends, index, side="right"))
            yield self.parts[part], int(index) - int(self.ends[part]) + len(self.parts[part]), position


def frames_of(
    task: Task,
    split: str,
    processor: ImageProcessor,
    cache: ImageCache | None = None,
    min_crop_scale: float = 0.9,
) -> Frames:
    """The images, or the clips, of a split of a task as model inputs.

    Args:
        task (`Task`): The task.
        split (`str`): `"train"` or `"test"`.
        processor (`ImageProcessor`): Image processor of the model.
        cache (`ImageCache`, *optional*): Cache of decoded images.
        min_crop_scale (`float`, defaults to 0.9): Smallest share of the area that a random training crop keeps.
    """
    dataset = getattr(task, split)
    return task.kind.frames_of(task, dataset, processor, cache, min_crop_scale)
