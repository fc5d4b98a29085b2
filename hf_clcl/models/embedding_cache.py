"""The embeddings of a frozen teacher on disk: a run that is stopped, and the next one, need not compute them again."""

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

VERSION = 1  # of what the embeddings of the same weights and images are computed by


@dataclass
class EmbeddingCache:
    """A folder of embeddings, each file named by all that they depend on.

    A file is written whole or not at all and holds a checksum, so several processes and runs may share a folder; one
    that is damaged is computed again.

    Args:
        folder (`Path`): Where the files lie; made when the first is written.
    """

    folder: Path

    def read(self, key: str) -> Tensor | None:
        """The embeddings `[N, d]` under a key, on the CPU; `None` where there are none, or damaged ones."""
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
        """Keep embeddings `[N, d]` under a key. A full disk costs the file, not the run."""
        embeddings = embeddings.detach().cpu().contiguous()
        try:
            with whole_file(self._path(key)) as path:
                save_file({"embeddings": embeddings}, path, {"checksum": _digest(embeddings)})
        except (SafetensorError, OSError) as error:
            logger.warning("the teacher's embeddings could not be kept in %s: %s", self.folder, error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def key_of(model: PreTrainedModel, frames: Frames, rows: np.ndarray, batch_size: int, accelerator: Accelerator) -> str:
    """Names what the embeddings of some images depend on, to the last bit.

    These are the weights, the image files, the transform, which images share a forward, the precision and the machine.

    Args:
        model (`PreTrainedModel`): The teacher.
        frames (`Frames`): The images.
        rows (`np.ndarray`): Which of them are embedded.
        batch_size (`int`): Images a forward.
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
    found = hashlib.blake2b(json.dumps(facts, sort_keys=True, default=str).encode(), digest_size=20)
    found.update(np.ascontiguousarray(rows, dtype=np.int64).tobytes())
    _add_weights(found, model)
    for encoded in frames.encoded(rows):
        found.update(hashlib.blake2b(encoded).digest())
    return found.hexdigest()


def digest_of_weights(model: nn.Module) -> str:
    """A digest of the names and values of a model's weights."""
    found = hashlib.blake2b(digest_size=20)
    _add_weights(found, model)
    return found.hexdigest()


def _add_weights(found: hashlib.blake2b, model: nn.Module) -> None:
    for name, weight in sorted(plain_weights(model).items()):
        found.update(name.encode())
        found.update(_bytes(weight))


def _bytes(tensor: Tensor) -> memoryview:
    return memoryview(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())


def _digest(tensor: Tensor) -> str:
    return hashlib.blake2b(_bytes(tensor), digest_size=20).hexdigest()
