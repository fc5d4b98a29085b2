"""The eight domains of the rendered world: how their classes are drawn, their names and prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .canvas import Canvas
from .outlines import DICE, DIE_BODY, DIGITS, FACES, SHAPES, SKETCHES, TEXTURES, disc
from .scenes import SCENES
from .styles import Style


@dataclass(frozen=True)
class Domain:
    """A domain of images, with class names and prompts.

    Args:
        name (`str`): Name of the domain.
        description (`str`): What the images show.
        class_names (`tuple[str, ...]`): English class names, in label order.
        templates (`tuple[str, ...]`): Prompts with `{}` for the class name; the first is for training.
        captions (`tuple[str, ...]`): Further captions, which may also have `{ink}`, `{ground}` and `{thing}`.
        paint (`Callable[[Canvas, str], None]`): Draws a class, given by name, on a canvas.
    """

    name: str
    description: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    captions: tuple[str, ...]
    paint: Callable[[Canvas, str], None]

    def draw(self, rng: np.random.Generator, label: int, size: int, style: Style) -> Image.Image:
        """Draw an image of `size` x `size` pixels of a class.

        Args:
            rng (`np.random.Generator`): Random generator.
            label (`int`): Label of the class.
            size (`int`): Width and height in pixels.
            style (`Style`): Colours and degradation.
        """
        canvas = Canvas(rng, size, style)
        self.paint(canvas, self.class_names[label])
        return canvas.finish()


def _paint_shape(canvas: Canvas, name: str) -> None:
    canvas.place(0.5, 0.85, turn=25)
    canvas.fill(SHAPES[name])


def _paint_colour(canvas: Canvas, name: str) -> None:
    canvas.words["thing"] = canvas.pick(("circle", "square", "triangle", "star", "heart", "hexagon"))
    canvas.words["ink"], canvas.ink = name, canvas.colour(name)
    shape = SHAPES[canvas.words["thing"]]
    canvas.place(0.5, 0.85, turn=40)
    canvas.fill(shape)
    # Light and shadow, so that a colour is more than one RGB value.
    light = canvas.shade(canvas.ink, canvas.rng.uniform(-0.4, 0.3))
    canvas.fill(shape * 0.6 + canvas.rng.uniform(-0.2, 0.2, 2), light)
    canvas.stroke(shape, canvas.against(canvas.ink), width=0.05)


def _paint_texture(canvas: Canvas, name: str) -> None:
    canvas.stamp(TEXTURES[name](*canvas.grid(2.5, 5.0, turn=35)))


def _paint_digit(canvas: Canvas, name: str) -> None:
    canvas.place(0.5, 0.8, turn=22)
    canvas.stroke(DIGITS[name], width=canvas.rng.uniform(0.12, 0.26))


def _paint_die(canvas: Canvas, name: str) -> None:
    canvas.place(0.45, 0.8, turn=45)
    canvas.fill(DIE_BODY + 0.15, canvas.shade(canvas.ink, -0.5))
    canvas.fill(DIE_BODY)
    pips = canvas.against(canvas.ink)
    for x, y in DICE[name]:
        canvas.fill(disc(x, y, 0.19), pips)


def _paint_face(canvas: Canvas, name: str) -> None:
    canvas.place(0.5, 0.9, turn=25)
    canvas.fill(disc(0, 0, 1))
    feature, width = canvas.against(canvas.ink), canvas.rng.uniform(0.07, 0.12)
    for points in FACES[name].areas:
        canvas.fill(points, feature)
    for points in FACES[name].strokes:
        canvas.stroke(points, feature, width)


def _paint_scene(canvas: Canvas, name: str) -> None:
    canvas.place(1.0, 1.5, turn=10)
    SCENES[name](canvas)
    canvas.tint()


def _paint_sketch(canvas: Canvas, name: str) -> None:
    canvas.place(0.6, 0.9, turn=15)
    width = canvas.rng.uniform(0.05, 0.1)
    for points in SKETCHES[name]:
        canvas.stroke(points, width=width)


_ALL = (
    Domain(
        name="shapes",
        description="one filled shape",
        class_names=tuple(SHAPES),
        templates=("a drawing of a {}.", "the shape of a {}.", "a picture with a {} in it."),
        captions=("a {ink} {}", "a {ink} {} on a {ground} background", "one {} in {ink} paint"),
        paint=_paint_shape,
    ),
    Domain(
        name="textures",
        description="a pattern that fills the picture",
        class_names=tuple(TEXTURES),
        templates=("a pattern of {}.", "a cloth with {}.", "a wall covered with {}."),
        captions=("{ink} {}", "{ink} {} on {ground} cloth", "{ground} paper with {ink} {}"),
        paint=_paint_texture,
    ),
    Domain(
        name="digits",
        description="one handwritten digit",
        class_names=tuple(DIGITS),
        templates=("the digit {}.", "the number {} written by hand.", "a handwritten {}."),
        captions=("the digit {} in {ink}", "a {ink} {} written on {ground} paper", "somebody wrote the number {}"),
        paint=_paint_digit,
    ),
    Domain(
        name="faces",
        description="a cartoon face and its mood",
        class_names=tuple(FACES),
        templates=("a face that looks {}.", "someone who feels {}.", "a cartoon of someone {}."),
        captions=("a {} face", "a {ink} face looking {}", "a {} {ink} face before a {ground} wall"),
        paint=_paint_face,
    ),
    Domain(
        name="colours",
        description="a thing in one colour",
        class_names=("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white"),
        templates=("something {}.", "a thing painted {}.", "the colour {}."),
        captions=("a {} {thing}", "the {thing} is {}", "a {} {thing} on a {ground} background"),
        paint=_paint_colour,
    ),
    Domain(
        name="dice",
        description="a die and the number it shows",
        class_names=tuple(DICE),
        templates=("a die that shows {}.", "a die with the side {} up.", "somebody rolled a {}."),
        captions=("a {ink} die showing {}", "a die on a {ground} table shows {}", "a roll of {}"),
        paint=_paint_die,
    ),
    Domain(
        name="scenes",
        description="a landscape and its weather",
        class_names=tuple(SCENES),
        templates=("a view of the {}.", "a painting of the {}.", "a postcard of the {}."),
        captions=("the {}", "a landscape with the {}", "looking out at the {}"),
        paint=_paint_scene,
    ),
    Domain(
        name="sketches",
        description="a line drawing of an object",
        class_names=tuple(SKETCHES),
        templates=("a sketch of a {}.", "a line drawing of a {}.", "a {} drawn with a pen."),
        captions=("a {} drawn in {ink}", "a {ink} sketch of a {} on {ground} paper", "the outline of a {}"),
        paint=_paint_sketch,
    ),
)
DOMAINS: dict[str, Domain] = {domain.name: domain for domain in _ALL}
