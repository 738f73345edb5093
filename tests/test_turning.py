"""Pages that lie: turned where that is clearly better, with boxes where the picture has them."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from digitnet.reading.prediction import Box, Line, Prediction, Reading
from digitnet.reading.turning import read_upright

BLANK = np.zeros((28, 28), np.uint8)


def digit(box: Box, confidence: float) -> Prediction:
    return Prediction(3, confidence, np.zeros(10, np.float32), 0.0, True, None, BLANK, box)


def page(marks: int = 3) -> NDArray[np.uint8]:
    """Return a page on which each digit is one white pixel, upright where the corner is white."""
    pixels = np.zeros((60, 100), np.uint8)
    pixels[0, 0] = 255
    for number in range(marks):
        pixels[20 + number, 30 + 10 * number] = 200
    return pixels


def reader(upright: float = 0.97, other: float = 0.3) -> object:
    def read(pixels: NDArray[np.uint8]) -> Reading:
        sure = upright if pixels[0, 0] == 255 else other
        rows, columns = np.nonzero(pixels == 200)
        boxes = [Box(int(x), int(y), int(x) + 1, int(y) + 1) for y, x in zip(rows, columns)]  # noqa: B905
        whole = sure ** len(boxes)
        line = Line(tuple(digit(box, sure) for box in boxes), whole)
        return Reading((line,) if boxes else (), whole, 2.0, None if whole > 0.5 else "uncertain")

    return read


@pytest.mark.parametrize("quarter", range(4))
def test_a_page_that_lies_is_turned_and_its_boxes_are_not(quarter: int) -> None:
    lying = np.ascontiguousarray(np.rot90(page(), quarter))
    reading = read_upright(reader(), lying, 1.0)  # type: ignore[arg-type]
    assert reading.turned == 90 * quarter
    assert reading.text == "333"
    for one in reading.lines[0].digits:
        assert one.box
        assert lying[one.box.slices].tolist() == [[200]]


def test_a_page_is_left_where_turning_is_no_clear_gain_or_there_is_little_on_it() -> None:
    lying = np.rot90(page(), 2)
    assert read_upright(reader(0.75, 0.7), lying, 1.0).turned == 0  # type: ignore[arg-type]
    assert read_upright(reader(), np.rot90(page(2), 2), 1.0).turned == 0  # type: ignore[arg-type]
    assert read_upright(reader(), np.rot90(page(0), 2), 1.0).lines == ()  # type: ignore[arg-type]


def test_what_is_read_well_is_read_once() -> None:
    calls = []

    def read(pixels: NDArray[np.uint8]) -> Reading:
        calls.append(pixels)
        return replace(reader()(pixels), turned=0)  # type: ignore[operator]

    assert read_upright(read, page(), 1.0).text == "333"
    assert len(calls) == 1
