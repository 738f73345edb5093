"""A scene, which decides how one digit on one page looks, and the camera that photographs it.

Guarantees:

- A scene holds values only; equal scenes, digits and generators give equal pixels and, on one
  version of OpenCV, equal files.
- The digit's box lies where the scene says, whatever else is on the page.
- A file whose pixels are stored turned carries the EXIF orientation that turns them back.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis import paper
from digitnet.synthesis.paper import Colour, PrintedLines, Shadow, Shape, Tabletop
from digitnet.synthesis.pens import DigitField, Float, as_float32, put_ink

# Orientation (EXIF 2.3, tag 0x0112) of pixels stored after this many quarter turns anticlockwise:
# 1 is upright, 6 says "turn clockwise to view", 3 "turn upside down", 8 "turn anticlockwise".
_ORIENTATIONS = (1, 6, 3, 8)


@dataclass(frozen=True)
class Camera:
    """How the page is photographed.

    Attributes:
        blur: standard deviation of the defocus, in pixels.
        motion: length of the camera's shake, in pixels; below 1.5 there is none.
        direction: of the shake, in degrees.
        noise: standard deviation of the sensor's noise at full light, which is 1.
        quality: of the JPEG, 1 to 100; None stores a PNG, which is lossless.
        turns: quarter turns anticlockwise before a JPEG is stored, whose EXIF tag undoes them.
    """

    blur: float = 0.0
    motion: float = 0.0
    direction: float = 0.0
    noise: float = 0.0
    quality: int | None = None
    turns: int = 0


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
    return expose(channels, scene.camera, rng)


def _page(scene: Scene) -> list[Float]:
    """Return the reflectance of the paper and its lines, by channel (one of a grey scene)."""
    count = 1 if _is_grey(scene) else 3
    channels = [np.full(scene.shape, level, np.float32) for level in scene.paper[:count]]
    if scene.lines is not None:
        for coverage, colour in paper.print_lines(scene.shape, scene.lines):
            _cover(channels, smear(coverage, scene.camera), scene.lines.strength, colour)
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
    _cover(part, smear(ink, scene.camera), scene.density, scene.pen)


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
    mask = smear(paper.paper_mask(scene.shape, table), scene.camera)
    top = paper.table_top(scene.shape, table, mask, rng)
    for channel, level in zip(channels, table.colour, strict=False):
        # Together: table + (paper - table) * mask.
        seen = top * np.float32(level)
        np.subtract(channel, seen, out=channel)
        np.multiply(channel, mask, out=channel)
        np.add(channel, seen, out=channel)


def smear(coverage: Float, camera: Camera) -> Float:
    """Return ``coverage``, a map of ink, lines or paper, after shake and defocus.

    Only these maps have edges. Smearing them instead of the whole picture looks the same, because
    light varies slowly, and is much faster.
    """
    if camera.motion >= 1.5:
        coverage = as_float32(cv2.filter2D(coverage, -1, _shake(camera)))
    if camera.blur > 0.2:
        coverage = as_float32(cv2.GaussianBlur(coverage, (0, 0), camera.blur))
    return coverage


def expose(channels: list[Float], camera: Camera, rng: Generator) -> NDArray[np.uint8]:
    """Return the pixels that the camera stores.

    Args:
        channels: blue, green, red (or grey alone), float32 (H, W), 0 dark to 1 bright.
        camera: for its noise; the channels are smeared already.
        rng: source of the noise.

    Returns:
        uint8 (H, W, 3), or (H, W) for one channel.
    """
    grain = np.zeros(channels[0].shape, np.float32)
    if camera.noise:
        # A sensor's noise grows with the root of the light.
        light = np.sqrt(np.clip(channels[len(channels) // 2], 0.05, 1))
        grain = paper.noise((light.shape[0], light.shape[1]), rng) * light
        grain *= np.float32(255 * camera.noise)
    taken = [cv2.addWeighted(c, 255, grain, 1, 0, dtype=cv2.CV_8U) for c in channels]
    return np.asarray(cv2.merge(taken) if len(taken) > 1 else taken[0], np.uint8)


def _shake(camera: Camera) -> Float:
    """Return the kernel of a straight, even movement."""
    radius = int(camera.motion / 2) + 1
    angle = np.radians(camera.direction)
    steps = np.linspace(-camera.motion / 2, camera.motion / 2, 8 * radius + 1)
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    rows = np.rint(radius + steps * np.sin(angle)).astype(int)
    columns = np.rint(radius + steps * np.cos(angle)).astype(int)
    np.add.at(kernel, (rows, columns), np.float32(1 / len(steps)))
    return kernel


def encode(pixels: NDArray[np.uint8], camera: Camera) -> bytes:
    """Return the file: a JPEG, or a PNG where ``camera.quality`` is None."""
    pixels = np.ascontiguousarray(np.rot90(pixels, camera.turns))
    if camera.quality is None:
        _, content = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return content.tobytes()
    _, content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, camera.quality])
    return _tagged(content.tobytes(), _ORIENTATIONS[camera.turns % 4])


def _tagged(jpeg: bytes, orientation: int) -> bytes:
    """Return the JPEG with an APP1 segment that holds this orientation, for 1 unchanged."""
    if orientation == 1:
        return jpeg
    # TIFF header, then a directory of one entry: tag, type "short", one value, no next directory.
    directory = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + b"MM\0\x2a" + struct.pack(">I", 8) + directory
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]
