"""The supported model families: one file each, and one line in `FAMILIES`."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedConfig

from ...utils.errors import UserError
from .clip import CLIP
from .family import Family
from .metaclip_2 import METACLIP_2

FAMILIES: dict[str, Family] = {
    "clip": CLIP,
    "metaclip_2": METACLIP_2,
}
"""`model_type` of a configuration -> family."""


def family_of(model: nn.Module | PreTrainedConfig, name: str = "the model") -> Family:
    """The family of a model.

    Args:
        model (`nn.Module` or `PreTrainedConfig`): A model, also one compiled, or its configuration.
        name (`str`, defaults to `"the model"`): Name of the model in error messages.

    Raises:
        UserError: If the family is not supported.
    """
    config: Any = model if isinstance(model, PreTrainedConfig) else model.config
    if (family := FAMILIES.get(config.model_type)) is None:
        raise UserError(
            f"{name} is a {config.model_type!r} model; this program supports {', '.join(FAMILIES)}. Give a model "
            "of one of these types"
        )
    return family
