"""From a picture and boxes to the strip of a line: level, in proportion, with room at both ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digitnet.reading.line_strips import ABOVE, BESIDE, HEIGHT, MOST_WIDTH, Strip, strip_of


def boxes(*rows: tuple[float, float, float, float]) -> NDArray[np.float64]:
    return np.array(rows, np.float64)


def stripped(picture: NDArray[np.uint8], found: NDArray[np.float64]) -> Strip:
    strip = strip_of(picture, found)
    assert strip is not None
    return strip


def test_a_level_line_is_cut_out_in_proportion() -> None:
    picture = np.full((100, 300), 255, np.uint8)
    picture[40:60, 100:110] = picture[40:60, 150:160] = 0
    strip = stripped(picture, boxes((100, 40, 110, 60), (150, 40, 160, 60)))
    assert (strip.left, strip.right) == (100 - BESIDE * 20, 160 + BESIDE * 20)
    scale = HEIGHT / (20 * (1 + 2 * ABOVE))
    assert strip.pixels.shape == (HEIGHT, round((strip.right - strip.left) * scale))
    rows = np.flatnonzero(strip.pixels.min(1) < 128)
    assert abs(rows[0] - ABOVE * 20 * scale) <= 1
    assert abs(len(rows) - 20 * scale) <= 1


def test_a_sloping_line_becomes_level() -> None:
    picture = np.full((200, 400), 255, np.uint8)
    found = []
    for number in range(9):
        x, y = 20 + 40 * number, 20 + 14 * number
        picture[y : y + 24, x : x + 12] = 0
        found.append((x, y, x + 12, y + 24))
    strip = stripped(picture, boxes(*found))
    ink = strip.pixels < 128
    tops = ink.argmax(0)[ink.any(0)]
    assert ink.any(0).sum() > 9 * 8
    # A box itself stays upright, so it leans by what the line rises along it.
    assert np.ptp(np.percentile(tops, (5, 95))) <= 6
    # Where a part of the strip lies in the picture is known.
    left, top, right, bottom = strip.box(0.0, 1.0)
    assert (left, right) == (strip.left, strip.right)
    first = strip.box(0.0, 0.08)
    assert first[1] < top < 200
    assert first[3] < bottom


def test_what_lies_beyond_the_picture_is_as_its_edge() -> None:
    picture = np.full((20, 30), 90, np.uint8)
    strip = stripped(picture, boxes((0, 0, 10, 20), (20, 0, 30, 20)))
    assert (strip.left, strip.right) == (0, 30)
    assert (strip.pixels == 90).all()


def test_light_on_dark_is_cut_out_like_dark_on_light() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (60, 200), np.uint8)
    found = boxes((20, 10, 40, 50), (60, 15, 90, 52))
    one, other = stripped(picture, found), stripped(255 - picture, found)
    assert np.abs(one.pixels.astype(int) + other.pixels - 255).max() <= 1


def test_a_line_that_is_too_long_has_no_strip() -> None:
    picture = np.zeros((40, 4000), np.uint8)
    assert strip_of(picture, boxes((0, 10, 10, 30), (3900, 10, 3910, 30))) is None
    near = strip_of(picture, boxes((0, 10, 10, 30), (300, 10, 310, 30)))
    assert near is not None
    assert near.pixels.shape[1] <= MOST_WIDTH


def test_a_single_point_has_a_strip() -> None:
    strip = stripped(np.zeros((5, 5), np.uint8), boxes((2, 2, 2, 2)))
    assert strip.pixels.shape[0] == HEIGHT
