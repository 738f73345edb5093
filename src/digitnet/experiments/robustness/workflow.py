"""The bench from end to end: choose the sets, read them, write down what was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from digitnet.data.catalogue import load_dataset
from digitnet.errors import UsageError
from digitnet.experiments.robustness.built_in import built_in
from digitnet.experiments.robustness.measure import Measured, choose, is_reference, measure
from digitnet.experiments.robustness.misses import write_misses
from digitnet.experiments.robustness.own import own
from digitnet.experiments.robustness.readers import DigitnetReader, PlainReader, Recognizes
from digitnet.experiments.robustness.results import Results
from digitnet.experiments.robustness.words import percent
from digitnet.files import make_folder, write_json
from digitnet.machine import environment

SCHEMA_VERSION = 1


def bench(
    recognizer: Recognizes,
    paths: Sequence[Path] = (),
    *,
    plain: Path | None = None,
    data: str = "mnist",
    limit: int | None = None,
    only: Sequence[str] = (),
    everything: bool = False,
    seed: int = 0,
    misses: Path | None = None,
    about: Mapping[str, Any] | None = None,
    on_message: Callable[[str], None] = lambda _: None,
    **where: Any,
) -> Results:
    """Measure a recogniser.

    Args:
        recognizer: what is measured.
        paths: the user's own sets, as ``own`` describes them.
        plain: the run of a plain CNN to compare with.
        data: the data set whose test images the sets are made of: "mnist" or "sample".
        limit: use the first so many test images only; the user's own sets are always whole.
        only: names of sets or groups; all of them when it is empty, but with ``paths`` those.
        everything: with ``paths``, the built-in sets as well.
        seed: 0 or more, of everything that is drawn.
        misses: a folder for pictures of what was misread, one a set.
        about: JSON values to keep with the settings, such as which model it is.
        on_message: is called with a line of text after each set.
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
    theirs = own(paths)
    plans = [*built_in(images, labels, seed), *theirs]
    if theirs and not only and not everything:
        only = [plan.name for plan in theirs]
    reader = DigitnetReader(recognizer)

    def on_measured(measured: Measured, seconds: float) -> None:
        on_message(_told(measured, seconds))
        if misses and (file := write_misses(measured, reader, misses)):
            on_message(f"  misses drawn in {file}")

    found = measure(
        choose(plans, only),
        next(plan for plan in plans if is_reference(plan)),
        reader,
        PlainReader(plain) if plain else None,
        on_measured,
    )
    return Results(
        **vars(found),
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


def as_json(results: Results) -> dict[str, Any]:
    """Return what ``robustness.json`` holds."""
    return {"schema_version": SCHEMA_VERSION, **results.as_dict()}


def write(results: Results, folder: Path) -> list[Path]:
    """Write ``robustness.json`` and ``robustness.png`` to a folder, and return them.

    Raises:
        StorageError: the folder cannot be made or written.
    """
    from digitnet.experiments.robustness.drawing import robustness_figure
    from digitnet.showing.theme import save_png, theme

    make_folder(folder)
    values, picture = folder / "robustness.json", folder / "robustness.png"
    write_json(values, as_json(results))
    with theme():
        save_png(robustness_figure(results), picture)
    return [values, picture]


def _told(measured: Measured, seconds: float) -> str:
    """Return a line about a set that was read."""
    made, plan = measured.made, measured.plan
    start = f"{plan.group}/{plan.name}: "
    end = f" of {len(made.pictures):,}, {seconds:.1f} s"
    if made.labels is None:
        return f"{start}{percent(float(measured.ours.rejected.mean()))} % refused{end}"
    ours = percent(float((measured.ours.digit == made.labels).mean()))
    if measured.plain is None:
        return f"{start}{ours} %{end}"
    plain = percent(float((measured.plain.digit == made.labels).mean()))
    return f"{start}{ours} % (plain CNN {plain} %){end}"
