"""What a scene is made of, chosen at random: pages, pens, lamps, lines, shadows, tables, cameras.

Guarantees:

- Every choice comes from the given generator.
- Digits lie whole on the page, on paper and not on the table.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from digitnet.synthesis.paper import Colour, PrintedLines, Shadow, Shape, Tabletop
from digitnet.synthesis.pens import DigitField
from digitnet.synthesis.scenes import Camera, Scene


def _percent(*colours: tuple[int, int, int]) -> tuple[Colour, ...]:
    return tuple((blue / 100, green / 100, red / 100) for blue, green, red in colours)


# The first four pens are black and blue.
_PENS = _percent((10, 9, 9), (16, 15, 15), (52, 20, 12), (38, 13, 10), (20, 16, 70), (22, 42, 12))
_LINE_COLOURS = _percent((90, 75, 55), (80, 62, 48), (66, 66, 66), (72, 60, 62))
_TABLES = _percent((22, 36, 52), (12, 20, 32), (18, 18, 18), (45, 55, 66), (10, 9, 8))


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """Return a positive number whose logarithm is uniformly distributed."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def pen_colour(rng: Generator, *, dark: bool = False) -> Colour:
    """Return the colour of a black or blue pen or, if it need not be dark, a red or green one."""
    return _PENS[rng.integers(4 if dark else len(_PENS))]


def grey(level: float) -> Colour:
    """Return a colour without hue."""
    return (level, level, level)


def page_shape(rng: Generator, low: float, high: float) -> Shape:
    """Return height and width: a longer side in that range, a usual ratio."""
    longer = round(rng.uniform(low, high))
    shorter = round(longer / float(rng.choice([1.0, 4 / 3, 4 / 3, 1.5])))
    return (longer, shorter) if rng.random() < 0.5 else (shorter, longer)


def anywhere(rng: Generator, digit: DigitField, scene: Scene, border: float = 4) -> Scene:
    """Return the scene with its digit at a random position, whole on the page."""
    half_width, half_height = half_box(digit, scene)
    x = inside(rng, half_width + border, scene.shape[1])
    y = inside(rng, half_height + border, scene.shape[0])
    return replace(scene, centre=(x, y))


def half_box(digit: DigitField, scene: Scene) -> tuple[float, float]:
    """Return half the width and height of the digit's box as it stands, tilted, on the page."""
    angle = math.radians(scene.tilt)
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    scale = scene.side / digit.side / 2
    width, height = digit.width * scale, digit.height * scale
    return width * cos + height * sin, height * cos + width * sin


def inside(rng: Generator, margin: float, length: float) -> float:
    """Return a position at least ``margin`` from both ends; the middle if there is none."""
    return length / 2 if 2 * margin >= length else rng.uniform(margin, length - margin)


def paper_colour(rng: Generator) -> Colour:
    """Return white to greyish or yellowish paper, as automatic exposure leaves it."""
    level = rng.uniform(0.72, 0.96)
    warmth = rng.uniform(-0.02, 0.07)
    return level * (1 - warmth), level * (1 - warmth / 3), level


def handheld(rng: Generator) -> Camera:
    """Return an ordinary phone: a little blur, a little noise, a good JPEG."""
    blur, noise = rng.uniform(0.3, 0.9), rng.uniform(0.004, 0.014)
    return Camera(blur=blur, noise=noise, quality=int(rng.integers(78, 96)))


def lamp(rng: Generator, fall: float = 0.25) -> tuple[float, float, float]:
    """Return direction, fall (at most ``fall``) and vignette of the light; see ``Scene.lamp``."""
    return rng.uniform(0, 360), rng.uniform(0.02, fall), rng.uniform(0, 0.12)


def stroke(rng: Generator) -> float | None:
    """Return a pen's width: often a ball pen, sometimes a felt pen, sometimes as written."""
    return None if rng.random() < 0.25 else log_uniform(rng, 0.03, 0.14)


def legible(digit: DigitField, side: float, line: float = 2.5) -> float:
    """Return ``side``, or if it is larger the side that makes the pen's line that many pixels."""
    return side if digit.stroke is None else max(side, line * digit.side / digit.stroke)


def photo_of(
    rng: Generator, digit: DigitField, sizes: tuple[float, float], longest: tuple[float, float]
) -> Scene:
    """Return plain paper under a lamp.

    Args:
        rng: source of every choice.
        digit: what is written.
        sizes: range of the digit's size, as a fraction of the page's shorter side.
        longest: range of the page's longer side, in pixels.
    """
    shape = page_shape(rng, *longest)
    scene = Scene(
        shape=shape,
        side=legible(digit, log_uniform(rng, *sizes) * min(shape)),
        tilt=float(np.clip(rng.normal(0, 4), -10, 10)),
        paper=paper_colour(rng),
        pen=pen_colour(rng),
        density=rng.uniform(0.82, 1),
        grain=rng.uniform(0, 0.12),
        relief=rng.uniform(0.004, 0.012),
        lamp=lamp(rng),
        camera=handheld(rng),
    )
    return anywhere(rng, digit, scene)


