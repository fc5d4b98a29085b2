"""Loading models and processors."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)
from transformers.image_processing_backends import PilBackend

from ..utils.errors import UserError
from .families import FAMILIES, Family, family_of
from .weights import plain_weights

BUILT_IN = {"builtin:tiny-clip": str(Path(__file__).parents[1] / "assets" / "tiny-clip")}


def load_model(name_or_path: str | Path, revision: str | None = None, random_init: bool = False) -> PreTrainedModel:
    """Load a model of one of the families in fp32, as a stock model of `transformers`.

    Args:
        name_or_path (`str` or `Path`):
            A Hub id, a local folder with safetensors weights, or `builtin:tiny-clip`, which is part of the package.
        revision (`str`, *optional*): Branch, tag or commit of a Hub repository.
        random_init (`bool`, defaults to `False`): Load the configuration only and initialise the weights at random.

    Raises:
        UserError: If there is no such model, it cannot be loaded, or its family is not supported.
    """
    name = BUILT_IN.get(str(name_or_path), str(name_or_path))
    config, family = _config(name, revision)
    try:
        if random_init:
            model = family.new(config)
            model.set_attn_implementation(attention())
            return model
        loaded: Any = family.model_class.from_pretrained(
            name, revision=revision or "main", dtype=torch.float32, use_safetensors=True,
            attn_implementation=attention(), output_loading_info=True, trust_remote_code=False,
        )  # fmt: skip
    except Exception as error:  # a damaged file raises errors of safetensors, torch or Python
        raise UserError(_not_loaded("model", name, error)) from None
    model, loading_info = loaded
    if missing := sorted(loading_info["missing_keys"]):
        raise UserError(
            f"the model {name} cannot be loaded: it lacks {len(missing)} of its weights, {missing[0]} first; "
            "give a complete model, or set random_init: true to train from random weights"
        )
    if broken := [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]:
        raise UserError(f"the model {name} cannot be used: {broken[0]} has values that are not finite; give another")
    return model


def attention() -> str:
    """The fastest implementation of attention on this device, as `attn_implementation` of `transformers`.

    On a CPU, the backward pass of the fused kernel is slow on sequences as short as CLIP's: in bf16, a training step
    of a 64-pixel model with 65 tokens per image takes 1.7 times as long. In fp32 both take the same time.
    """
    return "sdpa" if torch.accelerator.is_available() else "eager"


def load_processor(name_or_path: str | Path, revision: str | None = None) -> ProcessorMixin:
    """Load the tokenizer and the PIL image processor of a model.

    Raises:
        UserError: If one is missing or cannot be loaded.
    """
    name = BUILT_IN.get(str(name_or_path), str(name_or_path))
    config, family = _config(name, revision)
    try:
        processor = family.load_processor(name, revision)
        crop, size = processor.image_processor.crop_size, config.vision_config.image_size
        if (crop["height"], crop["width"]) != (size, size):
            raise ValueError(f"it crops to {crop['height']} x {crop['width']} pixels, the model needs {size} x {size}")
    except Exception as error:  # a damaged file raises errors of tokenizers, transformers or Python
        raise UserError(_not_loaded("processor", name, error)) from None
    return processor


def _config(name: str, revision: str | None) -> tuple[PreTrainedConfig, Family]:
    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    except Exception as error:  # a damaged configuration raises errors of any kind
        raise UserError(_not_loaded("model", name, error)) from None
    return config, family_of(config, name)


def _not_loaded(what: str, name: str, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [""])[0][:300].rstrip(".") or type(error).__name__
    if not os.path.isdir(name):
        return (
            f"the {what} {name} cannot be loaded: {reason}. Give model_name_or_path the id of a CLIP on the Hub "
            "(such as openai/clip-vit-base-patch16), a local folder with config.json and model.safetensors, or "
            f"{' or '.join(BUILT_IN)}"
        )
    held = sorted(os.listdir(name))
    if what == "model" and not any(file.endswith(".safetensors") for file in held):
        pickled = [file for file in held if file.endswith((".bin", ".pt", ".pth", ".ckpt"))]
        if pickled:
            return (
                f"the model in the folder {name} cannot be loaded: {pickled[0]} is a pickle, which can run "
                "any code and is never loaded. Give a folder with model.safetensors; from a source that you trust, "
                "`AutoModel.from_pretrained(folder).save_pretrained(folder)` writes it"
            )
    files = ", ".join(held[:12]) or "nothing"
    return (
        f"the {what} in the folder {name} cannot be loaded: {reason} (the folder holds: {files}). Copy it again, or "
        "give another as model_name_or_path; it needs config.json, model.safetensors, processor_config.json "
        "and the files of the tokenizer"
    )


def with_pil_images(processor: ProcessorMixin) -> ProcessorMixin:
    """Switch a processor to the PIL variant of its image processor, in place.

    If torchvision is installed, `from_pretrained` chooses torchvision's variant, which resizes differently.

    Raises:
        UserError: If it is not a processor of images and texts.
    """
    images = getattr(processor, "image_processor", None)
    if images is None or getattr(processor, "tokenizer", None) is None:
        raise UserError(
            f"processing_class must have a tokenizer and an image processor, got {type(processor).__name__!r}; give "
            "the model's processor, such as AutoProcessor.from_pretrained(...)"
        )
    if not isinstance(images, PilBackend):
        with TemporaryDirectory() as folder:
            images.save_pretrained(folder)
            processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return processor


def check_model(model: object) -> None:
    """Check that an object is a model that this package can train.

    Raises:
        UserError: If its family is not supported, or its weights are not in fp32.
    """
    if not isinstance(model, nn.Module) or not hasattr(model, "config"):
        raise UserError(
            f"model must be a loaded model ({', '.join(FAMILIES)}), got {type(model).__name__!r}; load one with "
            "AutoModel.from_pretrained(...)"
        )
    family_of(model)
    if other := {parameter.dtype for parameter in model.parameters()} - {torch.float32}:
        raise UserError(
            f"the weights of the model must be torch.float32, got {', '.join(sorted(map(str, other)))}: load it with "
            "dtype=torch.float32, and set bf16=True in the arguments for mixed precision"
        )


def copy_model(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of a model, in the state in which `load_model` returns one; the model is not changed."""
    copied = family_of(model).new(copy.deepcopy(model.config))
    copied.load_state_dict(plain_weights(model))
    copied.set_attn_implementation(attention())
    return copied


def check_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that a tokenizer fits a model, and limit its maximum length to that of the text tower.

    Raises:
        UserError: If every text would get the same embedding, or token ids exceed the vocabulary.
    """
    family_of(model).check_tokenizer(model.config, tokenizer)
