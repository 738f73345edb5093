"""The conditions by name: how each draws its scenes at random.

Guarantees:

- A person reads the digit in each scene: it lies whole on the page and differs from the paper. Of
  the conditions in ``WITH_ANOTHER_PEN`` this holds for a digit that ``pen.can_be_redrawn``.
- Everything about a scene is drawn from the given generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis.simulator import choices
from digitnet.synthesis.simulator.camera import Camera
from digitnet.synthesis.simulator.paper import Colour
from digitnet.synthesis.simulator.pen import Drawing, draw, write
from digitnet.synthesis.simulator.scenes import Scene

Image = NDArray[np.uint8]
Setting = tuple[Drawing, Scene]


def clean_page(image: Image, rng: Generator) -> Setting:
    """A black digit of any size, anywhere on a white page."""
    drawing = write(image, choices.stroke(rng))
    shape = choices.page_shape(rng, 150, 600)
    side = choices.log_between(rng, 0.12, 0.8) * min(shape)
    scene = Scene(shape=shape, side=choices.legible(drawing, max(side, 20), 1.2), centre=(0, 0))
    return drawing, choices.anywhere(rng, drawing, scene, border=2)


def corner(image: Image, rng: Generator) -> Setting:
    """A digit of 15 to 25 % of a large page's shorter side, in a corner or at an edge."""
    drawing = write(image, choices.log_between(rng, 0.04, 0.12))
    shape = choices.page_shape(rng, 500, 800)
    level = choices.between(rng, 0.9, 1)
    scene = Scene(
        shape=shape,
        side=choices.between(rng, 0.15, 0.25) * min(shape),
        centre=(0, 0),
        paper=(level, level, level),
        pen=choices.pick(rng, choices.PENS),
        relief=0.004,
        camera=replace(choices.handheld(rng), noise=0.004),
    )
    half = choices.half_box(drawing, scene)
    gaps = [choices.between(rng, 0.01, 0.06) * min(shape) + part for part in half]
    places = [[gaps[0], shape[1] - gaps[0]], [gaps[1], shape[0] - gaps[1]]]
    centre = [places[axis][int(rng.integers(2))] for axis in (0, 1)]
    if rng.random() < 0.4:
        free = int(rng.integers(2))
        centre[free] = choices.inside(rng, gaps[free], shape[1 - free])
    return drawing, replace(scene, centre=(centre[0], centre[1]))


def tiny(image: Image, rng: Generator) -> Setting:
    """A digit of 10 to 16 pixels on a page of 200 to 400."""
    drawing = write(image, choices.between(rng, 0.09, 0.14))
    shape = choices.page_shape(rng, 200, 400)
    level = choices.between(rng, 0.88, 1)
    ink = choices.between(rng, 0, 0.2)
    scene = Scene(
        shape=shape,
        side=choices.between(rng, 10, 16),
        centre=(0, 0),
        paper=(level, level, level),
        pen=(ink, ink, ink),
        camera=Camera(noise=choices.between(rng, 0, 0.006)),
    )
    return drawing, choices.anywhere(rng, drawing, scene)


def huge(image: Image, rng: Generator) -> Setting:
    """A digit that fills 90 to 98 % of the frame."""
    drawing = write(image, choices.stroke(rng))
    part, longer = choices.between(rng, 0.90, 0.98), choices.between(rng, 120, 500)
    shorter = min(drawing.width, drawing.height) / drawing.side * longer
    # A narrow digit in a narrow frame is filled both ways, in a square one only up and down.
    shorter = max(choices.between(rng, shorter, longer), 0.3 * longer)
    size = (longer, shorter) if drawing.height >= drawing.width else (shorter, longer)
    shape = (round(size[0]), round(size[1]))
    scene = Scene(
        shape=shape,
        side=part * max(shape),
        centre=(shape[1] / 2, shape[0] / 2),
        paper=choices.paper_colour(rng),
        pen=choices.pick(rng, choices.PENS),
        relief=0.006,
        lamp=choices.lamp(rng, 0.15),
        camera=choices.handheld(rng),
    )
    return drawing, scene


def thin(image: Image, rng: Generator) -> Setting:
    """Pen lines of 1/40 to 1/20 of the digit."""
    drawing = draw(image, choices.log_between(rng, 1 / 40, 1 / 20))
    scene = choices.photo_of(rng, drawing, (0.35, 0.8), (300, 560))
    return drawing, replace(scene, density=1.0, pen=choices.PENS[int(rng.integers(4))])


def thick(image: Image, rng: Generator) -> Setting:
    """Marker lines of about a quarter of the digit."""
    drawing = draw(image, choices.between(rng, 0.22, 0.27))
    return drawing, replace(choices.photo_of(rng, drawing, (0.3, 0.8), (300, 560)), grain=0.0)


def inverted(image: Image, rng: Generator) -> Setting:
    """White on black: half of them drawn on a screen, half in chalk on a board."""
    if rng.random() < 0.5:
        drawing, scene = clean_page(image, rng)
        return drawing, replace(scene, paper=(0.0, 0.0, 0.0), pen=(1.0, 1.0, 1.0))
    drawing = write(image, choices.between(rng, 0.06, 0.13))
    board: Colour = (0.17, 0.17, 0.17) if rng.random() < 0.5 else (0.19, 0.25, 0.16)
    return drawing, replace(
        choices.photo_of(rng, drawing, (0.25, 0.75), (300, 560)),
        paper=board,
        pen=(0.92, 0.95, 0.95),
        density=choices.between(rng, 0.72, 0.92),
        grain=choices.between(rng, 0.12, 0.32),
        relief=0.03,
        smudge=choices.between(rng, 0.04, 0.12),
    )


