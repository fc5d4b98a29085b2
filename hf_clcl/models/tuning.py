"""LoRA: small trainable matrices beside frozen weights, put on before a task and merged after it."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..config.lora import LoRA
from ..utils.errors import RecipeError
from .families import family_of


def adapted_layers(model: PreTrainedModel, lora: LoRA) -> dict[str, nn.Linear]:
    """The linear layers that get an adapter, by name.

    Raises:
        RecipeError: Where a target matches none.
    """
    towers = family_of(model).prefixes(lora.towers)
    linear = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear) and n.startswith(towers)}
    names = {name.rsplit(".", 1)[-1] for name in linear}
    tower = "the model" if lora.towers == "both" else f"the {lora.towers} tower"
    if unknown := [target for target in lora.target_modules if target not in names]:
        raise RecipeError(
            f"peft: target_modules: {tower} has no linear layer {', '.join(unknown)}; it has "
            f"{', '.join(sorted(names))}"
        )
    return {name: layer for name, layer in linear.items() if name.rsplit(".", 1)[-1] in lora.target_modules}


def adapter_size(model: PreTrainedModel, lora: LoRA) -> int:
    """How many weights an adapter of this model has.

    Raises:
        RecipeError: Where a target matches no layer.
    """
    return sum(lora.r * (m.in_features + m.out_features) for m in adapted_layers(model, lora).values())


class Adapter:
    """A fresh adapter on a model for one task; the model keeps its class, its layers are changed in place.

    Args:
        model (`PreTrainedModel`): A plain CLIP.
        lora (`LoRA`): Rank, scale and layers.
        seed (`int`): Source of the initial weights.
    """

    def __init__(self, model: PreTrainedModel, lora: LoRA, seed: int):
        layers = adapted_layers(model, lora)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.peft_model = get_peft_model(
                model,
                LoraConfig(
                    r=lora.r,
                    lora_alpha=lora.lora_alpha,
                    lora_dropout=lora.lora_dropout,
                    target_modules=list(layers),
                ),
            )
        self.state: dict[str, Tensor] = {}

    def merge(self) -> PreTrainedModel:
        """The plain model with what the adapter learnt."""
        state = get_peft_model_state_dict(self.peft_model)
        self.state = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
        model = self.peft_model.merge_and_unload()
        vars(model).pop("peft_config", None)
        return model

    def save(self, folder: Path, base: str) -> None:
        """Write the merged adapter as `peft` does, for `PeftModel.from_pretrained`; `base` is what it belongs on."""
        config = self.peft_model.peft_config["default"]
        config.base_model_name_or_path, config.inference_mode = base, True
        config.save_pretrained(folder)
        save_file(self.state, folder / "adapter_model.safetensors")
