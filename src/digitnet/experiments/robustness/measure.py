"""Reading the sets and counting what was right.

Guarantees:

- A set is made, read and let go before the next one: memory holds one set at a time.
- Both readers get the very same pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import unknown_name
from digitnet.experiments.robustness.built_in import (
    CORRUPTIONS_ALONE,
    CORRUPTIONS_FOUND,
    MNIST,
    REFERENCE,
    SAME_SIZE_AND_PLACE,
)
from digitnet.experiments.robustness.readers import Reader, Readings
from digitnet.experiments.robustness.results import DigitRow, Mean, NonDigitRow, Reference
from digitnet.experiments.robustness.sets import PictureSet, Plan
from digitnet.training.evaluation import calibration_error, reliability
from digitnet.training.statistics import wilson_interval

# Pictures made and read at a time; a photograph takes about a megabyte.
BATCH = 256


@dataclass(frozen=True, eq=False)
class Measured:
    """A set and what was read in it."""

    plan: Plan
    made: PictureSet
    ours: Readings
    plain: Readings | None


@dataclass(frozen=True)
class Found:
    """Every figure of the bench."""

    digits: tuple[DigitRow, ...]
    non_digits: tuple[NonDigitRow, ...]
    reference: Reference | None
    spread: float | None
    means: dict[str, Mean]


def choose(plans: Sequence[Plan], only: Sequence[str]) -> list[Plan]:
    """Return those plans whose name or group is in ``only``; all of them when it is empty.

    Raises:
        UsageError: there is no such name; the nearest is named.
    """
    known = dict.fromkeys([plan.group for plan in plans] + [plan.name for plan in plans])
    for name in only:
        if name not in known:
            raise unknown_name("set", name, known)
    return [plan for plan in plans if not only or plan.name in only or plan.group in only]


def measure(
    plans: Sequence[Plan],
    reference: Plan,
    ours: Reader,
    plain: Reader | None = None,
    on_measured: Callable[[Measured, float], None] = lambda _measured, _seconds: None,
) -> Found:
    """Read every set of ``plans``.

    Args:
        plans: the sets, in the order wanted.
        reference: MNIST as it is; read for the sake of non-digits even if it is not in ``plans``.
        ours: digitnet.
        plain: what it is compared with.
        on_measured: called after each set of ``plans``, with the seconds it took.

    Raises:
        InputError: a picture of the user's cannot be read.
    """
    digits: list[DigitRow] = []
    others: list[Measured] = []
    standard = None
    for plan in plans:
        started = time.perf_counter()
        measured = read(plan, ours, plain)
        if measured.made.labels is None:
            others.append(measured)
        else:
            digits += digit_rows(measured)
        if plan is reference:
            standard = measured
        on_measured(measured, time.perf_counter() - started)
    if others and standard is None:
        standard = read(reference, ours, plain)
    return Found(
        digits=tuple(digits),
        non_digits=tuple(
            row for each in others if standard for row in non_digit_rows(each, standard)
        ),
        reference=_reference(standard) if standard else None,
        spread=_spread(digits),
        means={group: mean for group in _AVERAGED if (mean := _mean(digits, group))},
    )


def read(plan: Plan, ours: Reader, plain: Reader | None) -> Measured:
    """Make a set and let both read it, batch by batch."""
    made = plan.make()
    readers = (ours,) if plain is None else (ours, plain)
    found: list[list[Readings]] = [[] for _ in readers]
    for start in range(0, len(made.pictures), BATCH):
        stop = min(start + BATCH, len(made.pictures))
        batch = [made.pictures[index] for index in range(start, stop)]
        for reader, batches in zip(readers, found, strict=True):
            batches.append(reader.read(batch, made.route))
    joined = [Readings.join(batches) for batches in found]
    return Measured(plan, made, joined[0], joined[1] if plain else None)


def digit_rows(measured: Measured) -> list[DigitRow]:
    """Return the row of a set of digits, then one for each of its parts."""
    return [_digit_row(measured, *part) for part in _parts(measured)]


def _digit_row(measured: Measured, part: str | None, chosen: NDArray[np.bool_]) -> DigitRow:
    count, right = int(chosen.sum()), _right(measured, measured.ours, chosen)
    plain = _right(measured, measured.plain, chosen) if measured.plain else None
    return DigitRow(
        group=measured.plan.group,
        name=measured.plan.name,
        part=part,
        pictures=count,
        right=right,
        accuracy=right / count,
        interval=wilson_interval(right, count),
        rejected=float(measured.ours.rejected[chosen].mean()),
        plain_right=plain,
        plain_accuracy=None if plain is None else plain / count,
    )


def _right(measured: Measured, readings: Readings, chosen: NDArray[np.bool_]) -> int:
    assert measured.made.labels is not None
    return int((readings.digit == measured.made.labels)[chosen].sum())


def non_digit_rows(measured: Measured, digits: Measured) -> list[NonDigitRow]:
    """Return the row of a set of no digits, then one for each of its parts.

    Args:
        measured: the set.
        digits: the digits that its pictures are told from.
    """
    return [_non_digit_row(measured, digits, *part) for part in _parts(measured)]


def _non_digit_row(
    measured: Measured, digits: Measured, part: str | None, chosen: NDArray[np.bool_]
) -> NonDigitRow:
    plain = None
    if measured.plain and digits.plain:
        plain = auroc(measured.plain.strangeness[chosen], digits.plain.strangeness)
    return NonDigitRow(
        group=measured.plan.group,
        name=measured.plan.name,
        part=part,
        pictures=int(chosen.sum()),
        auroc=auroc(measured.ours.strangeness[chosen], digits.ours.strangeness),
        rejected=float(measured.ours.rejected[chosen].mean()),
        plain_auroc=plain,
    )


def _parts(measured: Measured) -> list[tuple[str | None, NDArray[np.bool_]]]:
    """Return the whole set and its parts: names, and which pictures they are."""
    whole = np.ones(len(measured.made.pictures), np.bool_)
    return [(None, whole), *((each.name, each.chosen) for each in measured.made.parts)]


def auroc(strange: NDArray[np.float64], usual: NDArray[np.float64]) -> float:
    """Return the probability that a value of ``strange`` exceeds one of ``usual``; ties are half.

    Infinity is a value like any other; NaN is not allowed.
    """
    from scipy.stats import rankdata
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([1, 0], [len(strange), len(usual)])
    # Only the order matters, and ranks, unlike scores, are always finite.
    return float(roc_auc_score(truth, rankdata(np.concatenate([strange, usual]))))


_AVERAGED = (CORRUPTIONS_ALONE, CORRUPTIONS_FOUND)


def _reference(measured: Measured) -> Reference:
    assert measured.made.labels is not None
    right = measured.ours.digit == measured.made.labels
    return Reference(
        pictures=len(right),
        expected_calibration_error=calibration_error(reliability(measured.ours.confidence, right)),
        rejected=float(measured.ours.rejected.mean()),
    )


def _spread(rows: Sequence[DigitRow]) -> float | None:
    alike = [row.accuracy for row in rows if row.group == MNIST and row.name in SAME_SIZE_AND_PLACE]
    return max(alike) - min(alike) if len(alike) == len(SAME_SIZE_AND_PLACE) else None


def _mean(rows: Sequence[DigitRow], group: str) -> Mean | None:
    chosen = [row for row in rows if row.group == group and row.part is None]
    if len(chosen) < 2:
        return None
    plain = [row.plain_accuracy for row in chosen if row.plain_accuracy is not None]
    return Mean(
        sets=len(chosen),
        accuracy=float(np.mean([row.accuracy for row in chosen])),
        plain_accuracy=float(np.mean(plain)) if plain else None,
    )


def is_reference(plan: Plan) -> bool:
    """Return whether a plan is MNIST as it is."""
    return (plan.group, plan.name) == (MNIST, REFERENCE)
