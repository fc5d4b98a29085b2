"""Token ids of texts."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerBase


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Tensor:
    """Token ids `[texts, longest]`, cut after the last end token.

    CLIP's text tower is causal and pools at the end token, so what follows it changes nothing: no mask is needed and
    padding to the model's full length is wasted.
    """
    return encode(tokenizer, texts)["input_ids"]


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> BatchEncoding:
    """`input_ids` and `attention_mask` of texts, each `[texts, longest]`; the mask is 0 where a text is padded."""
    return tokenizer(texts, padding="longest", truncation=True, return_tensors="pt", return_attention_mask=True)


def stack_texts(*input_ids: Tensor) -> Tensor:
    """Token ids of several lots of texts as one `[sum, longest]`.

    The shorter ones are filled with each row's last token, which is its end token or what stands behind that: the text
    tower pools at the first end token, so nothing changes.
    """
    longest = max(ids.shape[1] for ids in input_ids)
    return torch.cat([torch.cat([ids, ids[:, -1:].expand(-1, longest - ids.shape[1])], dim=1) for ids in input_ids])
