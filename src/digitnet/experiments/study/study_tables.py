"""The results of a study as tables: for a page, for a terminal, and as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from digitnet.experiments.study.study_results import (
    Comparison,
    Estimate,
    StudyResults,
    VariantResult,
    set_title,
)

_VERDICT = "Verdict"
_COMPARED = ("difference", "low", "high", "p", "p_corrected", "verdict")

Rows = tuple[Sequence[str], list[list[str]]]
"""The head of a table and its rows, as people read them."""


def accuracy_rows(results: StudyResults) -> Rows:
    """Return the accuracy of each variant, mean ± standard deviation over seeds, in percent."""
    rows = []
    for variant in results.variants:
        seeds = f"{_count(variant)}"
        seeds += f", {variant.diverged} diverged" if variant.diverged else ""
        accuracies = (spread(variant.accuracy.get(name)) for name in results.sets)
        rows.append([variant.name, seeds, *accuracies])
    return ["Variant", "Seeds", *map(set_title, results.sets)], rows


def comparison_rows(results: StudyResults, data: str) -> Rows:
    """Return each variant beside the base on one set of test images, in percentage points."""
    accuracy = f"{set_title(data)} (%), 95 % interval"
    head = ("Variant", accuracy, "Difference", "95 % interval", "p, corrected", _VERDICT)
    rows = []
    for variant in results.variants:
        found = results.comparison(variant.name, data)
        compared = ["", "", ""]
        if found:
            ends = f"{signed_points(found.low)} to {signed_points(found.high)}"
            compared = [
                signed_points(found.difference),
                "–" if found.p is None else ends,
                p_value(found.p_corrected),
            ]
        found_interval = interval(variant.accuracy.get(data))
        rows.append([variant.name, found_interval, *compared, verdict(found, variant)])
    return head, rows


def cost_rows(results: StudyResults) -> Rows:
    """Return what each variant costs: parameters, and times as they were measured."""
    head = ("Variant", "Parameters", "Training (s)", "µs an image")
    return head, [
        [
            variant.name,
            "–" if variant.parameters is None else f"{variant.parameters:,}",
            f"{variant.seconds.mean:.0f} ± {variant.seconds.sd:.0f}" if variant.seconds else "–",
            "–"
            if variant.microseconds_per_image is None
            else f"{variant.microseconds_per_image:.0f}",
        ]
        for variant in results.variants
    ]


def spread(estimate: Estimate | None) -> str:
    """Return mean and standard deviation of an accuracy, in percent: "98.71 ± 0.05"."""
    if estimate is None:
        return "–"
    mean = f"{100 * estimate.mean:.2f}"
    return mean if estimate.count < 2 else f"{mean} ± {100 * estimate.sd:.2f}"


def interval(estimate: Estimate | None) -> str:
    """Return the interval of an accuracy, in percent: "98.59 – 98.83"."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return "–"
    return f"{100 * estimate.low:.2f} – {100 * estimate.high:.2f}"


def signed_points(share: float | None) -> str:
    """Return a difference of accuracies in percentage points, with its sign: "+0.21"."""
    return "–" if share is None else f"{100 * share:+.2f}".replace("-", "−")


def p_value(p: float | None) -> str:
    """Return a p-value as people read it."""
    if p is None:
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def verdict(comparison: Comparison | None, variant: VariantResult) -> str:
    """Return the verdict on a variant in plain words; of the base, that it is the base."""
    if variant.diverged:
        runs = variant.diverged + next((each.count for each in variant.accuracy.values()), 0)
        return "diverged" if not variant.accuracy else f"diverged ({variant.diverged} of {runs})"
    return "the base" if comparison is None else comparison.verdict


def terminal_table(rows: Rows) -> Table:
    """Return such a table for a terminal."""
    head, cells = rows
    table = Table(box=None, pad_edge=False)
    for name in head:
        side: Any = "left" if name in {head[0], _VERDICT} else "right"
        table.add_column(escape(name), justify=side, no_wrap=True, header_style="bold")
    for row in cells:
        table.add_row(*map(escape, row))
    return table


def csv_rows(results: StudyResults) -> tuple[list[str], Iterable[list[Any]]]:
    """Return the header and one row a variant; accuracies are shares, nothing is rounded."""
    header = ["variant", "seeds", "diverged", "parameters", "axis_value"]
    for name in results.sets:
        header += [f"{name}_{part}" for part in ("accuracy", "sd", "low", "high")]
    header += ["seconds", "seconds_sd", "microseconds_per_image"]
    for name in results.test_sets:
        header += [f"{name}_vs_base_{part}" for part in _COMPARED]
    return header, (_csv_row(results, variant) for variant in results.variants)


def _csv_row(results: StudyResults, variant: VariantResult) -> list[Any]:
    row: list[Any] = [variant.name, _count(variant), variant.diverged]
    row += [variant.parameters, variant.axis_value]
    for name in results.sets:
        row += _estimate(variant.accuracy.get(name))
    row += [*_estimate(variant.seconds)[:2], variant.microseconds_per_image]
    for name in results.test_sets:
        found = results.comparison(variant.name, name)
        row += [getattr(found, part, None) for part in _COMPARED]
    return row


def _estimate(found: Estimate | None) -> list[float | None]:
    return [found.mean, found.sd, found.low, found.high] if found else [None] * 4


def _count(variant: VariantResult) -> int:
    return next((found.count for found in variant.accuracy.values()), 0)
