"""Datasets of the rendered world, generated in memory from a seed."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from .canvas import Canvas
from .domains import DOMAINS, Domain
from .styles import STYLES

SPLITS = ("train", "test")
MOST_CAPTIONS = 3
# Domains that fill the image; objects of the others can be drawn over them.
BACKDROPS = ("textures", "scenes")

Captioned = tuple[PILImage.Image, list[str]]


def render_domain(
    name: str, split: str, count: int, seed: int = 0, image_size: int = 32, style: str = "field"
) -> Dataset:
    """Render labelled images of one domain, with the columns `image` and `label`.

    Args:
        name (`str`): Name of the domain, one of `DOMAINS`.
        split (`str`): `"train"` or `"test"`.
        count (`int`): Number of images. Classes take turns, so they are balanced.
        seed (`int`, defaults to 0): Seed. An image depends only on seed, name, split, style and its index.
        image_size (`int`, defaults to 32): Width and height in pixels.
        style (`str`, defaults to `"field"`): `"study"` (clean images), `"field"` (degraded ones) or `"reference"`.

    Raises:
        ValueError: If the domain, split or style is unknown; the message lists the choices.
    """
    domain, look = DOMAINS[_known("domain", name, DOMAINS)], STYLES[_known("style", style, STYLES)]
    _known("split", split, SPLITS)
    labels = [index % len(domain.class_names) for index in range(count)]
    streams = _random_streams(seed, name, split, style, count=count)
    images = [_encode(domain.draw(rng, y, image_size, look)) for rng, y in zip(streams, labels, strict=True)]
    features = Features(image=Image(), label=ClassLabel(names=list(domain.class_names)))
    return Dataset.from_dict({"image": images, "label": labels}, features=features)


def render_captioned(
    count: int, seed: int = 0, image_size: int = 32, style: str = "study", domains: Sequence[str] | None = None
) -> Dataset:
    """Render images of all domains in turn, with the columns `image` and `captions` (one to three per image).

    Args:
        count (`int`): Number of images.
        seed (`int`, defaults to 0): Seed.
        image_size (`int`, defaults to 32): Width and height in pixels.
        style (`str`, defaults to `"study"`): See [`render_domain`].
        domains (`Sequence[str]`, *optional*): Names of the domains; all if `None`.

    Raises:
        ValueError: If a domain or the style is unknown; the message lists the choices.
    """
    look = STYLES[_known("style", style, STYLES)]
    chosen = [DOMAINS[_known("domain", name, DOMAINS)] for name in domains or DOMAINS]
    rows = []
    for index, rng in enumerate(_random_streams(seed, "captioned", style, count=count)):
        canvas = Canvas(rng, image_size, look)
        captions = _caption(canvas, chosen[index % len(chosen)])
        rows.append((canvas.finish(), captions))
    return _captioned(rows)


def render_reference(count: int, seed: int = 0, image_size: int = 32) -> Dataset:
    """Render images that mix domains, in other colours than the tasks, with the columns `image` and `captions`.

    They alternate between an object in front of a texture or a landscape, and two images side by side.

    Args:
        count (`int`): Number of images.
        seed (`int`, defaults to 0): Seed.
        image_size (`int`, defaults to 32): Width and height in pixels.
    """
    streams = _random_streams(seed, "reference", count=count)
    return _captioned([(_overlay, _pair)[index % 2](rng, image_size) for index, rng in enumerate(streams)])


def _overlay(rng: np.random.Generator, size: int) -> Captioned:
    """An object in front of a texture or a landscape."""
    canvas = Canvas(rng, size, STYLES["reference"])
    behind = _paint_any(canvas, DOMAINS[canvas.pick(BACKDROPS)])
    canvas.new_ink()
    thing = _paint_any(canvas, DOMAINS[canvas.pick([name for name in DOMAINS if name not in BACKDROPS])])
    wordings = ("{thing} on {behind}", "{thing} in front of {behind}", "{behind} behind {thing}")
    return canvas.finish(), _some(rng, [wording.format(thing=thing, behind=behind) for wording in wordings])


def _pair(rng: np.random.Generator, size: int) -> Captioned:
    """Images of two domains, side by side or one above the other."""
    picture, half, phrases = PILImage.new("RGB", (size, size)), size // 2, []
    upright = bool(rng.integers(2))
    for place, name in enumerate(rng.choice(list(DOMAINS), 2, replace=False)):
        canvas = Canvas(rng, size, STYLES["reference"])
        phrases.append(_paint_any(canvas, DOMAINS[name]))
        length = size - half if place else half
        part = canvas.finish().resize((size, length) if upright else (length, size), PILImage.Resampling.BOX)
        picture.paste(part, (0, place * half) if upright else (place * half, 0))
    wordings = ("{} above {}", "{} at the top and {} at the bottom") if upright else ("{} left of {}", "{} beside {}")
    return picture, _some(rng, [wording.format(*phrases) for wording in (*wordings, "{} and {}")])


def _paint_any(canvas: Canvas, domain: Domain) -> str:
    """Draw a random class and return the domain's training prompt for it."""
    name = canvas.pick(domain.class_names)
    domain.paint(canvas, name)
    return domain.templates[0].format(name).removesuffix(".")


def _caption(canvas: Canvas, domain: Domain) -> list[str]:
    """Draw a random class and return some captions of it."""
    name = canvas.pick(domain.class_names)
    domain.paint(canvas, name)
    return _some(canvas.rng, [words.format(name, **canvas.words) for words in (*domain.templates, *domain.captions)])


def _some(rng: np.random.Generator, wordings: Sequence[str]) -> list[str]:
    """Choose one to three captions and correct their articles ("an eight", but "a one")."""
    chosen = rng.permutation(len(wordings))[: rng.integers(1, MOST_CAPTIONS + 1)]
    return [re.sub(r"\ba (?=[aei]|o(?!ne\b))", "an ", wordings[index]) for index in chosen]


def _captioned(rows: Sequence[Captioned]) -> Dataset:
    features = Features(image=Image(), captions=List(Value("string")))
    columns = {"image": [_encode(image) for image, _ in rows], "captions": [captions for _, captions in rows]}
    return Dataset.from_dict(columns, features=features)


def _encode(image: PILImage.Image) -> dict[str, bytes | None]:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return {"bytes": buffer.getvalue(), "path": None}


def _random_streams(seed: int, *names: str, count: int) -> Iterator[np.random.Generator]:
    """A random generator for each image, which depends only on the arguments and its index."""
    key = zlib.crc32("/".join(names).encode())
    return (np.random.default_rng([seed, key, index]) for index in range(count))


def _known(kind: str, name: str, choices: Collection[str]) -> str:
    if name not in choices:
        raise ValueError(f"there is no {kind} {name!r} in the rendered world; choose one of {', '.join(choices)}")
    return name
