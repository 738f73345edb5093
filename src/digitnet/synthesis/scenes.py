"""A scene: everything that decides how one digit on one page looks, and how it is painted.

Guarantees:

- A scene holds values only; equal scenes, digits and generators give equal pixels.
- The digit's box lies where the scene says, whatever else is on the page.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis import camera, paper
from digitnet.synthesis.camera import Camera
from digitnet.synthesis.paper import Colour, PrintedLines, Shadow, Shape, Tabletop
from digitnet.synthesis.pens import DigitField, Float, put_ink


@dataclass(frozen=True)
class Scene:
    """One page under one light in front of one camera.

    Attributes:
        shape: height and width of the upright picture, in pixels.
        side: the longer side of the digit's box, in pixels.
        centre: x and y of the middle of the box, in edge coordinates of the picture.
        tilt: of the digit, clockwise, in degrees.
        paper: colour of the page.
        pen: colour of the ink.
        density: how much of the page's colour the ink hides, 0 to 1.
        grain: how strongly the paper's relief breaks the stroke, 0 (felt pen) to 1 (chalk).
        relief: contrast of the paper's own texture, 0 to 1.
        smudge: contrast of wiped spots on a blackboard, 0 to 1.
        lamp: direction (degrees), fall and vignette of the light; None for even light.
        lines: printed on the paper.
        shadow: on the paper.
        table: beside the paper.
        camera: blur, noise and file format.
    """

    shape: Shape
    side: float
    centre: tuple[float, float] = (0.0, 0.0)
    tilt: float = 0.0
    paper: Colour = (1.0, 1.0, 1.0)
    pen: Colour = (0.0, 0.0, 0.0)
    density: float = 1.0
    grain: float = 0.0
    relief: float = 0.0
    smudge: float = 0.0
    lamp: tuple[float, float, float] | None = None
    lines: PrintedLines | None = None
    shadow: Shadow | None = None
    table: Tabletop | None = None
    camera: Camera = field(default_factory=Camera)


def paint(digit: DigitField, scene: Scene, rng: Generator) -> NDArray[np.uint8]:
    """Return the upright picture: uint8 (H, W, 3) in BGR, or (H, W) of a grey scene."""
    relief = paper.fibres(scene.shape, rng) if scene.relief or scene.grain else None
    channels = _page(scene)
    _write(channels, digit, scene, relief)
    light = _light(scene, relief, rng)
    if scene.table is not None:
        _lay_on_table(channels, scene, scene.table, rng)
    if light is not None:
        for channel in channels:
            np.multiply(channel, light, out=channel)
    return camera.expose(channels, scene.camera, rng)


def _page(scene: Scene) -> list[Float]:
    """Return the reflectance of the paper and its lines, by channel (one of a grey scene)."""
    count = 1 if _is_grey(scene) else 3
    channels = [np.full(scene.shape, level, np.float32) for level in scene.paper[:count]]
    if scene.lines is not None:
        for coverage, colour in paper.print_lines(scene.shape, scene.lines):
            _cover(channels, camera.smear(coverage, scene.camera), scene.lines.strength, colour)
    return channels


def _is_grey(scene: Scene) -> bool:
    table = scene.table.colour if scene.table else scene.paper
    grey = all(len(set(colour)) == 1 for colour in (scene.paper, scene.pen, table))
    return grey and scene.lines is None


def _cover(channels: list[Float], coverage: Float, strength: float, colour: Colour) -> None:
    """Blend ``colour`` into each channel, in place: ``coverage`` times ``strength`` of it."""
    hidden = coverage * np.float32(strength)
    for channel, level in zip(channels, colour, strict=False):
        np.add(channel, hidden * (np.float32(level) - channel), out=channel)


def _write(channels: list[Float], digit: DigitField, scene: Scene, relief: Float | None) -> None:
    """Write the digit on the page, in place."""
    window, ink = put_ink(digit, scene.shape, scene.centre, scene.side, scene.tilt)
    if scene.grain and relief is not None:
        # Graphite and chalk stay on the crests of the paper.
        crests = 1 + np.float32(scene.grain) * (relief[window] - np.float32(0.3))
        ink = ink * np.clip(crests, 0, 1)
    part = [channel[window] for channel in channels]
    _cover(part, camera.smear(ink, scene.camera), scene.density, scene.pen)


def _light(scene: Scene, relief: Float | None, rng: Generator) -> Float | None:
    """Return the factor by which light, relief and wiping change each pixel's brightness."""
    factors = []
    if relief is not None and scene.relief:
        uneven = relief + np.float32(0.8) * paper.clouds(scene.shape, 40, rng)
        factors.append(np.float32(scene.relief) * uneven + np.float32(1))
    if scene.smudge:
        wiped = paper.clouds(scene.shape, max(scene.shape) / 6, rng)
        factors.append(np.float32(scene.smudge) * wiped + np.float32(1))
    if scene.lamp is not None:
        factors.append(paper.gradient(scene.shape, *scene.lamp))
    if scene.shadow is not None:
        factors.append(paper.shade(scene.shape, scene.shadow))
    return functools.reduce(np.multiply, factors) if factors else None


def _lay_on_table(channels: list[Float], scene: Scene, table: Tabletop, rng: Generator) -> None:
    """Show the table, in place, where there is no paper."""
    mask = camera.smear(paper.paper_mask(scene.shape, table), scene.camera)
    top = paper.table_top(scene.shape, table, mask, rng)
    for channel, level in zip(channels, table.colour, strict=False):
        # Together: table + (paper - table) * mask.
        seen = top * np.float32(level)
        np.subtract(channel, seen, out=channel)
        np.multiply(channel, mask, out=channel)
        np.add(channel, seen, out=channel)
