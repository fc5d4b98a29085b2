"""Tokenisation of texts."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerBase


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Tensor:
    """Token ids `[texts, longest]`, padded to the longest text.

    CLIP's text tower is causal and pools at the end token, so later tokens have no effect. It needs no attention mask,
    and no padding to the full length of the model.
    """
    return encode(tokenizer, texts)["input_ids"]


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> BatchEncoding:
    """`input_ids` and `attention_mask` of texts, each `[texts, longest]`; the mask is 0 where a text is padded."""
    return tokenizer(texts, padding="longest", truncation=True, return_tensors="pt", return_attention_mask=True)


def stack_texts(*input_ids: Tensor) -> Tensor:
    """Concatenate token ids to one tensor `[sum, longest]`.

    Shorter rows are padded with their own last token, which is the end token or padding after it. The text tower pools
    at the first end token, so this has no effect.
    """
    longest = max(ids.shape[1] for ids in input_ids)
    return torch.cat([torch.cat([ids, ids[:, -1:].expand(-1, longest - ids.shape[1])], dim=1) for ids in input_ids])
