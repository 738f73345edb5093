"""Photographs of handwritten digits, simulated: labelled pictures as users send them.

Guarantees:

- A picture depends on its image, the condition, the seed and its index, and on nothing else: the
  n-th of a thousand is the n-th of ten.
- Every picture is a complete PNG or JPEG file in which a person can read the digit: it lies whole
  on the page and differs from the paper, if it is one that the condition can show (``can_show``).
- A ``rotated_exif`` picture is a JPEG whose pixels are turned and whose EXIF tag turns them back.

An MNIST digit is redrawn as a pen of some width would write it (`pens`), set on a page (`paper`)
under a condition's own light, and photographed (`scenes`). Simulated pictures measure the errors
that they simulate; they do not replace real photographs.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.errors import InputError, UsageError, unknown_name
from digitnet.synthesis import scene_choices as choices
from digitnet.synthesis.pens import DigitField, can_be_redrawn, draw
from digitnet.synthesis.scenes import Camera, Scene, encode, paint

Image = NDArray[np.uint8]
Setting = tuple[DigitField, Scene]


def simulate(image: Image, condition: str, seed: int, index: int = 0) -> bytes:
    """Return a photograph of ``image`` as a file.

    Args:
        image: uint8 (28, 28), a digit in light strokes on dark.
        condition: one of ``CONDITIONS``.
        seed: 0 or more; another seed is another page, pen, light and camera.
        index: 0 or more; which of the seed's pictures.

    Returns:
        The bytes of a PNG or JPEG file, colour or grey.

    Raises:
        UsageError: there is no such condition, or the seed or the index is negative.
        InputError: the image has another shape or type.
    """
    if condition not in SCENES:
        raise unknown_name("condition", condition, CONDITIONS)
    if seed < 0 or index < 0:
        raise UsageError(f"Seed is {seed} and index {index}; both must be 0 or more.")
    image = np.asarray(image)
    if image.shape != (28, 28) or image.dtype != np.uint8:
        raise InputError(
            f"The digit is an array of {image.dtype} of shape {image.shape}; it must be uint8 of "
            "shape (28, 28), light on dark."
        )
    rng = np.random.default_rng([seed, zlib.crc32(condition.encode()), index])
    digit, scene = SCENES[condition](image, rng)
    return encode(paint(digit, scene, rng), scene.camera)


def can_show(image: Image, condition: str) -> bool:
    """Return whether ``condition`` shows the digit of ``image`` (uint8 (28, 28)).

    A bold digit whose loop ink has filled cannot be drawn with a finer pen, nor a broader one: its
    lines are not known. ``thin`` and ``thick``, which are about the pen, show four of five of
    MNIST's digits. The other conditions show all: such a digit keeps the strokes it was written in.
    """
    return condition not in ("thin", "thick") or can_be_redrawn(image)


def _clean_page(image: Image, rng: Generator) -> Setting:
    """A black digit of any size, anywhere on a white page."""
    digit = draw(image, choices.stroke(rng))
    shape = choices.page_shape(rng, 150, 600)
    side = max(choices.log_uniform(rng, 0.12, 0.8) * min(shape), 20)
    scene = Scene(shape=shape, side=choices.legible(digit, side, 1.2))
    return digit, choices.anywhere(rng, digit, scene, border=2)


def _corner(image: Image, rng: Generator) -> Setting:
    """A digit of 15 to 25 % of a large page's shorter side, in a corner or at an edge."""
    digit = draw(image, choices.log_uniform(rng, 0.04, 0.12))
    shape = choices.page_shape(rng, 500, 800)
    scene = Scene(
        shape=shape,
        paper=choices.grey(rng.uniform(0.9, 1)),
        side=rng.uniform(0.15, 0.25) * min(shape),
        pen=choices.pen_colour(rng),
        relief=0.004,
        camera=replace(choices.handheld(rng), noise=0.004),
    )
    half = choices.half_box(digit, scene)
    gaps = [rng.uniform(0.01, 0.06) * min(shape) + part for part in half]
    edges = ((gap, length - gap) for gap, length in zip(gaps, shape[::-1], strict=True))
    centre = [both[rng.integers(2)] for both in edges]
    if rng.random() < 0.4:
        free = int(rng.integers(2))
        centre[free] = choices.inside(rng, gaps[free], shape[1 - free])
    return digit, replace(scene, centre=(centre[0], centre[1]))


