"""Tokenisation of texts."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Tensor:
    """Token ids `[texts, longest]`, padded to the longest text.

    CLIP's text tower is causal and pools at the end token, so later tokens have no effect. It needs no attention mask,
    and no padding to the full length of the model.
    """
    return tokenizer(texts, padding="longest", truncation=True, return_tensors="pt")["input_ids"]


def stack_texts(*input_ids: Tensor) -> Tensor:
    """Concatenate token ids to one tensor `[sum, longest]`.

    Shorter rows are padded with their own last token, which is the end token or padding after it. The text tower pools
    at the first end token, so this has no effect.
    """
    longest = max(ids.shape[1] for ids in input_ids)
    return torch.cat([torch.cat([ids, ids[:, -1:].expand(-1, longest - ids.shape[1])], dim=1) for ids in input_ids])
