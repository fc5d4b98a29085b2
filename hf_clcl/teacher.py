"""The frozen teacher and the embeddings it gives, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm.auto import tqdm
from transformers import CLIPModel

from .models import embed_images, embed_texts


class ImageSource(Protocol):
    """Images that are the same each time they are looked at."""

    def __len__(self) -> int: ...

    def evaluation_batch(self, indices: Sequence[int]) -> Tensor: ...


@torch.no_grad()
def embed_all_texts(model: CLIPModel, input_ids: Tensor) -> Tensor:
    """Normalised embeddings `[N, d]` in fp32 of texts `[N, L]`, on the model's device."""
    return embed_texts(model.eval(), input_ids.to(model.device))


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
    for start in tqdm(mine, desc=description, leave=False, disable=hidden):
        indices = rows[start : start + batch_size]
        with accelerator.autocast():
            frames = images.evaluation_batch(indices).to(model.device)
            embedded[torch.from_numpy(indices).to(model.device)] = embed_images(model, normalize(frames))
    return accelerator.reduce(embedded, reduction="sum") if accelerator.num_processes > 1 else embedded
