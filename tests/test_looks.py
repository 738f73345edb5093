"""One look where the text is sure, several where it is not."""

import numpy as np
import pytest

from digitnet.reading.looks import _ALL, DOUBTED, LOOKS, MOST_LINES, agreed, stretched
from digitnet.reading.prediction import Line, Reading
from test_strokes import one_sign


def said(text: str, confidence: float) -> Reading:
    """Return a reading of rows separated by a space."""
    rows = [tuple(one_sign(int(digit), -9.0) for digit in row) for row in text.split()]
    lines = tuple(Line(row, confidence) for row in rows)
    reason = "blank" if not lines else "uncertain" if confidence < 0.5 else None
    return Reading(lines, confidence, 3.0, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "first", [said("42", DOUBTED), said("", 0.4), said(" ".join("1" * (MOST_LINES + 1)), 0.2)]
)
def test_what_is_sure_blank_or_a_page_is_looked_at_once(first: Reading) -> None:
    looks: list[tuple[float, float]] = []
    assert agreed(first, lambda *look: looks.append(look) or said("7", 0.9)) is first  # type: ignore[func-returns-value]
    assert not looks


@pytest.mark.parametrize(
    ("others", "text", "confidence", "reason"),
    [
        (("42", 0.6, "42", 0.65), "42", 3.1 / _ALL, None),
        (("17", 0.4, "17", 0.45), "17", 1.7 / _ALL, None),
        (("17", 0.2, "19", 0.29), "42", 0.6 / _ALL, "uncertain"),
        (("17", 0.7, "42", 0.2), "17", 1.4 / _ALL, "uncertain"),
        (("42", 1.0, "42", 1.0), "42", 1.0, None),
    ],
)
def test_the_text_counts_that_the_looks_give_most(
    others: tuple[str, float, str, float], text: str, confidence: float, reason: str | None
) -> None:
    # Each of the two is what two looks see.
    seen = dict(zip(LOOKS, (said(*others[:2]), said(*others[2:])) * 2, strict=True))
    reading = agreed(said("42", 0.6), lambda *look: seen[look])
    assert reading.text == text
    assert reading.confidence == pytest.approx(confidence)
    assert reading.lines[0].confidence == reading.confidence
    assert reading.reason == reason


def test_a_refusal_gives_way_to_a_text_that_fits_and_stays_where_none_does() -> None:
    refused = said("42", 0.0).refused("no number of 3 digits fits")
    reading = agreed(refused, lambda zoom, _: said("421", 0.9) if zoom >= 1 else refused)
    assert (reading.text, reading.accepted) == ("421", True)
    assert agreed(refused, lambda *_: refused) is refused


def test_a_stretched_picture_is_wider_and_as_high() -> None:
    pixels = np.tile(np.arange(0, 200, 2, dtype=np.uint8), (30, 1))
    for _, stretch in LOOKS:
        wide = stretched(pixels, stretch)
        assert wide.shape == (30, round(100 * stretch))
        assert wide[0, 0] < wide[0, -1]
    assert stretched(pixels[:, :1], 0.1).shape == (30, 1)
