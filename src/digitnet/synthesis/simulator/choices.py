"""What a scene is made of, drawn at random: pages, pens, lamps, lines, shadows, tables, cameras.

Guarantees:

- Everything is drawn from the given generator.
- Digits are placed whole on the page, on paper and not on the table.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from digitnet.synthesis.simulator.camera import Camera
from digitnet.synthesis.simulator.paper import Colour, Lines, Shadow, Table
from digitnet.synthesis.simulator.pen import Drawing
from digitnet.synthesis.simulator.scenes import Scene

# Blue, green, red.
PENS: tuple[Colour, ...] = (
    (0.10, 0.09, 0.09),
    (0.16, 0.15, 0.15),
    (0.52, 0.20, 0.12),
    (0.38, 0.13, 0.10),
    (0.20, 0.16, 0.70),
    (0.22, 0.42, 0.12),
)
_LINE_COLOURS: tuple[Colour, ...] = (
    (0.90, 0.75, 0.55),
    (0.80, 0.62, 0.48),
    (0.66, 0.66, 0.66),
    (0.72, 0.60, 0.62),
)
_TABLES: tuple[Colour, ...] = (
    (0.22, 0.36, 0.52),
    (0.12, 0.20, 0.32),
    (0.18, 0.18, 0.18),
    (0.45, 0.55, 0.66),
    (0.10, 0.09, 0.08),
)


def between(rng: Generator, low: float, high: float) -> float:
    """Return a number, evenly drawn."""
    return float(rng.uniform(low, high))


def log_between(rng: Generator, low: float, high: float) -> float:
    """Return a positive number whose logarithm is evenly drawn."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def pick(rng: Generator, colours: tuple[Colour, ...]) -> Colour:
    """Return one of ``colours``."""
    return colours[int(rng.integers(len(colours)))]


def page_shape(rng: Generator, low: float, high: float) -> tuple[int, int]:
    """Return height and width: a longer side in that range, a usual ratio."""
    longer = round(between(rng, low, high))
    shorter = round(longer / float(rng.choice([1.0, 4 / 3, 4 / 3, 1.5])))
    return (longer, shorter) if rng.random() < 0.5 else (shorter, longer)


def anywhere(rng: Generator, drawing: Drawing, scene: Scene, border: float = 4) -> Scene:
    """Return the scene with its digit at a random place, whole on the page."""
    half_width, half_height = half_box(drawing, scene)
    x = inside(rng, half_width + border, scene.shape[1])
    y = inside(rng, half_height + border, scene.shape[0])
    return replace(scene, centre=(x, y))


def half_box(drawing: Drawing, scene: Scene) -> tuple[float, float]:
    """Return half the width and height of the digit's box as it stands, turned, on the page."""
    angle = math.radians(scene.tilt)
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    scale = scene.side / drawing.side / 2
    width, height = drawing.width * scale, drawing.height * scale
    return width * cos + height * sin, height * cos + width * sin


def inside(rng: Generator, margin: float, length: int) -> float:
    """Return a place with ``margin`` on both sides; the middle, if there is no such place."""
    if 2 * margin >= length:
        return length / 2
    return between(rng, margin, length - margin)


def paper_colour(rng: Generator) -> Colour:
    """Return white to greyish or yellowish paper, as automatic exposure leaves it."""
    level = between(rng, 0.72, 0.96)
    warmth = between(rng, -0.02, 0.07)
    return level * (1 - warmth), level * (1 - warmth / 3), level


def handheld(rng: Generator) -> Camera:
    """Return an ordinary phone: a little blur, a little noise, a good JPEG."""
    return Camera(
        blur=between(rng, 0.3, 0.9),
        noise=between(rng, 0.004, 0.014),
        quality=int(rng.integers(78, 96)),
    )


def lamp(rng: Generator, fall: float = 0.25) -> tuple[float, float, float]:
    """Return direction, fall (at most ``fall``) and vignette of the light; see `Scene.lamp`."""
    return between(rng, 0, 360), between(rng, 0.02, fall), between(rng, 0, 0.12)


def stroke(rng: Generator) -> float | None:
    """Return a pen's width: often a ball pen, sometimes a felt pen, sometimes as MNIST has it."""
    return None if rng.random() < 0.25 else log_between(rng, 0.03, 0.14)


def legible(drawing: Drawing, side: float, line: float = 2.5) -> float:
    """Return ``side``, or the side at which the pen's line is that many pixels wide if larger."""
    return side if drawing.stroke is None else max(side, line * drawing.side / drawing.stroke)


