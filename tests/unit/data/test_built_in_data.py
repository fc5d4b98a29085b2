"""The lists of names and prompts, the rendered world and the real small stream, as recipes name them."""

import json
import logging
import os

import pytest

from helpers import ROOT
from helpers.small_datasets import task
from hf_clcl.config.entries import ReferenceEntry
from hf_clcl.data import world
from hf_clcl.data.references import resolve_reference_images, resolve_reference_texts
from hf_clcl.data.sources import rendered
from hf_clcl.data.texts import prompts
from hf_clcl.data.world import DOMAINS
from hf_clcl.stream.recipes import read_recipe
from hf_clcl.utils.errors import DataError

pytestmark = pytest.mark.usefixtures("own_cache")


# Built-in lists and the recipes that use them


def test_built_in_lists_hold_together():
    sizes = {"aircraft": 100, "caltech101": 101, "cifar100": 100, "dtd": 47, "eurosat": 10, "flowers102": 102}
    sizes |= {
        "food101": 101,
        "mnist": 10,
        "pets": 37,
        "cars": 196,
        "sun397": 397,
        "imagenet": 1000,
        "tiny_imagenet": 200,
    }
    for name, size in sizes.items():
        found = prompts.built_in(name)
        assert len(found.class_names) == len(set(found.class_names)) == size, name
        assert set(found.also_called.values()) <= set(found.class_names), name
        assert all(template.count("{}") == 1 for template in [*found.templates, found.training_template]), name


def test_a_few_names_that_no_list_knows_stay_as_they_are(caplog):
    own = ["banded", "zig-zagged", "new_kind"]
    with caplog.at_level(logging.WARNING):
        assert prompts.match_class_names("dtd", own, "task x") == ["banded", "zigzagged", "new kind"]
    assert "new_kind" in caplog.text


def test_the_mtil_recipe_is_the_published_stream():
    recipe = read_recipe(ROOT / "recipes" / "mtil.yaml")
    assert [task.expect["classes"] for task in recipe.tasks] == [100, 101, 100, 47, 10, 102, 101, 10, 37, 196, 397]
    assert {task.name for task in recipe.tasks if task.training == {"learning_rate": 5e-5}} == {"aircraft", "mnist"}
    for entry in recipe.tasks:
        known = prompts.built_in(entry.class_names)
        assert entry.templates == entry.class_names and len(known.class_names) == entry.expect["classes"]
    assert recipe.reference_images.take == 100_000 and recipe.reference_texts.split == "validation"


def test_rendered_domains_bring_their_templates():
    found = task("rendered:shapes@24", take_train=12)
    assert (len(found.train), len(found.test), found.train[0]["image"].size) == (12, 200, (24, 24))
    assert found.templates == list(DOMAINS["shapes"].templates)
    assert task("rendered:shapes", take_train=1, take_test=1, templates=["a {}"]).templates == ["a {}"]


def test_rendered_captions_and_references():
    pairs = task("rendered:captioned", take_train=9, take_test=9, caption_column="captions")
    assert pairs.kind.name == "captions" and pairs.train["captions"][:] != pairs.test["captions"][:]
    images, column = resolve_reference_images(ReferenceEntry("rendered:reference", take=5))
    assert len(images) == 5 and images[0][column].size == (32, 32)
    texts = resolve_reference_texts(ReferenceEntry("rendered:reference@16", take=40))
    assert len(texts) == 40 and len(set(texts)) > 5


def test_errors_of_rendered_data():
    with pytest.raises(DataError, match="no rendered:shape; the rendered world has .*shapes.*captioned"):
        task("rendered:shape")
    with pytest.raises(DataError, match="rendered:shapes has no split 'val', but train, test"):
        task("rendered:shapes", test_split="val", take_train=1)


# Real data


def test_the_real_small_stream(shared):
    sizes = json.loads((shared / "data" / "index.json").read_text())
    for name in ("eurosat", "gtsrb43", "mnist", "cifar10"):
        expect = {key: sizes[name][key] for key in ("classes", "train", "test")}
        found = task(name, str(shared / "data"), expect=expect)
        assert found.test[0]["image"].size[0] > 20 and not any("_" in word for word in found.class_names)
    images, column = resolve_reference_images(ReferenceEntry("tiny_imagenet", take=50), str(shared / "data"), 0)
    assert len(images) == 50 and images[0][column].size == (64, 64)
    texts = resolve_reference_texts(ReferenceEntry("flickr8k", take=99, text_column="captions"), str(shared / "data"))
    assert len(texts) == 99 and all(text == text.strip() for text in texts)


def test_importing_the_module_loads_no_library():
    code = "import sys, hf_clcl.data.resolve; sys.exit(bool({'torch', 'datasets', 'transformers'} & set(sys.modules)))"
    assert os.spawnl(os.P_WAIT, os.sys.executable, os.sys.executable, "-c", code) == 0


def test_reference_texts_are_captions_of_images_drawn_before(monkeypatch):
    drawn = []
    draw = world.render_reference
    monkeypatch.setattr(world, "render_reference", lambda count, *rest: drawn.append(count) or draw(count, *rest))
    monkeypatch.setattr(rendered, "_last", {})
    monkeypatch.setitem(rendered.RENDERED_TRAIN, "reference", 20)
    images, column = resolve_reference_images(ReferenceEntry("rendered:reference", take=30))
    texts = resolve_reference_texts(ReferenceEntry("rendered:reference"))
    assert drawn == [30] and len(images) == 30
    assert texts == [text for captions in draw(20)["captions"] for text in captions]
    resolve_reference_texts(ReferenceEntry("rendered:reference@16"))  # other pictures
    resolve_reference_images(ReferenceEntry("rendered:reference@16", take=21))  # more of them
    assert drawn == [30, 20, 21]
