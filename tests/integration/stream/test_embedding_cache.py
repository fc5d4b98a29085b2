"""A fixed teacher's embeddings on disk: found again, by this run and others, and never where anything has changed."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from hf_clcl.cli.train import main
from hf_clcl.data.images.frames import Frames
from hf_clcl.methods import guided
from hf_clcl.models.embedding_cache import EmbeddingCache, key_of
from hf_clcl.models.loading import load_model, load_processor


@pytest.fixture
def counted(monkeypatch):
    """How many images each call of a teacher embedded."""
    calls, embed = [], guided.embed_all_images

    def count(model, images, normalize, accelerator, batch_size, description, rows, show):
        calls.append(len(rows))
        return embed(model, images, normalize, accelerator, batch_size, description, rows, show)

    monkeypatch.setattr(guided, "embed_all_images", count)
    return calls


def weights_after(trainer):
    trainer.train()
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def test_a_second_run_takes_them_from_the_disk(build, counted, tmp_path):
    folder = str(tmp_path / "kept")
    first = weights_after(build("zscl", embedding_cache_dir=folder))
    assert counted == [30] and len(list((tmp_path / "kept").iterdir())) == 1
    second = weights_after(build("zscl", embedding_cache_dir=folder))
    without = weights_after(build("zscl"))
    assert counted == [30, 30]  # the third had no folder
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(torch.equal(first[name], without[name]) for name in first)


@pytest.mark.parametrize("teacher", ["previous", "wise"])
def test_teachers_that_change_are_not_kept(build, counted, tmp_path, teacher):
    build("zscl", {"teacher": teacher}, embedding_cache_dir=str(tmp_path / "kept")).train()
    assert counted and not (tmp_path / "kept").exists()


@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_damaged_embeddings_are_computed_again(build, counted, tmp_path, caplog, harm):
    folder = str(tmp_path / "kept")
    first = weights_after(build("zscl", embedding_cache_dir=folder))
    (path,) = (tmp_path / "kept").iterdir()
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content[:-30] if harm == "cut" else content)
    with caplog.at_level(logging.WARNING):
        second = weights_after(build("zscl", embedding_cache_dir=folder))
    assert counted == [30, 30] and path.name in caplog.text and "computed again" in caplog.text
    assert all(torch.equal(first[name], second[name]) for name in first)
    build("zscl", embedding_cache_dir=folder).train()
    assert counted == [30, 30]  # and it was mended


def test_a_folder_that_cannot_be_written_costs_no_run(build, tmp_path, caplog):
    (tmp_path / "kept").write_text("a file")
    with caplog.at_level(logging.WARNING):
        build("zscl", embedding_cache_dir=str(tmp_path / "kept"), max_steps=1).train()
    assert "could not be saved" in caplog.text


def test_the_key_names_all_that_they_depend_on(tiny_clip, colours, tmp_path):
    processor = load_processor(tiny_clip).image_processor
    model, accelerator, rows = load_model(tiny_clip), Accelerator(cpu=True), np.arange(6)

    def key(data=None, model=model, rows=rows, batch_size=4, processor=processor):
        return key_of(model, Frames(data or colours(9), "image", processor), rows, batch_size, accelerator)

    other = load_model(tiny_clip)
    with torch.no_grad():
        other.visual_projection.weight[0, 0] += 1e-6
    resized = load_processor(tiny_clip).image_processor
    resized.size = {"shortest_edge": 20}
    keys = [
        key(),
        key(data=colours(9, seed=1)),
        key(data=colours(10)),
        key(model=other),
        key(rows=np.arange(7)),
        key(batch_size=3),
        key(processor=resized),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0] == key(model=load_model(tiny_clip), data=colours(9))  # of a copy: the same

    files = tmp_path / "files"
    files.mkdir()
    for index, row in enumerate(colours(6)):
        row["image"].save(files / f"{index}.png")
    from datasets import Dataset, Image

    def folder():
        paths = [str(files / f"{index}.png") for index in range(6)]
        return Dataset.from_dict({"image": paths}).cast_column("image", Image())

    before = key(data=folder())
    colours(1, seed=7)[0]["image"].save(files / "3.png")
    assert key(data=folder()) != before


def test_it_reads_what_it_wrote(tmp_path):
    cache, embeddings = EmbeddingCache(tmp_path / "new"), torch.randn(5, 3)
    assert cache.read("a") is None
    cache.write("a", embeddings)
    assert torch.equal(cache.read("a"), embeddings) and cache.read("b") is None


@pytest.mark.slow
def test_a_stream_keeps_them_until_it_is_done(recipe, counted):
    folder = recipe.parent / "kept"
    assert main([str(recipe)]) == 0
    assert counted == [18] and not (recipe.parent / "out" / ".cache").exists()
    for _ in range(2):
        assert main([str(recipe), "--embedding_cache_dir", str(folder), "--output_dir", str(folder) + "-out"]) == 0
        shutil.rmtree(str(folder) + "-out")
    assert counted == [18, 18] and len(list(folder.iterdir())) == 1
