"""Ink of the strokes of a pen: sound whatever was drawn, and the same at any place and size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitnet.errors import InputError
from digitnet.reading.strokes import from_strokes

FINITE = st.floats(-1e6, 1e6)
DRAWINGS = st.lists(st.lists(st.tuples(FINITE, FINITE), max_size=5), max_size=4)
FIVE = [[(0.1, 0.0), (0.05, 0.45), (0.5, 0.5), (0.55, 0.85), (0.0, 1.0)], [(0.1, 0.0), (0.6, 0.0)]]


@given(DRAWINGS)
@settings(max_examples=60)
def test_any_drawing_gives_a_sound_ink(strokes: Any) -> None:
    ink = from_strokes(strokes)
    assert ink.box is None
    assert ink.pixels.dtype == np.float32
    assert ink.pixels.min() >= 0
    assert ink.pixels.max() == (1 if any(strokes) else 0)


@pytest.mark.parametrize("strokes", [[], [[]], [[], []]])
def test_no_points_are_a_blank(strokes: Any) -> None:
    assert not from_strokes(strokes).pixels.any()


def test_a_line_is_as_long_and_as_broad_as_promised() -> None:
    ink = from_strokes([[(0.0, 0.0), (0.0, 3.0)]]).pixels
    rows, columns = (np.flatnonzero(ink.max(axis) >= 0.5) for axis in (1, 0))
    # 100 pixels, half the pen's width at either end.
    assert np.ptp(rows) + 1 == pytest.approx(110, abs=1)
    assert np.ptp(columns) + 1 == pytest.approx(10, abs=1)
    middle = ink[len(ink) // 2]
    assert middle.sum() == pytest.approx(10, abs=1)
    # Paper all around.
    assert not any(edge.any() for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]))


def test_corners_and_ends_are_round() -> None:
    bent = from_strokes([[(0.0, 1.0), (0.0, 0.0), (1.0, 0.0)]]).pixels
    box = bent[bent.max(1) >= 0.5][:, bent.max(0) >= 0.5]
    assert box[0, 0] < 0.5
    assert box[3, 3] == 1


def test_a_drawing_is_the_same_anywhere_and_at_any_size() -> None:
    here = from_strokes(FIVE).pixels
    there = from_strokes([[(x * 256 - 512, y * 256 + 1024) for x, y in s] for s in FIVE]).pixels
    np.testing.assert_array_equal(here, there)


def test_numbers_of_any_size_are_drawn() -> None:
    here = from_strokes(FIVE).pixels
    for factor in (2.0**-900, 2.0**1023):
        there = from_strokes([[(x * factor, y * factor) for x, y in s] for s in FIVE]).pixels
        np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("strokes", [[[(3.0, 4.0)]], [[(3.0, 4.0)] * 3, [(3.0, 4.0)]]])
def test_a_point_is_a_round_dot(strokes: Any) -> None:
    dot = from_strokes(strokes).pixels
    assert dot.max() == 1
    assert abs(np.ptp(np.nonzero(dot.max(0))) - np.ptp(np.nonzero(dot.max(1)))) <= 1
    np.testing.assert_allclose(dot.sum(0).max(), dot.sum(1).max(), rtol=0.1)


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        ([[(1.0, float("nan"))]], "Stroke 0 holds NaN"),
        ([[(1.0, 2.0)], [(float("inf"), 2.0)]], "Stroke 1 holds NaN or infinity"),
        ([[(1.0, 2.0, 3.0)]], "shape"),
        ([[1.0, 2.0]], "shape"),
        ([[(1.0, 2.0), (3.0,)]], "not a list of points"),
        ([["ab"]], "not a list of points"),
        ([5], "shape"),
        (5, "Expected a list of strokes.*got int"),
    ],
)
def test_what_is_not_a_drawing_is_refused(strokes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_strokes(strokes)
