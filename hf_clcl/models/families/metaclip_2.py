"""MetaCLIP 2 (Chuang et al., 2025, arXiv 2507.22062): the architecture of CLIP with the tokenizer of XLM-R."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from transformers import MetaClip2Model
from transformers.models.metaclip_2.modeling_metaclip_2 import (
    MetaClip2Attention,
    MetaClip2EncoderLayer,
    MetaClip2MLP,
)

from .clip import CLIP
from .clip_layers import ClassTokenAttention, ClassTokenLayer, FastMLP, fast_layers


class FastMetaClip2MLP(FastMLP, MetaClip2MLP):
    """See [`FastMLP`]."""

    stock_class = MetaClip2MLP


class ClassTokenMetaClip2Attention(ClassTokenAttention, MetaClip2Attention):
    """See [`ClassTokenAttention`]."""

    stock_class = MetaClip2Attention


class ClassTokenMetaClip2Layer(ClassTokenLayer, MetaClip2EncoderLayer):
    """See [`ClassTokenLayer`]."""

    stock_class = MetaClip2EncoderLayer


METACLIP_2 = replace(
    CLIP,
    model_type="metaclip_2",
    model_class=MetaClip2Model,
    end_token=lambda text_config: text_config.eos_token_id,  # 2 has no special meaning, unlike in CLIP
    fast_layers=partial(
        fast_layers,
        mlp=FastMetaClip2MLP,
        attention=ClassTokenMetaClip2Attention,
        layer=ClassTokenMetaClip2Layer,
    ),
)
