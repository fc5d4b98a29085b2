"""Embeddings of images and texts by the checkpoints of all runs. Models are loaded on first use and cached."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from ..data.images.frames import Normalizer
from ..data.texts.tokens import tokenize
from ..models.embedding import embed_images, embed_texts
from ..models.families import family_of
from ..models.loading import check_tokenizer, load_model, load_processor
from .labels import Labels
from .lru import LeastRecentlyUsed
from .runs import Checkpoint, Runs
from .weights import mapped_model

MODELS = 12
CLASS_BYTES = 256 * 2**20
IMAGES = 4096
TEXT_BATCH = 256


@dataclass
class Preprocessor:
    """Preprocessing of images and texts for the models of a run.

    Args:
        processor (`ProcessorMixin`): The processor of the run's base model.
    """

    processor: ProcessorMixin

    def __post_init__(self) -> None:
        self.normalize = Normalizer(self.processor.image_processor)
        self._tokenizing = Lock()  # the tokenizer's padding settings are shared state

    def frame(self, image: Image.Image) -> np.ndarray:
        """Resize and crop an image as in evaluation; returns a uint8 frame `[3, H, W]`."""
        pixels = self.processor.image_processor(image, do_rescale=False, do_normalize=False)["pixel_values"][0]
        return np.ascontiguousarray(pixels)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Token ids `[N, length]` of texts."""
        with self._tokenizing:
            return tokenize(self.processor.tokenizer, list(texts))


class Encoders:
    """Compute embeddings with the checkpoints of all runs.

    Args:
        runs (`Runs`): The runs.
        models (`int`, defaults to 12): How many checkpoints to keep in memory.
    """

    def __init__(self, runs: Runs, models: int = MODELS):
        self.runs = runs
        self.models = LeastRecentlyUsed(max(1, models))
        self._preprocessors = LeastRecentlyUsed(32)
        self._classes = LeastRecentlyUsed(CLASS_BYTES, lambda embedded: embedded.nbytes)
        self._images = LeastRecentlyUsed(IMAGES)

    def preprocessor(self, run_name: str) -> Preprocessor:
        """The preprocessor of a run, which all its checkpoints share."""

        def load() -> Preprocessor:
            run = self.runs[run_name]
            newest = run.weights(run.done)
            revision = run.record.recipe.get("model_revision") if newest == run.record.model else None
            return Preprocessor(load_processor(newest, revision))

        return self._preprocessors.get(run_name, load)

    def model(self, checkpoint: Checkpoint) -> PreTrainedModel:
        """Load the model of a checkpoint.

        Raises:
            UserError: If the checkpoint does not exist.
        """
        run = self.runs[checkpoint.run]
        source = run.weights(checkpoint.index)
        base = source == run.record.model
        revision = run.record.recipe.get("model_revision") if base else None
        seed = run.record.seed if base and run.record.recipe.get("random_init") else None

        def load() -> PreTrainedModel:
            if seed is None:
                return mapped_model(source, revision)
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                return load_model(source, revision, random_init=True).eval().requires_grad_(False)

        # The same files in several runs give one cached model.
        return self.models.get((str(source), revision, seed), load)

    @torch.inference_mode()
    def image(self, checkpoint: Checkpoint, frame: np.ndarray) -> Tensor:
        """Embedding `[d]` of a frame."""
        key = (checkpoint, hashlib.sha256(frame.tobytes()).digest())
        return self._images.get(key, lambda: self.images(checkpoint, torch.from_numpy(frame)[None])[0])

    @torch.inference_mode()
    def images(self, checkpoint: Checkpoint, frames: Tensor) -> Tensor:
        """Embeddings `[B, d]` of uint8 frames `[B, 3, H, W]`."""
        return embed_images(self.model(checkpoint), self.preprocessor(checkpoint.run).normalize(frames))

    @torch.inference_mode()
    def texts(self, checkpoint: Checkpoint, texts: Sequence[str]) -> Tensor:
        """Embeddings `[N, d]` of texts."""
        model, preprocessor = self.model(checkpoint), self.preprocessor(checkpoint.run)
        check_tokenizer(model, preprocessor.processor.tokenizer)
        batches = [texts[start : start + TEXT_BATCH] for start in range(0, len(texts), TEXT_BATCH)]
        return torch.cat([embed_texts(model, preprocessor.tokens(batch)) for batch in batches])

    def classes(self, checkpoint: Checkpoint, labels: Labels) -> Tensor:
        """Embedding of each label `[C, d]`: the normalised mean over its prompts, as in evaluation."""
        return self._classes.get((checkpoint, labels.prompts), lambda: self._embed_classes(checkpoint, labels))

    @torch.inference_mode()
    def _embed_classes(self, checkpoint: Checkpoint, labels: Labels) -> Tensor:
        counts = torch.tensor([len(prompts) for prompts in labels.prompts])
        embedded = self.texts(checkpoint, [prompt for prompts in labels.prompts for prompt in prompts])
        owners = torch.arange(len(counts)).repeat_interleave(counts)
        sums = torch.zeros(len(counts), embedded.shape[1]).index_add_(0, owners, embedded)
        return torch.nn.functional.normalize(sums / counts[:, None], dim=-1)

    def probabilities(self, checkpoint: Checkpoint, image: Tensor, labels: Labels) -> np.ndarray:
        """Probability of each label `[C]` for the embedding `[d]` of an image."""
        model = self.model(checkpoint)
        scale = family_of(model).similarity_scale(model)
        return torch.softmax(scale * (self.classes(checkpoint, labels) @ image), dim=-1).numpy()
