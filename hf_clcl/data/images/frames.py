"""Images as model inputs: decode, crop to a uint8 frame, and normalise on the device."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...utils.errors import DataError
from ...utils.files import free_bytes
from .. import columns
from .frame_file import FrameFile
from .pictures import eight_bits, trimmed
from .reading import UNREADABLE, why

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

ASPECT_RATIOS = (3 / 4, 4 / 3)
CROP_ATTEMPTS = 10


class ImageProcessor(Protocol):
    """The attributes used of an image processor; its base class in transformers does not declare them."""

    crop_size: Any  # `{"height": int, "width": int}`
    do_rescale: bool | None
    rescale_factor: float
    do_normalize: bool | None
    image_mean: Any  # per channel
    image_std: Any

    def __call__(self, images: Any, **steps: bool) -> Mapping[str, Any]: ...

    def to_dict(self) -> dict[str, Any]: ...


class ImageCache:
    """Budget of memory and disk space for decoded images, shared by the datasets of a run.

    It only counts bytes. Each [`Frames`] holds its own images, and releases their space when it is deleted. Frames for
    evaluation are cached on disk if a folder is given. Images for training, which get a new crop each time, are cached
    in memory. Images that do not fit are decoded each time.

    Args:
        megabytes (`int`): Memory in MB.
        disk_megabytes (`int`, defaults to 0): Disk space in MB; at most half of the free space is used.
        folder (`Path`, *optional*): Folder on that disk.
    """

    def __init__(self, megabytes: int, disk_megabytes: int = 0, folder: Path | None = None):
        self.free, self.disk_free = megabytes * 2**20, 0
        self.folder = folder if disk_megabytes and hasattr(os, "pread") else None
        if self.folder is not None:
            self.disk_free = min(disk_megabytes * 2**20, free_bytes(self.folder) // 2)

    def take(self, size: int) -> bool:
        """Reserve `size` bytes of memory; returns whether they were free."""
        if size > self.free:
            return False
        self.free -= size
        return True

    def take_disk(self, size: int) -> bool:
        """Reserve `size` bytes of the disk; returns whether they were free."""
        if size > self.disk_free:
            return False
        self.disk_free -= size
        return True


class Frames:
    """The images of one dataset as uint8 frames of the model's size.

    Args:
        dataset (`datasets.Dataset`): Rows with an image column.
        column (`str`): Name of the image column.
        processor (`ImageProcessor`): Image processor of the model; sets size and normalisation.
        cache (`ImageCache`, *optional*): Budget for cached images; nothing is cached if `None`.
        name (`str`, defaults to `"dataset"`): For error messages.
        min_crop_scale (`float`, defaults to 0.9): Smallest share of the area that a random training crop keeps.
    """

    def __init__(
        self,
        dataset: Dataset,
        column: str,
        processor: ImageProcessor,
        cache: ImageCache | None = None,
        name: str = "dataset",
        min_crop_scale: float = 0.9,
    ):
        self.cache = cache or ImageCache(0)
        self._kept: dict[tuple[str, int], np.ndarray] = {}
        self._file: FrameFile | None = None
        self.images = dataset.select_columns([column])
        self.column = column
        self.processor = processor
        self.name = name
        self.crop_scale = (min_crop_scale, 1.0)
        self.size = (processor.crop_size["height"], processor.crop_size["width"])

    def __len__(self) -> int:
        return len(self.images)

    def __del__(self) -> None:
        self.cache.free += sum(image.nbytes for image in self._kept.values())
        if self._file is not None:
            self.cache.disk_free += int(self._file.there.sum()) * self._file.size

    def __getstate__(self) -> dict[str, Any]:
        """For workers that are spawned: cached images are not sent to them."""
        return {**self.__dict__, "_kept": {}, "_file": None, "cache": ImageCache(self.cache.free // 2**20)}

    def evaluation_batch(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """Deterministic frames (resize, centre crop) as uint8 `[len(indices), 3, height, width]`."""
        return torch.from_numpy(np.stack([self._evaluation_frame(int(index)) for index in indices]))

    def training_batch(self, indices: Sequence[int] | np.ndarray, seeds: Sequence[Sequence[int]]) -> Tensor:
        """Randomly cropped frames as uint8 `[len(indices), 3, height, width]`; each crop depends only on its seed."""
        frames = [self._crop(self._decoded(int(index)), seed) for index, seed in zip(indices, seeds, strict=True)]
        return torch.from_numpy(np.stack(frames)).movedim(-1, -3).contiguous()

    def encoded(self, rows: Sequence[int] | np.ndarray) -> Iterator[bytes]:
        """Yield the encoded bytes of images, to detect whether they have changed."""
        from datasets import Image as ImageFeature

        undecoded = self.images.cast_column(self.column, ImageFeature(decode=False))
        for row in rows:
            image = undecoded[int(row)][self.column] or {"bytes": b""}
            yield image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()

    def _evaluation_frame(self, index: int) -> np.ndarray:
        if self._file is not None and (frame := self._file.read(index)) is not None:
            return frame
        if ("frame", index) in self._kept:
            return self._kept["frame", index]
        # The steps of the model's own processor that keep uint8 values.
        frame = np.ascontiguousarray(self._processed(index, do_rescale=False, do_normalize=False))
        return frame if self._write(index, frame) else self._keep(("frame", index), frame)

    def _write(self, index: int, frame: np.ndarray) -> bool:
        """Cache a frame on disk; returns whether there was space."""
        if self.cache.folder is None or not self.cache.take_disk(frame.nbytes):
            return False
        try:
            if self._file is None:
                self._file = FrameFile(self.cache.folder, len(self), frame.shape)
            self._file.write(index, frame)
            return True
        except OSError as error:
            self.cache.disk_free = 0
            logger.warning("no more decoded images are cached in %s: %s", self.cache.folder, error)
            return False

    def _decoded(self, index: int) -> np.ndarray:
        if ("decoded", index) in self._kept:
            return self._kept["decoded", index]
        # Conversion to RGB by the model's own processor, also of transparent images.
        steps = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")
        image = self._processed(index, **dict.fromkeys(steps, False))
        return self._keep(("decoded", index), np.ascontiguousarray(np.moveaxis(image, -3, -1)))

    def _processed(self, index: int, **steps: bool) -> np.ndarray:
        """An image `[3, h, w]` after the given steps of the model's processor."""
        return self.processor(self._read(index), **steps)["pixel_values"][0]

    def _crop(self, image: np.ndarray, seed: Sequence[int]) -> np.ndarray:
        """A random crop of an image `[h, w, 3]`, resized to the model's size."""
        rng = np.random.default_rng(seed)
        return np.asarray(random_resized_crop(Image.fromarray(image), self.size, self.crop_scale, rng))

    def _keep(self, key: tuple[str, int], image: np.ndarray) -> np.ndarray:
        if self.cache.take(image.nbytes):
            self._kept[key] = image
        return image

    def _read(self, index: int) -> Image.Image:
        try:
            image = self.images[index][self.column]
        except UNREADABLE as error:
            cell = columns.values(self.images.select([index]), self.column)[0].as_py() or {}
            file = f", {cell['path']}" if cell.get("path") else ""
            raise DataError(
                f"{self.name}: the image in row {index} (column {self.column!r}{file}) cannot be read: {why(error)}. "
                "Replace or remove that image, or set `skip_broken_images: true` in the recipe"
            ) from None
        if image is None:
            raise DataError(f"{self.name}: row {index} has no image in column {self.column!r}; remove that row")
        return trimmed(eight_bits(image))


