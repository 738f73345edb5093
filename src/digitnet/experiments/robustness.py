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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from digitnet.data.catalogue import load_dataset
from digitnet.errors import UsageError, unknown_name
from digitnet.experiments import picture_sets
from digitnet.experiments.own_sets import own_sets
from digitnet.experiments.picture_sets import NamedSet, Picture, PictureSet
from digitnet.machine import environment
from digitnet.network.cnn import CNN, predict_logits
from digitnet.reading.pictures import decode
from digitnet.reading.recognizer import Recognizer
from digitnet.text import share
from digitnet.training.checkpoint import load_model
from digitnet.training.evaluation import calibration_error, reliability, softmax
from digitnet.training.runs import open_run
from digitnet.training.statistics import wilson_interval

# A row of the results: "group", "name", "part" (None for the whole set) and "pictures", how many
# there are; then the scores that ``_digit_scores`` or ``_non_digit_scores`` describes.
Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Readings:
    """What a reader says of N pictures.

    Args:
        digit: (N,), 0–9; -1 where it saw nothing at all.
        confidence: (N,), in [0, 1].
        strangeness: (N,), larger is less like a digit.
        rejected: (N,), whether it refused to call the picture a digit.
        image: (N, 28, 28), bright ink on 0: what the network saw.
    """

    digit: NDArray[np.int64]
    confidence: NDArray[np.float64]
    strangeness: NDArray[np.float64]
    rejected: NDArray[np.bool_]
    image: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class MeasuredSet:
    """A set, and what was read in it.

    Args:
        named: its names.
        made: its pictures.
        ours: the readings of digitnet.
        plain: those of the plain CNN; None when there is none.
        seconds: how long making and reading it took.
    """

    named: NamedSet
    made: PictureSet
    ours: Readings
    plain: Readings | None
    seconds: float

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
        name = f"{self.named.group}/{self.named.name}"
        return f"{name}: {what} of {self.made.count:,}, {self.seconds:.1f} s"


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
    on_measured: Callable[[MeasuredSet], None] = lambda _: None,
    **where: Any,
) -> dict[str, Any]:
    """Measure a recogniser and return what ``robustness.json`` holds.

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
        on_measured: called with each set and what was read in it.
        **where: ``data_dir``, ``offline``: as for ``load_dataset``.

    Returns:
        JSON values:

        - "digits", "non_digits": rows, whole sets before their parts;
        - "reference": confidence and refusals on MNIST's test images as they are; None when neither
          they nor non-digits were measured;
        - "spread": largest minus smallest accuracy of the five sets of MNIST that should not
          differ; None unless all five were measured;
        - "means": by group, the mean accuracy over the sets of each group of corruptions of which
          two or more were measured;
        - "seconds", how long it took; "settings": model, plain run, data, limit and seed;
          "environment", as ``machine.environment`` describes it.

    Raises:
        UsageError: an argument is not allowed, or there is no such set.
        InputError: a path, run or picture cannot be read.
        IntegrityError: the plain CNN's file cannot be trusted.
        MissingExtraError: a package that a set needs is not installed.
    """
    started = time.perf_counter()
    for flag, value, least in (("--limit", limit, 1), ("--seed", seed, 0)):
        if value is not None and value < least:
            raise UsageError(f"{flag} is {value}; it must be {least} or more.")
    theirs = own_sets(paths)
    # Wrong names cost no download.
    nothing = np.zeros(0, np.uint8), np.zeros(0, np.int64)
    choose([*picture_sets.built_in_sets(*nothing, seed), *theirs], only)
    dataset = load_dataset(data, **where)
    images, labels = dataset.test_images[:limit], dataset.test_labels[:limit]
    if theirs and not only and not everything:
        only = [each.name for each in theirs]
    sets = [*picture_sets.built_in_sets(images, labels, seed), *theirs]
    chosen = choose(sets, only)
    model = load_model(open_run(plain).model_file) if plain else None
    reference: MeasuredSet | None = None
    # MNIST as it is comes first, and non-digits are told from it even when it is not chosen.
    if sets[0] not in chosen and any(each.group == picture_sets.NON_DIGITS for each in chosen):
        reference = _read_set(sets[0], recognizer, model)
    rows: list[Row] = []
    for named in chosen:
        measured = _read_set(named, recognizer, model)
        on_measured(measured)
        reference = measured if named is sets[0] else reference
        rows += rows_of(measured, reference)
    digits = [row for row in rows if "accuracy" in row]
    return {
        "schema_version": 1,
        "digits": digits,
        "non_digits": [row for row in rows if "auroc" in row],
        "reference": reference and _reference_scores(reference),
        "spread": _spread(digits),
        "means": _means(digits),
        "seconds": time.perf_counter() - started,
        "settings": {
            **(about or {}),
            "plain": str(plain) if plain else None,
            "data": data,
            "images": len(images),
            "only": list(only),
            "seed": seed,
        },
        "environment": environment(),
    }


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


