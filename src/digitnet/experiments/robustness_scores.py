"""The figures of the bench: what was read in a set, counted in whole and part by part.

Guarantees: figures follow from the set and the readings alone; the same code counts for digitnet
and for the plain CNN, for sets that digitnet brings along and for the user's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from digitnet.experiments.picture_sets import NamedSet, PictureSet
from digitnet.experiments.robustness_readers import Readings, TextReadings
from digitnet.text import share
from digitnet.training.evaluation import calibration_error, reliability
from digitnet.training.statistics import wilson_interval

# A row of the results: "group", "name", "part" (None for the whole set) and "pictures", how many
# there are; then the scores that ``_digit_scores``, ``_number_scores`` or ``_non_digit_scores``
# describes.
Row: TypeAlias = dict[str, Any]

# The fraction of texts that count as the surest.
SUREST = 0.9


@dataclass(frozen=True, eq=False)
class MeasuredSet:
    """A set, and what was read in it.

    Args:
        named: its names.
        made: its pictures.
        ours: the readings of digitnet.
        plain: those of the plain CNN; None when there is none, and of numbers.
        seconds: how long making and reading it took.
        texts: all that digitnet reads there; None where only single digits were asked for.
    """

    named: NamedSet
    made: PictureSet
    ours: Readings
    plain: Readings | None
    seconds: float
    texts: TextReadings | None = None

    def exact(self) -> NDArray[np.bool_]:
        """Return which pictures ``read`` reads exactly: what is written there and nothing else."""
        assert self.texts is not None, "nobody read this set"
        texts = zip(self.texts.text, self._written(), strict=True)
        return np.array([found == truth for found, truth in texts], np.bool_)

    def _written(self) -> tuple[str, ...]:
        if self.made.texts is not None:
            return self.made.texts
        labels = self.made.labels
        return ("",) * self.made.count if labels is None else tuple(map(str, labels.tolist()))

    def right(self, readings: Readings) -> NDArray[np.bool_]:
        """Return which pictures are read as the digits they are, bool (N,)."""
        return np.asarray(readings.digit == self.made.labels)

    def summary(self) -> str:
        """Return a line about the set."""
        what = f"{share(float(self.ours.rejected.mean()))} refused"
        if self.made.labels is not None:
            what = share(float(self.right(self.ours).mean()))
            if self.plain is not None:
                what += f" (plain CNN {share(float(self.right(self.plain).mean()))})"
        if self.made.texts is not None:
            what = f"{share(float(self.exact().mean()))} exactly right"
        name = f"{self.named.group}/{self.named.name}"
        return f"{name}: {what} of {self.made.count:,}, {self.seconds:.1f} s"


def rows_of(measured: MeasuredSet, reference: MeasuredSet | None = None) -> list[Row]:
    """Return the row of a set, then one for each of its parts.

    Args:
        measured: the set.
        reference: the digits that non-digits are told from; sets of digits need none.
    """
    rows: list[Row] = []
    for part, chosen in [(None, np.ones(measured.made.count, np.bool_)), *measured.made.parts]:
        if measured.made.texts is not None:
            scores = _number_scores(measured, chosen)
        elif measured.made.labels is None and reference:
            scores = _non_digit_scores(measured, chosen, reference)
        else:
            scores = _digit_scores(measured, chosen)
        group, name, _ = measured.named
        row = {"group": group, "name": name, "part": part, "pictures": int(chosen.sum())}
        rows.append(row | scores)
    return rows


def _digit_scores(measured: MeasuredSet, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    """Return how well digits are read; fractions from 0 to 1.

    "right" are read as what they are, refused or not; "accuracy" is the fraction of them, and
    "interval" its 95 % Wilson interval; "accepted_right" are right and accepted, "rejected"
    refused, "several" among these because there seem to be more digits than one; "by_digit" says
    the same of each digit, and "worst" names the one of which the least are right and accepted.
    "read_exact" is the fraction that ``read`` reads as this one digit; None where it was not asked.
    What the plain CNN reads is None when there is none.
    """
    count, right = int(chosen.sum()), int(measured.right(measured.ours)[chosen].sum())
    plain = int(measured.right(measured.plain)[chosen].sum()) if measured.plain else None
    labels = measured.made.labels
    assert labels is not None, "what has no labels is told from digits"
    by_digit = [
        {"digit": digit, "pictures": int(own.sum())} | _fractions(measured, own)
        for digit in range(10)
        if (own := chosen & (labels == digit)).any()
    ]
    return {
        "right": right,
        "accuracy": right / count,
        "interval": wilson_interval(right, count),
        **_fractions(measured, chosen),
        "by_digit": by_digit,
        "worst": min(by_digit, key=lambda each: each["accepted_right"]),
        "read_exact": _mean_of(measured.exact() if measured.texts else None, chosen),
        "plain_right": plain,
        "plain_accuracy": None if plain is None else plain / count,
    }


def _fractions(measured: MeasuredSet, chosen: NDArray[np.bool_]) -> dict[str, float]:
    ours = measured.ours
    columns = {
        "accepted_right": measured.right(ours) & ~ours.rejected,
        "rejected": ours.rejected,
        "several": ours.several,
    }
    return {name: float(column[chosen].mean()) for name, column in columns.items()}


def _mean_of(values: NDArray[np.bool_] | None, chosen: NDArray[np.bool_]) -> float | None:
    return float(values[chosen].mean()) if values is not None and chosen.any() else None


def _number_scores(measured: MeasuredSet, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    """Return how well numbers are read; fractions from 0 to 1.

    "exact" are read exactly, accepted or not; "accuracy" is the fraction of them, and "interval"
    its 95 % Wilson interval; "accepted_right" are exact and accepted, "rejected" not accepted;
    "expected_calibration_error" is that of the confidence in the whole text; "surest_accuracy" is
    the accuracy of the nine tenths of which digitnet is surest. Of those of several digits,
    "said_several" is the fraction of which ``predict`` says so, and "one_digit" the fraction that
    it takes for one digit without a word; None if all have one digit.
    """
    texts, exact = measured.texts, measured.exact()[chosen]
    assert texts is not None, "numbers are always read"
    assert measured.made.texts is not None, "this is a set of numbers"
    confidence, accepted = texts.confidence[chosen], texts.accepted[chosen]
    count, right = len(exact), int(exact.sum())
    surest = np.argsort(-confidence, kind="stable")[: math.ceil(SUREST * count)]
    many = chosen & np.array([len(text) > 1 for text in measured.made.texts])
    ours = measured.ours
    return {
        "exact": right,
        "accuracy": right / count,
        "interval": wilson_interval(right, count),
        "accepted_right": float((exact & accepted).mean()),
        "rejected": float((~accepted).mean()),
        "expected_calibration_error": calibration_error(reliability(confidence, exact)),
        "surest_accuracy": float(exact[surest].mean()),
        "said_several": _mean_of(ours.several, many),
        "one_digit": _mean_of(ours.silent, many),
    }


def _non_digit_scores(
    measured: MeasuredSet, chosen: NDArray[np.bool_], digits: MeasuredSet
) -> dict[str, Any]:
    """Return how well non-digits are told from digits.

    "auroc" is the probability that one of them is stranger than a digit (area under the ROC
    curve); "rejected" the fraction refused by the model itself, "several" among these because there
    seem to be more digits than one; "read_accepted" the fraction in which ``read`` reads digits
    without a doubt, None where it was not asked; "plain_auroc" is None when there is no plain CNN.
    """
    ours, plain, texts = measured.ours, None, measured.texts
    if measured.plain and digits.plain:
        plain = auroc(measured.plain.strangeness[chosen], digits.plain.strangeness)
    return {
        "auroc": auroc(ours.strangeness[chosen], digits.ours.strangeness),
        "rejected": float(ours.rejected[chosen].mean()),
        "several": float(ours.several[chosen].mean()),
        "read_accepted": _mean_of(texts.accepted if texts else None, chosen),
        "plain_auroc": plain,
    }


def auroc(strange: NDArray[np.float64], usual: NDArray[np.float64]) -> float:
    """Return the probability that a value of ``strange`` exceeds one of ``usual``; ties are half.

    Infinity is a value like any other; NaN is not allowed.
    """
    from scipy.stats import rankdata
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([1, 0], [len(strange), len(usual)])
    # Only the order matters, and ranks, unlike scores, are always finite.
    return float(roc_auc_score(truth, rankdata(np.concatenate([strange, usual]))))


def reference_scores(measured: MeasuredSet) -> dict[str, Any]:
    """Return how sure digitnet is of digits as they should be, and how often it refuses them."""
    bins = reliability(measured.ours.confidence, measured.right(measured.ours))
    return {
        "pictures": measured.made.count,
        "expected_calibration_error": calibration_error(bins),
        "rejected": float(measured.ours.rejected.mean()),
    }
