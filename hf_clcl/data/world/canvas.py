"""What every picture of the rendered world is drawn with: named colours, styles, and a canvas that wears pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .outlines import Points, box

Rgb = tuple[int, int, int]

# Drawn larger and reduced, so that edges are smooth.
OVERSAMPLING = 2

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


class Canvas:
    """A picture while it is painted. Points run from -1 (left, top) to 1 (right, bottom) of the part last placed.

    Args:
        rng (`np.random.Generator`): Source of all that varies.
        size (`int`): Width and height of the finished picture, in pixels.
        style (`Style`): How it is coloured and worn out.
    """

    def __init__(self, rng: np.random.Generator, size: int, style: Style):
        self.rng, self.size, self.style = rng, size, style
        self.side = size * OVERSAMPLING
        self.image = Image.new("RGB", (self.side, self.side))
        self.pen = ImageDraw.Draw(self.image)
        self.words: dict[str, str] = {}
        self.ground = self._choose("ground", style.grounds)
        self.new_ink()
        self.wash(self.ground, self.ground)
        self.whole()
        for _ in range(rng.integers(style.clutter + 1)):
            ends = rng.uniform(-1, 1, (2, 2))
            self.stroke(ends, self.colour(self.pick(style.grounds)), width=rng.uniform(0.05, 0.25))

    def pick(self, choices: Sequence[str]) -> str:
        """One of the choices."""
        return choices[self.rng.integers(len(choices))]

    def chance(self) -> bool:
        """Whether to paint something that may be missing."""
        return self.rng.random() < 0.6

    def colour(self, name: str) -> Rgb:
        """A shade of a named colour."""
        return _clipped(np.array(COLOURS[name]) + self.rng.normal(0, self.style.jitter, 3))

    def shade(self, colour: Rgb, change: float) -> Rgb:
        """The colour made lighter (to 1) or darker (to -1)."""
        return _clipped(np.array(colour) * (1 - abs(change)) + 255 * max(change, 0))

    def against(self, colour: Rgb) -> Rgb:
        """A colour that stands out from another: dark on light, light on dark."""
        change = self.rng.uniform(0.5, 0.9)
        return self.shade(colour, -change if sum(colour) > 330 else change)

    def new_ink(self) -> None:
        """Choose another ink, to be seen on the ground."""
        self.ink = self._choose("ink", _seen_on(self.words["ground"], self.style))

    def whole(self) -> None:
        """Place what follows on the whole canvas, unturned."""
        self._put(np.eye(2), np.zeros(2))

    def place(self, smallest: float, largest: float, turn: float = 20) -> None:
        """Place what follows at random.

        Args:
            smallest, largest (`float`): Bounds of its size, as a share of the canvas.
            turn (`float`, defaults to 20): Largest rotation in degrees.
        """
        reach, room = self.style.reach, abs(1 - largest)
        width, height = self.rng.uniform(smallest, largest, 2)
        angle = np.radians(self.rng.uniform(-turn, turn) * reach)
        turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self._put(np.diag([width, height]) @ turned, self.rng.uniform(-room, room, 2) * reach)

    def fill(self, points: Points, colour: Rgb | None = None) -> None:
        """Paint an area, in the ink where no colour is given."""
        self.pen.polygon(self._pixels(points), fill=colour or self.ink)

    def stroke(self, points: Points, colour: Rgb | None = None, width: float = 0.12) -> None:
        """Paint a line; its width is a share of the canvas."""
        thickness = max(1, round(width * self.side / 2))
        self.pen.line(self._pixels(points), fill=colour or self.ink, width=thickness, joint="curve")

    def stamp(self, mask: np.ndarray, colour: Rgb | None = None) -> None:
        """Paint where a mask, `[side, side]` in 0 to 1, is high."""
        self.image.paste(colour or self.ink, (0, 0), Image.fromarray((mask * 255).astype(np.uint8)))

    def wash(self, top: Rgb, bottom: Rgb) -> None:
        """Cover everything, from one colour at the top to another at the bottom, unevenly."""
        column = np.linspace(top, bottom, 4)[:, None]
        cells = column + self.rng.normal(0, self.style.uneven, (4, 4, 1))
        coarse = Image.fromarray(np.clip(cells, 0, 255).astype(np.uint8))
        self.image.paste(coarse.resize(self.image.size, Image.Resampling.BICUBIC))

    def grid(self, smallest: float, largest: float, turn: float) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates x and y of all pixels, each `[side, side]`, scaled, turned and bent at random."""
        angle, scale = np.radians(self.rng.uniform(-turn, turn)), self.rng.uniform(smallest, largest)
        line = np.linspace(-scale, scale, self.side)
        x = np.cos(angle) * line + np.sin(angle) * line[:, None] + self.rng.uniform(-1, 1)
        y = np.cos(angle) * line[:, None] - np.sin(angle) * line + self.rng.uniform(-1, 1)
        bend = scale * self.style.wobble
        bent = np.sin(line * 3 / scale + self.rng.uniform(0, 6)) * bend
        return x + bent[:, None], y + bent

    def tint(self) -> None:
        """Exchange a part of each primary colour for the others."""
        share = self.rng.uniform(0, self.style.tint)
        mix = (1 - share) * np.eye(3) + share * self.rng.dirichlet((0.5, 0.5, 0.5), 3)
        self.image.paste(self.image.convert("RGB", tuple(np.pad(mix, ((0, 0), (0, 1))).ravel())))

    def finish(self) -> Image.Image:
        """Wear the picture out and reduce it to its size."""
        style, rng = self.style, self.rng
        self.whole()
        for x, y in rng.uniform(-1, 1, (rng.integers(style.patches + 1), 2)):
            width, height = rng.uniform(0.1, 0.25, 2)
            self.fill(box(x - width, y - height, x + width, y + height), self.ground)
        image = self.image.reduce(OVERSAMPLING)
        if style.blur:
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, style.blur) * self.size / 32))
        pixels = np.asarray(image, dtype=np.float32)
        kept = 1 - rng.uniform(0, style.fade)
        gain = kept * np.exp(rng.normal(0, style.light, 3))
        noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(rng.uniform(0, style.noise))
        pixels = pixels * gain.astype(np.float32) + np.float32(110 * (1 - kept)) + noise
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

    def _choose(self, role: str, names: Sequence[str]) -> Rgb:
        self.words[role] = self.pick(names)
        return self.colour(self.words[role])

    def _put(self, matrix: np.ndarray, centre: np.ndarray) -> None:
        self.matrix, self.centre = matrix, centre
        self.phase = self.rng.uniform(0, 6, 2)

    def _pixels(self, points: Points) -> list[float]:
        points = np.asarray(points, dtype=float)
        points = points + self.style.wobble * np.sin(2.5 * points[:, ::-1] + self.phase)
        return (((points @ self.matrix + self.centre) + 1) * self.side / 2).ravel().tolist()


@cache
def _seen_on(ground: str, style: Style) -> list[str]:
    """The inks that differ enough from a ground."""
    distances = {ink: np.linalg.norm(np.subtract(COLOURS[ink], COLOURS[ground])) for ink in style.inks}
    return [ink for ink, distance in distances.items() if distance >= style.contrast]


def _clipped(colour: np.ndarray) -> Rgb:
    return tuple(min(max(int(value), 0), 255) for value in colour)