def _read_set(named: NamedSet, recognizer: Recognizer, model: CNN | None) -> MeasuredSet:
    """Make a set and let digitnet and the plain CNN, if any, read it."""
    started = time.perf_counter()
    made = named.make()
    # Files, not pixels: they are decoded one after the other.
    pictures = [made.picture(i) for i in range(made.count)]
    ours = read(recognizer, pictures, made.straight)
    plain = read_plainly(model, pictures, made.straight) if model else None
    return MeasuredSet(named, made, ours, plain, time.perf_counter() - started)


# ---- counting


def rows_of(measured: MeasuredSet, reference: MeasuredSet | None = None) -> list[Row]:
    """Return the row of a set, then one for each of its parts.

    Args:
        measured: the set.
        reference: the digits that non-digits are told from; sets of digits need none.
    """
    rows: list[Row] = []
    for part, chosen in [(None, np.ones(measured.made.count, np.bool_)), *measured.made.parts]:
        if measured.made.labels is None and reference:
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
    "interval" its 95 % Wilson interval; "rejected" is the fraction refused as not a digit. What
    the plain CNN reads is None when there is none.
    """
    count, right = int(chosen.sum()), int(measured.right(measured.ours)[chosen].sum())
    plain = int(measured.right(measured.plain)[chosen].sum()) if measured.plain else None
    return {
        "right": right,
        "accuracy": right / count,
        "interval": wilson_interval(right, count),
        "rejected": float(measured.ours.rejected[chosen].mean()),
        "plain_right": plain,
        "plain_accuracy": None if plain is None else plain / count,
    }


def _non_digit_scores(
    measured: MeasuredSet, chosen: NDArray[np.bool_], digits: MeasuredSet
) -> dict[str, Any]:
    """Return how well non-digits are told from digits.

    "auroc" is the probability that one of them is stranger than a digit (area under the ROC
    curve); "rejected" the fraction refused at the model's own threshold; "plain_auroc" is None when
    there is no plain CNN.
    """
    ours, plain = measured.ours, None
    if measured.plain and digits.plain:
        plain = auroc(measured.plain.strangeness[chosen], digits.plain.strangeness)
    return {
        "auroc": auroc(ours.strangeness[chosen], digits.ours.strangeness),
        "rejected": float(ours.rejected[chosen].mean()),
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


def _reference_scores(measured: MeasuredSet) -> dict[str, Any]:
    bins = reliability(measured.ours.confidence, measured.right(measured.ours))
    return {
        "pictures": measured.made.count,
        "expected_calibration_error": calibration_error(bins),
        "rejected": float(measured.ours.rejected.mean()),
    }


def _spread(rows: Sequence[Row]) -> float | None:
    easy = [(picture_sets.MNIST, name) for name in picture_sets.EQUALLY_EASY]
    alike = [row["accuracy"] for row in rows if (row["group"], row["name"]) in easy]
    return max(alike) - min(alike) if len(alike) == len(easy) else None


def _means(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    means = {}
    for group in (picture_sets.CORRUPTED, picture_sets.CORRUPTED_FOUND):
        chosen = [row for row in rows if row["group"] == group]
        if len(chosen) > 1:
            means[group] = {"sets": len(chosen)} | {
                key: None
                if chosen[0][key] is None
                else float(np.mean([row[key] for row in chosen]))
                for key in ("accuracy", "plain_accuracy")
            }
    return means


# ---- who reads the pictures


def read(recognizer: Recognizer, pictures: Sequence[Picture], straight: bool) -> Readings:
    """Return what a recogniser says of pictures, one or more; ``straight``: as a ``PictureSet``."""
    images = [np.asarray(each, np.uint8) for each in pictures] if straight else []
    found = recognizer.predict_inks(images) if straight else recognizer.predict_many(pictures)
    return Readings(
        digit=np.array([-1 if each.digit is None else each.digit for each in found], np.int64),
        confidence=np.array([each.confidence for each in found], np.float64),
        strangeness=np.array([each.ood_score for each in found], np.float64),
        rejected=np.array([not each.is_digit for each in found], np.bool_),
        image=np.stack([each.image for each in found]),
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
    stacked = np.stack([np.asarray(each, np.uint8) for each in images])
    probabilities = softmax(predict_logits(model, torch.from_numpy(stacked)).numpy())
    confidence = probabilities.max(axis=1)
    return Readings(
        digit=probabilities.argmax(axis=1).astype(np.int64),
        confidence=confidence,
        strangeness=1 - confidence,
        rejected=np.zeros(len(images), np.bool_),
        image=stacked,
    )


def invert_and_resize(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 (28, 28) of grey pixels (H, W), as tutorials do it: the rival, never our way."""
    # Pictures that are lighter than the middle grey on average are taken for dark ink on paper.
    ink = 255 - picture if picture.mean() > 127 else picture
    return np.asarray(cv2.resize(ink, (28, 28), interpolation=cv2.INTER_AREA), np.uint8)
