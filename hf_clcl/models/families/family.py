"""A model family: the properties that differ between supported dual encoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ...utils.errors import UserError


@dataclass(frozen=True)
class Family:
    """A family of dual encoders with an image tower and a causal text tower that pools the state at the end token.

    Args:
        model_type (`str`): `model_type` in the `config.json` of its models.
        model_class (`type[PreTrainedModel]`): Class of its models in `transformers`.
        load_processor (`Callable[[str, str | None], ProcessorMixin]`):
            Loads the tokenizer and the image processor of a Hub id or folder, and a revision.
        end_token (`Callable[[PreTrainedConfig], int | None]`):
            Returns, for the configuration of a text tower, the end token, whose first position is pooled; `None` if
            the position of the largest token id is pooled.
        fast_layers (`Callable[[PreTrainedModel, bool], Iterator[tuple[nn.Module, type[nn.Module]]]]`):
            Yields modules of a model and faster classes for them that use the same weights. With `True`, the last
            layer of the vision tower computes the states of all tokens, otherwise only that of the class token.
        vision_prefixes (`tuple[str, ...]`): Prefixes of the parameter names of the image tower.
        text_prefixes (`tuple[str, ...]`): Prefixes of the parameter names of the text tower.
        vision_layers (`str`): Name of the submodule with the layers of the image tower.
        text_layers (`str`): Name of the submodule with the layers of the text tower.
        token_embedding (`str`): Name of the submodule that embeds token ids.
        scale (`str`): Name of the parameter with the logarithm of the scale of the cosine similarities.
    """

    model_type: str
    model_class: type[PreTrainedModel]
    load_processor: Callable[[str, str | None], ProcessorMixin]
    end_token: Callable[[PreTrainedConfig], int | None]
    fast_layers: Callable[[PreTrainedModel, bool], Iterator[tuple[nn.Module, type[nn.Module]]]]
    vision_prefixes: tuple[str, ...]
    text_prefixes: tuple[str, ...]
    vision_layers: str
    text_layers: str
    token_embedding: str
    scale: str

    def new(self, config: PreTrainedConfig) -> PreTrainedModel:
        """A model of this configuration with random weights."""
        return self.model_class(config)

    def prefixes(self, towers: str) -> tuple[str, ...]:
        """Prefixes of the parameter names of `both` towers, of the `vision` or of the `text` tower."""
        return {
            "both": self.vision_prefixes + self.text_prefixes,
            "vision": self.vision_prefixes,
            "text": self.text_prefixes,
        }[towers]

    def similarity_scale(self, model: nn.Module) -> Tensor:
        """The scale of the cosine similarities in the logits of a model: a scalar with gradient."""
        return getattr(model, self.scale).exp()

    def embedding_dim(self, config: PreTrainedConfig) -> int:
        """Width of the embeddings of images and texts."""
        return config.projection_dim

    def ends(self, config: PreTrainedConfig, input_ids: Tensor) -> Tensor:
        """The position `[N]` that is pooled in each of the texts `[N, L]`; later tokens have no effect."""
        end = self.end_token(config.text_config)
        return (input_ids == (input_ids.max() if end is None else end)).int().argmax(dim=-1)

    def trim(self, config: PreTrainedConfig, input_ids: Tensor) -> Tensor:
        """Cut token ids `[N, L]` to `[N, longest]`: drop the columns after the last end token."""
        return input_ids[:, : int(self.ends(config, input_ids).max()) + 1]

    def check_tokenizer(self, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        """Check that a tokenizer fits a model, and limit its maximum length to that of the text tower.

        Raises:
            UserError: If every text would get the same embedding, or token ids exceed the vocabulary.
        """
        text, end = config.text_config, self.end_token(config.text_config)
        if end not in (None, tokenizer.eos_token_id):
            raise UserError(
                f"the end token is {end} in the text tower and {tokenizer.eos_token_id} in the tokenizer: every text "
                "would get the same embedding. Set text_config.eos_token_id in config.json"
            )
        if tokenizer.model_max_length > text.max_position_embeddings:
            tokenizer.model_max_length = text.max_position_embeddings
        if len(tokenizer) > text.vocab_size:
            raise UserError(f"the tokenizer has {len(tokenizer)} tokens, the text tower only {text.vocab_size}")
