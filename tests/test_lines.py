"""Lines: rows, slopes, tables and columns, in the order in which people read."""

import numpy as np
import pytest
from numpy.typing import NDArray

from digitnet.reading.lines import in_lines


def boxes_at(centres: list[tuple[float, float]], size: float = 30) -> NDArray[np.float32]:
    half = size / 2
    return np.array([(x - half / 2, y - half, x + half / 2, y + half) for x, y in centres], "f4")


def grid(rows: int, columns: int, across: float, down: float) -> list[tuple[float, float]]:
    return [(50 + across * c, 50 + down * r) for r in range(rows) for c in range(columns)]


def as_rows(rows: int, columns: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(range(r * columns, (r + 1) * columns)) for r in range(rows))


def turned(centres: list[tuple[float, float]], degrees: float) -> list[tuple[float, float]]:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return [(x * cos - y * sin, x * sin + y * cos) for x, y in centres]


def test_nothing_has_no_lines_and_one_has_one() -> None:
    assert in_lines(np.zeros((0, 4), np.float32)) == ()
    assert in_lines(boxes_at([(3, 4)])) == ((0,),)


@pytest.mark.parametrize("degrees", [-14, -8, -3, 0, 3, 8, 14])
@pytest.mark.parametrize(
    ("rows", "columns", "across", "down"),
    [
        (1, 10, 25, 0),
        (2, 8, 28, 45),
        (5, 6, 30, 60),
        (9, 9, 60, 60),
        (4, 2, 300, 50),
        (6, 1, 0, 40),
    ],
)
def test_rows_and_tables_are_read_however_the_page_slopes(
    degrees: float, rows: int, columns: int, across: float, down: float
) -> None:
    if columns == 1 or (columns == 2 and abs(degrees) > 8):
        degrees = 0
    boxes = boxes_at(turned(grid(rows, columns, across, down), degrees))
    assert in_lines(boxes) == as_rows(rows, columns)


@pytest.mark.parametrize("seed", range(20))
def test_digits_of_a_row_may_jump_and_differ_in_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = boxes_at(grid(3, 8, 26, 52))
    boxes += rng.uniform(-4, 4, (24, 1)).astype("f4") * np.array([0, 1, 0, 1], "f4")
    grown = rng.uniform(-6, 4, (24, 1)).astype("f4")
    boxes += grown * np.array([-0.5, -1, 0.5, 1], "f4")
    assert in_lines(boxes) == as_rows(3, 8)


def test_each_row_may_slope_otherwise() -> None:
    rows = [[(40 + 30 * i, 60 + slope * 30 * i) for i in range(10)] for slope in (0.1, 0.1, -0.02)]
    centres = [(x, y + 70 * number) for number, row in enumerate(rows) for x, y in row]
    assert in_lines(boxes_at(centres)) == as_rows(3, 10)


def test_rows_far_apart_and_of_other_sizes_keep_their_order() -> None:
    small, large = boxes_at(grid(1, 4, 14, 0), 14), boxes_at([(80, 900), (170, 910)], 90)
    assert in_lines(np.concatenate([large, small])) == ((2, 3, 4, 5), (0, 1))


def test_a_bare_1_that_overlaps_its_neighbour_stays_in_its_row() -> None:
    boxes = np.array([(0, 0, 30, 40), (24, 2, 30, 38), (31, -3, 60, 41), (60, 10, 80, 30)], "f4")
    assert in_lines(boxes) == ((0, 1, 2, 3),)


def test_a_step_down_of_more_than_half_a_digit_begins_a_line() -> None:
    assert in_lines(boxes_at([(0, 0), (30, 12)])) == ((0, 1),)
    assert in_lines(boxes_at([(0, 0), (30, 26)])) == ((0,), (1,))
    assert in_lines(boxes_at([(30, 26), (0, 60), (60, 26)])) == ((0, 2), (1,))


def test_the_order_given_does_not_matter() -> None:
    boxes = boxes_at(turned(grid(4, 7, 33, 61), 5))
    shuffled = np.random.default_rng(1).permutation(len(boxes))
    lines = in_lines(boxes[shuffled])
    assert tuple(tuple(shuffled[list(line)].tolist()) for line in lines) == as_rows(4, 7)


def test_words_of_a_row_may_stand_higher_or_lower_where_nothing_is_above_or_below() -> None:
    words = [(30 * i + 20 * (i // 3), 22 * (i // 3 == 1)) for i in range(9)]
    assert in_lines(boxes_at(words)) == (tuple(range(9)),)
    below = boxes_at([*words, *((x, 75 - y / 2) for x, y in words)])
    assert in_lines(below) == (tuple(range(9)), tuple(range(9, 18)))


def test_single_digits_down_a_page_are_lines_though_some_slope_would_join_them() -> None:
    assert in_lines(boxes_at([(0, 0), (20, 45), (5, 90), (140, 130)])) == ((0,), (1,), (2,), (3,))


def test_many_signs_anywhere_are_each_in_one_line() -> None:
    centres = np.random.default_rng(0).uniform(0, 900, (64, 2))
    lines = in_lines(boxes_at([(float(x), float(y)) for x, y in centres]))
    assert sorted(place for line in lines for place in line) == list(range(64))
