"""Memory-mapped loading of a checkpoint for inference."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoConfig, PreTrainedModel

from ..models.families import family_of
from ..models.loading import BUILT_IN, attention, load_model

WEIGHTS = "model.safetensors"


def mapped_model(name_or_path: str | Path, revision: str | None = None) -> PreTrainedModel:
    """A model in evaluation mode. Weights that are stored as they are used are mapped, and so are read when needed.

    Args:
        name_or_path (`str` or `Path`): A folder, a Hub id, or a built-in model.
        revision (`str`, *optional*): Branch, tag or commit of a Hub model.

    Raises:
        UserError: Where there is no such model, or it belongs to no family of this program.
    """
    folder = Path(BUILT_IN.get(str(name_or_path), str(name_or_path)))
    model = _mapped(folder) if (folder / WEIGHTS).is_file() and (folder / "config.json").is_file() else None
    if model is None:
        model = load_model(name_or_path, revision)
    return model.eval().requires_grad_(False)


def _mapped(folder: Path) -> PreTrainedModel | None:
    """The model of a folder on its mapped weights; `None` where names or types are not those of the model."""
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        weights = load_file(folder / WEIGHTS)
        config._attn_implementation = attention()
        with torch.device("meta"):
            model = family_of(config).new(config)
    except Exception:  # whatever a damaged file raises: `load_model` tells of it in words
        return None
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if {name: t.shape for name, t in weights.items()} != shapes or {t.dtype for t in weights.values()} != {
        torch.float32
    }:
        return None
    model.load_state_dict(weights, assign=True)
    for module in model.modules():
        if (positions := getattr(module, "position_ids", None)) is not None:
            # Positions are no weights: they are counted, not read.
            module.position_ids = torch.arange(positions.shape[-1]).expand((1, -1))
    return model
