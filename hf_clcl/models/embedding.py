"""The frozen teacher and the embeddings it gives, each computed once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from .families import family_of
from .fast_layers import fast_layers

TEXT_BATCH = 512
IMAGE_BATCH_ON_CPU = 32  # of a 64-pixel model 1.7 times as fast as 128, whose activations fall out of the cache


def embed_images(model: PreTrainedModel, pixel_values: Tensor) -> Tensor:
    """Normalised embeddings `[B, d]` in fp32 of images `[B, 3, H, W]` or clips `[B, frames, 3, H, W]`.

    A CPU encodes them in small batches, whatever `B`.
    """
    frames = pixel_values.flatten(0, -4)
    batches = frames.split(IMAGE_BATCH_ON_CPU if frames.device.type == "cpu" else len(frames))
    features = torch.cat([model.get_image_features(pixel_values=batch).pooler_output for batch in batches])
    return pool_clips(nn.functional.normalize(features.float(), dim=-1), pixel_values)


def pool_clips(frames: Tensor, pixel_values: Tensor) -> Tensor:
    """Embeddings `[B, d]` of clips: the mean of the normalised embeddings of their frames, normalised again.

    Source: the parameter-free pooling of CLIP4Clip (Luo et al., 2021).

    Args:
        frames (`Tensor` of shape `[B * frames, d]`): Normalised embeddings, the frames of a clip one after another.
        pixel_values (`Tensor`): What was embedded: clips `[B, frames, 3, H, W]`, or images, which are left alone.
    """
    if pixel_values.ndim < 5:
        return frames
    return nn.functional.normalize(frames.unflatten(0, pixel_values.shape[:2]).mean(dim=1), dim=-1)


def embed_texts(model: PreTrainedModel, input_ids: Tensor) -> Tensor:
    """Normalised text embeddings `[N, d]` in fp32, encoded in batches, each cut after its longest end token."""
    family, embedded = family_of(model), []
    for ids in input_ids.split(TEXT_BATCH):
        features = model.get_text_features(input_ids=family.trim(model.config, ids)).pooler_output
        embedded.append(nn.functional.normalize(features.float(), dim=-1))
    return torch.cat(embedded)


THREADS = min(8, os.cpu_count() or 1)  # that decode images; Pillow works without Python's lock
AHEAD = 2  # batches that are decoded before they are needed


class ImageSource(Protocol):
    """Images that are the same each time they are looked at."""

    def __len__(self) -> int: ...

    def evaluation_batch(self, indices: Sequence[int]) -> Tensor: ...


@torch.no_grad()
def embed_all_texts(model: PreTrainedModel, input_ids: Tensor) -> Tensor:
    """Normalised embeddings `[N, d]` in fp32 of texts `[N, L]`, on the model's device."""
    with fast_layers(model.eval()):
        return embed_texts(model, input_ids.to(model.device))


def read_ahead(images: ImageSource, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
    """The frames of each batch, decoded by several threads while the model works on the one before.

    Args:
        images (`ImageSource`): The images.
        batches (`Sequence[np.ndarray]`): Rows of each batch.
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

    Processes share the work: each embeds some batches of a fixed composition, so that the numbers do not depend on
    when a run was stopped.

    Args:
        model (`PreTrainedModel`): Used in evaluation mode.
        images (`ImageSource`): What to embed.
        normalize (`Callable[[Tensor], Tensor]`): Frames to pixel values.
        accelerator (`Accelerator`): Gives the device, the precision and the processes.
        batch_size (`int`): Images a forward.
        description (`str`): For the progress bar.
        rows (`Sequence[int]`, *optional*): Embed these alone; the others are left at zero.
        show (`bool`, defaults to `True`): Whether to show progress.
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
