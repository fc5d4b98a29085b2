"""Datasets of the rendered world, made in memory from a seed."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from .canvas import STYLES, Canvas, Style
from .domains import DOMAINS, Domain

SPLITS = ("train", "test")
MOST_CAPTIONS = 3
# Domains whose pictures can be painted over another picture.
OBJECTS = ("shapes", "digits", "faces", "colours", "dice", "sketches")


def render_domain(
    name: str, split: str, count: int, seed: int = 0, image_size: int = 32, style: str = "field"
) -> Dataset:
    """Labelled pictures of one domain, with the columns `image` and `label`.

    Args:
        name (`str`): Name of the domain, one of `DOMAINS`.
        split (`str`): `"train"` or `"test"`.
        count (`int`): How many pictures. Classes take turns, so that they are balanced.
        seed (`int`, defaults to 0): A picture depends on the seed, the name, the split, the style and its place alone.
        image_size (`int`, defaults to 32): Width and height in pixels.
        style (`str`, defaults to `"field"`): `"study"` for clean pictures, `"field"` for worn ones in other colours.

    Raises:
        ValueError: For an unknown domain, split or style, with the choices.
    """
    domain, look = _known("domain", name, DOMAINS), _known("style", style, STYLES)
    _known("split", split, dict.fromkeys(SPLITS))
    labels = [index % len(domain.class_names) for index in range(count)]
    streams = _random_streams(seed, name, split, style, count=count)
    images = [_encode(domain.draw(rng, y, image_size, look)) for rng, y in zip(streams, labels, strict=True)]
    features = Features(image=Image(), label=ClassLabel(names=list(domain.class_names)))
    return Dataset.from_dict({"image": images, "label": labels}, features=features)


def render_captioned(
    count: int, seed: int = 0, image_size: int = 32, style: str = "study", domains: Sequence[str] | None = None
) -> Dataset:
    """Pictures of all domains in turn, with the columns `image` and `captions` (one to three wordings).

    Args:
        count (`int`): How many pictures.
        seed (`int`, defaults to 0): Seed of all that varies.
        image_size (`int`, defaults to 32): Width and height in pixels.
        style (`str`, defaults to `"study"`): As in `render_domain`.
        domains (`Sequence[str]`, *optional*): Names of the domains; all of them where `None`.

    Raises:
        ValueError: For an unknown domain or style, with the choices.
    """
    look = _known("style", style, STYLES)
    chosen = [_known("domain", name, DOMAINS) for name in domains or DOMAINS]
    rows = []
    for index, rng in enumerate(_random_streams(seed, "captioned", style, count=count)):
        canvas = Canvas(rng, image_size, look)
        wordings = _paint_any(canvas, chosen[index % len(chosen)])
        rows.append((canvas.finish(), wordings))
    return _captioned(rows)


def render_reference(count: int, seed: int = 0, image_size: int = 32) -> Dataset:
    """Pictures that mix domains in colours of their own, with the columns `image` and `captions`.

    Half of them are a thing in front of a texture or a landscape, half are collages of two to four pictures.

    Args:
        count (`int`): How many pictures.
        seed (`int`, defaults to 0): Seed of all that varies.
        image_size (`int`, defaults to 32): Width and height in pixels.
    """
    paint = (_overlay, _collage)
    streams = _random_streams(seed, "reference", count=count)
    return _captioned(paint[index % 2](rng, image_size) for index, rng in enumerate(streams))