def _tiny(image: Image, rng: Generator) -> Setting:
    """A digit of 10 to 16 pixels on a page of 200 to 400."""
    digit = draw(image, rng.uniform(0.09, 0.14))
    scene = Scene(
        shape=choices.page_shape(rng, 200, 400),
        paper=choices.grey(rng.uniform(0.88, 1)),
        pen=choices.grey(rng.uniform(0, 0.2)),
        side=rng.uniform(10, 16),
        camera=Camera(noise=rng.uniform(0, 0.006)),
    )
    return digit, choices.anywhere(rng, digit, scene)


def _huge(image: Image, rng: Generator) -> Setting:
    """A digit that fills 90 to 98 % of the frame."""
    digit = draw(image, choices.stroke(rng))
    part, longer = rng.uniform(0.90, 0.98), rng.uniform(120, 500)
    shorter = min(digit.width, digit.height) / digit.side * longer
    # A narrow digit fills a narrow frame both ways, a square one only from top to bottom.
    shorter = max(rng.uniform(shorter, longer), 0.3 * longer)
    height, width = (longer, shorter) if digit.height >= digit.width else (shorter, longer)
    shape = (round(height), round(width))
    scene = Scene(
        shape=shape,
        side=part * max(shape),
        centre=(shape[1] / 2, shape[0] / 2),
        paper=choices.paper_colour(rng),
        pen=choices.pen_colour(rng),
        relief=0.006,
        lamp=choices.lamp(rng, 0.15),
        camera=choices.handheld(rng),
    )
    return digit, scene


def _thin(image: Image, rng: Generator) -> Setting:
    """Pen lines of 1/40 to 1/20 of the digit."""
    digit = draw(image, choices.log_uniform(rng, 1 / 40, 1 / 20), always=True)
    scene = choices.photo_of(rng, digit, (0.35, 0.8), (300, 560))
    return digit, replace(scene, density=1.0, pen=choices.pen_colour(rng, dark=True))


def _thick(image: Image, rng: Generator) -> Setting:
    """Marker lines of about a quarter of the digit."""
    digit = draw(image, rng.uniform(0.22, 0.27), always=True)
    return digit, replace(choices.photo_of(rng, digit, (0.3, 0.8), (300, 560)), grain=0.0)


def _inverted(image: Image, rng: Generator) -> Setting:
    """White on black: half of them drawn on a screen, half in chalk on a board."""
    if rng.random() < 0.5:
        digit, scene = _clean_page(image, rng)
        return digit, replace(scene, paper=choices.grey(0.0), pen=choices.grey(1.0))
    digit = draw(image, rng.uniform(0.06, 0.13))
    board = choices.grey(0.17) if rng.random() < 0.5 else (0.19, 0.25, 0.16)
    return digit, replace(
        choices.photo_of(rng, digit, (0.25, 0.75), (300, 560)),
        paper=board,
        pen=(0.92, 0.95, 0.95),
        density=rng.uniform(0.72, 0.92),
        grain=rng.uniform(0.12, 0.32),
        relief=0.03,
        smudge=rng.uniform(0.04, 0.12),
    )


def _faint(image: Image, rng: Generator) -> Setting:
    """Ink that is only 12 to 25 % darker than the paper."""
    digit = draw(image, choices.log_uniform(rng, 0.05, 0.12))
    scene = choices.photo_of(rng, digit, (0.3, 0.8), (300, 560))
    left = 1 - rng.uniform(0.12, 0.25)
    blue, green, red = scene.paper
    return digit, replace(
        scene,
        pen=(blue * left, green * left, red * left),
        density=1.0,
        grain=0.0,
        relief=0.004,
        lamp=choices.lamp(rng, 0.12),
        camera=Camera(blur=rng.uniform(0.3, 0.7), noise=rng.uniform(0.003, 0.008), quality=92),
    )


