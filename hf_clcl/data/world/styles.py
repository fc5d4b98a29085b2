"""The named colours of the rendered world, and the styles of its pictures."""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (208, 36, 36),
    "orange": (240, 130, 20),
    "yellow": (245, 215, 40),
    "green": (40, 150, 60),
    "blue": (35, 80, 205),
    "purple": (125, 45, 165),
    "pink": (245, 140, 180),
    "brown": (125, 75, 35),
    "black": (22, 22, 26),
    "white": (245, 245, 245),
    "grey": (130, 130, 135),
    "cream": (245, 232, 200),
    "sky": (165, 210, 240),
    "sand": (225, 195, 130),
    "teal": (20, 135, 140),
    "navy": (22, 32, 85),
    "olive": (105, 110, 45),
    "maroon": (105, 22, 42),
    "mint": (165, 225, 190),
    "violet": (160, 130, 220),
}


@dataclass(frozen=True)
class Style:
    """How pictures are coloured and worn out. Lengths are shares of half the picture, colours run from 0 to 255.

    Args:
        inks (`tuple[str, ...]`): Colours of what is shown.
        grounds (`tuple[str, ...]`): Colours of the background.
        contrast (`int`): Smallest distance in RGB of ink and ground.
        reach (`float`): Share of the room for position and rotation that is used.
        wobble (`float`): Bending of outlines.
        jitter (`float`): Standard deviation of a colour around its name's.
        uneven (`float`): Standard deviation of slow changes in the background.
        clutter (`int`): Most strokes of other colours in the background.
        patches (`int`): Most patches that hide a part.
        blur (`float`): Largest radius of the blur, in pixels of a picture of 32.
        fade (`float`): Largest loss of contrast, as a share.
        light (`float`): Standard deviation of the colour of the light, in logarithms.
        tint (`float`): Largest share of false colour in a landscape.
        noise (`float`): Largest standard deviation of the noise of pixels.
    """

    inks: tuple[str, ...]
    grounds: tuple[str, ...]
    contrast: int
    reach: float
    wobble: float
    jitter: float
    uneven: float
    clutter: int
    patches: int
    blur: float
    fade: float
    light: float
    tint: float
    noise: float


STYLES: dict[str, Style] = {
    # Clean, mostly dark on light: what the tiny CLIP has seen.
    "study": Style(
        inks=("red", "blue", "green", "purple", "brown", "black", "orange", "teal", "white"),
        grounds=("white", "cream", "sky", "yellow", "pink", "navy"),
        contrast=170,
        reach=0.4,
        wobble=0.03,
        jitter=8,
        uneven=6,
        clutter=0,
        patches=0,
        blur=0.0,
        fade=0.1,
        light=0.03,
        tint=0.1,
        noise=6,
    ),
    # Worn out, mostly light on dark: what the tasks show.
    "field": Style(
        inks=("white", "yellow", "pink", "mint", "sand", "orange", "red", "sky", "black"),
        grounds=("navy", "olive", "maroon", "grey", "brown", "teal", "purple", "green", "sand"),
        contrast=120,
        reach=1.0,
        wobble=0.06,
        jitter=16,
        uneven=18,
        clutter=3,
        patches=2,
        blur=0.8,
        fade=0.45,
        light=0.2,
        tint=0.9,
        noise=22,
    ),
    # Between the two, in colours of its own: what the reference set shows.
    "reference": Style(
        inks=("violet", "maroon", "navy", "cream", "olive", "white", "red", "green", "blue", "yellow"),
        grounds=("mint", "violet", "cream", "black", "blue", "orange", "grey", "sky", "green"),
        contrast=130,
        reach=0.8,
        wobble=0.05,
        jitter=14,
        uneven=14,
        clutter=1,
        patches=1,
        blur=0.5,
        fade=0.3,
        light=0.15,
        tint=0.4,
        noise=14,
    ),
}
