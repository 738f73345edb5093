import numpy as np
import pytest

from digitnet.synthesis.drawn_digits import rare_digit


@pytest.fixture(scope="module")
def some():
    rng = np.random.default_rng(0)
    return [rare_digit(rng) for _ in range(400)]


def test_strokes_fill_a_box_whose_longer_side_is_one(some):
    for _, strokes in some:
        points = np.concatenate(strokes)
        assert points.dtype == np.float64
        assert points.min(0) == pytest.approx(0)
        assert points.max() == pytest.approx(1)


def test_only_digits_with_rare_styles_are_written(some):
    assert {digit for digit, _ in some} == {0, 1, 2, 3, 4, 5, 7, 8, 9}


def test_some_ones_are_bare_and_none_is_level(some):
    ones = [strokes for digit, strokes in some if digit == 1]
    assert 0.2 < np.mean([len(strokes) == 1 and len(strokes[0]) < 10 for strokes in ones]) < 0.8
    for strokes in ones:
        width, height = np.ptp(np.concatenate(strokes), axis=0)
        assert width < 1.3 * height


def test_the_generator_decides(some):
    rng = np.random.default_rng(0)
    for digit, strokes in some[:50]:
        again, others = rare_digit(rng)
        assert digit == again
        assert all(map(np.array_equal, strokes, others))
