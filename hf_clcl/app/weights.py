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
    """Load a model in evaluation mode. Float32 weights are memory-mapped, so they are read when needed.

    Args:
        name_or_path (`str` or `Path`): A folder, a Hub id, or a built-in model.
        revision (`str`, *optional*): Branch, tag or commit of a Hub model.

    Raises:
        UserError: If there is no such model, or its family is not supported.
    """
    folder = Path(BUILT_IN.get(str(name_or_path), str(name_or_path)))
    model = _mapped(folder) if (folder / WEIGHTS).is_file() and (folder / "config.json").is_file() else None
    if model is None:
        model = load_model(name_or_path, revision)
    return model.eval().requires_grad_(False)


def _mapped(folder: Path) -> PreTrainedModel | None:
    """The model of a folder with memory-mapped weights; `None` if names, shapes or types do not match."""
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        weights = load_file(folder / WEIGHTS)
        config._attn_implementation = attention()
        with torch.device("meta"):
            model = family_of(config).new(config)
    except Exception:  # any error of a damaged file: `load_model` reports it
        return None
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if {name: t.shape for name, t in weights.items()} != shapes or {t.dtype for t in weights.values()} != {
        torch.float32
    }:
        return None
    model.load_state_dict(weights, assign=True)
    for module in model.modules():
        if (positions := getattr(module, "position_ids", None)) is not None:
            # Position ids are not weights and are not in the file.
            module.position_ids = torch.arange(positions.shape[-1]).expand((1, -1))
    return model
