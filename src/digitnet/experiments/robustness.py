"""The bench: how well pictures that are unlike MNIST's test file are read, beside a plain CNN.

Guarantees:

- Every random choice comes from the seed: the same arguments give the same figures. Nothing is
  chosen by what is measured.
- A set is made, read and discarded before the next one: memory holds one set at a time.
- digitnet and the plain CNN read the very same pictures and answer with the same ``Readings``, so
  that nothing can treat them differently.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from digitnet.data.catalogue import load_dataset
from digitnet.errors import UsageError, unknown_name
from digitnet.experiments import picture_sets
from digitnet.experiments.own_sets import own_sets
from digitnet.experiments.picture_sets import MNIST, NamedSet, Parts, Picture, PictureSet
from digitnet.machine import environment
from digitnet.network.cnn import CNN, predict_logits
from digitnet.reading.pictures import decode
from digitnet.reading.prediction import Prediction
from digitnet.reading.recognizer import Recognizer
from digitnet.text import share
from digitnet.training.checkpoint import load_model
from digitnet.training.evaluation import calibration_error, reliability, softmax
from digitnet.training.runs import open_run
from digitnet.training.statistics import wilson_interval


@dataclass(frozen=True, eq=False)
class Readings:
    """What a reader says of N pictures.

    Args:
        digit: (N,), 0–9; -1 where it saw nothing at all.
        confidence: (N,), in [0, 1].
        strangeness: (N,), larger is less like a digit.
        rejected: (N,), whether it refused to call the picture a digit.
    """

    digit: NDArray[np.int64]
    confidence: NDArray[np.float64]
    strangeness: NDArray[np.float64]
    rejected: NDArray[np.bool_]


@dataclass(frozen=True)
class SetRow:
    """Which pictures a row is about.

    Args:
        group: what the set belongs to.
        name: its name there.
        part: name of a part of the set; None for the whole set.
        pictures: how many there are.
    """

    group: str
    name: str
    part: str | None
    pictures: int


@dataclass(frozen=True)
class DigitRow(SetRow):
    """How well digits are read; fractions from 0 to 1.

    Args:
        right: how many are read as what they are, refused or not.
        accuracy: fraction of them.
        interval: 95 % Wilson interval of the accuracy.
        rejected: fraction refused as not a digit.
        plain_right: how many the plain CNN reads as what they are; None when there is none.
        plain_accuracy: fraction of them.
    """

    right: int
    accuracy: float
    interval: tuple[float, float]
    rejected: float
    plain_right: int | None = None
    plain_accuracy: float | None = None


@dataclass(frozen=True)
class NonDigitRow(SetRow):
    """How well non-digits are told from MNIST's test digits.

    Args:
        auroc: probability that one of them is stranger than a digit (area under the ROC curve).
        rejected: fraction refused at the model's own threshold.
        plain_auroc: that of the plain CNN; None when there is none.
    """

    auroc: float
    rejected: float
    plain_auroc: float | None = None


@dataclass(frozen=True)
class ReferenceRow:
    """Confidence and refusals on MNIST's test images, read as they are."""

    pictures: int
    expected_calibration_error: float
    rejected: float


@dataclass(frozen=True)
class GroupMean:
    """Mean accuracy over the sets of a group."""

    sets: int
    accuracy: float
    plain_accuracy: float | None


