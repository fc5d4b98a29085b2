"""Normalised embeddings of images, clips and texts, for training, teachers and evaluation."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, Protocol, cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from ..data.images.image_source import ImageSource
from .families import family_of
from .fast_layers import fast_layers

TEXT_BATCH = 512
IMAGE_BATCH_ON_CPU = 32  # for a 64-pixel model 1.7 times as fast as 128, whose activations do not fit in the cache


class _DualEncoder(Protocol):
    """The methods of dual encoders in `transformers` that `PreTrainedModel` does not declare."""

    def get_image_features(self, *, pixel_values: Tensor) -> Any: ...

    def get_text_features(self, *, input_ids: Tensor) -> Any: ...


def embed_images(model: PreTrainedModel, pixel_values: Tensor) -> Tensor:
    """Normalised embeddings `[B, d]` in fp32 of images `[B, 3, H, W]` or clips `[B, frames, 3, H, W]`.

    On a CPU, images are encoded in batches of at most `IMAGE_BATCH_ON_CPU`.
    """
    encoder = cast(_DualEncoder, model)
    frames = pixel_values.flatten(0, -4)
    batches = frames.split(IMAGE_BATCH_ON_CPU if frames.device.type == "cpu" else len(frames))
    features = torch.cat([encoder.get_image_features(pixel_values=batch).pooler_output for batch in batches])
    return pool_clips(nn.functional.normalize(features.float(), dim=-1), pixel_values)


def pool_clips(frames: Tensor, pixel_values: Tensor) -> Tensor:
    """Embeddings `[B, d]` of clips: the mean of the normalised embeddings of their frames, normalised again.

    Source: the parameter-free pooling of CLIP4Clip (Luo et al., 2021).

    Args:
        frames (`Tensor` of shape `[B * frames, d]`): Normalised embeddings of the frames, clip by clip.
        pixel_values (`Tensor`): The model's input: clips `[B, frames, 3, H, W]`, or images, whose embeddings are
            returned unchanged.
    """
    if pixel_values.ndim < 5:
        return frames
    return nn.functional.normalize(frames.unflatten(0, pixel_values.shape[:2]).mean(dim=1), dim=-1)


def embed_texts(model: PreTrainedModel, input_ids: Tensor) -> Tensor:
    """Normalised embeddings `[N, d]` in fp32 of texts `[N, L]`. Each batch is cut after its last end token."""
    family, encoder, embedded = family_of(model), cast(_DualEncoder, model), []
    for ids in input_ids.split(TEXT_BATCH):
        features = encoder.get_text_features(input_ids=family.trim(model.config, ids)).pooler_output
        embedded.append(nn.functional.normalize(features.float(), dim=-1))
    return torch.cat(embedded)


THREADS = min(8, os.cpu_count() or 1)  # threads that decode images; Pillow releases the GIL
AHEAD = 2  # batches that are decoded in advance


@torch.no_grad()
def embed_all_texts(model: PreTrainedModel, input_ids: Tensor) -> Tensor:
    """Normalised embeddings `[N, d]` in fp32 of texts `[N, L]`, on the model's device."""
    with fast_layers(model.eval()):
        return embed_texts(model, input_ids.to(model.device))


def read_ahead(images: ImageSource, batches: Sequence[np.ndarray]) -> Generator[Tensor]:
    """Yield the frames of each batch; threads decode the next batches while the model encodes the current one.

    Args:
        images (`ImageSource`): The images.
        batches (`Sequence[np.ndarray]`): The row indices of each batch.
    """
    with ThreadPoolExecutor(THREADS, thread_name_prefix="decoding") as pool:
        waiting: deque[list[Future[Tensor]]] = deque()
        try:
            for place in range(len(batches) + AHEAD):
                if place < len(batches):
                    rows = batches[place]
                    parts = np.array_split(rows, min(len(rows), THREADS))
                    waiting.append([pool.submit(images.evaluation_batch, part) for part in parts])
                if place >= AHEAD:
                    yield torch.cat([part.result() for part in waiting.popleft()])
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@torch.no_grad()
def embed_all_images(
    model: PreTrainedModel,
    images: ImageSource,
    normalize: Callable[[Tensor], Tensor],
    accelerator: Accelerator,
    batch_size: int,
    description: str,
    rows: Sequence[int] | np.ndarray | None = None,
    show: bool = True,
) -> Tensor:
    """Normalised embeddings `[N, d]` in fp32 of images, on the model's device.

    Each process embeds a part of the batches. Which rows form a batch is fixed, so that a resumed run gets the same
    numbers.

    Args:
        model (`PreTrainedModel`): Used in evaluation mode.
        images (`ImageSource`): The images to embed.
        normalize (`Callable[[Tensor], Tensor]`): Converts frames to pixel values.
        accelerator (`Accelerator`): Device, precision and processes.
        batch_size (`int`): Images per forward pass.
        description (`str`): Title of the progress bar.
        rows (`Sequence[int]`, *optional*): The rows to embed; the embeddings of all others are zero. All by default.
        show (`bool`, defaults to `True`): Whether to show the progress bar.
    """
    model.eval()
    rows = np.arange(len(images)) if rows is None else np.asarray(rows)
    starts = range(0, len(rows), batch_size)
    mine = starts[accelerator.process_index :: accelerator.num_processes]
    width = family_of(model).embedding_dim(model.config)
    embedded = torch.zeros(len(images), width, device=model.device)
    hidden = not (show and accelerator.is_local_main_process) or len(mine) < 4
    batches = [rows[start : start + batch_size] for start in mine]
    with fast_layers(model), closing(read_ahead(images, batches)) as frames_of_batches:
        ahead = zip(batches, frames_of_batches, strict=True)
        for indices, frames in tqdm(ahead, total=len(batches), desc=description, leave=False, disable=hidden):
            with accelerator.autocast():
                embeddings = embed_images(model, normalize(frames.to(model.device)))
            embedded[torch.from_numpy(indices).to(model.device)] = embeddings
    return accelerator.reduce(embedded, reduction="sum") if accelerator.num_processes > 1 else embedded
