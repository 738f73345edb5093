"""One look where the text is sure, several where it is not."""

import pytest

from digitnet.reading.looks import DOUBTED, MOST_LINES, ZOOMS, agreed
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
    zooms: list[float] = []
    assert agreed(first, lambda zoom: zooms.append(zoom) or said("7", 0.9)) is first  # type: ignore[func-returns-value]
    assert not zooms


@pytest.mark.parametrize(
    ("others", "text", "confidence", "reason"),
    [
        (("42", 0.6, "42", 0.65), "42", 0.74, None),
        (("17", 0.5, "17", 0.6), "17", 0.44, "uncertain"),
        (("17", 0.5, "19", 0.59), "42", 0.24, "uncertain"),
        (("17", 0.99, "42", 0.2), "17", 0.396, "uncertain"),
        (("17", 1.0, "17", 1.0), "17", 0.8, None),
    ],
)
def test_the_text_counts_that_the_looks_give_most(
    others: tuple[str, float, str, float], text: str, confidence: float, reason: str | None
) -> None:
    answers = dict(zip(ZOOMS, (said(*others[:2]), said(*others[2:])), strict=True))
    reading = agreed(said("42", 0.6), answers.__getitem__)
    assert reading.text == text
    assert reading.confidence == pytest.approx(confidence)
    assert reading.lines[0].confidence == reading.confidence
    assert reading.reason == reason


def test_a_refusal_gives_way_to_a_text_that_fits_and_stays_where_none_does() -> None:
    refused = said("42", 0.0).refused("no number of 3 digits fits")
    reading = agreed(refused, lambda zoom: said("421", 0.9) if zoom > 1 else refused)
    assert (reading.text, reading.accepted) == ("421", True)
    assert agreed(refused, lambda _: refused) is refused
