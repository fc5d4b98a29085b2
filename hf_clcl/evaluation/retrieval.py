"""Image-text retrieval on the test splits of caption datasets; each image and caption is embedded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..data.images.frames import Frames
from ..data.task import Task
from ..data.texts.captions import tokenize_captions
from ..metrics.ranks import retrieval_of_embeddings
from ..models.embedding import TEXT_BATCH, embed_all_images, embed_texts
from ..models.families import family_of
from ..models.fast_layers import fast_layers
from .context import EvaluationContext, Search


@dataclass
class Pairs:
    """The images and captions of a search.

    Args:
        frames (`Frames`): Images.
        rows (`np.ndarray` of shape `[I]`): The rows of `frames` that are searched: the first one of equal images.
        texts (`list[str]`): The captions of all images.
        image_of_text (`np.ndarray` of shape `[N]`): For each caption, the index of its image in `rows`.
    """

    frames: Frames
    rows: np.ndarray
    texts: list[str]
    image_of_text: np.ndarray

    @classmethod
    def of(cls, task: Task, frames: Frames) -> Pairs:
        """The test split of a task of captions. Rows with the same image are merged and keep all captions."""
        texts, captions = task.captions("test")
        rows, image_of_row = np.unique(task.same_images("test"), return_inverse=True)
        image_of_text = np.repeat(image_of_row, [len(indices) for indices in captions])
        return cls(frames, rows, texts, image_of_text)


class RetrievalEvaluator:
    """Recall and ranks of image-to-text and text-to-image retrieval within the test split of each caption dataset.

    Args:
        pairs (`dict[str, Pairs]`): The images and captions of each dataset.
        tokenizer (`PreTrainedTokenizerBase`): Tokenizer of the model.
        normalize (`Callable[[Tensor], Tensor]`): Converts frames to pixel values.
        accelerator (`Accelerator`): Device, precision and processes, which share the work.
        batch_size (`int`): Images per forward pass.
    """

    def __init__(
        self,
        pairs: dict[str, Pairs],
        tokenizer: PreTrainedTokenizerBase,
        normalize: Callable[[Tensor], Tensor],
        accelerator: Accelerator,
        batch_size: int,
    ):
        self.pairs, self.tokenizer, self.normalize = pairs, tokenizer, normalize
        self.accelerator, self.batch_size = accelerator, batch_size
        self._input_ids: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(
        self, model: PreTrainedModel, description: str = "retrieval", show: bool = True
    ) -> dict[str, dict[str, float]]:
        """Search with a model; for each dataset the measures of [`~hf_clcl.metrics.ranks.retrieval_metrics`]."""
        model.eval()
        measures = {}
        show = show and self.accelerator.is_local_main_process
        for name, pairs in (bar := tqdm(self.pairs.items(), desc=description, leave=False, disable=not show)):
            bar.set_postfix_str(name)
            images = embed_all_images(
                model, pairs.frames, self.normalize, self.accelerator, self.batch_size, f"{name}: images", pairs.rows
            )
            if name not in self._input_ids:
                self._input_ids[name] = tokenize_captions(self.tokenizer, pairs.texts, f"task {name}")
            texts = embed_captions(model, self._input_ids[name], self.accelerator)
            measures[name] = retrieval_of_embeddings(
                images.cpu().numpy()[pairs.rows], texts.cpu().numpy(), pairs.image_of_text
            )
        return measures


def search_pairs(tasks: Sequence[Task], context: EvaluationContext) -> Search:
    """Build the search of tasks of captions."""
    evaluator = RetrievalEvaluator(
        {task.name: Pairs.of(task, context.frames(task)) for task in tasks},
        context.tokenizer,
        context.normalize,
        context.accelerator,
        context.batch_size,
    )
    return lambda model, after, description, show: (evaluator(model, description, show), None)


def embed_captions(model: PreTrainedModel, input_ids: Tensor, accelerator: Accelerator) -> Tensor:
    """Normalised embeddings `[N, d]` in fp32 of captions, encoded in batches of similar length.

    Args:
        model (`PreTrainedModel`): The model, in evaluation mode.
        input_ids (`Tensor` of shape `[N, L]`): Token ids.
        accelerator (`Accelerator`): Precision and processes, which share the work.
    """
    family = family_of(model)
    embedded = torch.zeros(len(input_ids), family.embedding_dim(model.config), device=model.device)
    batches = family.ends(model.config, input_ids).argsort(stable=True).split(TEXT_BATCH)
    with fast_layers(model):
        for rows in batches[accelerator.process_index :: accelerator.num_processes]:
            with accelerator.autocast():
                embedded[rows.to(model.device)] = embed_texts(model, input_ids[rows].to(model.device))
    return accelerator.reduce(embedded, reduction="sum") if accelerator.num_processes > 1 else embedded
