"""Families: what differs between models is in one place, and MetaCLIP 2 learns, is saved and is read as CLIP does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, CLIPConfig, CLIPModel, MetaClip2Config, MetaClip2Model

import hf_clcl
from hf_clcl.data.texts.tokens import stack_texts, tokenize
from hf_clcl.methods.vr_lwf import random_tokens
from hf_clcl.models.embedding import embed_images, embed_texts
from hf_clcl.models.families import FAMILIES, family_of
from hf_clcl.models.fast_layers import fast_layers
from hf_clcl.models.loading import check_tokenizer, load_model, load_processor
from hf_clcl.models.weights import choose_trainable
from hf_clcl.utils.errors import UserError

PACKAGE = Path(hf_clcl.__file__).parent
OF_A_FAMILY = re.compile(
    r"\b(vision_model|text_model|visual_projection|text_projection|logit_scale|eos_token_id|projection_dim|"
    r"(CLIP|MetaClip2)(Model|Config|Processor|MLP|Attention|EncoderLayer|ImageProcessor\w*))\b"
)
TEXTS = ["a red thing", "a photo of a green thing, it is green.", "grey"]


@pytest.fixture(params=["tiny_clip", "tiny_metaclip_2"])
def folder(request) -> Path:
    """A tiny model of each family."""
    return request.getfixturevalue(request.param)


def test_what_belongs_to_a_family_is_named_in_its_file_alone():
    files = [file for file in PACKAGE.rglob("*.py") if "families" not in file.parts]
    assert len(files) > 100
    found = {
        f"{file.relative_to(PACKAGE)}: {word[0]}" for file in files for word in OF_A_FAMILY.finditer(file.read_text())
    }
    assert found == set()
    of_clip = (PACKAGE / "models" / "families" / "clip.py").read_text()
    assert len(OF_A_FAMILY.findall(of_clip)) > 10  # the pattern finds what it is made for


def test_each_family_has_a_file_under_its_name():
    for model_type, family in FAMILIES.items():
        assert family.model_type == model_type == family.model_class.config_class.model_type
        assert (PACKAGE / "models" / "families" / f"{model_type}.py").is_file()


def test_other_models_are_refused():
    assert family_of(CLIPConfig()) is FAMILIES["clip"]
    assert family_of(MetaClip2Config()) is FAMILIES["metaclip_2"]
    with pytest.raises(UserError, match="me/bert is a 'bert' model; this program supports clip, metaclip_2"):
        family_of(BertConfig(), "me/bert")


def test_the_names_of_a_family_exist_in_its_models(folder):
    model = load_model(folder)
    family, names = family_of(model), [name for name, _ in model.named_parameters()]
    sorted_out = {name: [name.startswith(family.prefixes(tower)) for tower in ("vision", "text")] for name in names}
    assert sorted_out.pop(family.scale) == [False, False]
    assert set(map(tuple, sorted_out.values())) == {(True, False), (False, True)}
    for prefix in family.prefixes("both"):
        assert any(name.startswith(prefix) for name in names)
    for layers in (family.vision_layers, family.text_layers):
        assert len(model.get_submodule(layers)) == 2
    assert model.get_submodule(family.token_embedding).weight.shape[0] == model.config.text_config.vocab_size
    choose_trainable(model, "text", train_logit_scale=True)
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learns == {family.scale, *(name for name in names if name.startswith(family.prefixes("text")))}


def test_embeddings_are_the_models_own(folder):
    model, tokenizer = load_model(folder).eval(), load_processor(folder).tokenizer
    images, ids = torch.randn(3, 3, 16, 16), tokenize(tokenizer, TEXTS)
    with torch.no_grad():
        own = model(input_ids=ids, pixel_values=images)
        scale = family_of(model).similarity_scale(model)
        for context in (torch.no_grad(), fast_layers(model)):
            with context:
                embedded = embed_images(model, images), embed_texts(model, ids)
            torch.testing.assert_close(embedded[0], own.image_embeds, atol=1e-6, rtol=0)
            torch.testing.assert_close(embedded[1], own.text_embeds, atol=1e-6, rtol=0)
            torch.testing.assert_close(scale * embedded[0] @ embedded[1].T, own.logits_per_image, atol=1e-5, rtol=0)
    assert embedded[0].shape == (3, family_of(model).embedding_dim(model.config))


def test_padding_changes_no_embedding(folder):
    model, tokenizer = load_model(folder).eval(), load_processor(folder).tokenizer
    check_tokenizer(model, tokenizer)
    alone = [tokenize(tokenizer, [text]) for text in TEXTS]
    longest = tokenizer(TEXTS, padding="max_length", return_tensors="pt")["input_ids"]
    family, config = family_of(model), model.config
    assert longest.shape == (3, 24) and len({ids.shape[1] for ids in alone}) == 3
    assert family.ends(config, longest).tolist() == [ids.shape[1] - 1 for ids in alone]
    assert family.trim(config, longest).shape[1] == max(ids.shape[1] for ids in alone)
    with torch.no_grad():
        one_by_one = torch.cat([embed_texts(model, ids) for ids in alone])
        untrimmed = torch.nn.functional.normalize(model.get_text_features(longest).pooler_output, dim=-1)
        for embedded in (embed_texts(model, longest), embed_texts(model, stack_texts(*alone)), untrimmed):
            torch.testing.assert_close(embedded, one_by_one, atol=1e-6, rtol=0)


def test_two_is_the_end_of_a_text_in_metaclip_2_and_the_largest_id_in_clip(tiny_clip):
    """OpenAI's configurations say 2 for another token; MetaCLIP 2 means it."""
    tokenizer = load_processor(tiny_clip).tokenizer
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**tower, "vocab_size": len(tokenizer), "max_position_embeddings": 24, "eos_token_id": 2}
    ids = torch.tensor([[5, 2, 9, 9], [5, 7, 9, 2]])
    for config_class, model_class, ends in (
        (CLIPConfig, CLIPModel, [2, 2]),
        (MetaClip2Config, MetaClip2Model, [1, 3]),
    ):
        config = config_class(projection_dim=16, text_config=text, vision_config={**tower, "image_size": 16})
        model = model_class(config).eval()
        assert family_of(model).ends(config, ids).tolist() == ends
        states = model.text_model(ids)
        expected = torch.stack([row[end] for row, end in zip(states.last_hidden_state, ends, strict=True)])
        assert torch.equal(states.pooler_output, expected)  # where `transformers` pools
        if config_class is CLIPConfig:
            check_tokenizer(model, tokenizer)
        else:
            with pytest.raises(UserError, match=f"is 2 in the text tower and {ids_end(tokenizer)} in the tokenizer"):
                check_tokenizer(model, tokenizer)


