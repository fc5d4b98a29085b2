"""Predictions of two checkpoints on the same test images: forgotten and learnt images, confusions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..data.images.frames import Frames, ImageCache
from ..utils.errors import UserError
from ..utils.required import required
from . import labels as label_lists
from .encoders import Encoders
from .lru import LeastRecentlyUsed
from .runs import Checkpoint, Run
from .testsets import TestSets

if TYPE_CHECKING:
    from torch import Tensor

    from ..data.task import Task

BATCH = 64
EMBEDDING_BYTES = 512 * 2**20
FRAME_MB = 512
CONFUSIONS = 8


@dataclass
class Change:
    """Predictions on the test images of one task before and after.

    Args:
        task (`Task`): The task, with its test images.
        truth (`np.ndarray` of shape `[N]`): The true classes.
        before, after (`np.ndarray` of shape `[N]`): The classes that the two checkpoints predict.
    """

    task: Task
    truth: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @property
    def names(self) -> list[str]:
        """Class names of the task."""
        return required(self.task.class_names, f"class_names of {self.task.name}")

    def rows(self, shown: str, class_name: str | None = None) -> np.ndarray:
        """Indices of the test images that are `"forgotten"` or `"learnt"`, of one class or of all."""
        was, now = self.before == self.truth, self.after == self.truth
        chosen = was & ~now if shown == "forgotten" else ~was & now
        if class_name:
            if class_name not in self.names:
                raise UserError(f"{self.task.name} has no class {class_name[:80]!r}")
            chosen &= self.truth == self.names.index(class_name)
        return np.flatnonzero(chosen)

    def confusions(self, count: int = CONFUSIONS) -> list[dict[str, Any]]:
        """The confusions (true class, predicted class) whose number changed most."""
        names = self.names
        counts = [
            Counter(zip(self.truth[seen != self.truth].tolist(), seen[seen != self.truth].tolist(), strict=True))
            for seen in (self.before, self.after)
        ]
        changed = sorted(counts[0].keys() | counts[1].keys(), key=lambda p: (-abs(counts[1][p] - counts[0][p]), p))
        return [
            {"class": names[pair[0]], "taken_for": names[pair[1]], "before": counts[0][pair], "after": counts[1][pair]}
            for pair in changed[:count]
            if counts[0][pair] != counts[1][pair]
        ]

    def classes(self) -> list[dict[str, Any]]:
        """Correct images of each class before and after, the largest loss first."""
        rows = []
        for index, name in enumerate(self.names):
            own = self.truth == index
            before, after = (int((seen[own] == index).sum()) for seen in (self.before, self.after))
            rows.append({"class": name, "images": int(own.sum()), "before": before, "after": after})
        return sorted(rows, key=lambda row: row["after"] - row["before"])

    def accuracy(self) -> tuple[float, float]:
        """Accuracy before and after in percent."""
        before, after = (100 * float((seen == self.truth).mean()) for seen in (self.before, self.after))
        return before, after


class Outcomes:
    """Embeddings of test images by checkpoints, computed on demand and cached.

    Args:
        encoders (`Encoders`): The checkpoints.
        tests (`TestSets`): The test images.
    """

    def __init__(self, encoders: Encoders, tests: TestSets):
        self.encoders, self.tests = encoders, tests
        self._embedded = LeastRecentlyUsed(EMBEDDING_BYTES, lambda embedded: embedded.nbytes)
        self._frames = LeastRecentlyUsed(32)
        self._cache = ImageCache(FRAME_MB)

    def embed(
        self, checkpoints: Sequence[Checkpoint], run: Run, name: str
    ) -> Generator[tuple[float, str], None, list[Tensor]]:
        """Embeddings `[N, d]` of a task's test images by each checkpoint.

        A generator that yields progress as `(share, message)` and can be stopped at any time.
        """
        embedded = []
        for place, checkpoint in enumerate(checkpoints):
            cached = self._embedded.peek((checkpoint, self.tests.key(run, name)))
            if cached is None:
                cached = yield from self._compute(checkpoint, run, name, place / len(checkpoints), len(checkpoints))
            embedded.append(cached)
        return embedded

    def _compute(
        self, checkpoint: Checkpoint, run: Run, name: str, begin: float, parts: int
    ) -> Generator[tuple[float, str], None, Tensor]:
        yield begin, f"{checkpoint.label}: loading"
        key, task = self.tests.key(run, name), self.tests.task(run, name)
        processor = self.encoders.preprocessor(checkpoint.run).processor.image_processor
        column = required(task.image_column, f"image_column of {name}")
        frames = self._frames.get(
            (key, checkpoint.run), lambda: Frames(task.test, column, processor, self._cache, name)
        )
        batches = []
        for start in range(0, len(frames), BATCH):
            yield begin + start / len(frames) / parts, f"{checkpoint.label}: {start:,} of {len(frames):,} images"
            rows = range(start, min(start + BATCH, len(frames)))
            batches.append(self.encoders.images(checkpoint, frames.evaluation_batch(rows)))
        embedded = torch.cat(batches)
        self._embedded.put((checkpoint, key), embedded)
        return embedded

    def change(
        self, before: Checkpoint, after: Checkpoint, run: Run, name: str
    ) -> Generator[tuple[float, str], None, Change]:
        """Classify a task's test images with two checkpoints; yields progress as `(share, message)`.

        Raises:
            UserError: If the task has captions instead of labels.
        """
        task = self.tests.task(run, name)
        if not task.kind.has_labels:
            raise UserError(f"{name} has captions and no labels; see the tab Retrieval")
        states, labels = (before, after), label_lists.of_tasks([task])
        embedded = yield from self.embed(states, run, name)
        predicted = [
            (images @ self.encoders.classes(state, labels).T).argmax(dim=-1).numpy()
            for state, images in zip(states, embedded, strict=True)
        ]
        return Change(task, task.labels("test"), *predicted)
