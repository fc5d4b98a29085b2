"""Training batches of one task, which depend only on the seed and the step.

The rows of a step are a function of seed and step. The crop of an image is a function of seed, epoch and image. So
resuming is exact and cheap (no data is read to reach a step), and the number of data loader workers does not matter.
One process with batches of `n * B` sees the same as `n` processes, or `n` accumulated batches, of `B` each.
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
    """Sampler: the rows of a dataset that each step draws, from one random permutation after another.

    Args:
        size (`int`): Number of rows of the dataset.
        batch_size (`int`): Rows per step and process.
        seed (`tuple[int, ...]`): Seed of the permutations.
        rank, world_size (`int`): Rank of this process, and number of processes. They draw disjoint parts of a batch.
        drop_last (`bool`, defaults to `False`): Drop the last, smaller batch of a permutation.
        wrap (`bool`, defaults to `False`): Fill the last batch of a permutation from the next permutation.
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
        global_batch = batch_size * world_size
        self.steps_per_epoch = max(1, size // global_batch if drop_last else -(-size // global_batch))
        self._permutations: dict[int, np.ndarray] = {}

    def __call__(self, step: int) -> np.ndarray:
        """Row indices that this process draws at a step, counted from 0."""
        global_batch = self.batch_size * self.world_size
        if self.wrap:
            positions = np.arange(step * global_batch, (step + 1) * global_batch)
            batch = np.concatenate(
                [self._permutation(epoch)[positions[positions // self.size == epoch] % self.size]
                 for epoch in range(positions[0] // self.size, positions[-1] // self.size + 1)]
            )  # fmt: skip
        else:
            epoch, position = divmod(step, self.steps_per_epoch)
            batch = self._permutation(epoch)[position * global_batch : (position + 1) * global_batch]
            # Each process needs the same number of rows: repeat rows from the start of the batch.
            batch = np.resize(batch, -(-len(batch) // self.world_size) * self.world_size)
        share = len(batch) // self.world_size
        return batch[self.rank * share : (self.rank + 1) * share]

    def seen(self, steps: int) -> np.ndarray:
        """The sorted rows that all processes together draw in the first `steps` steps."""
        combined = copy.copy(self)
        combined.batch_size, combined.rank, combined.world_size = self.batch_size * self.world_size, 0, 1
        return np.unique(np.concatenate([combined(step) for step in range(steps)]))

    def epoch(self, step: int) -> int:
        """Index of the permutation that a step draws from, for batches that do not wrap."""
        return step // self.steps_per_epoch

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch not in self._permutations:
            while len(self._permutations) > 1:
                self._permutations.pop(min(self._permutations))
            self._permutations[epoch] = np.random.default_rng((*self.seed, epoch)).permutation(self.size)
        return self._permutations[epoch]


class TaskBatches(Dataset):
    """Dataset of training batches: item `i` is the batch of micro-step `i` of a task.

    Each batch is a dict of tensors. `pixel_values` is `[B, 3, H, W]` (uint8), for videos `[B, frames, 3, H, W]`. With
    labels there are `labels` `[B]` and the prompts of all classes, `input_ids` `[C, L]`. With captions, `input_ids`
    `[B, L]` is one caption of each image. If the method uses reference images, there are `reference_pixel_values`
    `[R, 3, H, W]` (uint8) and `reference_index` `[R]`.

    Args:
        data (`TaskData`): Images and texts of the task.
        draws (`Draws`): Sampler of the rows.
        steps (`int`): Number of batches.
        seed (`tuple[int, ...]`): Seed of crops and of the choice of captions.
        reference (`ImageSource`, *optional*): Reference images; they get the evaluation transform.
        reference_draws (`Draws`, *optional*): Sampler of the reference images.
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