def shadow_across(rng: Generator, digit: DigitField, scene: Scene) -> Shadow:
    """Return a shadow whose edge runs through the digit."""
    half = half_box(digit, scene)
    x, y = (c + rng.uniform(-0.4, 0.4) * part for c, part in zip(scene.centre, half, strict=True))
    unit = 0.05 * min(scene.shape)
    hand = rng.random() < 0.35
    softest = 0.25 * scene.side + 6
    return Shadow(
        through=(x, y),
        direction=rng.uniform(0, 360),
        light=rng.uniform(0.4, 0.7),
        softness=log_uniform(rng, min(8, softest) if hand else 3, softest),
        bend=rng.uniform(-0.3, 0.3) / max(scene.shape),
        fingers=tuple(float(unit * part) for part in rng.uniform(0.9, 1.3, 4)) if hand else (),
    )


def printed_lines(rng: Generator, scene: Scene, *, squared: bool) -> PrintedLines:
    """Return printed lines, paler than any pen, a little askew to the digit.

    The digit is two to five squares high; or one to two and a half lines, if only they are printed.
    """
    lines_high = rng.uniform(2, 5) if squared else rng.uniform(1, 2.5)
    pitch = max(scene.side / lines_high, 9)
    blue, green, red = _LINE_COLOURS[rng.integers(len(_LINE_COLOURS))]
    return PrintedLines(
        pitch=pitch,
        # A quarter of a millimetre on squares of 5 mm or lines 8 mm apart.
        width=max(rng.uniform(0.035, 0.06) * pitch * (1 if squared else 0.65), 0.8),
        strength=rng.uniform(0.5, 1),
        colour=(blue * scene.paper[0], green * scene.paper[1], red * scene.paper[2]),
        squared=squared,
        tilt=rng.uniform(-6, 6),
        phase=(rng.uniform(0, scene.shape[1]), rng.uniform(0, scene.shape[0])),
    )


def in_pencil(rng: Generator, scene: Scene) -> Scene:
    """Return the scene with pencil for ink, and printed lines that stay paler than pencil."""
    lines = scene.lines and replace(scene.lines, strength=0.55 * scene.lines.strength)
    return replace(scene, pen=grey(0.32), grain=rng.uniform(0.15, 0.35), lines=lines)


def any_camera(rng: Generator, scene: Scene) -> Camera:
    """Return a phone in any hand: as much blur and shake as leave the digit legible."""
    steady = scene.side / 100
    return Camera(
        blur=log_uniform(rng, 0.3, min(0.5 + 1.2 * steady, 2.2)),
        motion=rng.uniform(2, 2 + 2.5 * steady) if rng.random() < 0.2 else 0.0,
        direction=rng.uniform(0, 180),
        noise=log_uniform(rng, 0.004, 0.03),
        quality=int(rng.integers(45, 96)),
        turns=int(rng.integers(1, 4)) if rng.random() < 0.15 else 0,
    )


def on_table(rng: Generator, digit: DigitField, scene: Scene) -> Scene:
    """Return the scene with a table that shows at one or two sides of the paper, digit on paper."""
    height, width = scene.shape
    # left, top, right, bottom: how far the paper's edge is from the frame's; far outside = unseen.
    gaps = [-0.5, -0.5, -0.5, -0.5]
    for side in rng.choice(4, size=int(rng.integers(1, 3)), replace=False):
        gaps[side] = rng.uniform(0.04, 0.2)
    left, top, right, bottom = gaps
    lean = math.tan(math.radians(rng.uniform(-5, 5)))
    corners = [(left, top), (1 - right, top), (1 - right, 1 - bottom), (left, 1 - bottom)]
    placed = tuple(
        (x * width - lean * (y - 0.5) * height, y * height + lean * (x - 0.5) * width)
        for x, y in corners
    )
    colour = _TABLES[rng.integers(len(_TABLES))]
    table = Tabletop(placed, colour, figure=rng.uniform(0.03, 0.12))
    # The lean moves an edge by up to 5 degrees of half the frame.
    slack = 0.05 * max(scene.shape) + 6
    xs, ys = (sorted(values) for values in zip(*placed, strict=True))
    half = half_box(digit, scene)
    spans = [
        (max(xs[1], 0), min(xs[2], width), half[0]),
        (max(ys[1], 0), min(ys[2], height), half[1]),
    ]
    x, y = (low + inside(rng, part + slack, max(int(high - low), 1)) for low, high, part in spans)
    return replace(scene, table=table, centre=(x, y))
