import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from digitnet.training.statistics import (
    crossed_difference,
    holm,
    mcnemar,
    mean_interval,
    p_of_less,
    summarise,
    wilson_interval,
)

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


def test_the_interval_of_a_mean_is_students():
    values = [0.981, 0.984, 0.988]
    known = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values) == pytest.approx((known.low, known.high))
    with pytest.raises(ValueError, match="two values"):
        mean_interval([1.0])


def test_holm_corrects_as_published():
    # The example of R's documentation of p.adjust, method "holm".
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_corrected_p_values_keep_their_order_and_never_fall(p_values):
    corrected = holm(p_values)
    assert all(p <= c <= 1 for p, c in zip(p_values, corrected, strict=True))
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    assert sorted(corrected) == [corrected[index] for index in order]


def right(shares, *, seeds=3, images=2000, hard=0.0, shift=0.0, rng):
    """Return made-up tables of right answers: images differ by ``hard``, seeds by ``shift``."""
    difficulty = hard * rng.standard_normal(images)
    return [
        share
        + difficulty
        + shift * rng.standard_normal((seeds, 1))
        + rng.standard_normal((seeds, images))
        > 0
        for share in shares
    ]


def test_a_crossed_difference_has_the_variance_of_a_two_way_analysis():
    rng = np.random.default_rng(1)
    first, second = right((1.0, 1.3), seeds=4, images=60, hard=0.5, shift=0.3, rng=rng)
    found = crossed_difference(first, second)
    table = second.astype(float) - first
    # Sums of squares by projections, the long way round.
    rows, columns = np.eye(4) - 0.25, np.eye(60) - 1 / 60
    ms_seeds = ((rows @ table).mean(axis=1) ** 2).sum() * 60 / 3
    ms_images = ((table @ columns).mean(axis=0) ** 2).sum() * 4 / 59
    ms_rest = ((rows @ table @ columns) ** 2).sum() / (3 * 59)
    sum_of_squares = max(ms_seeds, ms_rest) + max(ms_images - ms_rest, 0)
    error = math.sqrt(sum_of_squares / 240)
    assert found.mean == pytest.approx(second.mean() - first.mean())
    assert found.p == pytest.approx(
        2 * stats.t.sf(abs(found.mean) / error, found.degrees_of_freedom)
    )
    assert found.high - found.mean == pytest.approx(
        stats.t.ppf(0.975, found.degrees_of_freedom) * error
    )
    assert found.degrees_of_freedom >= 3


def test_a_crossed_difference_turns_round_with_its_arguments():
    first, second = right((1.0, 1.5), hard=1, rng=np.random.default_rng(2))
    there, back = crossed_difference(first, second), crossed_difference(second, first)
    assert (back.mean, back.p) == (pytest.approx(-there.mean), pytest.approx(there.p))
    assert there.p < 0.01


def test_networks_that_agree_do_not_differ():
    table = np.ones((3, 50), dtype=bool)
    found = crossed_difference(table, table)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)
    for other in (table[:1], table[:, :1], table[:, :40]):
        with pytest.raises(ValueError, match="cannot be compared"):
            crossed_difference(other, other if len(other) < 3 or other.shape[1] < 2 else table)


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.6])
def test_chance_alone_is_seldom_called_a_difference(shift):
    rng = np.random.default_rng(3)
    p_values = [
        crossed_difference(*right((2.0, 2.0), images=300, hard=1, shift=shift, rng=rng)).p
        for _ in range(400)
    ]
    # 5 % of 400 are 20; a level of 8 % would be passed once in a thousand.
    assert np.mean(np.array(p_values) < 0.05) <= 0.085


def test_the_one_sided_test_is_that_of_scipy():
    values = [0.9905, 0.9899, 0.9912, 0.9908, 0.9901]
    for target in (0.98, 0.9905, 0.991):
        expected = stats.ttest_1samp(values, target, alternative="greater").pvalue
        assert p_of_less(values, target) == pytest.approx(expected)


def test_values_that_are_all_the_same_leave_no_doubt():
    assert p_of_less([0.99, 0.99], 0.99) == 0
    assert p_of_less([0.99, 0.99], 0.991) == 1
    # Their deviation is a rounding error, and no deviation.
    assert p_of_less([0.9961] * 3, 0.9961) == 0
    with pytest.raises(ValueError, match="two values"):
        p_of_less([0.99], 0.9)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (5, 0), (3, 8), (40, 40), (12, 30)])
def test_mcnemar_is_the_exact_binomial_test(first, second):
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(second, first) == mcnemar(first, second)
