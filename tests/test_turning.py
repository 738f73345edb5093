"""Pages that lie: turned where that is clearly better, with boxes where the picture has them."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digitnet.reading.prediction import Box, Line, Prediction, Reading
from digitnet.reading.turning import turned_back, upright

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


class Page:
    """Stands in for ``Looks`` and a ``Writing`` that has been read already."""

    def __init__(self, reading: Reading, pixels: NDArray[np.uint8]) -> None:
        self._reading, self.pixels = reading, pixels

    def writing(self, _: float) -> "Page":
        return self

    def reading(self) -> Reading:
        return self._reading


def reader(if_upright: float = 0.97, other: float = 0.3) -> Any:
    def look(pixels: NDArray[np.uint8]) -> Page:
        sure = if_upright if pixels[0, 0] == 255 else other
        rows, columns = np.nonzero(pixels == 200)
        boxes = [Box(int(x), int(y), int(x) + 1, int(y) + 1) for y, x in zip(rows, columns)]  # noqa: B905
        whole = sure ** len(boxes)
        lines = (Line(tuple(digit(box, sure) for box in boxes), whole),) if boxes else ()
        return Page(Reading(lines, whole, 2.0, None if whole > 0.5 else "uncertain"), pixels)

    return look


def in_full(looks: Any) -> Reading:
    return looks.reading()  # type: ignore[no-any-return]


def quarters(look: Any, pixels: NDArray[np.uint8]) -> int:
    return upright(look, in_full, pixels).quarter


@pytest.mark.parametrize("quarter", range(4))
def test_a_page_that_lies_is_turned_and_its_boxes_are_not(quarter: int) -> None:
    lying = np.ascontiguousarray(np.rot90(page(), quarter))
    found = upright(reader(), in_full, lying)
    assert found.quarter == quarter
    reading = turned_back(in_full(found.looks), quarter, *lying.shape)
    assert (reading.turned, reading.text) == (90 * quarter, "333")
    for one in reading.lines[0].digits:
        assert one.box
        assert lying[one.box.slices].tolist() == [[200]]


def test_a_row_is_not_turned_into_a_column_of_single_digits() -> None:
    def in_rows(pixels: NDArray[np.uint8]) -> Page:
        whole = reader()(pixels).reading()
        lines = tuple(Line((one,), one.confidence) for line in whole.lines for one in line.digits)
        return Page(Reading(lines, whole.confidence, 2.0, whole.reason), pixels)

    def quarter(look: Any, lies: int) -> int:
        return upright(look, in_full, np.rot90(page(), lies)).quarter

    assert [quarter(in_rows, lies) for lies in range(4)] == [0, 0, 2, 0]
    assert [quarter(reader(), lies) for lies in range(4)] == [0, 1, 2, 3]


def test_a_page_is_left_where_turning_is_no_clear_gain_or_there_is_little_on_it() -> None:
    lying = np.rot90(page(), 2)
    assert quarters(reader(0.75, 0.7), lying) == 0
    assert quarters(reader(0.82, 0.75), lying) == 0
    assert quarters(reader(0.95, 0.7), lying) == 2
    assert quarters(reader(), np.rot90(page(2), 2)) == 0
    assert quarters(reader(), np.rot90(page(0), 2)) == 0


def test_a_page_is_left_whose_text_is_as_likely_once_it_is_read_in_full() -> None:
    lying = np.rot90(page(), 2)

    def quarter(if_lying: float) -> int:
        in_full = reader(0.95, if_lying)
        return upright(reader(), lambda looks: in_full(looks.pixels).reading(), lying).quarter

    assert [quarter(0.95), quarter(0.9), quarter(0.6)] == [0, 0, 2]


def test_a_page_is_left_that_has_too_few_digits_once_it_is_read_in_full() -> None:
    lying = np.rot90(page(), 2)
    two = reader()(page(2)).reading()

    def in_full(looks: Any) -> Reading:
        return two if looks.pixels[0, 0] == 255 else looks.reading()  # type: ignore[no-any-return]

    assert upright(reader(), in_full, lying).quarter == 0


def test_a_turned_page_on_which_digits_are_lost_does_not_count() -> None:
    lying = np.rot90(page(6), 2)

    def look(pixels: NDArray[np.uint8]) -> Page:
        shown = pixels.copy()
        if pixels[0, 0] == 255:
            shown[np.arange(len(shown)) > 22] = 0
        return reader(0.99, 0.6)(shown)  # type: ignore[no-any-return]

    assert quarters(look, lying) == 0


def test_what_is_read_well_is_read_once() -> None:
    calls = []

    def look(pixels: NDArray[np.uint8]) -> Page:
        calls.append(pixels)
        return reader()(pixels)  # type: ignore[no-any-return]

    assert quarters(look, page()) == 0
    assert len(calls) == 1


def test_a_page_of_many_digits_that_is_read_plainly_is_looked_at_no_other_way() -> None:
    calls = []

    def look(pixels: NDArray[np.uint8]) -> Page:
        calls.append(pixels)
        return reader(0.95)(pixels)  # type: ignore[no-any-return]

    def row(count: int) -> NDArray[np.uint8]:
        pixels = np.zeros((100, 300), np.uint8)
        pixels[0, 0] = 255
        pixels[40, 10 : 10 + 10 * count : 10] = 200
        return pixels

    # No text of so many digits is likely as a whole.
    for count, quarter, looks in ((25, 0, 1), (25, 2, 2), (15, 0, 4)):
        calls.clear()
        assert quarters(look, np.rot90(row(count), quarter)) == quarter
        assert len(calls) == looks
