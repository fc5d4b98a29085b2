"""The named colours of the rendered world, and the styles of its images."""

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
    """Colours and degradation of images. Lengths are shares of half the image, colours are from 0 to 255.

    Args:
        inks (`tuple[str, ...]`): Colours of the object.
        grounds (`tuple[str, ...]`): Colours of the background.
        contrast (`int`): Smallest RGB distance between ink and ground.
        reach (`float`): Share of the range of positions and rotations that is used.
        wobble (`float`): Bending of outlines.
        jitter (`float`): Standard deviation of a colour around the named colour.
        uneven (`float`): Standard deviation of gradual changes in the background.
        clutter (`int`): Largest number of strokes of other colours in the background.
        patches (`int`): Largest number of patches that hide a part.
        blur (`float`): Largest blur radius, in pixels of an image of 32 x 32.
        fade (`float`): Largest loss of contrast, as a share.
        light (`float`): Standard deviation of the logarithm of the light's colour.
        tint (`float`): Largest share of false colour in a landscape.
        noise (`float`): Largest standard deviation of the pixel noise.
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
    # Clean, mostly dark on light: the pre-training data of the tiny CLIP.
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
    # Degraded, mostly light on dark: the data of the tasks.
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
    # Between the two, in other colours: the reference set.
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
