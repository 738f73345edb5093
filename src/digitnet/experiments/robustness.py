"""The bench: how well pictures that are unlike MNIST's test file are read, beside a plain CNN.

Guarantees:

- Every random choice comes from the seed: the same arguments give the same figures. Nothing is
  chosen by what is measured.
- A set is made, read and discarded before the next one: memory holds one set at a time.
- digitnet and the plain CNN read the very same pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from digitnet.data.catalogue import load_dataset
from digitnet.errors import UsageError, unknown_name
from digitnet.experiments import picture_sets
from digitnet.experiments.own_sets import own_sets
from digitnet.experiments.picture_sets import NamedSet
from digitnet.experiments.robustness_readers import read, read_plainly, read_texts
from digitnet.experiments.robustness_scores import MeasuredSet, Row, reference_scores, rows_of
from digitnet.machine import environment
from digitnet.network.cnn import CNN
from digitnet.reading.recognizer import Recognizer
from digitnet.text import are_digits
from digitnet.training.checkpoint import load_model
from digitnet.training.runs import open_run

# What ``read`` reads too: the other sets have a quarter of a million pictures.
_READ_TOO = (
    *(picture_sets.OWN, picture_sets.OTHER_HANDS, picture_sets.PHOTOGRAPHS, picture_sets.HANDS),
    *(picture_sets.NUMBERS, picture_sets.NON_DIGITS),
)


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
        limit: use the first so many test images, and so many of UNIPEN's signs and numbers, only;
            the user's own sets are always whole.
        only: names of sets or groups; all of them when it is empty, but with ``paths`` those.
        everything: with ``paths``, the built-in sets as well.
        seed: 0 or more, of everything that is drawn.
        about: JSON values to keep with the settings, such as which model it is.
        on_measured: called with each set and what was read in it.
        **where: ``data_dir``, ``offline``: as for ``load_dataset``.

    Returns:
        JSON values:

        - "digits", "numbers", "non_digits": rows, whole sets before their parts;
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
    sets = [*picture_sets.built_in_sets(images, labels, seed, limit), *theirs]
    # Not by their names, which may be those of a group.
    chosen = theirs if theirs and not only and not everything else choose(sets, only)
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
    digits = [row for row in rows if "right" in row]
    return {
        "schema_version": 1,
        "digits": digits,
        "numbers": [row for row in rows if "exact" in row],
        "non_digits": [row for row in rows if "auroc" in row],
        "reference": reference and reference_scores(reference),
        "spread": _spread(digits),
        "means": _means(digits),
        "seconds": time.perf_counter() - started,
        "settings": {
            **(about or {}),
            "plain": str(plain) if plain else None,
            "data": data,
            "images": len(images),
            "only": [each.name for each in chosen] if chosen is theirs else list(only),
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
    # Only digits make a text; a set of numbers asks for one even so, and is told.
    able = named.group in _READ_TOO and are_digits(recognizer.class_names)
    texts = read_texts(recognizer, pictures) if able or made.texts else None
    # The plain CNN knows single digits only.
    single = model if made.texts is None else None
    plain = read_plainly(single, pictures, made.straight) if single else None
    return MeasuredSet(named, made, ours, plain, time.perf_counter() - started, texts)


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
