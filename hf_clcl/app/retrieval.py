"""A text, and the test images that are most like it, before and after."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from ..utils.errors import UserError
from .encoders import Encoders
from .outcomes import Outcomes
from .runs import Checkpoint, Run

FOUND = 8
LONGEST_QUERY = 300


@dataclass
class Found:
    """The best images of one state: row, similarity, and rank in the other state's order (from 1)."""

    checkpoint: Checkpoint
    rows: list[int]
    similarities: list[float]
    other_ranks: list[int]


def search(
    outcomes: Outcomes, encoders: Encoders, states: tuple[Checkpoint, Checkpoint], run: Run, name: str, text: str
) -> Generator[tuple[float, str], None, list[Found]]:
    """Look for images of a task by a text, in two states; yields the share that is done, and what is being done.

    Raises:
        UserError: Where there is no text.
    """
    text = " ".join((text or "").split())
    if not text:
        raise UserError("type what you look for, such as: a dog that runs on grass")
    if len(text) > LONGEST_QUERY:
        raise UserError(f"the text has {len(text):,} characters; at most {LONGEST_QUERY} fit")
    embedded = yield from outcomes.embed(states, run, name)
    scores = [images @ encoders.texts(state, [text])[0] for state, images in zip(states, embedded, strict=True)]
    orders = [torch.argsort(score, descending=True, stable=True) for score in scores]
    ranks = [torch.argsort(order) for order in orders]
    return [
        Found(
            checkpoint,
            rows := orders[place][:FOUND].tolist(),
            [float(scores[place][row]) for row in rows],
            [int(ranks[1 - place][row]) + 1 for row in rows],
        )
        for place, checkpoint in enumerate(states)
    ]
