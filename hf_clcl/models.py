"""Loading CLIP models and processors, and choosing what learns."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, CLIPConfig, CLIPModel, CLIPProcessor, PreTrainedTokenizerBase
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from .errors import UserError
from .layers import lean

TEXT_BATCH = 512
IMAGE_BATCH_ON_CPU = 32  # of a 64-pixel model 1.7 times as fast as 128, whose activations fall out of the cache
BUILT_IN = {"builtin:tiny-clip": str(Path(__file__).parent / "assets" / "tiny-clip")}


def load_model(name_or_path: str | Path, revision: str | None = None, random_init: bool = False) -> CLIPModel:
    """Load a CLIP in fp32.

    Args:
        name_or_path (`str` or `Path`):
            A Hub id, a local folder with safetensors weights, or `builtin:tiny-clip`, which comes with the package.
        revision (`str`, *optional*): Branch, tag or commit of a Hub repository.
        random_init (`bool`, defaults to `False`): Take only the configuration and draw the weights anew.

    Raises:
        UserError: Where there is no such model, or it is not a CLIP.
    """
    name = BUILT_IN.get(str(name_or_path), str(name_or_path))
    config = _clip_config(name, revision)
    try:
        if random_init:
            model = CLIPModel(config)
            model.set_attn_implementation(attention())
            return lean(model)
        model, found = CLIPModel.from_pretrained(
            name, revision=revision, dtype=torch.float32, use_safetensors=True, attn_implementation=attention(),
            output_loading_info=True, trust_remote_code=False,
        )  # fmt: skip
    except Exception as error:  # a damaged file raises what safetensors, torch or Python raise
        raise UserError(_not_loaded("model", name, error)) from None
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"the model {name} cannot be loaded: its weights lack {len(missing)} of a CLIP, {missing[0]} first, which "
            "would be drawn at random; give a whole CLIP, or set random_init: true for one that knows nothing"
        )
    if broken := [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]:
        raise UserError(f"the model {name} cannot be used: {broken[0]} has values that are not finite; give another")
    return lean(model)


def attention() -> str:
    """The implementation of attention that is fastest here, as `attn_implementation` of `transformers`.

    On a CPU, the fused kernel's backward is slow on sequences as short as CLIP's: a training step of a 64-pixel model
    with 65 tokens an image takes 1.7 times as long in bf16, and as long in fp32.
    """
    return "sdpa" if torch.accelerator.is_available() else "eager"


def load_processor(name_or_path: str | Path, revision: str | None = None) -> CLIPProcessor:
    """Load the tokenizer and the PIL image processor of a CLIP.

    Raises:
        UserError: Where they are missing.
    """
    name = BUILT_IN.get(str(name_or_path), str(name_or_path))
    config = _clip_config(name, revision)
    try:
        processor = CLIPProcessor(
            image_processor=CLIPImageProcessorPil.from_pretrained(name, revision=revision),
            tokenizer=AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False),
        )
        crop, size = processor.image_processor.crop_size, config.vision_config.image_size
        if (crop["height"], crop["width"]) != (size, size):
            raise ValueError(f"its images have {crop['height']} x {crop['width']} pixels, those of the model {size}")
    except Exception as error:  # a damaged file raises what tokenizers, transformers or Python raise
        raise UserError(_not_loaded("processor", name, error)) from None
    return processor


def _clip_config(name: str, revision: str | None) -> CLIPConfig:
    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    except Exception as error:  # whatever a configuration of somebody else makes of Python
        raise UserError(_not_loaded("model", name, error)) from None
    if not isinstance(config, CLIPConfig):
        raise UserError(f"{name} is a {config.model_type!r} model; this program needs a CLIP (model_type 'clip')")
    return config


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
                f"the model in the folder {name} cannot be loaded: {pickled[0]} is a pickle, which runs what it "
                "holds, and is never read. Give a folder with model.safetensors; from a source that you trust, "
                "`CLIPModel.from_pretrained(folder).save_pretrained(folder)` writes it"
            )
    files = ", ".join(held[:12]) or "nothing"
    return (
        f"the {what} in the folder {name} cannot be loaded: {reason} (the folder holds: {files}). Copy it anew, or "
        "give another as model_name_or_path; needed are config.json, model.safetensors, processor_config.json "
        "and the files of the tokenizer"
    )


def check_tokenizer(model: CLIPModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """See that the text tower pools where the tokenizer ends a text, and that long texts are cut to its length.

    Raises:
        UserError: Where every text would get the same embedding, or token ids exceed the vocabulary.
    """
    config = model.config.text_config
    # 2 is what OpenAI's configurations say; transformers then pools at the largest id, which is their end token.
    if config.eos_token_id not in (2, tokenizer.eos_token_id):
        raise UserError(
            f"the text tower ends a text at token {config.eos_token_id}, the tokenizer at {tokenizer.eos_token_id}: "
            "every text would get the same embedding. Set text_config.eos_token_id in config.json"
        )
    if tokenizer.model_max_length > config.max_position_embeddings:
        tokenizer.model_max_length = config.max_position_embeddings
    if len(tokenizer) > config.vocab_size:
        raise UserError(f"the tokenizer has {len(tokenizer)} tokens, the text tower only {config.vocab_size}")


def tokenize(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Tensor:
    """Token ids `[texts, longest]`, cut after the last end token.

    CLIP's text tower is causal and pools at the end token, so what follows it changes nothing: no mask is needed and
    padding to the model's full length is wasted.
    """
    return tokenizer(texts, padding="longest", truncation=True, return_tensors="pt")["input_ids"]


def stack_texts(*input_ids: Tensor) -> Tensor:
    """Token ids of several lots of texts as one `[sum, longest]`.

    The shorter ones are filled with each row's last token, which is its end token or what stands behind that: the text
    tower pools at the first end token, so nothing changes.
    """
    longest = max(ids.shape[1] for ids in input_ids)
    return torch.cat([torch.cat([ids, ids[:, -1:].expand(-1, longest - ids.shape[1])], dim=1) for ids in input_ids])


def choose_trainable(model: nn.Module, towers: str = "both", train_logit_scale: bool = False) -> None:
    """Freeze what does not learn: by default only `logit_scale`.

    Args:
        model (`CLIPModel`): Changed in place.
        towers (`str`, defaults to `"both"`): `both`, `vision` or `text`.
        train_logit_scale (`bool`, defaults to `False`): Whether the temperature learns.
    """
    adapted = any(".lora_" in name for name, _ in model.named_parameters())
    for name, parameter in model.named_parameters():
        is_vision = name.startswith(("vision_model.", "visual_projection."))
        is_text = name.startswith(("text_model.", "text_projection."))
        parameter.requires_grad_(
            ((is_vision and towers != "text") or (is_text and towers != "vision"))
            and (".lora_" in name or not adapted)
            or (name == "logit_scale" and train_logit_scale)
        )


def forget_other_trainers(model: CLIPModel) -> None:
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


def frozen_copy(model: CLIPModel) -> CLIPModel:
    """A copy in evaluation mode that learns nothing and shares no storage with the model."""
    copy = lean(CLIPModel(model.config))
    copy.load_state_dict(plain_weights(model))  # copies values into the new model's own storage
    return copy.to(model.device).eval().requires_grad_(False)


def copy_of(model: CLIPModel) -> Callable[[], CLIPModel]:
    """The model as it is now, for a trainer that is used without a stream."""
    copies: list[CLIPModel] = []

    def initial_model() -> CLIPModel:
        if not copies:
            copies.append(frozen_copy(model))
        return copies[0]

    return initial_model


def parameter_counts(model: nn.Module) -> tuple[int, int]:
    """Number of trainable parameters, and of all."""
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trainable, sum(p.numel() for p in model.parameters())


def embed_images(model: CLIPModel, pixel_values: Tensor) -> Tensor:
    """Normalised embeddings `[B, d]` in fp32 of images `[B, 3, H, W]` or clips `[B, frames, 3, H, W]`.

    A CPU encodes them in small batches, whatever `B`.
    """
    frames = pixel_values.flatten(0, -4)
    batches = frames.split(IMAGE_BATCH_ON_CPU if frames.device.type == "cpu" else len(frames))
    features = torch.cat([model.get_image_features(pixel_values=batch).pooler_output for batch in batches])
    return pool_clips(nn.functional.normalize(features.float(), dim=-1), pixel_values)


def pool_clips(frames: Tensor, pixel_values: Tensor) -> Tensor:
    """Embeddings `[B, d]` of clips: the mean of the normalised embeddings of their frames, normalised again.

    Source: the parameter-free pooling of CLIP4Clip (Luo et al., 2021, section 3.3).

    Args:
        frames (`Tensor` of shape `[B * frames, d]`): Normalised embeddings, the frames of a clip one after another.
        pixel_values (`Tensor`): What was embedded: clips `[B, frames, 3, H, W]`, or images, which are left alone.
    """
    if pixel_values.ndim < 5:
        return frames
    return nn.functional.normalize(frames.unflatten(0, pixel_values.shape[:2]).mean(dim=1), dim=-1)


def embed_texts(model: CLIPModel, input_ids: Tensor) -> Tensor:
    """Normalised text embeddings `[N, d]` in fp32, encoded in batches, each cut after its longest end token."""
    embedded = []
    for ids in input_ids.split(TEXT_BATCH):
        features = model.get_text_features(input_ids=cut(ids, model)).pooler_output
        embedded.append(nn.functional.normalize(features.float(), dim=-1))
    return torch.cat(embedded)


def cut(input_ids: Tensor, model: CLIPModel) -> Tensor:
    """Token ids without the columns that lie behind the end token in every row."""
    end = model.config.text_config.eos_token_id
    is_end = input_ids == (input_ids.max() if end == 2 else end)
    return input_ids[:, : int(is_end.int().argmax(dim=-1).max()) + 1]
