"""Learning without forgetting, with reference texts from the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.texts.tokens import tokenize
from ..models.embedding import embed_all_texts
from ..models.weights import frozen_copy
from ..utils.errors import UserError
from ..utils.required import required
from .base import TaskContext
from .distilling import Distilling

VOCABULARY = 1009  # part of the seed, so that texts are independent of batches


@dataclass
class VRLwF(Distilling):
    """LwF with random reference texts from the vocabulary: it needs neither captions nor earlier data.

    The losses are those of [`Distilling`], with the model before the task as the teacher and the images of the task as
    reference images (a second draw with the evaluation transform). `E [M, d]` embeds `number` random texts.

    Source: Ding et al., 2022, arXiv 2207.09248 (VR-LwF), in the form of ZSCL's comparison (LwF-VR).

    Args:
        vocabulary (`str`, defaults to `"tokens"`):
            `tokens` (uniform token ids of the model's tokenizer without special tokens), `words` (uniform words of
            `word_list`) or `captions` (drawn from `reference_texts`).
        word_list (`str`, *optional*): Text file with one word per line, for `words`.
        number (`int`, defaults to 1000): Number of texts M; all captions if there are fewer.
        length (`int`, defaults to 10): Tokens or words of each text.
        redraw (`str`, defaults to `"task"`):
            Draw the texts `once` per run, for each `task`, or at each `step`. With `step`, the teacher stays on the
            device and encodes M texts at each step.
        kwargs: The options of [`Distilling`], [`Guided`] and [`Regularized`].
    """

    name: ClassVar[str] = "vr_lwf"
    citation: ClassVar[str] = """@article{ding2022vrlwf,
  title = {Don't Stop Learning: Towards Continual Learning for the {CLIP} Model},
  author = {Ding, Yuxuan and Liu, Lingqiao and Tian, Chunna and Yang, Jingyuan and Ding, Haoxuan},
  journal = {arXiv preprint arXiv:2207.09248},
  year = {2022}
}"""

    vocabulary: Literal["tokens", "words", "captions"] = "tokens"
    word_list: str | None = None
    number: Annotated[int, Ge(1)] = 1000
    length: Annotated[int, Ge(1)] = 10
    redraw: Literal["once", "task", "step"] = "task"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._step = 0
        self._teacher: PreTrainedModel | None = None

    @property
    def needs_reference_texts(self) -> bool:
        return self.vocabulary == "captions"

    def problems(self) -> list[str]:
        problems = super().problems()
        if self.vocabulary == "words":
            if self.word_list is None:
                problems.append("word_list: is missing; vocabulary: words needs a text file with one word per line")
            elif not Path(self.word_list).is_file():
                problems.append(f"word_list: there is no file {self.word_list}")
            elif not self._words():
                problems.append(f"word_list: {self.word_list} holds no words")
        elif self.word_list is not None:
            problems.append(f"word_list: needs vocabulary: words, got vocabulary: {self.vocabulary}")
        return problems

    def begin_task(self, model: PreTrainedModel, context: TaskContext) -> None:
        self._step, self._context = 0, context
        super().begin_task(model, context)

    def reference_texts(self, context: TaskContext) -> Tensor:
        seed = {"once": context.seed[:1], "task": context.seed, "step": (*context.seed, self._step)}[self.redraw]
        rng = np.random.default_rng((*seed, VOCABULARY))
        if self.vocabulary == "captions":
            captions = required(context.reference_input_ids, "reference_texts")
            return captions[np.sort(rng.permutation(len(captions))[: self.number])]
        if context.tokenizer is None:
            raise UserError("vr_lwf draws from the vocabulary of the tokenizer: give the trainer a processing_class")
        if self.vocabulary == "words":
            drawn = rng.choice(self._words(), (self.number, self.length))
            return tokenize(context.tokenizer, [" ".join(words) for words in drawn])
        return random_tokens(context.tokenizer, self.number, self.length, rng)

    def build_teacher(self, model: PreTrainedModel, context: TaskContext) -> PreTrainedModel:
        teacher = super().build_teacher(model, context)
        if self.redraw == "step":
            self._teacher = teacher = frozen_copy(model) if teacher is model else teacher
        return teacher

    def losses(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if self._teacher is not None:
            texts = self.reference_texts(self._context)
            self.teacher_texts = embed_all_texts(self._teacher, texts)
            self.text_ids = texts if self.student_texts else None
            self._step += 1
        return super().losses(model, batch)

    def end_task(self, model: PreTrainedModel) -> PreTrainedModel:
        self._teacher = None
        return super().end_task(model)

    def state_dict(self) -> dict[str, Tensor]:
        return {**super().state_dict(), **({"drawn": torch.tensor(self._step)} if self._teacher is not None else {})}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        super().load_state_dict(state)
        self._step = int(state.get("drawn", 0))

    def _words(self) -> Sequence[str]:
        return Path(required(self.word_list, "word_list")).read_text(encoding="utf-8").split()


@dataclass
class LwFVR(VRLwF):
    """VR-LwF under the name that the ZSCL paper uses."""

    name: ClassVar[str] = "lwf_vr"


def random_tokens(tokenizer: PreTrainedTokenizerBase, number: int, length: int, rng: np.random.Generator) -> Tensor:
    """Texts `[number, length + 2]` of uniform token ids without special tokens, between a start and an end token.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): Tokenizer of the model.
        number (`int`): Number of texts.
        length (`int`): Tokens of each text, without start and end.
        rng (`np.random.Generator`): Source of randomness.

    Raises:
        UserError: If the texts are longer than the model supports.
    """
    if length + 2 > tokenizer.model_max_length:
        raise UserError(
            f"length: must be at most {tokenizer.model_max_length - 2}, got {length}: the model has "
            f"{tokenizer.model_max_length} tokens, start and end included"
        )
    *before, after = tokenizer("")["input_ids"]  # the start and end tokens
    special = {*tokenizer.all_special_ids, *before, after}
    allowed = np.array(sorted(set(tokenizer.get_vocab().values()) - special))
    ids = torch.from_numpy(rng.choice(allowed, (number, length)))
    start, end = (torch.tensor(around).expand(number, -1) for around in (before, [after]))
    return torch.cat([start, ids, end], dim=1)
