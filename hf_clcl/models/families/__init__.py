"""The model families that this program trains: one file each, and one line in `FAMILIES`."""

from __future__ import annotations

from transformers import PreTrainedConfig, PreTrainedModel

from ...utils.errors import UserError
from .clip import CLIP
from .family import Family
from .metaclip_2 import METACLIP_2

FAMILIES: dict[str, Family] = {
    "clip": CLIP,
    "metaclip_2": METACLIP_2,
}
"""Families by the `model_type` of their models."""


def family_of(model: PreTrainedModel | PreTrainedConfig, name: str = "the model") -> Family:
    """The family of a model.

    Args:
        model (`PreTrainedModel` or `PreTrainedConfig`): A model or its configuration.
        name (`str`, defaults to `"the model"`): What an error calls it.

    Raises:
        UserError: Where this program has no such family.
    """
    config = model if isinstance(model, PreTrainedConfig) else model.config
    if (family := FAMILIES.get(config.model_type)) is None:
        raise UserError(
            f"{name} is a {config.model_type!r} model; this program supports {', '.join(FAMILIES)}. Give a model "
            "of one of these types"
        )
    return family
