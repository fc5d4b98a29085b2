"""The `peft` block of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ADAPTED = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


@dataclass
class LoRA:
    """The `peft` block of a recipe: any method that trains by gradients then learns in low-rank updates alone.

    `W + lora_alpha / r * B A` with `B [out, r]`, zero at first, and `A [r, in]`. Each task starts with a fresh
    adapter, drawn from the same seed, and ends by merging it.

    Source: Hu et al., ICLR 2022, by `peft`.

    Args:
        r (`int`, defaults to 8): Rank.
        lora_alpha (`int`, defaults to 16): The update is scaled by `lora_alpha / r`.
        lora_dropout (`float`, defaults to 0.0): Dropout before `A`.
        target_modules (`list[str]`): Names of the linear layers, those of attention and MLP where not given.
        towers (`str`, defaults to `"both"`): `both`, `vision` or `text`.
        keep_adapters (`bool`, defaults to `False`):
            Save each task's adapter too, in `adapter/` of its folder. It belongs on the model before that task.
    """

    r: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    target_modules: list[str] = field(default_factory=lambda: list(ADAPTED))
    towers: Literal["both", "vision", "text"] = "both"
    keep_adapters: bool = False

    def problems(self) -> list[str]:
        """What is wrong with the values, a line each."""
        found = [
            f"peft: {name}: must be at least 1, found {getattr(self, name)}"
            for name in ("r", "lora_alpha")
            if getattr(self, name) < 1
        ]
        if not 0 <= self.lora_dropout < 1:
            found.append(f"peft: lora_dropout: must be at least 0 and below 1, found {self.lora_dropout}")
        if not self.target_modules:
            found.append(f"peft: target_modules: is empty; leave it out for {', '.join(ADAPTED)}")
        return found
