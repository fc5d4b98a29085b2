"""Outlines of shapes as points `[points, 2]`, from -1 to 1 with x to the right and y down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Points = np.ndarray | Sequence[Sequence[float]]


def arc(x: float, y: float, width: float, height: float, start: float, end: float, points: int = 14) -> np.ndarray:
    """Points of an elliptic arc around (x, y) with these radii; degrees are clockwise from the right."""
    angles = np.radians(np.linspace(start, end, points))
    return np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)


def disc(x: float, y: float, radius: float) -> np.ndarray:
    """Points of a circle."""
    return arc(x, y, radius, radius, 0, 360, 18)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Corners of a rectangle, closed."""
    return line((left, top), (right, top), (right, bottom), (left, bottom), (left, top))


def line(*points: tuple[float, float]) -> np.ndarray:
    """An array of these points."""
    return np.array(points, dtype=float)


def join(*parts: np.ndarray) -> np.ndarray:
    """Concatenate parts to one stroke."""
    return np.concatenate(parts)


QUARTERS = [np.array([(c, s), (-s, c)]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]

SHAPES = {
    "circle": disc(0, 0, 1),
    "square": box(-0.85, -0.85, 0.85, 0.85),
    "triangle": line((0, -1), (0.95, 0.8), (-0.95, 0.8), (0, -1)),
    "star": arc(0, 0, 1, 1, -90, 270, 11) * np.array([1, 0.42] * 5 + [1])[:, None],
    "cross": join(*(line((-0.3, -0.3), (-0.3, -1), (0.3, -1)) @ turn for turn in QUARTERS)),
    "heart": join(arc(-0.48, -0.4, 0.5, 0.5, 160, 350), arc(0.48, -0.4, 0.5, 0.5, 190, 380), line((0, 1))),
    "crescent": join(arc(0, 0, 1, 1, 60, 300, 20), arc(0.45, 0, 0.8, 0.85, 270, 90, 20)),
    "ring": join(arc(0, 0, 1, 1, 90, 450, 24), arc(0, 0, 0.52, 0.52, 450, 90, 24)),
    "bolt": line((0.35, -1), (-0.6, 0.15), (-0.05, 0.15), (-0.35, 1), (0.6, -0.25), (0.05, -0.25), (0.35, -1)),
    "hexagon": arc(0, 0, 1, 1, 0, 360, 7),
}

_SIX = join(arc(0.35, 0.4, 0.9, 1.35, 265, 180), arc(0, 0.4, 0.55, 0.53, 180, 540))
DIGITS = {
    "zero": arc(0, 0, 0.6, 0.95, -90, 270, 24),
    "one": line((-0.35, -0.55), (0.1, -0.95), (0.1, 0.95)),
    "two": join(arc(0, -0.45, 0.55, 0.5, 190, 400), line((-0.6, 0.92), (0.65, 0.92))),
    "three": join(arc(-0.05, -0.48, 0.5, 0.47, 200, 450), arc(-0.05, 0.45, 0.58, 0.5, 270, 510)),
    "four": line((0.3, 0.95), (0.3, -0.95), (-0.6, 0.35), (0.7, 0.35)),
    "five": join(line((0.5, -0.92), (-0.4, -0.92), (-0.45, -0.1)), arc(-0.02, 0.35, 0.57, 0.57, 235, 500)),
    "six": _SIX,
    "seven": line((-0.55, -0.92), (0.6, -0.92), (-0.15, 0.95)),
    "eight": join(arc(0, -0.47, 0.47, 0.46, 90, 450), arc(0, 0.45, 0.56, 0.5, 270, 630)),
    "nine": -_SIX,
}

# The centres of the pips.
_Pips = list[tuple[float, float]]
_CENTRE: _Pips = [(0, 0)]
_SIDES: _Pips = [(-0.5, 0), (0.5, 0)]
_DIAGONAL: _Pips = [(-0.5, -0.5), (0.5, 0.5)]
_OTHER: _Pips = [(-0.5, 0.5), (0.5, -0.5)]
DICE: dict[str, _Pips] = {
    "one": _CENTRE,
    "two": _DIAGONAL,
    "three": _DIAGONAL + _CENTRE,
    "four": _DIAGONAL + _OTHER,
    "five": _DIAGONAL + _OTHER + _CENTRE,
    "six": _DIAGONAL + _OTHER + _SIDES,
}
DIE_BODY = join(*(arc(0.7, 0.7, 0.25, 0.25, 0, 90, 4) @ turn for turn in QUARTERS))


class Face(NamedTuple):
    """Strokes and filled areas of a face."""

    strokes: tuple[np.ndarray, ...]
    areas: tuple[np.ndarray, ...]


def _both(feature: Callable[[int], np.ndarray]) -> tuple[np.ndarray, ...]:
    """A feature on the left (side -1) and on the right (1)."""
    return feature(-1), feature(1)


def _eyes(radius: float) -> tuple[np.ndarray, ...]:
    return _both(lambda side: disc(0.4 * side, -0.25, radius))


def _lids(bend: float) -> tuple[np.ndarray, ...]:
    """Closed eyes: an arc down, or up if `bend` is negative."""
    return _both(lambda side: arc(0.4 * side, -0.25, 0.24, bend, 0, 180, 8))


def _brows(slope: float) -> tuple[np.ndarray, ...]:
    """Eyebrows, lower at the nose by twice the slope."""
    return _both(lambda side: line((side * 0.7, -0.6 - slope), (side * 0.15, -0.6 + slope)))


def _mouth(half_width: float) -> np.ndarray:
    return line((-half_width, 0.45), (half_width, 0.45))


_SMILE, _FROWN = arc(0, 0.1, 0.5, 0.45, 15, 165), arc(0, 0.75, 0.45, 0.4, 200, 340)
FACES = {
    "happy": Face((_SMILE,), _eyes(0.15)),
    "sad": Face((_FROWN, *_brows(-0.12)), _eyes(0.12)),
    "angry": Face((_FROWN, *_brows(0.18)), _eyes(0.12)),
    "surprised": Face((), (*_eyes(0.2), arc(0, 0.45, 0.22, 0.3, 0, 360))),
    "sleepy": Face((*_lids(0.18), _mouth(0.18)), ()),
    "winking": Face((_SMILE, _lids(0)[1]), _eyes(0.16)[:1]),
    "laughing": Face(_lids(-0.26), (arc(0, 0.12, 0.6, 0.6, 0, 180),)),
    "bored": Face((_mouth(0.45),), _eyes(0.15)),
}

_FIR = line((0, -0.95), (0.4, -0.45), (0.2, -0.45), (0.6, 0.05), (0.35, 0.05), (0.8, 0.6))
_WHEELS = (disc(-0.5, 0.5, 0.24), disc(0.5, 0.5, 0.24))
SKETCHES = {
    "house": (box(-0.7, -0.1, 0.7, 0.9), line((-0.9, -0.1), (0, -0.9), (0.9, -0.1)), box(-0.2, 0.3, 0.2, 0.9)),
    "tree": (join(_FIR, line((0.18, 0.6), (0.18, 0.95), (-0.18, 0.95), (-0.18, 0.6)), (_FIR * (-1, 1))[::-1]),),
    "boat": (
        line((-0.9, 0.4), (0.9, 0.4), (0.5, 0.85), (-0.5, 0.85), (-0.9, 0.4)),
        line((0, 0.4), (0, -0.95), (0.7, 0.2), (0, 0.2)),
    ),
    "fish": (
        arc(-0.2, 0, 0.72, 0.48, 20, 340, 20),
        line((0.47, -0.16), (0.95, -0.5), (0.95, 0.5), (0.47, 0.16)),
        disc(-0.55, -0.1, 0.06),
    ),
    "flower": (
        *(disc(0.38 * np.cos(a), -0.4 + 0.38 * np.sin(a), 0.25) for a in np.radians(range(-90, 270, 72))),
        line((0, 0.1), (0, 0.98)),
        arc(0.25, 0.75, 0.25, 0.15, 180, 360),
    ),
    "car": (
        line(
            (-0.95, 0.5),
            (-0.95, 0.1),
            (-0.55, 0),
            (-0.35, -0.4),
            (0.3, -0.4),
            (0.6, 0),
            (0.95, 0.1),
            (0.95, 0.5),
            (-0.95, 0.5),
        ),
        *_WHEELS,
    ),
    "cup": (
        line((-0.65, -0.6), (-0.5, 0.7), (0.3, 0.7), (0.45, -0.6), (-0.65, -0.6)),
        arc(0.42, 0, 0.42, 0.35, -90, 100),
    ),
    "mushroom": (
        join(arc(0, 0, 0.9, 0.8, 180, 360), line((-0.9, 0))),
        line((-0.25, 0), (-0.3, 0.85), (0.3, 0.85), (0.25, 0)),
        disc(-0.3, -0.35, 0.1),
        disc(0.3, -0.35, 0.1),
    ),
    "key": (disc(-0.55, 0, 0.38), line((-0.17, 0), (0.95, 0), (0.95, 0.4)), line((0.6, 0), (0.6, 0.35))),
    "ladder": (
        line((-0.45, -0.95), (-0.45, 0.95)),
        line((0.45, -0.95), (0.45, 0.95)),
        *(line((-0.45, y), (0.45, y)) for y in (-0.6, -0.2, 0.2, 0.6)),
    ),
}


def _wave(x: np.ndarray) -> np.ndarray:
    """A triangle wave of period 2, from -1 to 1."""
    return 2 * np.abs(x % 2 - 1) - 1


# Masks of the ink, from the coordinates of all pixels.
TEXTURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "stripes": lambda x, y: _wave(x) > 0,
    "checks": lambda x, y: _wave(x) * _wave(y) > 0,
    "dots": lambda x, y: (x % 2 - 1) ** 2 + (y % 2 - 1) ** 2 < 0.4,
    "waves": lambda x, y: _wave(y + 0.7 * np.sin(x * np.pi / 2)) > 0,
    "zigzags": lambda x, y: _wave(y + 0.9 * _wave(x)) > 0,
    "grid": lambda x, y: (_wave(x) > 0.55) | (_wave(y) > 0.55),
    "bricks": lambda x, y: (y % 1 > 0.2) & ((x / 2 + (y // 1) % 2 / 2) % 1 > 0.12),
    "rings": lambda x, y: _wave(np.hypot(x, y) * 1.2) > 0,
    "rays": lambda x, y: _wave(np.arctan2(y, x) * 8 / np.pi) > 0,
    "scales": lambda x, y: np.hypot((x + y // 1) % 2 - 1, y % 1) % 0.9 > 0.25,
}
