"""Text-to-image search in the test images of a task, by two checkpoints."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from ..utils.errors import UserError
from .encoders import Encoders
from .outcomes import Outcomes
from .runs import Checkpoint, Run

TOP = 8
LONGEST_QUERY = 300


@dataclass
class SearchResult:
    """The best images of one checkpoint.

    Args:
        checkpoint (`Checkpoint`): The checkpoint.
        rows (`list[int]`): Indices of the test images, the best first.
        similarities (`list[float]`): Cosine similarity of each to the text.
        other_ranks (`list[int]`): Rank of each by the other checkpoint, from 1.
    """

    checkpoint: Checkpoint
    rows: list[int]
    similarities: list[float]
    other_ranks: list[int]


def search(
    outcomes: Outcomes, encoders: Encoders, states: tuple[Checkpoint, Checkpoint], run: Run, name: str, text: str
) -> Generator[tuple[float, str], None, list[SearchResult]]:
    """Search the test images of a task with two checkpoints; yields progress as `(share, message)`.

    Raises:
        UserError: If the text is empty or too long.
    """
    text = " ".join((text or "").split())
    if not text:
        raise UserError("type a text to search for, such as: a dog that runs on grass")
    if len(text) > LONGEST_QUERY:
        raise UserError(f"the text must have at most {LONGEST_QUERY} characters, got {len(text):,}")
    embedded = yield from outcomes.embed(states, run, name)
    scores = [images @ encoders.texts(state, [text])[0] for state, images in zip(states, embedded, strict=True)]
    orders = [torch.argsort(score, descending=True, stable=True) for score in scores]
    ranks = [torch.argsort(order) for order in orders]
    return [
        SearchResult(
            checkpoint,
            rows := orders[place][:TOP].tolist(),
            [float(scores[place][row]) for row in rows],
            [int(ranks[1 - place][row]) + 1 for row in rows],
        )
        for place, checkpoint in enumerate(states)
    ]