def ids_end(tokenizer) -> int:
    return tokenizer("")["input_ids"][-1]


def test_special_tokens_are_never_drawn(folder):
    import numpy as np

    tokenizer = load_processor(folder).tokenizer
    ids = random_tokens(tokenizer, 500, 6, np.random.default_rng(0))
    start, end = tokenizer("")["input_ids"]
    assert ids.shape == (500, 8) and (ids[:, 0] == start).all() and (ids[:, -1] == end).all()
    assert not set(ids[:, 1:-1].flatten().tolist()) & {*tokenizer.all_special_ids, start, end}


def test_metaclip_2_has_fast_layers_with_its_gradients(tiny_metaclip_2):
    model = load_model(tiny_metaclip_2)
    images, ids = torch.randn(3, 3, 16, 16), tokenize(load_processor(tiny_metaclip_2).tokenizer, TEXTS)

    def gradients() -> torch.Tensor:
        model.zero_grad()
        outputs = model(pixel_values=images, input_ids=ids)
        (outputs.image_embeds @ outputs.text_embeds.T).square().sum().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    exact = gradients()
    with fast_layers(model):
        assert model.vision_model(pixel_values=images).last_hidden_state.shape == (3, 1, 32)
        found = gradients()
    assert model.vision_model(pixel_values=images).last_hidden_state.shape == (3, 5, 32)
    assert not torch.equal(found, exact) and (found - exact).norm() <= 2e-5 * exact.norm()
