"""LoRA adapters: added before a task and merged into the weights after it."""

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
        RecipeError: If a target matches no layer.
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
    """Number of weights of an adapter of a model.

    Raises:
        RecipeError: If a target matches no layer.
    """
    return sum(lora.r * (m.in_features + m.out_features) for m in adapted_layers(model, lora).values())


class Adapter:
    """A new adapter on a model for one task. The model keeps its class; its layers are wrapped in place.

    Args:
        model (`PreTrainedModel`): A model without adapters.
        lora (`LoRA`): Rank, scale and target layers.
        seed (`int`): Seed of the initial weights.
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
        """Merge the adapter into the weights; returns the model without adapters."""
        state = get_peft_model_state_dict(self.peft_model)
        self.state = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
        model = self.peft_model.merge_and_unload()
        assert isinstance(model, PreTrainedModel)  # the model of `__init__`
        vars(model).pop("peft_config", None)
        return model

    def save(self, folder: Path, base: str) -> None:
        """Save the merged adapter in the format of `peft`, for `PeftModel.from_pretrained`.

        Args:
            folder (`Path`): Folder to write to.
            base (`str`): Hub id or folder of the model that the adapter belongs to.
        """
        config = self.peft_model.peft_config["default"]
        config.base_model_name_or_path, config.inference_mode = base, True
        config.save_pretrained(str(folder))
        save_file(self.state, folder / "adapter_model.safetensors")
