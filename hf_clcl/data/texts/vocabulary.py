"""A small tokenizer of the kind CLIP uses, for models that are trained from nothing."""

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
    """Learn a byte-level BPE from texts. It encodes any text, and the same texts always give the same tokenizer.

    Args:
        texts (`Iterable[str]`): Texts to learn from.
        vocab_size (`int`): Most entries; fewer where the texts have nothing more to merge.
        max_length (`int`): Longest text in tokens, with start and end.

    Raises:
        ValueError: Where `vocab_size` has no room for all bytes.
    """
    from tokenizers import Tokenizer, models, trainers
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    if vocab_size < SMALLEST_VOCABULARY:
        raise ValueError(f"vocab_size is {vocab_size}; all bytes need at least {SMALLEST_VOCABULARY}")
    alphabet = sorted(ByteLevel.alphabet())
    symbols = [*alphabet, *(byte + WORD_END for byte in alphabet)]
    # CLIP's own splitting of texts, so that what is learned is what will be used.
    clip = CLIPTokenizer(vocab={START: 0, END: 1}, merges=[]).backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    learner.normalizer, learner.pre_tokenizer = clip.normalizer, clip.pre_tokenizer
    # Named here because the learner numbers other symbols in no fixed order, by which it decides between equal merges.
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 2, end_of_word_suffix=WORD_END, special_tokens=symbols, show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    # CLIP's order: bytes, merges, start, end. Two merges may make the same token, which is one entry.
    tokens = dict.fromkeys([*symbols, *map("".join, merges), START, END])
    vocabulary = {token: index for index, token in enumerate(tokens)}
    # transformers hints strings, and hands the merges to `tokenizers`, which needs pairs.
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=max_length)  # type: ignore[arg-type]
