"""A scene: everything that decides how one digit on one page looks, and how it is painted.

Guarantees:

- A scene holds values only; equal scenes, images and generators give equal pixels.
- The digit's box lies where the scene says, whatever else is on the page.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from digitnet.synthesis.simulator import camera, paper
from digitnet.synthesis.simulator.camera import Camera
from digitnet.synthesis.simulator.paper import Colour, Float, Lines, Shadow, Shape, Table
from digitnet.synthesis.simulator.pen import Drawing, put_ink

WHITE: Colour = (1.0, 1.0, 1.0)
BLACK: Colour = (0.0, 0.0, 0.0)


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
        relief: contrast of the paper's own texture, of 1.
        smudge: contrast of wiped spots, of 1 (blackboards).
        lamp: direction (degrees), fall and vignette of the light; None for even light.
        lines: printed on the paper.
        shadow: on the paper.
        table: beside the paper.
        camera: blur, noise and file format.
    """

    shape: Shape
    side: float
    centre: tuple[float, float]
    tilt: float = 0.0
    paper: Colour = WHITE
    pen: Colour = BLACK
    density: float = 1.0
    grain: float = 0.0
    relief: float = 0.0
    smudge: float = 0.0
    lamp: tuple[float, float, float] | None = None
    lines: Lines | None = None
    shadow: Shadow | None = None
    table: Table | None = None
    camera: Camera = field(default_factory=Camera)


def take(drawing: Drawing, scene: Scene, rng: np.random.Generator) -> bytes:
    """Return the file that a photograph of ``drawing`` in this scene gives."""
    return camera.encode(paint(drawing, scene, rng), scene.camera)


def paint(drawing: Drawing, scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the upright picture: uint8 (H, W, 3) in BGR, or (H, W) of a grey scene."""
    relief = paper.fibres(scene.shape, rng) if scene.relief or scene.grain else None
    channels = _page(scene)
    _write(channels, drawing, scene, relief)
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
    if scene.lines is None:
        return channels
    maps = [(paper.line_ink(scene.shape, scene.lines), scene.lines.colour)]
    if scene.lines.margin is not None:
        maps.append((paper.margin_ink(scene.shape, scene.lines), scene.lines.margin_colour))
    for coverage, colour in maps:
        _cover(channels, camera.smear(coverage, scene.camera), scene.lines.strength, colour)
    return channels


def _cover(channels: list[Float], coverage: Float, strength: float, colour: Colour) -> None:
    """Blend ``colour`` into each channel, in place: ``coverage`` times ``strength`` of it."""
    hidden = coverage * np.float32(strength)
    for channel, level in zip(channels, colour, strict=False):
        np.add(channel, hidden * (np.float32(level) - channel), out=channel)


def _is_grey(scene: Scene) -> bool:
    colours = [scene.paper, scene.pen]
    if scene.lines is not None:
        colours += [scene.lines.colour, scene.lines.margin_colour]
    if scene.table is not None:
        colours.append(scene.table.colour)
    return all(len(set(colour)) == 1 for colour in colours)


def _write(channels: list[Float], drawing: Drawing, scene: Scene, relief: Float | None) -> None:
    """Write the digit on the page, in place."""
    window, ink = put_ink(drawing, scene.shape, scene.centre, scene.side, scene.tilt)
    if scene.grain and relief is not None:
        # Graphite and chalk stay on the crests of the paper.
        crests = 1 + np.float32(scene.grain) * (relief[window] - np.float32(0.3))
        ink = ink * np.clip(crests, 0, 1)
    part = [channel[window] for channel in channels]
    _cover(part, camera.smear(ink, scene.camera), scene.density, scene.pen)


def _light(scene: Scene, relief: Float | None, rng: np.random.Generator) -> Float | None:
    """Return what the light, the relief and the wiping make of each pixel's brightness."""
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
    for factor in factors[1:]:
        factors[0] *= factor
    return factors[0] if factors else None


def _lay_on_table(
    channels: list[Float], scene: Scene, table: Table, rng: np.random.Generator
) -> None:
    """Put the table in place of what is not paper."""
    mask = camera.smear(paper.paper_mask(scene.shape, table), scene.camera)
    top = paper.table_top(scene.shape, table, mask, rng)
    for channel, level in zip(channels, table.colour, strict=False):
        # At once: table + (paper - table) * mask.
        seen = top * np.float32(level)
        np.subtract(channel, seen, out=channel)
        np.multiply(channel, mask, out=channel)
        np.add(channel, seen, out=channel)
