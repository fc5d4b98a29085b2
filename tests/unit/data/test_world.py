"""The rendered world is the same each time, fair to its classes, and has words that its tokenizer can spell."""

import re
from collections import Counter

import numpy as np
import pytest
from transformers import AutoTokenizer

from hf_clcl.data.texts.vocabulary import SMALLEST_VOCABULARY, build_tokenizer
from hf_clcl.data.world import DOMAINS, STYLES, render_captioned, render_domain, render_reference

UNICODE = ["naïve café", "猫が好き 🐈", "Ünïcödé ß", "tab\tand\nline", "\x00\x7f ❤️ 1,234!"]


def pictures(dataset) -> list[bytes]:
    return [np.asarray(image).tobytes() for image in dataset["image"]]


@pytest.fixture(scope="module")
def captions() -> list[str]:
    rows = render_captioned(160).remove_columns("image")["captions"]
    return [caption for row in rows for caption in row]


@pytest.fixture(scope="module")
def tokenizer(captions):
    return build_tokenizer(captions, vocab_size=800, max_length=32)


@pytest.mark.parametrize("name", DOMAINS)
def test_a_picture_depends_on_its_place_and_the_arguments_alone(name: str) -> None:
    """A longer dataset begins with the shorter one; seed, split and style each change every picture."""
    short, long = render_domain(name, "train", 12), render_domain(name, "train", 24)
    assert pictures(short) == pictures(long)[:12]
    assert short._fingerprint == render_domain(name, "train", 12)._fingerprint
    others = [
        render_domain(name, "train", 24, seed=1),
        render_domain(name, "test", 24),
        render_domain(name, "train", 24, style="study"),
    ]
    seen = [picture for dataset in (long, *others) for picture in pictures(dataset)]
    assert len(set(seen)) == len(seen) == 96


@pytest.mark.parametrize("name", DOMAINS)
def test_classes_are_balanced_and_named(name: str) -> None:
    domain = DOMAINS[name]
    number = len(domain.class_names)
    dataset = render_domain(name, "test", 3 * number)
    assert Counter(dataset["label"]) == dict.fromkeys(range(number), 3)
    assert dataset.features["label"].names == list(domain.class_names)
    assert 6 <= number == len(set(domain.class_names))
    assert all(template.count("{}") == 1 for template in domain.templates)


@pytest.mark.parametrize("size", [16, 33, 64])
def test_any_size(size: int) -> None:
    for dataset in (render_domain("scenes", "train", 10, image_size=size), render_reference(2, image_size=size)):
        assert {(image.size, image.mode) for image in dataset["image"]} == {((size, size), "RGB")}


def test_every_style_has_an_ink_for_every_ground() -> None:
    for style in STYLES:
        render_captioned(150, style=style, domains=["shapes"], image_size=8)


def test_prompts_need_no_other_article() -> None:
    """Templates are filled in as they are, so "a {}" must not meet a vowel."""
    for domain in DOMAINS.values():
        prompts = [template.format(name) for template in domain.templates for name in domain.class_names]
        assert not [prompt for prompt in prompts if re.search(r"\ba ([aei]|o(?!ne\b))", prompt)]


def test_captions_name_what_is_shown(captions: list[str]) -> None:
    rows = render_captioned(160).remove_columns("image")["captions"]
    assert rows == render_captioned(160).remove_columns("image")["captions"]
    assert {len(row) for row in rows} == {1, 2, 3}
    assert all(len(set(row)) == len(row) for row in rows)
    for index, row in enumerate(rows):
        domain = list(DOMAINS.values())[index % len(DOMAINS)]
        assert all(set(caption.strip(".").split()) & set(domain.class_names) for caption in row)
    assert not [caption for caption in captions if "{" in caption or " a orange" in caption or "a eight" in caption]


def test_reference_mixes_domains_in_pictures_of_its_own() -> None:
    reference = render_reference(40)
    assert pictures(reference) == pictures(render_reference(40))
    assert pictures(reference) != pictures(render_reference(40, seed=1))
    assert len(set(pictures(reference))) == 40
    assert {len(row) for row in reference["captions"]} == {1, 2, 3}


def test_only_the_chosen_domains_are_captioned() -> None:
    rows = render_captioned(12, domains=["dice"])["captions"]
    assert all("die" in caption or "roll" in caption for row in rows for caption in row)


@pytest.mark.parametrize(
    ("render", "choices"),
    [
        (lambda: render_domain("animals", "train", 1), "shapes, textures"),
        (lambda: render_domain("shapes", "validation", 1), "train, test"),
        (lambda: render_domain("shapes", "train", 1, style="oil"), "study, field"),
        (lambda: render_captioned(1, domains=["animals"]), "shapes, textures"),
    ],
)
def test_unknown_names_are_answered_with_the_choices(render, choices: str) -> None:
    with pytest.raises(ValueError, match=choices):
        render()


def test_tokenizer_is_of_the_kind_clip_uses(tokenizer) -> None:
    start, end = len(tokenizer) - 2, len(tokenizer) - 1
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (start, end, end)
    assert len(tokenizer) <= 800 and sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))
    assert tokenizer.tokenize("A Die that shows") == ["a</w>", "die</w>", "that</w>", "shows</w>"]
    batch = tokenizer(["the digit one."], padding="max_length")["input_ids"][0]
    assert len(batch) == 32 and batch[0] == start and set(batch[6:]) == {end}


def test_tokenizer_spells_any_text(tokenizer) -> None:
    """Unknown symbols would become the end of text, which ends a text for CLIP."""
    for text in [*UNICODE, "".join(map(chr, range(0x20, 0x500)))]:
        ids = tokenizer(text)["input_ids"]
        assert ids.count(tokenizer.eos_token_id) == 1 and ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(tokenizer("猫 café 🐈")["input_ids"], skip_special_tokens=True) == "猫 café 🐈"


def test_tokenizer_is_the_same_when_learned_again_or_loaded(captions, tokenizer, tmp_path) -> None:
    again = build_tokenizer(captions, vocab_size=800, max_length=32)
    assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.model_max_length == 32
    assert [loaded(text)["input_ids"] for text in captions + UNICODE] == [
        tokenizer(text)["input_ids"] for text in captions + UNICODE
    ]


def test_a_vocabulary_without_room_for_all_bytes() -> None:
    with pytest.raises(ValueError, match=str(SMALLEST_VOCABULARY)):
        build_tokenizer(["a"], vocab_size=100, max_length=8)
