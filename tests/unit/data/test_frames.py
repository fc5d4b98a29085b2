"""Frames against the image processor of transformers, and the training crop."""

import errno
import os
import pickle
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image
from PIL import Image as PILImage
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from hf_clcl.data.images.frames import Frames, ImageCache, Normalizer, random_resized_crop
from hf_clcl.models.embedding import read_ahead
from hf_clcl.utils.errors import DataError

PROCESSOR = CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24})


def dataset_of(images):
    return Dataset.from_dict({"image": images}, features=Features({"image": Image()}))


def random_image(width, height, mode="RGB", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    return PILImage.fromarray(pixels, "RGBA").convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("size", [(24, 24), (50, 31), (17, 90), (7, 5)])
def test_evaluation_path_is_exactly_the_processors(size, mode):
    image = random_image(*size, mode)
    frames = Frames(dataset_of([image]), "image", PROCESSOR)
    ours = Normalizer(PROCESSOR)(frames.evaluation_batch([0]))
    expected = PROCESSOR(image, return_tensors="pt")["pixel_values"]
    assert ours.shape == (1, 3, 24, 24)
    assert torch.equal(ours, expected)


def test_cache_changes_nothing_and_respects_its_limit():
    data = dataset_of([random_image(30, 30, seed=seed) for seed in range(4)])
    cache, empty = ImageCache(1), ImageCache(0)
    cached, plain = Frames(data, "image", PROCESSOR, cache), Frames(data, "image", PROCESSOR, empty)
    for _ in range(2):
        assert torch.equal(cached.evaluation_batch([2, 0]), plain.evaluation_batch([2, 0]))
    assert cache.free == 2**20 - 2 * 3 * 24 * 24 and empty.free == 0
    assert not plain._kept


def on_disk(tmp_path, megabytes=1):
    data = dataset_of([random_image(30, 30, seed=seed) for seed in range(4)])
    return Frames(data, "image", PROCESSOR, ImageCache(0, megabytes, tmp_path / "run"))


def test_evaluation_frames_are_decoded_once_and_kept_on_disk(tmp_path, monkeypatch):
    frames, plain = on_disk(tmp_path), Frames(on_disk(tmp_path).images, "image", PROCESSOR)
    before = frames.cache.disk_free
    expected = plain.evaluation_batch([2, 0, 3])
    assert torch.equal(frames.evaluation_batch([2, 0, 3]), expected)
    assert before - frames.cache.disk_free == 3 * 3 * 24 * 24
    monkeypatch.setattr(frames, "_read", None)  # nothing is decoded again
    assert torch.equal(frames.evaluation_batch([2, 0, 3]), expected)
    assert not list((tmp_path / "run").iterdir())  # the file has no name: a process that is killed leaves nothing
    cache = frames.cache
    del frames
    monkeypatch.undo()
    assert cache.disk_free == before


def test_workers_read_what_is_on_disk(tmp_path):
    frames = on_disk(tmp_path)
    frames.evaluation_batch([1, 2])
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        frames._read = None
        os.write(writer, frames.evaluation_batch([2]).numpy().tobytes())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 2**16) == frames.evaluation_batch([2]).numpy().tobytes()
    copied = pickle.loads(pickle.dumps(frames))  # as to a worker that is not forked
    assert torch.equal(copied.evaluation_batch([1]), frames.evaluation_batch([1]))


def test_a_full_disk_costs_time_and_no_run(tmp_path, monkeypatch, caplog):
    frames, plain = on_disk(tmp_path), on_disk(tmp_path)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    for _ in range(2):
        assert torch.equal(frames.evaluation_batch([0, 1]), plain.evaluation_batch([0, 1]))
    assert caplog.text.count("No space left") == 2 and frames.cache.disk_free == 0  # once for each of the two


def test_half_of_the_free_disk_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10 * 2**20))
    assert ImageCache(0, 100, tmp_path / "new" / "run").disk_free == 5 * 2**20
    assert ImageCache(0, 3, tmp_path).disk_free == 3 * 2**20
    assert ImageCache(0, 0, tmp_path).folder is None


def test_batches_are_read_ahead_in_their_order(monkeypatch):
    class Images:
        def __len__(self):
            return 23

        def evaluation_batch(self, indices):
            time.sleep(0.002 * (int(indices[0]) % 3))  # later ones are done first
            return torch.as_tensor(np.asarray(indices))

    rows = np.random.default_rng(0).permutation(23)
    batches = [rows[start : start + 5] for start in range(0, 23, 5)]
    read = list(read_ahead(Images(), batches))
    assert [batch.tolist() for batch in read] == [batch.tolist() for batch in batches]
    assert list(read_ahead(Images(), [])) == []


def test_what_a_thread_cannot_read_is_told(tmp_path):
    class Broken:
        def evaluation_batch(self, indices):
            raise DataError("row 3 cannot be read")

    with pytest.raises(DataError, match="row 3"):
        list(read_ahead(Broken(), [np.arange(4), np.arange(4)]))


def test_a_cache_is_never_mistaken_for_that_of_another_dataset():
    """Datasets come and go along a stream; Python gives their identities to new objects."""
    cache, size = ImageCache(16), 2**24
    for seed in range(30):
        image = random_image(24, 24, seed=seed)
        frames = Frames(dataset_of([image]), "image", PROCESSOR, cache)
        assert np.array_equal(frames.evaluation_batch([0])[0].permute(1, 2, 0).numpy(), np.asarray(image))
        frames.training_batch([0], [(0,)])
        assert np.array_equal(frames._decoded(0), np.asarray(image))
        assert cache.free < size
        del frames
        assert cache.free == size


def test_training_crop_is_a_function_of_its_seed():
    frames = Frames(dataset_of([random_image(60, 40)]), "image", PROCESSOR, min_crop_scale=0.5)
    first, again, other = (frames.training_batch([0], [seed]) for seed in [(1, 2), (1, 2), (1, 3)])
    assert first.shape == (1, 3, 24, 24) and first.dtype == torch.uint8
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_training_sees_the_colours_of_evaluation(mode):
    image = random_image(24, 24, mode)
    frames = Frames(dataset_of([image]), "image", PROCESSOR)
    whole = np.moveaxis(frames.evaluation_batch([0])[0].numpy(), 0, -1)
    assert np.array_equal(frames._decoded(0), whole)


def test_training_crop_keeps_the_share_of_the_area_that_is_asked_for():
    # The image's columns are numbered: the crop's span of columns tells its width.
    ramp = PILImage.fromarray(np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 200, 0).repeat(3, 2))
    spans = []
    for seed in range(50):
        crop = np.asarray(random_resized_crop(ramp, (200, 200), (0.9, 1.0), np.random.default_rng(seed)))
        spans.append(int(crop[..., 0].max()) - int(crop[..., 0].min()))
    assert min(spans) >= 0.9 * 200 * np.sqrt(3 / 4) - 3
    assert max(spans) <= 199 and len(set(spans)) > 10


def test_an_extreme_image_is_cut_from_its_centre():
    crop = random_resized_crop(random_image(400, 4), (24, 24), (0.9, 1.0), np.random.default_rng(0))
    assert crop.size == (24, 24)


def test_an_unreadable_image_is_named():
    data = dataset_of([{"bytes": b"not an image", "path": None}])
    with pytest.raises(DataError, match=r"pets: the image in row 0 .* cannot be read"):
        Frames(data, "image", PROCESSOR, name="pets").evaluation_batch([0])
