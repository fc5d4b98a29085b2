"""The canvas of the rendered world: draws shapes at random places and colours, and degrades the image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .outlines import Points, box
from .styles import COLOURS, Rgb, Style

# Images are drawn larger and then reduced, which smooths edges.
OVERSAMPLING = 2


class Canvas:
    """An image that is being drawn. Points are from -1 (left, top) to 1 (right, bottom) of the area placed last.

    Args:
        rng (`np.random.Generator`): Random generator.
        size (`int`): Width and height of the finished image, in pixels.
        style (`Style`): Colours and degradation.
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
        """Choose one of the choices at random."""
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self) -> bool:
        """Decide at random whether to draw an optional part."""
        return self.rng.random() < 0.6

    def colour(self, name: str) -> Rgb:
        """A random shade of a named colour."""
        return _clipped(np.array(COLOURS[name]) + self.rng.normal(0, self.style.jitter, 3))

    def shade(self, colour: Rgb, change: float) -> Rgb:
        """The colour made lighter (to 1) or darker (to -1)."""
        return _clipped(np.array(colour) * (1 - abs(change)) + 255 * max(change, 0))

    def against(self, colour: Rgb) -> Rgb:
        """A colour with contrast to another: dark on light, light on dark."""
        change = self.rng.uniform(0.5, 0.9)
        return self.shade(colour, -change if sum(colour) > 330 else change)

    def new_ink(self) -> None:
        """Choose another ink that is visible on the ground."""
        self.ink = self._choose("ink", _seen_on(self.words["ground"], self.style))

    def whole(self) -> None:
        """Draw on the whole canvas from now on, without rotation."""
        self._put(np.eye(2), np.zeros(2))

    def place(self, smallest: float, largest: float, turn: float = 20) -> None:
        """Draw in a random area from now on.

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
        """Fill an area, with the ink if no colour is given."""
        self.pen.polygon(self._pixels(points), fill=colour or self.ink)

    def stroke(self, points: Points, colour: Rgb | None = None, width: float = 0.12) -> None:
        """Draw a line; its width is a share of the canvas."""
        thickness = max(1, round(width * self.side / 2))
        self.pen.line(self._pixels(points), fill=colour or self.ink, width=thickness, joint="curve")

    def stamp(self, mask: np.ndarray, colour: Rgb | None = None) -> None:
        """Paint through a mask `[side, side]` of values from 0 to 1."""
        self.image.paste(colour or self.ink, (0, 0), Image.fromarray((mask * 255).astype(np.uint8)))

    def wash(self, top: Rgb, bottom: Rgb) -> None:
        """Fill the canvas with an uneven gradient from top to bottom."""
        column = np.linspace(top, bottom, 4)[:, None]
        cells = column + self.rng.normal(0, self.style.uneven, (4, 4, 1))
        coarse = Image.fromarray(np.clip(cells, 0, 255).astype(np.uint8))
        self.image.paste(coarse.resize(self.image.size, Image.Resampling.BICUBIC))

    def grid(self, smallest: float, largest: float, turn: float) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates x and y of all pixels, each `[side, side]`, randomly scaled, rotated and bent."""
        angle, scale = np.radians(self.rng.uniform(-turn, turn)), self.rng.uniform(smallest, largest)
        line = np.linspace(-scale, scale, self.side)
        x = np.cos(angle) * line + np.sin(angle) * line[:, None] + self.rng.uniform(-1, 1)
        y = np.cos(angle) * line[:, None] - np.sin(angle) * line + self.rng.uniform(-1, 1)
        bend = scale * self.style.wobble
        bent = np.sin(line * 3 / scale + self.rng.uniform(0, 6)) * bend
        return x + bent[:, None], y + bent

    def tint(self) -> None:
        """Mix the colour channels at random."""
        share = self.rng.uniform(0, self.style.tint)
        mix = (1 - share) * np.eye(3) + share * self.rng.dirichlet((0.5, 0.5, 0.5), 3)
        self.image.paste(self.image.convert("RGB", tuple(np.pad(mix, ((0, 0), (0, 1))).ravel())))

    def finish(self) -> Image.Image:
        """Degrade the image and reduce it to its final size."""
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
    """The inks with enough contrast to a ground."""
    distances = {ink: np.linalg.norm(np.subtract(COLOURS[ink], COLOURS[ground])) for ink in style.inks}
    return [ink for ink, distance in distances.items() if distance >= style.contrast]


def _clipped(colour: np.ndarray) -> Rgb:
    red, green, blue = (min(max(int(value), 0), 255) for value in colour)
    return red, green, blue
