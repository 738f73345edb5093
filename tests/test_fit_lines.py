"""The tool that weighs what signs and columns say of a line."""

import sys
from pathlib import Path

import numpy as np

from digitnet.reading.line_reading import DOUBTS, Evidence

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from fit_lines import Heard, calibration_error, decided, fit_doubts, fit_weights

TRUE = np.array([0.7, 0.6, -0.4])


def lines(count: int) -> list[Heard]:
    """Return lines that say each of five texts as often as the weights make it likely."""
    rng, made = np.random.default_rng(0), []
    for _ in range(count):
        said = Evidence([str(text) for text in range(5)], -rng.exponential(4, (5, 2)))
        heard = Heard(said, float(rng.random()), None)
        scores = heard.evidence @ TRUE
        chances = np.exp(scores - np.logaddexp.reduce(scores))
        made.append(heard._replace(truth=str(rng.choice(5, p=chances / chances.sum()))))
    return made


def test_weights_that_made_the_texts_are_found_again() -> None:
    np.testing.assert_allclose(fit_weights(lines(3000)), TRUE, atol=0.1)


def test_lines_whose_text_nobody_proposed_teach_nothing() -> None:
    some = lines(200)
    unheard = [line._replace(truth="9") for line in some]
    np.testing.assert_array_equal(fit_weights(some), fit_weights(some + unheard))


def test_the_likeliest_text_is_decided_and_its_doubts_are_told() -> None:
    some = lines(400)
    pages = [([line], str(line.truth)) for line in some]
    doubts, exact = decided(pages, TRUE)
    assert doubts.shape == (400, len(DOUBTS))
    assert doubts.min() >= 0
    assert 0.3 < exact.mean() < 0.95
    chances = np.exp(-doubts @ fit_doubts(doubts, exact))
    # They are true on average, and larger where more is right.
    assert abs(chances.mean() - exact.mean()) < 0.05
    assert chances[exact > 0].mean() > chances[exact == 0].mean() + 0.1


def test_chances_that_are_as_often_right_have_next_to_no_calibration_error() -> None:
    rng = np.random.default_rng(0)
    chances = rng.random(200_000)
    exact = rng.random(200_000) < chances
    assert calibration_error(chances, exact) < 0.01
    assert calibration_error(chances**2, exact) > 0.03
