"""What a page and the light on it look like: texture, printed lines, shadows, the table below.

Guarantees:

- Every map is float32 of the page's height and width, and depends on nothing but the arguments and
  the given generator.
- Colours are BGR reflectances from 0 (black) to 1 (white paper in full light).
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from digitnet.synthesis.pens import Float, as_float32

Colour: TypeAlias = tuple[float, float, float]
Shape: TypeAlias = tuple[int, int]

# Light varies slowly: it is computed on every fourth pixel and enlarged.
_COARSE = 4
# From the forefinger to the little finger, in half widths.
_FINGER_LENGTHS = (3.6, 4.6, 4.2, 2.6)
_MARGIN_COLOUR = (0.5, 0.5, 0.85)


@dataclass(frozen=True)
class PrintedLines:
    """Lines printed on the paper.

    Attributes:
        pitch: distance between neighbouring lines, in pixels.
        width: of a line, in pixels.
        strength: how much of the paper's colour the line hides, 0 to 1.
        colour: of the lines.
        squared: whether lines also run down the page.
        tilt: clockwise, in degrees.
        phase: x and y of a crossing, in pixels.
        margin: x of a reddish margin line down the page, in pixels; None for no margin.
    """

    pitch: float
    width: float
    strength: float
    colour: Colour
    squared: bool
    tilt: float
    phase: tuple[float, float]
    margin: float | None = None


@dataclass(frozen=True)
class Shadow:
    """The shadow of something beside the camera.

    Attributes:
        through: x and y of a point on its edge, in pixels.
        direction: towards the shadow's inside, clockwise from the right, in degrees.
        light: the fraction of the light that is left inside, 0 to 1.
        softness: width of the edge, in pixels.
        bend: curvature of the edge, 1/pixels; 0 is a straight edge.
        fingers: half widths of up to four fingers that reach over the edge, in pixels.
    """

    through: tuple[float, float]
    direction: float
    light: float
    softness: float
    bend: float = 0.0
    fingers: tuple[float, ...] = ()


@dataclass(frozen=True)
class Tabletop:
    """What lies under the paper and shows beside it.

    Attributes:
        corners: of the paper, x and y in pixels, in order around it.
        colour: of the table.
        figure: strength of the table's own pattern, 0 to 1.
    """

    corners: tuple[tuple[float, float], ...]
    colour: Colour
    figure: float


def noise(shape: Shape, rng: np.random.Generator) -> Float:
    """Return normal noise of variance 1, in 256 steps: as fine as a picture's own."""
    dice = rng.integers(0, 256, shape, np.uint8)
    return as_float32(cv2.LUT(dice, _normal_steps()))


@functools.cache
def _normal_steps() -> Float:
    """Return the middle of each of 256 equally likely intervals of a normal variable."""
    normal = statistics.NormalDist()
    return as_float32([normal.inv_cdf((step + 0.5) / 256) for step in range(256)])


def clouds(shape: Shape, size: float, rng: np.random.Generator) -> Float:
    """Return smooth noise of variance about 1, whose lumps are about ``size`` pixels wide."""
    height, width = _coarse(shape)
    lump = max(size / _COARSE, 1)
    lumps = noise((math.ceil(height / lump) + 2, math.ceil(width / lump) + 2), rng)
    coarse = cv2.resize(lumps, None, fx=lump, fy=lump, interpolation=cv2.INTER_CUBIC)
    return _enlarge(as_float32(coarse)[:height, :width] * np.float32(1.4), shape)


