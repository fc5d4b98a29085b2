"""Choosing, copying and counting the weights of a model."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from transformers import PreTrainedModel

from .families import family_of


def choose_trainable(model: PreTrainedModel, towers: str = "both", train_logit_scale: bool = False) -> None:
    """Freeze what does not learn: by default only the scale of the similarities.

    Args:
        model (`PreTrainedModel`): Changed in place.
        towers (`str`, defaults to `"both"`): `both`, `vision` or `text`.
        train_logit_scale (`bool`, defaults to `False`): Whether the temperature learns.
    """
    family = family_of(model)
    learns = family.prefixes(towers)
    adapted = any(".lora_" in name for name, _ in model.named_parameters())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(
            (name.startswith(learns) and (".lora_" in name or not adapted))
            or (name == family.scale and train_logit_scale)
        )


def forget_other_trainers(model: PreTrainedModel) -> None:
    """Undo what another `Trainer` has made of a model; changed in place.

    `accelerate` marks a model that it has prepared, and would not prepare it again: what is trained next would be
    trained without autocast.
    """
    from accelerate.utils import extract_model_from_parallel

    extract_model_from_parallel(model, keep_fp32_wrapper=False)
    model.__dict__.pop("_is_accelerate_prepared", None)


def plain_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a CLIP under their plain names. Adapters are left out: at the start of a task they are zero."""
    return {name.replace(".base_layer.", "."): t for name, t in model.state_dict().items() if ".lora_" not in name}


def frozen_copy(model: PreTrainedModel) -> PreTrainedModel:
    """A copy in evaluation mode that learns nothing and shares no storage with the model."""
    copy = family_of(model).new(model.config)
    copy.load_state_dict(plain_weights(model))  # copies values into the new model's own storage
    return copy.to(model.device).eval().requires_grad_(False)


def copy_of(model: PreTrainedModel) -> Callable[[], PreTrainedModel]:
    """The model as it is now, for a trainer that is used without a stream."""
    copies: list[PreTrainedModel] = []

    def initial_model() -> PreTrainedModel:
        if not copies:
            copies.append(frozen_copy(model))
        return copies[0]

    return initial_model


def parameter_counts(model: nn.Module) -> tuple[int, int]:
    """Number of trainable parameters, and of all."""
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trainable, sum(p.numel() for p in model.parameters())