def random_resized_crop(
    image: Image.Image, size: tuple[int, int], scale: tuple[float, float], rng: np.random.Generator
) -> Image.Image:
    """Crop a random part of an image and resize it (bicubic) to `size`, like torchvision's `RandomResizedCrop`.

    Args:
        image (`Image`): RGB image.
        size (`tuple[int, int]`): Height and width of the result.
        scale (`tuple[float, float]`): Bounds of the crop's share of the area. Its aspect ratio is from 3/4 to 4/3.
        rng (`np.random.Generator`): Random generator.
    """
    box = _random_box(image.width, image.height, scale, rng)
    return image.crop(box).resize((size[1], size[0]), Image.Resampling.BICUBIC)


def _random_box(
    width: int, height: int, scale: tuple[float, float], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    for _ in range(CROP_ATTEMPTS):
        area = width * height * rng.uniform(*scale)
        ratio = math.exp(rng.uniform(math.log(ASPECT_RATIOS[0]), math.log(ASPECT_RATIOS[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
            return left, top, left + w, top + h
    # The whole image, or its centre if it is longer than the aspect ratios allow.
    w, h = width, height
    if width / height < ASPECT_RATIOS[0]:
        h = round(width / ASPECT_RATIOS[0])
    elif width / height > ASPECT_RATIOS[1]:
        w = round(height * ASPECT_RATIOS[1])
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


class Normalizer:
    """Normalise uint8 frames on their device, with results bit-equal to those of the image processor.

    A channel has only 256 values, so a lookup table computed in the processor's precision is exact.

    Args:
        processor (`ImageProcessor`): Image processor of the model.
    """

    def __init__(self, processor: ImageProcessor):
        values = np.arange(256, dtype=np.float64)
        if processor.do_rescale:
            values = values * processor.rescale_factor
        table = np.repeat(values.astype(np.float32)[None], 3, axis=0)
        if processor.do_normalize:
            mean, std = (np.array(v, dtype=np.float32)[:, None] for v in (processor.image_mean, processor.image_std))
            table = (table - mean) / std
        self.table = torch.from_numpy(table)

    def __call__(self, frames: Tensor) -> Tensor:
        """Convert uint8 frames `[..., 3, H, W]` to normalised fp32. Floating-point input is returned unchanged."""
        if frames.is_floating_point():
            return frames
        self.table = self.table.to(frames.device)
        return torch.stack([self.table[c][frames[..., c, :, :].long()] for c in range(3)], dim=-3)
