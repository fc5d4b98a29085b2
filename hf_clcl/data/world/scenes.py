"""The landscapes of the rendered world, drawn from back to front."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .outlines import SHAPES, arc, box, disc, line
from .styles import Rgb


def beach(canvas: Canvas) -> None:
    canvas.wash(canvas.colour("sky"), canvas.colour("white"))
    _land(canvas, -0.2, canvas.colour("blue"))
    shore = canvas.rng.uniform(0.1, 0.5)
    _land(canvas, shore - 0.08, canvas.colour("white"), 0.06)
    _land(canvas, shore, canvas.colour("sand"), 0.06)
    if canvas.chance():
        x = canvas.rng.uniform(-0.6, 0.6)
        canvas.stroke(line((x, 0), (x, 0.8)), canvas.colour("brown"), 0.06)
        canvas.fill(arc(x, 0.15, 0.4, 0.4, 180, 360), canvas.colour("red"))


def forest(canvas: Canvas) -> None:
    canvas.wash(canvas.colour("sky"), canvas.colour("mint"))
    _land(canvas, 0.2, canvas.colour("olive"), 0.05)
    for base in np.sort(canvas.rng.uniform(0.3, 1, canvas.rng.integers(5, 9))):
        x, height = canvas.rng.uniform(-1, 1), canvas.rng.uniform(0.8, 1.3)
        canvas.stroke(line((x, base), (x, base - 0.4)), canvas.colour("brown"), 0.1)
        crown = SHAPES["triangle"] * (0.35, height / 2) + (x, base - 0.2 - height / 2)
        canvas.fill(crown, canvas.shade(canvas.colour("green"), canvas.rng.uniform(-0.5, 0)))


def mountains(canvas: Canvas) -> None:
    canvas.wash(canvas.colour("sky"), canvas.colour("white"))
    for x in canvas.rng.uniform(-0.9, 0.9, 3):
        peak = SHAPES["triangle"] * (canvas.rng.uniform(0.6, 0.9), canvas.rng.uniform(0.6, 0.9)) + (x, 0.1)
        rock = canvas.shade(canvas.colour("grey"), canvas.rng.uniform(-0.4, 0))
        canvas.fill(peak, rock)
        if canvas.chance():
            canvas.fill((peak - peak[0]) * 0.35 + peak[0], canvas.colour("white"))
    _land(canvas, 0.65, canvas.colour("olive"), 0.06)


def desert(canvas: Canvas) -> None:
    canvas.wash(canvas.colour("sky"), canvas.colour("cream"))
    if canvas.chance():
        x, y = canvas.rng.uniform((-0.8, -0.9), (0.8, -0.5))
        canvas.fill(disc(x, y, 0.2), canvas.colour("yellow"))
    _land(canvas, -0.05, canvas.shade(canvas.colour("sand"), -0.15), 0.15)
    _land(canvas, 0.35, canvas.colour("sand"), 0.15)
    if canvas.chance():
        x, green = canvas.rng.uniform(-0.6, 0.6), canvas.shade(canvas.colour("green"), -0.2)
        canvas.stroke(line((x, 0.8), (x, -0.3)), green, 0.2)
        canvas.stroke(line((x - 0.32, -0.05), (x - 0.32, 0.25), (x + 0.32, 0.25), (x + 0.32, -0.15)), green, 0.14)


def city(canvas: Canvas) -> None:
    canvas.wash(canvas.colour("sky"), canvas.colour("grey"))
    for x in canvas.rng.permutation(np.linspace(-1.3, 1.3, 8)):
        top = canvas.rng.uniform(-0.8, 0.2)
        wall = canvas.shade(canvas.colour(canvas.pick(("grey", "brown", "maroon", "navy"))), -0.1)
        canvas.fill(box(x - 0.24, top, x + 0.24, 2), wall)
        light = canvas.colour("yellow")
        for y in np.arange(top + 0.18, 0.9, 0.3):
            for side in (-0.1, 0.1):
                canvas.fill(box(x + side - 0.05, y, x + side + 0.05, y + 0.1), light)


def sea(canvas: Canvas) -> None:
    canvas.wash(canvas.colour("sky"), canvas.colour("white"))
    _land(canvas, canvas.rng.uniform(-0.2, 0.2), canvas.colour("blue"))
    for y in (0.35, 0.6, 0.85):
        x = np.linspace(-1.7, 1.7, 24)
        crest = np.stack([x, y + 0.06 * np.sin(8 * x + canvas.rng.uniform(0, 6))], axis=1)
        canvas.stroke(crest, canvas.colour("sky"), 0.05)
    if canvas.chance():
        x, y = canvas.rng.uniform((-0.6, 0), (0.6, 0.3))
        canvas.fill(SHAPES["triangle"] * (0.25, 0.4) + (x, y - 0.45), canvas.colour("white"))
        canvas.fill(arc(x, y, 0.4, 0.22, 0, 180), canvas.colour("brown"))


def sunset(canvas: Canvas) -> None:
    canvas.wash(canvas.colour("purple"), canvas.colour("orange"))
    level = canvas.rng.uniform(0.2, 0.5)
    canvas.fill(disc(canvas.rng.uniform(-0.5, 0.5), level - 0.05, 0.42), canvas.colour("yellow"))
    _land(canvas, level, canvas.shade(canvas.colour("maroon"), -0.4), 0.06)


def night(canvas: Canvas) -> None:
    canvas.wash(canvas.colour("black"), canvas.colour("navy"))
    _dots(canvas, -1.2, 0.4, 0.03, 0.07)
    if canvas.chance():
        canvas.fill(SHAPES["crescent"] * 0.3 + canvas.rng.uniform((-0.6, -0.6), (0.6, -0.3)), canvas.colour("yellow"))
    _land(canvas, 0.6, canvas.shade(canvas.colour("green"), -0.7), 0.12)


def snow(canvas: Canvas) -> None:
    canvas.wash(canvas.colour("grey"), canvas.colour("sky"))
    _land(canvas, 0.2, canvas.colour("white"), 0.12)
    _dots(canvas, -1.2, 1, 0.04, 0.09)


def rain(canvas: Canvas) -> None:
    dark = canvas.shade(canvas.colour("grey"), -0.4)
    canvas.wash(dark, canvas.colour("grey"))
    _land(canvas, 0.5, canvas.colour("olive"), 0.06)
    for x in np.arange(-0.9, 1, 0.4):
        canvas.fill(disc(x, canvas.rng.uniform(-0.95, -0.75), 0.34), canvas.shade(dark, -0.4))
    for x, y in canvas.rng.uniform((-1, -0.5), (1, 0.9), (16, 2)):
        canvas.stroke(line((x, y), (x - 0.1, y + 0.25)), canvas.colour("sky"), 0.045)


SCENES = {paint.__name__: paint for paint in (beach, forest, mountains, desert, city, sea, sunset, night, snow, rain)}


def _land(canvas: Canvas, level: float, colour: Rgb, rough: float = 0.0) -> None:
    """Fill the area below a horizon."""
    x = np.linspace(-1.7, 1.7, 11)
    heights = level + rough * canvas.rng.uniform(-1, 1, len(x))
    canvas.fill([*np.stack([x, heights], axis=1), (1.7, 2), (-1.7, 2)], colour)


def _dots(canvas: Canvas, top: float, bottom: float, smallest: float, largest: float) -> None:
    """Draw white stars or snowflakes."""
    white = canvas.colour("white")
    for x, y in canvas.rng.uniform((-1.2, top), (1.2, bottom), (canvas.rng.integers(10, 20), 2)):
        radius = canvas.rng.uniform(smallest, largest)
        canvas.fill(box(x - radius, y - radius, x + radius, y + radius), white)
