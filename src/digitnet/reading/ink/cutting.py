"""Cutting a digit out of its picture, at the picture's own resolution or the ink's, if coarser.

Guarantees:

- The ink holds the digit's parts and their soft edges; paper is exactly 0, full ink exactly 1.
- The box holds the ink to the pixel, or to the pixels that were averaged into one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from digitnet.reading.ink.components import Candidate, Mask
from digitnet.reading.ink.drawn import Ground
from digitnet.reading.ink.light import (
    Grey,
    above,
    darkness_of,
    histogram,
    negative,
    odd,
    quantiles,
    shrink,
)
from digitnet.reading.prediction import INK_SIDE, Box, Ink

# Zeros around the digit, in pixels.
_MARGIN = 2
# Window of the paper in units of the widest stroke; strokes are widest where they cross.
_WINDOW = 1.5
# Room around the digit for ink connected to it, as a fraction of its longer side.
_ROOM = 0.25
# Ink is full from this fraction of the darkness of the darkest ink nearby, and paper below the next
# fraction, or this many times the noise. Pressure varies along a stroke, so the darkest is looked
# for within so many stroke widths, and taken for no less than a fraction of the digit's.
_FULL, _PAPER, _NOISE = 0.7, 0.2, 2.0
_NEARBY, _FAINTEST = 1.5, 0.4
# The digit's own darkest ink is the value that this fraction of it stays below.
_CORE = 0.7
# Ink of this strength that is connected to the digit belongs to it: a stroke's faint end.
_HANGS_ON = 0.35
# What is connected and thinner than this fraction of the broadest stroke may be a ruled line.
_THIN = 0.5
# From this fraction of full ink a pixel is inside the box.
_INSIDE = 0.3


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of a picture, perhaps reduced, and where the digit is in it.

    Args:
        pixels: uint8 (h, w).
        near: uint8 (h, w), 1 on the digit and its edges, 0 elsewhere.
        member: uint8 (h, w), not 0 on the digit.
        left, top: its first column and row in the picture.
        step: how many pixels of the picture one of its pixels spans.
        begins_inside: whether the picture extends to the left of it, and above it.
        ends_inside: whether the picture extends to the right of it, and below it.
    """

    pixels: Grey
    near: Mask
    member: Mask
    left: int
    top: int
    step: int
    begins_inside: NDArray[np.bool_]
    ends_inside: NDArray[np.bool_]


def cut_drawing(picture: Grey, candidate: Candidate, ground: Ground) -> Ink:
    """Return the ink of a digit found in a drawn ``picture``, its grey values as they are."""
    crop = _crop(picture, candidate, 0)
    ink = ground.ink(crop.pixels).astype(np.float32)
    return _finished(ink * crop.near, crop)


def cut_photograph(picture: Grey, candidate: Candidate, *, dark: bool) -> Ink:
    """Return the ink of a digit found in a photograph, with ``dark`` or bright strokes."""
    scale = _scale(picture, candidate)
    breadth = _breadth(candidate.member) * scale
    window = _WINDOW * breadth + 4 * scale
    left, top, right, bottom = candidate.group.box
    room = round(max(window, _ROOM * scale * max(right - left, bottom - top)))
    crop = _crop(picture, candidate, room)
    strokes = crop.pixels if dark else negative(crop.pixels)
    darkness, noise = darkness_of(strokes, odd(window / crop.step), crop.member)
    darkest = _darkest_nearby(darkness, crop.member, odd(_NEARBY * breadth / crop.step))
    paper = np.maximum(_PAPER * darkest, np.float32(_NOISE * noise))
    ink = (darkness - paper) / np.maximum(_FULL * darkest - paper, np.float32(1))
    ink = np.clip(ink, 0, 1, dtype=np.float32)
    return _finished(
        ink * cv2.bitwise_or(crop.near, _connected_ink(ink, crop, breadth / crop.step)), crop
    )


def _breadth(member: Mask) -> float:
    """Return the width of the broadest stroke, in pixels."""
    x, y, width, height = cv2.boundingRect(member)
    inside = _framed(member[y : y + height, x : x + width], 1)
    return 2 * float(cv2.distanceTransform(inside, cv2.DIST_L2, 3).max())


def _framed(pixels: NDArray[Any], margin: int) -> NDArray[Any]:
    """Return pixels with a margin of zeros; NumPy's ``pad`` takes ten times as long."""
    sides = (margin, margin, margin, margin)
    return np.asarray(cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_CONSTANT, value=0))


def _darkest_nearby(darkness: Grey, member: Mask, window: int) -> NDArray[np.float32]:
    """Return the darkness of full ink around each pixel, float32 (h, w), at least 1."""
    (core,) = quantiles(histogram(darkness, member), (_CORE,))
    smooth = cv2.blur(darkness, (3, 3))
    darkest = cv2.dilate(smooth, np.ones((window, window), np.uint8))
    darkest = cv2.blur(darkest, (window, window)).astype(np.float32)
    return np.asarray(np.clip(darkest, max(1.0, _FAINTEST * core), max(1, core)), np.float32)


