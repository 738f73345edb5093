"""Writing the results of a study into its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from digitnet.experiments.study.drawing import accuracy_figure, axis_figure, curves_figure
from digitnet.experiments.study.gathering import StudyMaterial
from digitnet.experiments.study.page import compose
from digitnet.experiments.study.study_results import StudyResults
from digitnet.experiments.study.table import csv_rows
from digitnet.files import write_atomic, write_json
from digitnet.showing.theme import drawn
from digitnet.training.runs import write_csv

SCHEMA_VERSION = 1


def write(material: StudyMaterial, folder: Path) -> None:
    """Write ``results.json``, ``results.csv``, ``figures/*.png`` and ``report.html``.

    Raises:
        StorageError: the folder cannot be written.
    """
    results = material.results
    write_json(folder / "results.json", as_json(results))
    write_csv(folder / "results.csv", *csv_rows(results))
    drawings = {name: drawn(draw) for name, draw in _plans(material).items()}
    for name, drawing in drawings.items():
        write_atomic(folder / "figures" / f"{name}.png", drawing.wide)
    write_atomic(folder / "report.html", compose(material, drawings))


def as_json(results: StudyResults) -> dict[str, object]:
    """Return what ``results.json`` holds."""
    return {"schema_version": SCHEMA_VERSION, **results.as_dict()}


def _plans(material: StudyMaterial) -> dict[str, Callable[[], Figure]]:
    """Return how to draw each figure that there is something to draw in."""
    results = material.results
    if not any(variant.accuracy for variant in results.variants):
        return {}
    plans: dict[str, Callable[[], Figure]] = {"accuracy": lambda: accuracy_figure(results)}
    if any(histories for histories in material.histories.values()):
        plans["curves"] = lambda: curves_figure(material)
    if results.axis:
        plans["axis"] = lambda: axis_figure(results)
    return plans
