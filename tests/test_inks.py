from __future__ import annotations

import numpy as np
import pytest

from digitnet.errors import InputError
from digitnet.reading.inks import MAX_INK_SIDE, as_ink, as_inks, batched, stacked
from digitnet.reading.prediction import Ink


def inks(*sides: int) -> list[Ink]:
    return [Ink(np.full((side, side // 2 + 1), 0.5, np.float32), None) for side in sides]


def test_bytes_and_booleans_are_scaled_and_floats_are_not() -> None:
    for values, full in ((np.uint8(255), 1), (np.True_, 1), (np.float64(0.25), 0.25)):
        pixels = as_ink(np.full((3, 4), values)).pixels
        assert pixels.dtype == np.float32
        assert (pixels == full).all()


def test_axes_of_one_are_left_out() -> None:
    assert as_ink(np.zeros((1, 1, 5, 6))).pixels.shape == (5, 6)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.zeros((0, 5)), "shape"),
        (np.zeros((2, 5, 5)), "shape"),
        (np.zeros((MAX_INK_SIDE + 1, 5)), "shape"),
        (np.zeros((5, 5), np.int32), "type int32"),
        (np.full((5, 5), 1.5), "0 to 1"),
        (np.full((5, 5), np.nan), "0 to 1"),
    ],
)
def test_anything_else_is_refused_with_a_reason(values: np.ndarray, why: str) -> None:
    with pytest.raises(InputError, match=why):
        as_ink(values)


def test_one_ink_is_no_list_of_them() -> None:
    with pytest.raises(InputError, match="list of inks"):
        list(as_inks(3))


def test_each_ink_is_in_one_batch_with_others_of_its_size() -> None:
    some = inks(*range(10, 80), 500, 900)
    places = list(batched(some))
    assert sorted(place for batch in places for place in batch) == list(range(len(some)))
    largest = [max(max(some[place].pixels.shape) for place in batch) for batch in places]
    assert largest == sorted(largest, reverse=True)
    assert [len(batch) for batch in places[:2]] == [1, 1]


def test_inks_of_a_batch_begin_in_the_same_corner() -> None:
    array = stacked(inks(4, 7))
    assert array.shape == (2, 1, 7, 4)
    assert (array[0, 0, :4, :3] == 0.5).all()
    assert array[0].sum() == pytest.approx(0.5 * 12)