def _rotated_exif(image: Image, rng: Generator) -> Setting:
    """A phone's photo, stored turned, with the EXIF tag that turns it back."""
    digit = draw(image, choices.stroke(rng))
    scene = choices.photo_of(rng, digit, (0.25, 0.7), (360, 640))
    return digit, replace(scene, camera=replace(scene.camera, turns=int(rng.integers(1, 4))))


def _shadow(image: Image, rng: Generator) -> Setting:
    """A hard or soft shadow edge across the digit: 40 to 70 % of the light is left behind it."""
    digit = draw(image, choices.stroke(rng))
    scene = choices.photo_of(rng, digit, (0.3, 0.7), (360, 560))
    return digit, replace(scene, shadow=choices.shadow_across(rng, digit, scene))


def _printed_paper(image: Image, rng: Generator, *, squared: bool) -> Setting:
    """Paper with squares of 5 mm or ruled; the digit is black or blue, darker than the lines."""
    digit = draw(image, choices.log_uniform(rng, 0.05, 0.12))
    scene = choices.photo_of(rng, digit, (0.3, 0.75), (360, 560))
    scene = replace(scene, pen=choices.pen_colour(rng, dark=True), density=1.0)
    lines = choices.printed_lines(rng, scene, squared=squared)
    if not squared and rng.random() < 0.3:
        lines = replace(lines, margin=rng.uniform(0.05, 0.95) * scene.shape[1])
    return digit, replace(scene, lines=lines)


def _pencil(image: Image, rng: Generator) -> Setting:
    """Pencil on grey paper."""
    digit = draw(image, choices.log_uniform(rng, 0.035, 0.08))
    level, left = rng.uniform(0.58, 0.8), rng.uniform(0.4, 0.62)
    return digit, replace(
        choices.photo_of(rng, digit, (0.3, 0.75), (300, 560)),
        paper=(level * rng.uniform(0.93, 1), level * 0.99, level),
        pen=choices.grey(level * left),
        density=rng.uniform(0.85, 1),
        grain=rng.uniform(0.15, 0.38),
        relief=rng.uniform(0.01, 0.02),
    )


def _photo(image: Image, rng: Generator) -> Setting:
    """Everything together, each with its own chance: light, lines, shadow, pen, blur, table."""
    digit = draw(image, choices.stroke(rng))
    scene = choices.photo_of(rng, digit, (0.14, 0.6), (360, 560))
    if rng.random() < 0.35:
        scene = choices.on_table(rng, digit, scene)
    if rng.random() < 0.45:
        lines = choices.printed_lines(rng, scene, squared=rng.random() < 0.55)
        scene = replace(scene, lines=lines)
    if rng.random() < 0.35:
        scene = replace(scene, shadow=choices.shadow_across(rng, digit, scene))
    if rng.random() < 0.15:
        scene = choices.in_pencil(rng, scene)
    lamp = choices.lamp(rng, 0.45)
    return digit, replace(scene, lamp=lamp, camera=choices.any_camera(rng, scene))


# The ten reading errors that MNIST programs are known for, then mixtures and plain pages.
SCENES: dict[str, Callable[[Image, Generator], Setting]] = {
    "corner": _corner,
    "tiny": _tiny,
    "huge": _huge,
    "thin": _thin,
    "thick": _thick,
    "inverted": _inverted,
    "faint": _faint,
    "rotated_exif": _rotated_exif,
    "shadow": _shadow,
    "squared": partial(_printed_paper, squared=True),
    "photo": _photo,
    "ruled": partial(_printed_paper, squared=False),
    "pencil": _pencil,
    "clean_page": _clean_page,
}
CONDITIONS: tuple[str, ...] = tuple(SCENES)
