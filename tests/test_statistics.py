import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitnet.statistics import summarise, wilson_interval

Z = 1.959963984540054  # two-sided 95 % of the normal distribution


@st.composite
def shares(draw):
    trials = draw(st.integers(1, 20_000))
    return draw(st.integers(0, trials)), trials


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Worked by hand: (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n).
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_known_intervals(successes, trials, low, high):
    found = wilson_interval(successes, trials)
    assert found == pytest.approx((low, high), abs=5e-5)


@given(shares())
def test_the_interval_is_the_formula(share):
    successes, trials = share
    p = successes / trials
    centre = (p + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    half = Z * math.sqrt(p * (1 - p) / trials + Z**2 / (4 * trials**2)) / (1 + Z**2 / trials)
    assert wilson_interval(*share) == pytest.approx((centre - half, centre + half), abs=1e-12)


@given(shares())
def test_the_interval_holds_the_share_and_stays_inside(share):
    low, high = wilson_interval(*share)
    assert 0 <= low <= share[0] / share[1] <= high <= 1
    assert type(low) is type(high) is float
    # Failures mirror successes.
    other = wilson_interval(share[1] - share[0], share[1])
    assert (1 - high, 1 - low) == pytest.approx(other, abs=1e-12)


def test_more_confidence_is_wider_and_more_trials_narrower():
    def width(*args):
        low, high = wilson_interval(*args)
        return high - low

    assert width(90, 100, 0.9) < width(90, 100) < width(90, 100, 0.99)
    assert width(900, 1000) < width(90, 100)


@pytest.mark.parametrize("trials", [1, 10, 10_000])
def test_the_extremes_have_width_too(trials):
    assert wilson_interval(0, trials)[0] == 0
    assert 0 < wilson_interval(0, trials)[1] < 1
    assert wilson_interval(trials, trials)[1] == 1
    assert 0 < wilson_interval(trials, trials)[0] < 1


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_impossible_counts_are_refused(successes, trials):
    with pytest.raises(ValueError, match="must"):
        wilson_interval(successes, trials)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_a_summary_is_what_the_standard_library_says(values):
    found = summarise(values)
    assert found.count == len(values)
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.sd == pytest.approx(statistics.stdev(values), abs=1e-12)
    assert (found.low, found.high) == (min(values), max(values))


def test_one_value_has_no_spread():
    found = summarise([0.99])
    assert (found.mean, found.sd, found.low, found.high) == (0.99, 0, 0.99, 0.99)


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        summarise([])