def faint(image: Image, rng: Generator) -> Setting:
    """Ink that is only 12 to 25 % darker than the paper."""
    drawing = write(image, choices.log_between(rng, 0.05, 0.12))
    scene = choices.photo_of(rng, drawing, (0.3, 0.8), (300, 560))
    left = 1 - choices.between(rng, 0.12, 0.25)
    blue, green, red = scene.paper
    return drawing, replace(
        scene,
        pen=(blue * left, green * left, red * left),
        density=1.0,
        grain=0.0,
        relief=0.004,
        lamp=choices.lamp(rng, 0.12),
        camera=Camera(
            blur=choices.between(rng, 0.3, 0.7),
            noise=choices.between(rng, 0.003, 0.008),
            quality=92,
        ),
    )


def rotated_exif(image: Image, rng: Generator) -> Setting:
    """A phone's photo, stored turned, with the EXIF tag that turns it back."""
    drawing = write(image, choices.stroke(rng))
    scene = choices.photo_of(rng, drawing, (0.25, 0.7), (360, 640))
    return drawing, replace(scene, camera=replace(scene.camera, turns=int(rng.integers(1, 4))))


def shadow(image: Image, rng: Generator) -> Setting:
    """A hard or soft shadow edge across the digit: 40 to 70 % of the light is left behind it."""
    drawing = write(image, choices.stroke(rng))
    scene = choices.photo_of(rng, drawing, (0.3, 0.7), (360, 560))
    return drawing, replace(scene, shadow=choices.shadow_across(rng, drawing, scene))


def squared(image: Image, rng: Generator) -> Setting:
    """Paper with squares of 5 mm; the digit is two to five squares high."""
    drawing = write(image, choices.log_between(rng, 0.05, 0.12))
    scene = choices.photo_of(rng, drawing, (0.3, 0.75), (360, 560))
    scene = replace(scene, pen=choices.PENS[int(rng.integers(4))], density=1.0)
    return drawing, replace(
        scene,
        lines=choices.printed_lines(rng, scene, True, scene.side / choices.between(rng, 2, 5)),
    )


def ruled(image: Image, rng: Generator) -> Setting:
    """Ruled paper; the digit is one to two and a half lines high."""
    drawing = write(image, choices.log_between(rng, 0.05, 0.12))
    scene = choices.photo_of(rng, drawing, (0.3, 0.75), (360, 560))
    scene = replace(scene, pen=choices.PENS[int(rng.integers(4))], density=1.0)
    lines = choices.printed_lines(rng, scene, False, scene.side / choices.between(rng, 1, 2.5))
    if rng.random() < 0.3:
        lines = replace(lines, margin=choices.between(rng, 0.05, 0.95) * scene.shape[1])
    return drawing, replace(scene, lines=lines)


def pencil(image: Image, rng: Generator) -> Setting:
    """Pencil on grey paper."""
    drawing = write(image, choices.log_between(rng, 0.035, 0.08))
    level, left = choices.between(rng, 0.58, 0.8), choices.between(rng, 0.4, 0.62)
    ink = level * left
    return drawing, replace(
        choices.photo_of(rng, drawing, (0.3, 0.75), (300, 560)),
        paper=(level * choices.between(rng, 0.93, 1), level * 0.99, level),
        pen=(ink, ink, ink),
        density=choices.between(rng, 0.85, 1),
        grain=choices.between(rng, 0.15, 0.38),
        relief=choices.between(rng, 0.01, 0.02),
    )


def photo(image: Image, rng: Generator) -> Setting:
    """Everything at once, each with its own chance: light, lines, shadow, pen, blur, table."""
    drawing = write(image, choices.stroke(rng))
    scene = choices.photo_of(rng, drawing, (0.14, 0.6), (360, 560))
    if rng.random() < 0.35:
        scene = replace(scene, table=choices.table_beside(rng, scene))
        scene = choices.on_paper(rng, drawing, scene)
    if rng.random() < 0.45:
        squares = rng.random() < 0.55
        high = choices.between(rng, 2, 5) if squares else choices.between(rng, 1, 2.5)
        pitch = max(scene.side / high, 9)
        scene = replace(scene, lines=choices.printed_lines(rng, scene, squares, pitch))
    if rng.random() < 0.35:
        scene = replace(scene, shadow=choices.shadow_across(rng, drawing, scene))
    if rng.random() < 0.15:
        scene = choices.in_pencil(rng, scene)
    return drawing, replace(
        scene, lamp=choices.lamp(rng, 0.45), camera=choices.any_camera(rng, scene)
    )


SCENES: dict[str, Callable[[Image, Generator], Setting]] = {
    "corner": corner,
    "tiny": tiny,
    "huge": huge,
    "thin": thin,
    "thick": thick,
    "inverted": inverted,
    "faint": faint,
    "rotated_exif": rotated_exif,
    "shadow": shadow,
    "squared": squared,
    "photo": photo,
    "ruled": ruled,
    "pencil": pencil,
    "clean_page": clean_page,
}

# These are about the pen and draw every digit with theirs; the others leave a digit that cannot be
# redrawn as it was written.
WITH_ANOTHER_PEN = ("thin", "thick")
