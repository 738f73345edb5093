"""The results as tables: for a terminal, and as CSV."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.markup import escape
from rich.table import Table

from digitnet.experiments.study import study_results as words
from digitnet.experiments.study.study_results import Estimate, StudyResults, VariantResult


def accuracy_table(results: StudyResults) -> Table:
    """Return the variants with their accuracies, mean ± sd over seeds, in percent."""
    titles = [escape(words.set_title(name)) for name in results.sets]
    table = _table("seeds", *titles)
    for variant in results.variants:
        table.add_row(
            escape(variant.name),
            str(_count(variant)),
            *(words.spread(variant.accuracy.get(name)) for name in results.sets),
        )
    return table


def cost_table(results: StudyResults) -> Table:
    """Return the variants with what they cost: parameters, and times as they were measured."""
    table = _table("parameters", "training s", "µs an image")
    for variant in results.variants:
        table.add_row(
            escape(variant.name),
            _number(variant.parameters),
            f"{variant.seconds.mean:.0f}" if variant.seconds else "–",
            _number(variant.microseconds_per_image),
        )
    return table


def comparison_table(results: StudyResults, data: str) -> Table:
    """Return the variants beside the base on one set of test images, in percentage points."""
    table = _table("95 % interval", "difference", "its interval", "p", "verdict")
    title = f"{words.set_title(data)} test accuracy, beside {results.base_variant}"
    table.title = escape(title)
    table.title_justify = "left"
    for variant in results.variants:
        found = results.comparison(variant.name, data)
        ends = [words.signed_points(end) for end in (found.low, found.high)] if found else []
        table.add_row(
            escape(variant.name),
            words.interval(variant.accuracy.get(data)),
            words.signed_points(found.difference) if found else "",
            " to ".join(ends) if found and found.p is not None else "",
            words.p_value(found.p_corrected) if found else "",
            words.verdict(found, variant),
        )
    return table


def csv_rows(results: StudyResults) -> tuple[list[str], Iterable[list[Any]]]:
    """Return the header and one row a variant; accuracies are shares, nothing is rounded."""
    header = ["variant", "seeds", "diverged", "parameters", "axis_value"]
    for name in results.sets:
        header += [f"{name}_{part}" for part in ("accuracy", "sd", "low", "high")]
    header += ["seconds", "seconds_sd", "microseconds_per_image"]
    parts = ("difference", "low", "high", "p", "p_corrected", "verdict")
    for name in results.test_sets:
        header += [f"{name}_vs_base_{part}" for part in parts]
    return header, (_csv_row(results, variant, parts) for variant in results.variants)


def _csv_row(results: StudyResults, variant: VariantResult, parts: Iterable[str]) -> list[Any]:
    row: list[Any] = [variant.name, _count(variant), variant.diverged]
    row += [variant.parameters, variant.axis_value]
    for name in results.sets:
        row += _estimate(variant.accuracy.get(name))
    row += [*_estimate(variant.seconds)[:2], variant.microseconds_per_image]
    for name in results.test_sets:
        found = results.comparison(variant.name, name)
        row += [getattr(found, part, None) for part in parts]
    return row


def _estimate(found: Estimate | None) -> list[float | None]:
    return [found.mean, found.sd, found.low, found.high] if found else [None] * 4


def _count(variant: VariantResult) -> int:
    return next((found.count for found in variant.accuracy.values()), 0)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("variant", no_wrap=True)
    for column in columns:
        side: Any = "left" if column == "verdict" else "right"
        table.add_column(column, justify=side, no_wrap=True)
    return table
