"""Batches of one task: which images each step sees is a function of seed and step alone.

Which part of an image a step crops is a function of seed, epoch and image. That makes resuming exact and cheap
(nothing is read to get to a step), the same for any number of loader workers, and the same for one process with a
batch of `n * B` as for `n` processes, or `n` accumulated batches, of `B` each.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..utils.required import required
from .images.image_source import ImageSource
from .task_data import TaskData

# Independent streams of random numbers within a task.
ORDER, CROP, CAPTION, REFERENCE = range(4)


class Draws:
    """Which rows of a dataset each step draws: permutation after permutation.

    Args:
        size (`int`): Rows of the dataset.
        batch_size (`int`): Rows a step, per process.
        seed (`tuple[int, ...]`): Source of the permutations.
        rank, world_size (`int`): This process among all; their draws of a step are disjoint parts of one batch.
        drop_last (`bool`, defaults to `False`): Leave out the last, smaller batch of a permutation.
        wrap (`bool`, defaults to `False`): Fill the last batch of a permutation from the next, so that none is small.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: tuple[int, ...],
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        wrap: bool = False,
    ):
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.rank, self.world_size, self.wrap = rank, world_size, wrap
        whole = batch_size * world_size
        self.steps_per_epoch = max(1, size // whole if drop_last else -(-size // whole))
        self._permutations: dict[int, np.ndarray] = {}

    def __call__(self, step: int) -> np.ndarray:
        """Row indices of this process at a step, counted from 0."""
        whole = self.batch_size * self.world_size
        if self.wrap:
            positions = np.arange(step * whole, (step + 1) * whole)
            batch = np.concatenate(
                [self._permutation(epoch)[positions[positions // self.size == epoch] % self.size]
                 for epoch in range(positions[0] // self.size, positions[-1] // self.size + 1)]
            )  # fmt: skip
        else:
            epoch, position = divmod(step, self.steps_per_epoch)
            batch = self._permutation(epoch)[position * whole : (position + 1) * whole]
            # Every process needs as many rows as the others: repeat from the batch's start.
            batch = np.resize(batch, -(-len(batch) // self.world_size) * self.world_size)
        part = len(batch) // self.world_size
        return batch[self.rank * part : (self.rank + 1) * part]

    def seen(self, steps: int) -> np.ndarray:
        """The rows, sorted, that all processes together draw in so many steps."""
        everyone = copy.copy(self)
        everyone.batch_size, everyone.rank, everyone.world_size = self.batch_size * self.world_size, 0, 1
        return np.unique(np.concatenate([everyone(step) for step in range(steps)]))

    def epoch(self, step: int) -> int:
        """The permutation that a step draws from, where batches do not wrap."""
        return step // self.steps_per_epoch

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._permutations:
            while len(self._permutations) > 1:
                self._permutations.pop(min(self._permutations))
            self._permutations[epoch] = np.random.default_rng((*self.seed, epoch)).permutation(self.size)
        return self._permutations[epoch]


class TaskBatches(Dataset):
    """Batch `i` is what the micro-step `i` of a task trains on.

    Each batch is a dict of tensors: `pixel_values` `[B, 3, H, W]` (uint8) with `labels` `[B]` and the prompts of all
    classes `input_ids` `[C, L]`; or, for captions, with the caption of each image `input_ids` `[B, L]`. Where the
    method looks at reference images: `reference_pixel_values` `[R, 3, H, W]` (uint8) and `reference_index` `[R]`.
    Clips of a task of videos, which has captions, are `[B, frames, 3, H, W]`.

    Args:
        data (`TaskData`): Images and texts of the task.
        draws (`Draws`): Which rows each step takes.
        steps (`int`): Number of batches.
        seed (`tuple[int, ...]`): Source of crops and of the choice of captions.
        reference (`ImageSource`, *optional*): Reference images, seen with the evaluation transform.
        reference_draws (`Draws`, *optional*): Which reference images each step takes.
    """

    def __init__(
        self,
        data: TaskData,
        draws: Draws,
        steps: int,
        seed: tuple[int, ...],
        reference: ImageSource | None = None,
        reference_draws: Draws | None = None,
    ):
        self.data, self.draws, self.steps, self.seed = data, draws, steps, seed
        self.reference, self.reference_draws = reference, reference_draws

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        data, rows, epoch = self.data, self.draws(step), self.draws.epoch(step)
        batch = {"pixel_values": data.frames.training_batch(rows, [(*self.seed, CROP, epoch, row) for row in rows])}
        if data.captions_of is not None:
            chosen = [
                np.random.default_rng((*self.seed, CAPTION, epoch, row)).choice(data.captions_of[row]) for row in rows
            ]
            batch["input_ids"] = data.input_ids[chosen]
        else:
            batch["labels"] = torch.from_numpy(required(data.labels, "labels of a task with classes")[rows])
            batch["input_ids"] = data.input_ids
        if data.class_groups is not None:
            batch["class_groups"] = data.class_groups
        if self.reference is not None:
            reference_rows = required(self.reference_draws, "reference_draws")(step)
            batch["reference_pixel_values"] = self.reference.evaluation_batch(reference_rows)
            batch["reference_index"] = torch.from_numpy(reference_rows)
        return batch
