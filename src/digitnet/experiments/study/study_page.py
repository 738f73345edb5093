"""The page of a study: question, answer, tables, figures, and how to read them.

Guarantees: as for every page (``showing.pages``), and every number and verdict comes from the
results; the same results give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from digitnet.experiments.study.study_results import StudyMaterial, headline, missing, set_title
from digitnet.experiments.study.study_tables import accuracy_rows, comparison_rows, cost_rows
from digitnet.showing.commands import plain_value
from digitnet.showing.pages import render
from digitnet.showing.theme import Drawing

# Given elsewhere on the page.
_SHOWN_SETTINGS = ("data", "recipe", "seed", "threads", "num_classes")


def compose(material: StudyMaterial, drawings: Mapping[str, Drawing]) -> str:
    """Return the page of a study.

    Args:
        material: of the study.
        drawings: its figures by name: ``accuracy``, ``curves``, and ``axis`` where it has one.
    """
    results = material.results
    return render(
        "study.html",
        results=results,
        drawings=dict(drawings),
        headline=headline(results),
        missing=missing(results),
        seconds=sum(run.seconds or 0.0 for run in results.runs),
        axis=(results.axis or "").replace("_", " "),
        accuracy=accuracy_rows(results),
        comparisons=[
            (set_title(data), results.test_images[data], *comparison_rows(results, data))
            for data in results.test_sets
        ],
        compared=sum(each.p is not None for each in results.comparisons),
        cost=cost_rows(results),
        **_settings(material),
    )


def _settings(material: StudyMaterial) -> dict[str, Any]:
    """Return the settings in which variants differ, as a table, and those they share."""
    variants = material.study.variants
    flats = [variant.config.flat() for variant in variants]
    names = [name for name in flats[0] if name not in _SHOWN_SETTINGS]
    differing = [name for name in names if len({flat[name] for flat in flats}) > 1]
    rows = [
        [variant.name, variant.note, *(plain_value(flat[name]) for name in differing)]
        for variant, flat in zip(variants, flats, strict=True)
    ]
    return {
        "differing": (["Variant", "Note", *(n.replace("_", " ") for n in differing)], rows),
        "common": [
            (name.replace("_", " "), plain_value(flats[0][name]))
            for name in names
            if name not in differing
        ],
    }
