from __future__ import annotations

import numpy as np
import pytest

from digitnet.synthesis.curves import boxed, curve, dash, line, oval


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_box_begins_at_nothing_and_its_longer_side_is_one(rng: np.random.Generator) -> None:
    strokes = [rng.normal(5, 3, (8, 2)), rng.normal(-2, 1, (4, 2))]
    points = np.concatenate(boxed(strokes))
    assert points.min(0) == pytest.approx(0)
    assert points.max() == pytest.approx(1)


def test_a_curve_begins_and_ends_at_its_corners_and_is_smooth(rng: np.random.Generator) -> None:
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    path = curve(rng, *corners, jitter=0)
    assert path[0] == pytest.approx(corners[0])
    assert path[-1] == pytest.approx(corners[-1])
    steps = np.diff(path, axis=0)
    turns = np.abs(np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))))
    assert turns.max() < np.pi / 6


def test_a_line_goes_from_end_to_end_and_bends_little(rng: np.random.Generator) -> None:
    for _ in range(50):
        path = line(rng, np.array((0.0, 0.0)), np.array((1.0, 0.0)), bend=0.02)
        assert (path[0, 0], path[-1, 0]) == (0, 1)
        assert np.abs(path[:, 1]).max() < 0.1


def test_a_dash_reaches_to_both_sides(rng: np.random.Generator) -> None:
    path = dash(rng, np.array((0.5, 0.5)), 0.0)
    assert path[0, 0] < 0.5 < path[-1, 0]
    assert np.abs(path[:, 1] - 0.5).max() < 0.1


def test_an_oval_goes_around_once(rng: np.random.Generator) -> None:
    for _ in range(50):
        path = oval(rng) - oval(rng).mean(0)
        angle = np.unwrap(np.arctan2(path[:, 1], path[:, 0]))
        assert 0.85 < abs(angle[-1] - angle[0]) / (2 * np.pi) < 1.2
