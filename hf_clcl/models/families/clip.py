"""CLIP (Radford et al., 2021), with the weights of OpenAI, LAION, DataComp and others."""

from __future__ import annotations

from functools import partial

from transformers import AutoTokenizer, CLIPModel, CLIPProcessor, PreTrainedConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.clip.modeling_clip import CLIPMLP, CLIPAttention, CLIPEncoderLayer

from .clip_layers import ClassTokenAttention, ClassTokenLayer, FastMLP, fast_layers
from .family import Family


class FastCLIPMLP(FastMLP, CLIPMLP):
    """See [`FastMLP`]."""

    stock_class = CLIPMLP


class ClassTokenCLIPAttention(ClassTokenAttention, CLIPAttention):
    """See [`ClassTokenAttention`]."""

    stock_class = CLIPAttention


class ClassTokenCLIPLayer(ClassTokenLayer, CLIPEncoderLayer):
    """See [`ClassTokenLayer`]."""

    stock_class = CLIPEncoderLayer


def load_processor(name: str, revision: str | None = None) -> CLIPProcessor:
    """Load the tokenizer and the PIL image processor of a Hub id or folder."""
    return CLIPProcessor(
        image_processor=CLIPImageProcessorPil.from_pretrained(name, revision=revision or "main"),
        tokenizer=AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False),
    )


def _end_token(text_config: PreTrainedConfig) -> int | None:
    # OpenAI's configurations say 2. For them, `transformers` pools at the largest id, which is the end token.
    return None if text_config.eos_token_id == 2 else text_config.eos_token_id


CLIP = Family(
    model_type="clip",
    model_class=CLIPModel,
    load_processor=load_processor,
    end_token=_end_token,
    fast_layers=partial(fast_layers, mlp=FastCLIPMLP, attention=ClassTokenCLIPAttention, layer=ClassTokenCLIPLayer),
    vision_prefixes=("vision_model.", "visual_projection."),
    text_prefixes=("text_model.", "text_projection."),
    vision_layers="vision_model.encoder.layers",
    text_layers="text_model.encoder.layers",
    token_embedding="text_model.embeddings.token_embedding",
    scale="logit_scale",
)
