"""What differs between the model families that this program trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ...utils.errors import UserError


@dataclass(frozen=True)
class Family:
    """A family of dual encoders: an image tower and a causal text tower whose embedding is the state at an end token.

    Args:
        model_type (`str`): `model_type` in the `config.json` of its models.
        model_class (`type[PreTrainedModel]`): Class of its models in `transformers`.
        load_processor (`Callable[[str, str | None], ProcessorMixin]`):
            Loads tokenizer and image processor from a Hub id or folder, and a revision.
        end_token (`Callable[[PreTrainedConfig], int | None]`):
            Token id of which the first position in a text is pooled, from the configuration of a text tower; `None`
            where the position of the largest id of a text is pooled.
        fast_layers (`Callable[[PreTrainedModel, bool], Iterator[tuple[nn.Module, type[nn.Module]]]]`):
            Modules of a model and the faster classes that they may have, which take the same weights. With `True`, the
            last layer of the vision tower computes the states of all its tokens, otherwise those that are read only.
        vision_prefixes (`tuple[str, ...]`): How the names of the parameters of the image tower begin.
        text_prefixes (`tuple[str, ...]`): How the names of the parameters of the text tower begin.
        vision_layers (`str`): Name of the list of layers of the image tower.
        text_layers (`str`): Name of the list of layers of the text tower.
        token_embedding (`str`): Name of the embedding of token ids.
        scale (`str`): Name of the parameter that holds the logarithm of the factor of the cosine similarities.
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
        """How the names of the parameters of `both` towers, of the `vision` or of the `text` tower begin."""
        return {
            "both": self.vision_prefixes + self.text_prefixes,
            "vision": self.vision_prefixes,
            "text": self.text_prefixes,
        }[towers]

    def similarity_scale(self, model: nn.Module) -> Tensor:
        """The factor of the cosine similarities in the logits of a model, a scalar with its gradient."""
        return getattr(model, self.scale).exp()

    def embedding_dim(self, config: PreTrainedConfig) -> int:
        """Width of the embeddings of images and texts."""
        return config.projection_dim

    def ends(self, config: PreTrainedConfig, input_ids: Tensor) -> Tensor:
        """The position `[N]` that is pooled in each of the texts `[N, L]`; what follows it changes nothing."""
        end = self.end_token(config.text_config)
        return (input_ids == (input_ids.max() if end is None else end)).int().argmax(dim=-1)

    def trim(self, config: PreTrainedConfig, input_ids: Tensor) -> Tensor:
        """Token ids without the columns that follow the end of every text, from `[N, L]` to `[N, longest]`."""
        return input_ids[:, : int(self.ends(config, input_ids).max()) + 1]

    def check_tokenizer(self, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
        """Check that a tokenizer belongs to a model, and limit its texts to the length that the text tower takes.

        Raises:
            UserError: Where every text would get the same embedding, or token ids exceed the vocabulary.
        """
        text, end = config.text_config, self.end_token(config.text_config)
        if end not in (None, tokenizer.eos_token_id):
            raise UserError(
                f"the text tower ends a text at token {end}, the tokenizer at {tokenizer.eos_token_id}: every text "
                "would get the same embedding. Set text_config.eos_token_id in config.json"
            )
        if tokenizer.model_max_length > text.max_position_embeddings:
            tokenizer.model_max_length = text.max_position_embeddings
        if len(tokenizer) > text.vocab_size:
            raise UserError(f"the tokenizer has {len(tokenizer)} tokens, the text tower only {text.vocab_size}")
