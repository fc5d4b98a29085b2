"""A small CLIP tokenizer, for models that are trained from scratch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
# Every byte within a word and at its end, then start and end of text.
SMALLEST_VOCABULARY = 2 * 256 + 2


def build_tokenizer(texts: Iterable[str], vocab_size: int, max_length: int) -> CLIPTokenizer:
    """Train a byte-level BPE tokenizer on texts. It encodes any text, and the same texts give the same tokenizer.

    Args:
        texts (`Iterable[str]`): Training texts.
        vocab_size (`int`): Largest number of entries; there are fewer if the texts have nothing more to merge.
        max_length (`int`): Longest text in tokens, with start and end.

    Raises:
        ValueError: If `vocab_size` is too small for all bytes.
    """
    from tokenizers import Tokenizer, models, trainers
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    if vocab_size < SMALLEST_VOCABULARY:
        raise ValueError(f"vocab_size must be at least {SMALLEST_VOCABULARY}, to have all bytes, got {vocab_size}")
    alphabet = sorted(ByteLevel.alphabet())
    symbols = [*alphabet, *(byte + WORD_END for byte in alphabet)]
    # Train with CLIP's own pre-tokenizer, which the result uses too.
    clip = CLIPTokenizer(vocab={START: 0, END: 1}, merges=[]).backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    learner.normalizer, learner.pre_tokenizer = clip.normalizer, clip.pre_tokenizer
    # Without these symbols, the trainer numbers them in no fixed order, which decides between equal merges.
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 2, end_of_word_suffix=WORD_END, special_tokens=symbols, show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    # CLIP's order: bytes, merges, start, end. Two merges may make the same token, which is one entry.
    tokens = dict.fromkeys([*symbols, *map("".join, merges), START, END])
    vocabulary = {token: index for index, token in enumerate(tokens)}
    # The type hint of transformers is strings, but `tokenizers` needs pairs.
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=max_length)  # type: ignore[arg-type]
