"""Datasets of the rendered world, made in memory from a seed."""

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
# Domains that fill the picture; things of the others can be painted over them.
BACKDROPS = ("textures", "scenes")

Captioned = tuple[PILImage.Image, list[str]]


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
        style (`str`, defaults to `"field"`): `"study"` for clean pictures, `"field"` for worn ones, or `"reference"`.

    Raises:
        ValueError: For an unknown domain, split or style, with the choices.
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
    look = STYLES[_known("style", style, STYLES)]
    chosen = [DOMAINS[_known("domain", name, DOMAINS)] for name in domains or DOMAINS]
    rows = []
    for index, rng in enumerate(_random_streams(seed, "captioned", style, count=count)):
        canvas = Canvas(rng, image_size, look)
        captions = _caption(canvas, chosen[index % len(chosen)])
        rows.append((canvas.finish(), captions))
    return _captioned(rows)


def render_reference(count: int, seed: int = 0, image_size: int = 32) -> Dataset:
    """Pictures that mix domains in colours of their own, with the columns `image` and `captions`.

    They are by turns a thing in front of a texture or a landscape, and two pictures side by side.

    Args:
        count (`int`): How many pictures.
        seed (`int`, defaults to 0): Seed of all that varies.
        image_size (`int`, defaults to 32): Width and height in pixels.
    """
    streams = _random_streams(seed, "reference", count=count)
    return _captioned([(_overlay, _pair)[index % 2](rng, image_size) for index, rng in enumerate(streams)])


def _overlay(rng: np.random.Generator, size: int) -> Captioned:
    """A thing in front of a texture or a landscape."""
    canvas = Canvas(rng, size, STYLES["reference"])
    behind = _paint_any(canvas, DOMAINS[canvas.pick(BACKDROPS)])
    canvas.new_ink()
    thing = _paint_any(canvas, DOMAINS[canvas.pick([name for name in DOMAINS if name not in BACKDROPS])])
    wordings = ("{thing} on {behind}", "{thing} in front of {behind}", "{behind} behind {thing}")
    return canvas.finish(), _some(rng, [wording.format(thing=thing, behind=behind) for wording in wordings])


def _pair(rng: np.random.Generator, size: int) -> Captioned:
    """Pictures of two domains side by side, or one above the other."""
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
    """Paint a random class and return what it is, in the words of the domain's training template."""
    name = canvas.pick(domain.class_names)
    domain.paint(canvas, name)
    return domain.templates[0].format(name).removesuffix(".")


def _caption(canvas: Canvas, domain: Domain) -> list[str]:
    """Paint a random class and return some of the wordings for it."""
    name = canvas.pick(domain.class_names)
    domain.paint(canvas, name)
    return _some(canvas.rng, [words.format(name, **canvas.words) for words in (*domain.templates, *domain.captions)])


def _some(rng: np.random.Generator, wordings: Sequence[str]) -> list[str]:
    """One to three of the wordings, with their articles put right ("an eight", but "a one")."""
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
    """A source of randomness for each picture, which depends on nothing but the arguments and its place."""
    key = zlib.crc32("/".join(names).encode())
    return (np.random.default_rng([seed, key, index]) for index in range(count))


def _known(kind: str, name: str, choices: Collection[str]) -> str:
    if name not in choices:
        raise ValueError(f"there is no {kind} {name!r} in the rendered world; there are {', '.join(choices)}")
    return name
