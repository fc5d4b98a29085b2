"""Disk cache for the embeddings of a frozen teacher, shared by resumed and later runs."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..data.images.frames import Frames
from ..utils.environment import device_name
from ..utils.files import whole_file
from .weights import plain_weights

logger = logging.getLogger(__name__)

VERSION = 1  # increase when the code computes other embeddings from the same weights and images


@dataclass
class EmbeddingCache:
    """A folder of embeddings. The name of each file is a hash of all that its embeddings depend on.

    Files are written atomically and hold a checksum, so several processes and runs can share a folder. Embeddings from
    a damaged file are computed again.

    Args:
        folder (`Path`): Folder of the files; created at the first write.
    """

    folder: Path

    def read(self, key: str) -> Tensor | None:
        """Load the embeddings `[N, d]` of a key to the CPU; `None` if there are none or the file is damaged."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                embeddings, metadata = file.get_tensor("embeddings"), file.metadata() or {}
        except (SafetensorError, OSError) as error:
            logger.warning("%s cannot be read (%s); its embeddings are computed again", path, error)
            return None
        if metadata.get("checksum") != _digest(embeddings):
            logger.warning("%s is damaged; its embeddings are computed again", path)
            return None
        return embeddings

    def write(self, key: str, embeddings: Tensor) -> None:
        """Save embeddings `[N, d]` under a key. If that fails (a full disk), log a warning."""
        embeddings = embeddings.detach().cpu().contiguous()
        try:
            with whole_file(self._path(key)) as path:
                save_file({"embeddings": embeddings}, path, {"checksum": _digest(embeddings)})
        except (SafetensorError, OSError) as error:
            logger.warning("the teacher's embeddings could not be saved in %s: %s", self.folder, error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def key_of(model: PreTrainedModel, frames: Frames, rows: np.ndarray, batch_size: int, accelerator: Accelerator) -> str:
    """The cache key of embeddings: a hash of all that they depend on.

    These are the weights, the image files, the transform, the batches, the precision and the device.

    Args:
        model (`PreTrainedModel`): The teacher.
        frames (`Frames`): The images.
        rows (`np.ndarray`): The rows that are embedded.
        batch_size (`int`): Images per forward pass.
        accelerator (`Accelerator`): Device and precision.
    """
    facts = {
        "version": VERSION,
        "torch": torch.__version__,
        "device": device_name(accelerator.device),
        "precision": accelerator.mixed_precision,
        "attention": model.config._attn_implementation,
        "batch_size": batch_size,
        "images": len(frames),
        "transform": frames.processor.to_dict(),
    }
    digest = hashlib.blake2b(json.dumps(facts, sort_keys=True, default=str).encode(), digest_size=20)
    digest.update(np.ascontiguousarray(rows, dtype=np.int64).tobytes())
    _add_weights(digest, model)
    for encoded in frames.encoded(rows):
        digest.update(hashlib.blake2b(encoded).digest())
    return digest.hexdigest()


def digest_of_weights(model: nn.Module) -> str:
    """A digest of the names and values of a model's weights."""
    digest = hashlib.blake2b(digest_size=20)
    _add_weights(digest, model)
    return digest.hexdigest()


def _add_weights(digest: hashlib.blake2b, model: nn.Module) -> None:
    for name, weight in sorted(plain_weights(model).items()):
        digest.update(name.encode())
        digest.update(_bytes(weight))


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data


def _digest(tensor: Tensor) -> str:
    return hashlib.blake2b(_bytes(tensor), digest_size=20).hexdigest()
