"""The tool that makes the confidence of texts true."""

import numpy as np

from fit_confidence import calibration_error, confidences, fit_powers


def test_powers_that_made_the_outcomes_are_found_again() -> None:
    rng = np.random.default_rng(0)
    true = (1.4, 0.5, 0.8, 1.7, 0.02, 0.03)
    doubts = rng.exponential(0.1, (20_000, 6))
    doubts[:, 4], doubts[:, 5] = rng.integers(1, 11, 20_000), 1
    exact = rng.random(20_000) < confidences(doubts, true)
    found = fit_powers(doubts, exact)
    np.testing.assert_allclose(found, true, atol=0.15)
    assert calibration_error(confidences(doubts, found), exact) < 0.01
    assert calibration_error(confidences(doubts, (1, 1, 1, 1, 0, 0)), exact) > 0.03