def fibres(shape: Shape, rng: np.random.Generator) -> Float:
    """Return the relief of paper, in lumps of about two pixels, variance about 1."""
    half = (math.ceil(shape[0] / 2) + 1, math.ceil(shape[1] / 2) + 1)
    large = cv2.resize(noise(half, rng), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    return as_float32(large)[: shape[0], : shape[1]] * np.float32(1.6)


def print_lines(shape: Shape, lines: PrintedLines) -> Iterator[tuple[Float, Colour]]:
    """Yield how much of each pixel printed ink covers, 0 to 1, and its colour: lines, margin."""
    across, down = _turned_axes(shape, lines.phase, lines.tilt)
    covered = _rule(down, lines.pitch, lines.width)
    if lines.squared:
        np.maximum(covered, _rule(across, lines.pitch, lines.width), out=covered)
    yield covered, lines.colour
    if lines.margin is not None:
        across, _ = _turned_axes(shape, (lines.margin, shape[0] / 2), lines.tilt)
        yield np.clip(np.float32((lines.width + 1) / 2) - np.abs(across), 0, 1), _MARGIN_COLOUR


def _turned_axes(shape: Shape, origin: tuple[float, float], degrees: float) -> tuple[Float, Float]:
    """Return the coordinates of each pixel along two axes, turned clockwise about ``origin``."""
    angle = math.radians(degrees)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    x = np.arange(shape[1], dtype=np.float32)[None, :] + np.float32(0.5 - origin[0])
    y = np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(0.5 - origin[1])
    return x * cos + y * sin, y * cos - x * sin


def _rule(position: Float, pitch: float, width: float) -> Float:
    """Return how much of each pixel is covered by lines at the multiples of ``pitch``."""
    turns = position * np.float32(1 / pitch)
    distance = np.abs(turns - np.rint(turns)) * np.float32(pitch)
    # A line thinner than a pixel is paler, not wider.
    return as_float32(np.clip(np.float32((width + 1) / 2) - distance, 0, np.float32(min(width, 1))))


def gradient(shape: Shape, direction: float, fall: float, vignette: float) -> Float:
    """Return the light of a lamp: 1 where it is brightest.

    Args:
        shape: of the page.
        direction: towards the darker side, clockwise from the right, in degrees.
        fall: how much of the light is lost across the page, 0 to 1.
        vignette: how much of the light is lost in the corners, 0 to 1.
    """
    height, width = _coarse(shape)
    along, aside = _turned_axes((height, width), (width / 2, height / 2), direction)
    reach = math.hypot(height, width) / 2
    light = 1 - np.float32(fall / 2) * (along / np.float32(reach) + 1)
    light -= np.float32(vignette / reach**2) * (along**2 + aside**2)
    return _enlarge(light, shape)


def shade(shape: Shape, shadow: Shadow) -> Float:
    """Return the fraction of the light that ``shadow`` lets through."""
    through = (shadow.through[0] / _COARSE, shadow.through[1] / _COARSE)
    inside, aside = _turned_axes(_coarse(shape), through, shadow.direction)
    inside, aside = inside * _COARSE, aside * _COARSE
    depth = inside + np.float32(shadow.bend) * aside**2
    position = -0.92 * sum(shadow.fingers)
    for half, length in zip(shadow.fingers, _FINGER_LENGTHS, strict=False):
        position += 0.92 * half
        # A finger reaches out of the shadow and ends round.
        tip = np.minimum(inside + np.float32(length * half), 0)
        finger = np.float32(half) - np.hypot(tip, aside - np.float32(position))
        depth = np.maximum(depth, finger)
        position += 0.92 * half
    dark = np.clip(depth / np.float32(max(shadow.softness, 1)) + np.float32(0.5), 0, 1)
    dark = dark * dark * (3 - 2 * dark)
    return _enlarge(1 - np.float32(1 - shadow.light) * dark, shape)


def paper_mask(shape: Shape, table: Tabletop) -> Float:
    """Return 1 where there is paper, 0 where the table shows."""
    mask = np.zeros(shape, np.uint8)
    corners = np.round(np.array(table.corners) * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, corners, 255, lineType=cv2.LINE_AA, shift=4)
    return as_float32(mask) * np.float32(1 / 255)


def table_top(shape: Shape, table: Tabletop, mask: Float, rng: np.random.Generator) -> Float:
    """Return the brightness of the table: its figure, and the paper's shadow on it."""
    height, width = shape
    grain = clouds((height, max(width // 12, 1)), 6, rng)
    figure = cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(mask, _coarse(shape)[::-1], interpolation=cv2.INTER_AREA)
    spread = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2.0), (width, height))
    return as_float32((1 + np.float32(table.figure) * figure) * (1 - np.float32(0.6) * spread))


def _coarse(shape: Shape) -> Shape:
    return math.ceil(shape[0] / _COARSE), math.ceil(shape[1] / _COARSE)


def _enlarge(light: NDArray[np.floating], shape: Shape) -> Float:
    """Return a coarse map at the size of the page."""
    size = (light.shape[1] * _COARSE, light.shape[0] * _COARSE)
    large = cv2.resize(as_float32(light), size, interpolation=cv2.INTER_LINEAR)
    return as_float32(large[: shape[0], : shape[1]])
