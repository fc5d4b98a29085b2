"""Zero-shot predictions for one image by every checkpoint of a run, and where they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .encoders import Encoders
from .labels import Labels
from .runs import Checkpoint

TOP = 5
LINES = 6


@dataclass
class Comparison:
    """Label probabilities of one image along a stream.

    Args:
        checkpoints (`list[Checkpoint]`): The `S` checkpoints, in order.
        labels (`Labels`): The `C` labels.
        probabilities (`np.ndarray` of shape `[S, C]`): Probability of each label for each checkpoint.
        truth (`int`, *optional*): Index of the true label, if known.
    """

    checkpoints: list[Checkpoint]
    labels: Labels
    probabilities: np.ndarray
    truth: int | None = None

    @property
    def first(self) -> np.ndarray:
        """Index of the most probable label for each checkpoint `[S]`."""
        return self.probabilities.argmax(axis=1)

    def top(self, state: int, count: int = TOP) -> list[tuple[int, float]]:
        """The most probable labels of a checkpoint, as `(label, probability)`."""
        row = self.probabilities[state]
        return [(int(label), float(row[label])) for label in np.argsort(-row, kind="stable")[:count]]

    def change(self, state: int) -> str:
        """How the prediction changed since the previous checkpoint.

        Returns:
            `str`: With a true label `learnt`, `kept`, `forgotten` or `wrong`, and `right` or `wrong` for the first
            checkpoint; without one `start`, `same` or `changed`.
        """
        first = self.first
        if self.truth is None:
            return "start" if not state else "same" if first[state] == first[state - 1] else "changed"
        now = first[state] == self.truth
        if not state:
            return "right" if now else "wrong"
        before = first[state - 1] == self.truth
        return {(True, True): "kept", (False, True): "learnt", (True, False): "forgotten"}.get((before, now), "wrong")

    def lines(self, count: int = LINES) -> list[int]:
        """The labels to plot: the true one, and those with the highest probability at any checkpoint."""
        best = [int(label) for label in np.argsort(-self.probabilities.max(axis=0), kind="stable")[:count]]
        return best if self.truth is None or self.truth in best else [self.truth, *best[:-1]]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        names = self.labels.names
        return {
            "truth": None if self.truth is None else names[self.truth],
            "note": self.labels.note,
            "states": [
                {
                    "state": checkpoint.key,
                    "name": checkpoint.label,
                    "change": self.change(place),
                    "top": [{"label": names[label], "probability": round(p, 6)} for label, p in self.top(place)],
                }
                for place, checkpoint in enumerate(self.checkpoints)
            ],
            "lines": {
                names[label]: [round(float(p), 6) for p in self.probabilities[:, label]] for label in self.lines()
            },
        }


def compare(
    encoders: Encoders,
    checkpoints: Sequence[Checkpoint],
    image: Image.Image,
    labels: Labels,
    truth: str | None = None,
) -> Comparison:
    """Classify an image with several checkpoints.

    Args:
        encoders (`Encoders`): The models.
        checkpoints (`Sequence[Checkpoint]`): Which of them to use.
        image (`PIL.Image.Image`): The image.
        labels (`Labels`): The labels to choose from.
        truth (`str`, *optional*): The true label.
    """
    rows = []
    for checkpoint in checkpoints:
        frame = encoders.preprocessor(checkpoint.run).frame(image)
        rows.append(encoders.probabilities(checkpoint, encoders.image(checkpoint, frame), labels))
    return Comparison(list(checkpoints), labels, np.stack(rows), labels.index(truth))
