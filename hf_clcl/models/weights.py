"""The weights of a model: choose trainable ones, copy, move and count them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .families import family_of


def choose_trainable(model: PreTrainedModel, towers: str = "both", train_logit_scale: bool = False) -> None:
    """Freeze all weights except those to train. If the model has adapters, only adapters of the towers are trained.

    Args:
        model (`PreTrainedModel`): Changed in place.
        towers (`str`, defaults to `"both"`): The towers to train: `both`, `vision` or `text`.
        train_logit_scale (`bool`, defaults to `False`): Whether to train the temperature.
    """
    family = family_of(model)
    prefixes = family.prefixes(towers)
    adapted = any(".lora_" in name for name, _ in model.named_parameters())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(
            (name.startswith(prefixes) and (".lora_" in name or not adapted))
            or (name == family.scale and train_logit_scale)
        )


def forget_other_trainers(model: PreTrainedModel) -> None:
    """Remove from a model what another `Trainer` added to it; in place.

    `accelerate` marks a model that it has prepared and does not prepare it again, so the next training would run
    without autocast.
    """
    from accelerate.utils import extract_model_from_parallel

    extract_model_from_parallel(model, keep_fp32_wrapper=False)
    model.__dict__.pop("_is_accelerate_prepared", None)


def plain_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a model under their names without adapters. Adapters are left out: they start at zero."""
    return {name.replace(".base_layer.", "."): t for name, t in model.state_dict().items() if ".lora_" not in name}


def move(model: PreTrainedModel, device: torch.device) -> PreTrainedModel:
    """Move a model to a device, in place; returns it."""
    nn.Module.to(model, device)  # `PreTrainedModel.to` is a wrapper that type checkers cannot read
    return model


def frozen_copy(model: PreTrainedModel) -> PreTrainedModel:
    """A frozen copy of a model in evaluation mode, with storage of its own."""
    copy = family_of(model).new(model.config)
    copy.load_state_dict(plain_weights(model))  # copies values into the new model's own storage
    return move(copy, model.device).eval().requires_grad_(False)


def copy_of(model: PreTrainedModel) -> Callable[[], PreTrainedModel]:
    """A function that copies the model at its first call and returns that copy; for a trainer without a stream."""
    copies: list[PreTrainedModel] = []

    def initial_model() -> PreTrainedModel:
        if not copies:
            copies.append(frozen_copy(model))
        return copies[0]

    return initial_model


def parameter_counts(model: nn.Module) -> tuple[int, int]:
    """Number of trainable parameters, and of all parameters."""
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trainable, sum(p.numel() for p in model.parameters())
