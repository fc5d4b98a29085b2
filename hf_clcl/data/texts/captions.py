"""Captions of images: read, group by image, and tokenise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from .. import columns

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


def captions_of(dataset: Dataset, column: str) -> list[list[str]]:
    """The captions of each row: entries of a list, lines of a string. Blank ones are dropped."""
    rows = columns.values(dataset, column).to_pylist()
    cells = [[row] if isinstance(row, str) else row or () for row in rows]
    return [[line.strip() for text in cell for line in (text or "").splitlines() if line.strip()] for cell in cells]


def same_images(dataset: Dataset, column: str) -> np.ndarray:
    """For each row, index `[rows]` of the first row with the same image. Some datasets have one row per caption."""
    first: dict[int, int] = {}
    first_rows = np.empty(len(dataset), dtype=np.int64)
    # The stored bytes are compared, without decoding, in small batches.
    batches = dataset.select_columns([column]).with_format("arrow").iter(batch_size=64)
    cells = (cell for batch in batches for cell in batch.column(column).to_pylist())
    for row, cell in enumerate(cells):
        first_rows[row] = first.setdefault(hash(cell["bytes"] or cell["path"]), row) if cell else row
    return first_rows


def tokenize_captions(tokenizer: PreTrainedTokenizerBase, texts: list[str], where: str) -> Tensor:
    """Token ids `[texts, longest]`, truncated to the length of the model. A warning gives the number of cut texts."""
    from .tokens import encode

    encoded, longest = encode(tokenizer, texts), tokenizer.model_max_length
    full = encoded["attention_mask"].sum(dim=-1) == longest
    if full.any():
        suspects = [texts[row] for row in full.nonzero().flatten().tolist()]
        too_long = sum(len(ids) > longest for ids in tokenizer(suspects, verbose=False)["input_ids"])
        if too_long:
            logger.warning(
                "%s: %d of %d captions are longer than the %d tokens of the model and are truncated",
                where, too_long, len(texts), longest,
            )  # fmt: skip
    return encoded["input_ids"]
