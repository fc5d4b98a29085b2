"""`LoRA`: the `peft` block of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Interval, MinLen

ADAPTED = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


@dataclass
class LoRA:
    """The `peft` block of a recipe: methods that train by gradients then train low-rank updates only.

    The weight is `W + lora_alpha / r * B A` with `B [out, r]`, initially zero, and `A [r, in]`. Each task starts with
    a new adapter, drawn from the same seed, and merges it at its end.

    Source: Hu et al., ICLR 2022, by `peft`.

    Args:
        r (`int`, defaults to 8): Rank.
        lora_alpha (`int`, defaults to 16): The update is scaled by `lora_alpha / r`.
        lora_dropout (`float`, defaults to 0.0): Dropout before `A`.
        target_modules (`list[str]`): Names of the linear layers; defaults to those of attention and MLP.
        towers (`str`, defaults to `"both"`): `both`, `vision` or `text`.
        keep_adapters (`bool`, defaults to `False`):
            Save the adapter of each task too, in `adapter/` of its folder. It applies to the model before that task.
    """

    r: Annotated[int, Ge(1)] = 8
    lora_alpha: Annotated[int, Ge(1)] = 16
    lora_dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    target_modules: Annotated[list[str], MinLen(1)] = field(default_factory=lambda: list(ADAPTED))
    towers: Literal["both", "vision", "text"] = "both"
    keep_adapters: bool = False