def photo_of(
    rng: Generator, drawing: Drawing, sizes: tuple[float, float], longest: tuple[float, float]
) -> Scene:
    """Return plain paper under a lamp; the digit takes that part of the page's shorter side."""
    shape = page_shape(rng, *longest)
    scene = Scene(
        shape=shape,
        side=legible(drawing, log_between(rng, *sizes) * min(shape)),
        centre=(0, 0),
        tilt=float(np.clip(rng.normal(0, 4), -10, 10)),
        paper=paper_colour(rng),
        pen=pick(rng, PENS),
        density=between(rng, 0.82, 1),
        grain=between(rng, 0, 0.12),
        relief=between(rng, 0.004, 0.012),
        lamp=lamp(rng),
        camera=handheld(rng),
    )
    return anywhere(rng, drawing, scene)


def shadow_across(rng: Generator, drawing: Drawing, scene: Scene) -> Shadow:
    """Return a shadow whose edge runs through the digit."""
    half = half_box(drawing, scene)
    x, y = (c + between(rng, -0.4, 0.4) * part for c, part in zip(scene.centre, half, strict=True))
    unit = 0.05 * min(scene.shape)
    hand = rng.random() < 0.35
    softest = 0.25 * scene.side + 6
    return Shadow(
        through=(x, y),
        direction=between(rng, 0, 360),
        light=between(rng, 0.4, 0.7),
        softness=log_between(rng, min(8, softest) if hand else 3, softest),
        bend=between(rng, -0.3, 0.3) / max(scene.shape),
        fingers=tuple(float(unit * part) for part in rng.uniform(0.9, 1.3, 4)) if hand else (),
    )


def printed_lines(rng: Generator, scene: Scene, squares: bool, pitch: float) -> Lines:
    """Return printed lines of that pitch, paler than any pen, a little askew to the digit."""
    colour = pick(rng, _LINE_COLOURS)
    return Lines(
        pitch=pitch,
        # A quarter of a millimetre on squares of 5 mm or lines 8 mm apart.
        width=max(between(rng, 0.035, 0.06) * pitch * (1 if squares else 0.65), 0.8),
        strength=between(rng, 0.5, 1),
        colour=(colour[0] * scene.paper[0], colour[1] * scene.paper[1], colour[2] * scene.paper[2]),
        squared=squares,
        tilt=between(rng, -6, 6),
        phase=(between(rng, 0, scene.shape[1]), between(rng, 0, scene.shape[0])),
    )


def in_pencil(rng: Generator, scene: Scene) -> Scene:
    """Return the scene with pencil for ink, and printed lines that stay paler than pencil."""
    lines = scene.lines and replace(scene.lines, strength=0.55 * scene.lines.strength)
    return replace(scene, pen=(0.32, 0.32, 0.32), grain=between(rng, 0.15, 0.35), lines=lines)


def any_camera(rng: Generator, scene: Scene) -> Camera:
    """Return a phone in any hand: blur and shake up to what the digit's size lets one read."""
    steady = scene.side / 100
    return Camera(
        blur=log_between(rng, 0.3, min(0.5 + 1.2 * steady, 2.2)),
        motion=between(rng, 2, 2 + 2.5 * steady) if rng.random() < 0.2 else 0.0,
        direction=between(rng, 0, 180),
        noise=log_between(rng, 0.004, 0.03),
        quality=int(rng.integers(45, 96)),
        turns=int(rng.integers(1, 4)) if rng.random() < 0.15 else 0,
    )


def table_beside(rng: Generator, scene: Scene) -> Table:
    """Return a table that shows at one or two sides of the paper."""
    height, width = scene.shape
    # left, top, right, bottom: how far the paper's edge is from the frame's; far outside = unseen.
    gaps = [-0.5, -0.5, -0.5, -0.5]
    for side in rng.choice(4, size=int(rng.integers(1, 3)), replace=False):
        gaps[side] = between(rng, 0.04, 0.2)
    left, top, right, bottom = gaps
    lean = math.tan(math.radians(between(rng, -5, 5)))
    corners = [(left, top), (1 - right, top), (1 - right, 1 - bottom), (left, 1 - bottom)]
    placed = tuple(
        (x * width - lean * (y - 0.5) * height, y * height + lean * (x - 0.5) * width)
        for x, y in corners
    )
    return Table(placed, pick(rng, _TABLES), between(rng, 0.03, 0.12))


def on_paper(rng: Generator, drawing: Drawing, scene: Scene) -> Scene:
    """Return the scene with its digit on the paper, clear of the table."""
    assert scene.table is not None
    height, width = scene.shape
    # The lean moves an edge by up to 5 degrees of half the frame.
    slack = 0.05 * max(scene.shape) + 6
    xs, ys = zip(*scene.table.corners, strict=True)
    half = half_box(drawing, scene)
    spans = [
        (max(sorted(xs)[1], 0), min(sorted(xs)[2], width), half[0]),
        (max(sorted(ys)[1], 0), min(sorted(ys)[2], height), half[1]),
    ]
    x, y = (low + inside(rng, part + slack, max(int(high - low), 1)) for low, high, part in spans)
    return replace(scene, centre=(x, y))