def _connected_ink(ink: NDArray[np.float32], crop: Crop, breadth: float) -> Mask:
    """Return 1 where ink is connected to the digit, and at its edges; 0 elsewhere.

    What leaves the crop, which has room around the digit, and is thinner than its strokes of
    ``breadth`` pixels, is a ruled line; nor is it a stroke's end if it leaves the crop twice. On
    such paper what is thin and runs from stroke to stroke, as in a loop, or to the picture's edge
    is a line as well.
    """
    more = cv2.bitwise_and(above(ink, _HANGS_ON), negative(crop.member))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(more, ltype=cv2.CV_32S)
    # By columns: there may be thousands of parts.
    start, size = stats[:, :2].T.copy(), stats[:, 2:4].T.copy()
    first, last = start == 0, start + size == np.array(ink.shape[::-1])[:, None]
    leaves = (first & crop.begins_inside[:, None]).sum(0) + (last & crop.ends_inside[:, None]).sum(
        0
    )
    touches = _touches(labels, crop.member, len(stats))
    attached = (touches > 0) & (leaves < 2)
    leaves[0] = 0
    if leaves.any():
        core = cv2.erode(more, np.ones((odd(_THIN * breadth),) * 2, np.uint8)) > 0
        thin = np.bincount(labels[core], minlength=len(stats)) == 0
        if (thin & (leaves > 0)).any():
            attached &= ~thin | ((touches < 2) & ~(first | last).any(axis=0))
    attached[0] = False
    belongs = attached.astype(np.uint8)[labels]
    return np.asarray(cv2.dilate(belongs, np.ones((5, 5), np.uint8)), np.uint8)


def _touches(labels: NDArray[Any], member: Mask, count: int) -> NDArray[np.int64]:
    """Return how often each part touches the digit."""
    touching = cv2.dilate(member, np.ones((3, 3), np.uint8)) > 0
    contacts = np.asarray((touching & (labels > 0)) * 255, np.uint8)
    number, places = cv2.connectedComponents(contacts)
    part = np.zeros(number, np.int64)
    part[places[contacts > 0]] = labels[contacts > 0]
    return np.bincount(part[1:], minlength=count)


def _scale(picture: Grey, candidate: Candidate) -> int:
    """Return how many pixels of ``picture`` one of the reduced picture spans."""
    return int(max(1, round(max(picture.shape) / max(candidate.member.shape))))


def _crop(picture: Grey, candidate: Candidate, margin: int) -> Crop:
    """Cut out the digit with ``margin`` pixels around, reduced to what an ink may measure."""
    scale = _scale(picture, candidate)
    reach = margin + _MARGIN * scale
    box = [side * scale for side in candidate.group.box]
    step = -(-max(box[2] - box[0], box[3] - box[1]) // (INK_SIDE - 4 * _MARGIN))
    left, top = max(0, box[0] - reach), max(0, box[1] - reach)
    pixels = shrink(picture[top : box[3] + reach, left : box[2] + reach], step)
    member = _enlarged(candidate.member, (left, top), pixels.shape, step / scale, scale)
    soft = 2 * (1 + -(-scale // step)) + 1
    near = cv2.dilate(member, np.ones((soft, soft), np.uint8))
    ends = np.array((box[2] + reach, box[3] + reach))
    return Crop(
        pixels,
        np.asarray(near > 0, np.uint8),
        member,
        left,
        top,
        step,
        np.array((left, top)) > 0,
        ends < picture.shape[::-1],
    )


def _enlarged(
    member: Mask, start: tuple[int, int], shape: tuple[int, ...], stride: float, scale: int
) -> Mask:
    """Return the values of a crop's pixels in the reduced picture's map of the digit."""
    places = [
        np.minimum(((np.arange(length) + 0.5) * stride + begin / scale).astype(int), limit - 1)
        for length, begin, limit in zip(shape, start[::-1], member.shape, strict=True)
    ]
    return np.asarray(member.take(places[0], axis=0).take(places[1], axis=1), np.uint8)


def _finished(ink: NDArray[np.float32], crop: Crop) -> Ink:
    """Return ``ink`` trimmed to the digit and scaled to full range, with its box."""
    peak = float(ink.max())
    if peak <= 0:
        return Ink.blank()
    ink /= peak
    rows = np.flatnonzero(ink.max(axis=1) > _INSIDE)
    columns = np.flatnonzero(ink.max(axis=0) > _INSIDE)
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    step = crop.step
    box = Box(
        int(crop.left + left * step),
        int(crop.top + top * step),
        int(crop.left + right * step),
        int(crop.top + bottom * step),
    )
    # The soft edge outside the box is part of the ink.
    ink = ink[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2]
    return Ink(np.asarray(_framed(_small_enough(ink), _MARGIN), np.float32), box)


def _small_enough(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    limit = INK_SIDE - 2 * _MARGIN
    if max(ink.shape) <= limit:
        return ink
    ratio = limit / max(ink.shape)
    size = [max(1, round(side * ratio)) for side in ink.shape[::-1]]
    return np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA), np.float32)
