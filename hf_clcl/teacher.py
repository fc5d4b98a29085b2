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
from torch import Tensor
from tqdm.auto import tqdm
from transformers import CLIPModel

from .models import embed_images, embed_texts

THREADS = min(8, os.cpu_count() or 1)  # that decode images; Pillow works without Python's lock
AHEAD = 2  # batches that are decoded before they are needed


class ImageSource(Protocol):
    """Images that are the same each time they are looked at."""

    def __len__(self) -> int: ...

    def evaluation_batch(self, indices: Sequence[int]) -> Tensor: ...


@torch.no_grad()
def embed_all_texts(model: CLIPModel, input_ids: Tensor) -> Tensor:
    """Normalised embeddings `[N, d]` in fp32 of texts `[N, L]`, on the model's device."""
    return embed_texts(model.eval(), input_ids.to(model.device))


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
    model: CLIPModel,
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
        model (`CLIPModel`): Used in evaluation mode.
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
    embedded = torch.zeros(len(images), model.config.projection_dim, device=model.device)
    hidden = not (show and accelerator.is_local_main_process) or len(mine) < 4
    batches = [rows[start : start + batch_size] for start in mine]
    with closing(read_ahead(images, batches)) as frames_of_batches:
        ahead = zip(batches, frames_of_batches, strict=True)
        for indices, frames in tqdm(ahead, total=len(batches), desc=description, leave=False, disable=hidden):
            with accelerator.autocast():
                embeddings = embed_images(model, normalize(frames.to(model.device)))
            embedded[torch.from_numpy(indices).to(model.device)] = embeddings
    return accelerator.reduce(embedded, reduction="sum") if accelerator.num_processes > 1 else embedded