@dataclass(frozen=True)
class RobustnessResults:
    """One run of the bench.

    Args:
        digits: rows of sets of digits, whole sets before their parts.
        non_digits: rows of sets of non-digits, likewise.
        reference: None when neither MNIST as it is nor non-digits were measured.
        spread: largest minus smallest accuracy of the five sets of MNIST that should not differ;
            None unless all five were measured.
        means: by group, of the groups of corruptions of which two or more were measured.
        seconds: how long it took.
        settings: model, plain run, data, limit and seed.
        environment: as ``machine.environment`` describes it.
    """

    digits: tuple[DigitRow, ...]
    non_digits: tuple[NonDigitRow, ...]
    reference: ReferenceRow | None
    spread: float | None
    means: dict[str, GroupMean]
    seconds: float
    settings: dict[str, Any]
    environment: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return what ``robustness.json`` holds."""
        return {"schema_version": 1, **asdict(self)}


@dataclass(frozen=True, eq=False)
class MeasuredSet:
    """What was read in a set.

    Args:
        group: what the set belongs to.
        name: its name there.
        labels: as those of the ``PictureSet``.
        parts: likewise.
        ours: the readings of digitnet.
        plain: those of the plain CNN.
        seconds: how long making and reading it took.
    """

    group: str
    name: str
    labels: NDArray[np.int64] | None
    parts: Parts
    ours: Readings
    plain: Readings | None
    seconds: float

    def right(self, readings: Readings) -> NDArray[np.bool_]:
        """Return which pictures are read as the digits they are, bool (N,)."""
        return np.asarray(readings.digit == self.labels)

    def whole_and_parts(self) -> list[tuple[str | None, NDArray[np.bool_]]]:
        """Return the whole set, called None, and its parts: which pictures they are."""
        return [(None, np.ones(len(self.ours.digit), np.bool_)), *self.parts]

    def summary(self) -> str:
        """Return a line about the set."""
        what = f"{share(float(self.ours.rejected.mean()))} refused"
        if self.labels is not None:
            what = share(float(self.right(self.ours).mean()))
            if self.plain is not None:
                what += f" (plain CNN {share(float(self.right(self.plain).mean()))})"
        count = len(self.ours.digit)
        return f"{self.group}/{self.name}: {what} of {count:,}, {self.seconds:.1f} s"


def run_bench(
    recognizer: Recognizer,
    paths: Sequence[Path] = (),
    *,
    plain: Path | None = None,
    data: str = "mnist",
    limit: int | None = None,
    only: Sequence[str] = (),
    everything: bool = False,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    on_measured: Callable[[MeasuredSet, PictureSet], None] = lambda _measured, _made: None,
    **where: Any,
) -> RobustnessResults:
    """Measure a recogniser.

    Args:
        recognizer: what is measured.
        paths: the user's own sets, as ``own_sets`` describes them.
        plain: the run of a plain CNN to compare with.
        data: the data set whose test images the sets are made of: "mnist" or "sample".
        limit: use the first so many test images only; the user's own sets are always whole.
        only: names of sets or groups; all of them when it is empty, but with ``paths`` those.
        everything: with ``paths``, the built-in sets as well.
        seed: 0 or more, of everything that is drawn.
        about: JSON values to keep with the settings, such as which model it is.
        on_measured: called with what was read in each set, and the set.
        **where: ``data_dir``, ``offline``: as for ``load_dataset``.

    Raises:
        UsageError: an argument is not allowed, or there is no such set.
        InputError: a path, run or picture cannot be read.
        IntegrityError: the plain CNN's file cannot be trusted.
        MissingExtraError: a package that a set needs is not installed.
    """
    started = time.perf_counter()
    if limit is not None and limit < 1:
        raise UsageError(f"--limit is {limit}; it must be 1 or more.")
    if seed < 0:
        raise UsageError(f"--seed is {seed}; it must be 0 or more.")
    dataset = load_dataset(data, **where)
    images, labels = dataset.test_images[:limit], dataset.test_labels[:limit]
    theirs = own_sets(paths)
    if theirs and not only and not everything:
        only = [each.name for each in theirs]
    sets = [*picture_sets.built_in_sets(images, labels, seed), *theirs]
    readers = [partial(read, recognizer)]
    if plain:
        readers.append(partial(read_plainly, load_model(open_run(plain).model_file)))
    measured = [_read_set(each, readers, on_measured) for each in choose(sets, only)]
    # The first of the sets is MNIST as it is.
    return RobustnessResults(
        **_count(measured, lambda: _read_set(sets[0], readers)),
        seconds=time.perf_counter() - started,
        settings={
            **(about or {}),
            "plain": str(plain) if plain else None,
            "data": data,
            "images": len(images),
            "only": list(only),
            "seed": seed,
        },
        environment=environment(),
    )


def choose(sets: Sequence[NamedSet], only: Sequence[str]) -> list[NamedSet]:
    """Return those sets whose name or group is in ``only``; all of them when it is empty.

    Raises:
        UsageError: there is no such name; the nearest is named.
    """
    known = dict.fromkeys([each.group for each in sets] + [each.name for each in sets])
    for name in only:
        if name not in known:
            raise unknown_name("set", name, known)
    return [each for each in sets if not only or each.name in only or each.group in only]


def _read_set(
    named: NamedSet,
    readers: Sequence[Callable[[Sequence[Picture], bool], Readings]],
    on_measured: Callable[[MeasuredSet, PictureSet], None] = lambda _measured, _made: None,
) -> MeasuredSet:
    """Make a set and let digitnet and the plain CNN, if any, read it."""
    started = time.perf_counter()
    made = named.make()
    # Files, not pixels: they are decoded one after the other.
    pictures = [made.picture(i) for i in range(made.count)]
    ours, *others = (reader(pictures, made.straight) for reader in readers)
    plain = others[0] if others else None
    seconds = time.perf_counter() - started
    measured = MeasuredSet(named.group, named.name, made.labels, made.parts, ours, plain, seconds)
    on_measured(measured, made)
    return measured


def _count(
    measured: Sequence[MeasuredSet], read_reference: Callable[[], MeasuredSet]
) -> dict[str, Any]:
    """Return the counted fields of ``RobustnessResults``.

    Args:
        measured: the sets that were read.
        read_reference: reads MNIST as it is, which non-digits are told from.
    """
    digits = [row for each in measured if each.labels is not None for row in digit_rows(each)]
    others = [each for each in measured if each.labels is None]
    as_it_is = (MNIST, picture_sets.REFERENCE)
    reference = next((each for each in measured if (each.group, each.name) == as_it_is), None)
    reference = reference or (read_reference() if others else None)
    averaged = (picture_sets.CORRUPTED, picture_sets.CORRUPTED_FOUND)
    return {
        "digits": tuple(digits),
        "non_digits": tuple(
            row for each in others if reference for row in non_digit_rows(each, reference)
        ),
        "reference": _reference_row(reference) if reference else None,
        "spread": _spread(digits),
        "means": {group: mean for group in averaged if (mean := _mean(digits, group))},
    }


def digit_rows(measured: MeasuredSet) -> list[DigitRow]:
    """Return the row of a set of digits, then one for each of its parts."""

    def row(part: str | None, chosen: NDArray[np.bool_]) -> DigitRow:
        count, right = int(chosen.sum()), int(measured.right(measured.ours)[chosen].sum())
        plain = int(measured.right(measured.plain)[chosen].sum()) if measured.plain else None
        return DigitRow(
            *(measured.group, measured.name, part, count, right),
            accuracy=right / count,
            interval=wilson_interval(right, count),
            rejected=float(measured.ours.rejected[chosen].mean()),
            plain_right=plain,
            plain_accuracy=None if plain is None else plain / count,
        )

    return [row(*part) for part in measured.whole_and_parts()]


def non_digit_rows(measured: MeasuredSet, digits: MeasuredSet) -> list[NonDigitRow]:
    """Return the row of a set of non-digits, then one for each of its parts.

    Args:
        measured: the set.
        digits: the digits that its pictures are told from.
    """

    def row(part: str | None, chosen: NDArray[np.bool_]) -> NonDigitRow:
        plain = None
        if measured.plain and digits.plain:
            plain = auroc(measured.plain.strangeness[chosen], digits.plain.strangeness)
        return NonDigitRow(
            *(measured.group, measured.name, part, int(chosen.sum())),
            auroc=auroc(measured.ours.strangeness[chosen], digits.ours.strangeness),
            rejected=float(measured.ours.rejected[chosen].mean()),
            plain_auroc=plain,
        )

    return [row(*part) for part in measured.whole_and_parts()]


def auroc(strange: NDArray[np.float64], usual: NDArray[np.float64]) -> float:
    """Return the probability that a value of ``strange`` exceeds one of ``usual``; ties are half.

    Infinity is a value like any other; NaN is not allowed.
    """
    from scipy.stats import rankdata
    from sklearn.metrics import roc_auc_score

    truth = np.repeat([1, 0], [len(strange), len(usual)])
    # Only the order matters, and ranks, unlike scores, are always finite.
    return float(roc_auc_score(truth, rankdata(np.concatenate([strange, usual]))))


def _reference_row(measured: MeasuredSet) -> ReferenceRow:
    bins = reliability(measured.ours.confidence, measured.right(measured.ours))
    rejected = float(measured.ours.rejected.mean())
    return ReferenceRow(len(measured.ours.digit), calibration_error(bins), rejected)


def _spread(rows: Sequence[DigitRow]) -> float | None:
    names = picture_sets.EQUALLY_EASY
    alike = [row.accuracy for row in rows if row.group == MNIST and row.name in names]
    return max(alike) - min(alike) if len(alike) == len(names) else None


def _mean(rows: Sequence[DigitRow], group: str) -> GroupMean | None:
    chosen = [row for row in rows if row.group == group and row.part is None]
    if len(chosen) < 2:
        return None
    plain = [row.plain_accuracy for row in chosen if row.plain_accuracy is not None]
    accuracy = float(np.mean([row.accuracy for row in chosen]))
    return GroupMean(len(chosen), accuracy, float(np.mean(plain)) if plain else None)


# ---- who reads the pictures


def answers(
    recognizer: Recognizer, pictures: Sequence[Picture], straight: bool
) -> list[Prediction]:
    """Return all that a recogniser says of pictures; ``straight`` as for ``PictureSet``."""
    if straight:
        return recognizer.predict_inks([np.asarray(each, np.uint8) for each in pictures])
    return recognizer.predict_many(pictures)


def read(recognizer: Recognizer, pictures: Sequence[Picture], straight: bool) -> Readings:
    """Return what a recogniser says of pictures, at least one."""
    found = answers(recognizer, pictures, straight)
    digits = [-1 if each.digit is None else each.digit for each in found]
    return Readings(
        digit=np.array(digits, np.int64),
        confidence=np.array([each.confidence for each in found], np.float64),
        strangeness=np.array([each.ood_score for each in found], np.float64),
        rejected=np.array([not each.is_digit for each in found], np.bool_),
    )


def read_plainly(model: CNN, pictures: Sequence[Picture], straight: bool) -> Readings:
    """Return what a common CNN says, behind what is commonly done to a picture: invert and resize.

    Pictures are decoded as well as digitnet can, so that only finding the digit is compared. It
    refuses nothing; its strangeness is that of Hendrycks and Gimpel, "A baseline for detecting
    misclassified and out-of-distribution examples" (ICLR 2017): one minus its confidence.

    Args:
        model: takes 28 × 28 images.
        pictures: at least one.
        straight: as for ``PictureSet``; otherwise they are inverted and resized.
    """
    images = pictures if straight else [invert_and_resize(decode(each)) for each in pictures]
    stacked = torch.from_numpy(np.stack([np.asarray(each, np.uint8) for each in images]))
    probabilities = softmax(predict_logits(model, stacked).numpy())
    confidence = probabilities.max(axis=1)
    return Readings(
        digit=probabilities.argmax(axis=1).astype(np.int64),
        confidence=confidence,
        strangeness=1 - confidence,
        rejected=np.zeros(len(images), np.bool_),
    )


def invert_and_resize(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 (28, 28) of grey pixels (H, W), as tutorials do it: the rival, never our way."""
    # Pictures that are lighter than the middle grey on average are taken for dark ink on paper.
    ink = 255 - picture if picture.mean() > 127 else picture
    return np.asarray(cv2.resize(ink, (28, 28), interpolation=cv2.INTER_AREA), np.uint8)
