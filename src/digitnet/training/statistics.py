"""Intervals and summaries, so that every figure comes with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special


@dataclass(frozen=True)
class Summary:
    """Several measurements of one quantity."""

    count: int
    mean: float
    sd: float
    """Sample standard deviation (n − 1 below the line); 0 for a single value."""
    low: float
    """Smallest value."""
    high: float
    """Largest value."""


def summarise(values: Sequence[float]) -> Summary:
    """Summarise ``values``, at least one."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Summary(len(values), math.fsum(values) / len(values), sd, min(values), max(values))


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion (E. B. Wilson, 1927).

    It stays inside [0, 1] and holds its level near 0 and 1, where accuracies live and where the
    usual ``p ± 1.96 standard errors`` does not.

    Args:
        successes: from 0 to ``trials``.
        trials: from 1.
        confidence: how often such intervals hold the true proportion.
    """
    # By hand, because scipy.stats takes longer to load than this package needs to train an epoch.
    share, z = successes / trials, float(special.ndtri(0.5 + 0.5 * confidence))
    scale = 2 * (trials + z**2)
    centre = (2 * trials * share + z**2) / scale
    reach = z / scale * math.sqrt(4 * trials * share * (1 - share) + z**2)
    low = centre - reach if successes else 0.0
    return low, centre + reach if successes < trials else 1.0


@dataclass(frozen=True)
class Difference:
    """How far two things that were measured in pairs lie apart."""

    mean: float
    low: float
    """Lower end of the confidence interval of the mean."""
    high: float
    p: float
    """Two-sided p-value: how often a difference as clear would come of chance alone."""
    degrees_of_freedom: float


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval, Student's t, of the mean of ``values``, at least two.

    It says where the mean over many more such values (trainings with other seeds, say) may lie.
    With three values it extends 2.5 standard deviations either way, and assumes that they are
    roughly normal, which three values cannot show.

    Raises:
        ValueError: there are fewer than two.
    """
    if len(values) < 2:
        raise ValueError(f"An interval needs two values or more, not {len(values)}.")
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))
    reach = _t_quantile(0.95, len(values) - 1) * error
    return mean - reach, mean + reach


def p_of_less(values: Sequence[float], target: float) -> float:
    """Return the p-value of Student's one-sided t-test that the mean is at least ``target``.

    It says how often values whose true mean is below the target would have a mean as high as these,
    or higher: the smaller, the surer that the target is reached. Values that are all the same leave
    no doubt.

    Raises:
        ValueError: there are fewer than two values.
    """
    if len(values) < 2:
        raise ValueError(f"A test needs two values or more, not {len(values)}.")
    if min(values) == max(values):  # their deviation may be a rounding error
        return 0.0 if values[0] >= target else 1.0
    ahead, sd = float(np.mean(values)) - target, float(np.std(values, ddof=1))
    return float(special.stdtr(len(values) - 1, -ahead / (sd / math.sqrt(len(values)))))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's test, in its exact form.

    Two networks that are equally good share out the images that only one of them reads like tosses
    of a coin (Q. McNemar, Psychometrika 12, 1947; exact by the binomial distribution). It holds for
    these two networks; of two ways to train, see ``crossed_difference``.

    Args:
        only_first: images that the first reads correctly and the second does not.
        only_second: the reverse.
    """
    fewer, either = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(special.bdtr(fewer, either, 0.5)))


def crossed_difference(
    first: NDArray[np.bool_], second: NDArray[np.bool_], confidence: float = 0.95
) -> Difference:
    """Compare two ways of training by what several networks of each say of the same images.

    Both the seeds and the images count as samples of many more, so a significant difference holds
    for new trainings and new images of the same kind. A t-test over the seeds alone would hold for
    these images only, McNemar's test for these two networks only.

    The difference of the two accuracies is the mean of a table, seeds by images, of +1, 0 and -1.
    Its variance is (MS_seeds + MS_images - MS_rest) / (seeds * images), with the mean squares of a
    two-way analysis of variance. This is the analysis of several readers and cases by Dorfman,
    Berbaum and Metz (Investigative Radiology 27, 1992) for two treatments, with the degrees of
    freedom of Hillis (Statistics in Medicine 26, 2007). It errs on the side of caution: in
    simulations of three seeds and no true difference it finds one, at a level of 5 %, in 0.1 to 5 %
    of cases, the fewest where seeds hardly matter. With one seed it cannot be done.

    Args:
        first: (seeds, images), whether each network was right; two seeds or more.
        second: the same of the other way, with the same seeds and images in the same order.
        confidence: of the interval.

    Returns:
        ``second`` less ``first``, from -1 to 1.

    Raises:
        ValueError: the tables differ in shape, or have fewer than two seeds or images.
    """
    if first.shape != second.shape or first.ndim != 2 or min(first.shape) < 2:
        raise ValueError(f"Tables of {first.shape} and {second.shape} cannot be compared.")
    table = second.astype(np.float64) - first
    seeds, images = table.shape
    mean = float(table.mean())
    by_seed, by_image = table.mean(axis=1) - mean, table.mean(axis=0) - mean
    rest = table - mean - by_seed[:, None] - by_image
    ms_seeds = images * float((by_seed**2).sum()) / (seeds - 1)
    ms_images = seeds * float((by_image**2).sum()) / (images - 1)
    ms_rest = float((rest**2).sum()) / ((seeds - 1) * (images - 1))
    # Neither seeds nor images can vary less than what is left of both: few seeds that happen to
    # agree are no proof that more of them would.
    ms_seeds = max(ms_seeds, ms_rest)
    sum_of_squares = ms_seeds + max(ms_images - ms_rest, 0.0)
    error = math.sqrt(sum_of_squares / (seeds * images))
    freedom = sum_of_squares**2 * (seeds - 1) / ms_seeds**2 if ms_seeds else math.inf
    reach = _t_quantile(confidence, freedom) * error
    # Without error, every pair differs by exactly as much: by nothing, or beyond doubt.
    certain = 0.0 if mean else 1.0
    p = 2 * float(special.stdtr(freedom, -abs(mean) / error)) if error else certain
    return Difference(mean, mean - reach, mean + reach, p, freedom)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the order given (S. Holm, 1979).

    Calling significant what is below 0.05 then errs, however many comparisons there are, in at
    most one study of twenty in which nothing differs.
    """
    order = np.argsort(p_values)
    raised = np.array(p_values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(np.minimum(raised, 1))
    return [float(p) for p in corrected]


def _t_quantile(confidence: float, freedom: float) -> float:
    return float(special.stdtrit(freedom, (1 + confidence) / 2))
