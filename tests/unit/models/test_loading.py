"""Models as they are loaded, and their embeddings."""

from __future__ import annotations

import pytest
import torch

from hf_clcl.data.texts.tokens import stack_texts, tokenize
from hf_clcl.models.embedding import IMAGE_BATCH_ON_CPU, embed_images, embed_texts
from hf_clcl.models.loading import attention, load_model, load_processor


def test_stacked_texts_are_embedded_as_they_are_alone(tiny_clip):
    model, tokenizer = load_model(tiny_clip), load_processor(tiny_clip).tokenizer
    short, long = tokenize(tokenizer, ["red"]), tokenize(tokenizer, ["a photo of a blue thing, it is blue."])
    together = embed_texts(model, stack_texts(short, long))
    alone = torch.cat([embed_texts(model, short), embed_texts(model, long)])
    torch.testing.assert_close(together, alone)


def test_images_are_embedded_in_small_batches_with_the_same_result(tiny_clip):
    model = load_model(tiny_clip).eval()
    images = torch.randn(2 * IMAGE_BATCH_ON_CPU + 3, 3, 16, 16)
    with torch.no_grad():
        features = model.get_image_features(pixel_values=images).pooler_output
        expected = torch.nn.functional.normalize(features, dim=-1)
        torch.testing.assert_close(embed_images(model, images), expected)


@pytest.mark.parametrize("random_init", [False, True])
def test_attention_is_what_is_fastest_here_and_is_not_saved(tiny_clip, tmp_path, random_init):
    model = load_model(tiny_clip, random_init=random_init)
    assert model.vision_model.config._attn_implementation == attention()
    model.save_pretrained(tmp_path)
    assert "attn_implementation" not in (tmp_path / "config.json").read_text()
