from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from digitnet.synthesis.curves import Strokes
from digitnet.synthesis.old_digits import flagged_five, open_four, ringed_two, zigzag_three

Style = Callable[[Generator], Strokes]
STYLES = (flagged_five, open_four, ringed_two, zigzag_three)


def many(style: Style) -> list[Strokes]:
    rng = np.random.default_rng(0)
    return [style(rng) for _ in range(100)]


@pytest.mark.parametrize("style", STYLES)
def test_a_digit_is_about_one_high_and_no_two_are_alike(style: Style) -> None:
    digits = many(style)
    heights = [float(np.ptp(np.concatenate(strokes)[:, 1])) for strokes in digits]
    assert min(heights) > 0.6
    assert max(heights) < 1.35
    assert len(set(heights)) == len(digits)


@pytest.mark.parametrize("style", STYLES)
def test_the_generator_decides(style: Style) -> None:
    for one, other in zip(many(style), many(style), strict=True):
        assert all(map(np.array_equal, one, other))


def test_the_flag_of_a_five_is_right_of_its_neck_and_mostly_apart_from_it() -> None:
    gaps = [float(flag[0, 0] - bow[0, 0]) for bow, flag in many(flagged_five)]
    assert min(gaps) > -0.1
    assert np.median(gaps) > 0.05


def test_the_stem_of_a_four_meets_the_bar_and_not_the_top() -> None:
    for slope, stem in many(open_four):
        bar = slope[len(slope) // 2 :]
        apart = np.linalg.norm(stem[:, None] - bar[None], axis=2)
        assert apart.min() < 0.1
        assert np.linalg.norm(stem - slope[0], axis=1).min() > 0.1


def test_the_ring_of_a_two_closes() -> None:
    for (path,) in many(ringed_two):
        # The stem passes where the ring began.
        later = path[len(path) // 3 :]
        assert np.hypot(*(later - path[0]).T).min() < 0.2


def test_most_threes_turn_downwards_twice_and_all_once() -> None:
    turns = []
    for (path,) in many(zigzag_three):
        down = np.sign(np.diff(path[:, 1]))
        turns.append(int((np.diff(down[down != 0]) > 0).sum()))
    assert min(turns) >= 1
    assert np.mean(np.array(turns) >= 2) > 0.7
