"""The results as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.table import Table

from digitnet.experiments.robustness.results import DigitRow, NonDigitRow, Results
from digitnet.experiments.robustness.words import GROUP_TITLES, percent, set_title

_Row = TypeVar("_Row", DigitRow, NonDigitRow)


def tables(results: Results) -> Iterator[Table]:
    """Yield a table of the digits and one of the non-digits; what was not measured is left out.

    All figures are percentages.
    """
    plain = bool(results.settings["plain"])
    if results.digits:
        table = _table("pictures", "digitnet", "95 % interval", *["plain CNN"] * plain, "refused")
        for group, rows in _by_group(results.digits):
            _add_group(table, group)
            for row in rows:
                table.add_row(*_digit_cells(row, plain))
            if mean := results.means.get(group):
                ours, rival = percent(mean.accuracy), [percent(mean.plain_accuracy)] * plain
                table.add_row(f"  mean of these {mean.sets}", "", ours, "", *rival, style="bold")
        yield table
    if results.non_digits:
        table = _table("pictures", "digitnet", *["plain CNN"] * plain, "refused")
        for group, others in _by_group(results.non_digits):
            _add_group(table, group)
            for other in others:
                table.add_row(*_non_digit_cells(other, plain))
        yield table


def remarks(results: Results) -> list[str]:
    """Return the figures that belong to no row, a sentence each."""
    lines = []
    if results.spread is not None:
        lines.append(
            f"The five sets of MNIST that differ in nothing that should matter lie within "
            f"{100 * results.spread:.2f} percentage points."
        )
    if found := results.reference:
        lines.append(
            f"Of MNIST's {found.pictures:,} test digits {found.rejected:.2%} are refused; "
            f"expected calibration error {found.expected_calibration_error:.4f}."
        )
    return lines


def _by_group(rows: Sequence[_Row]) -> list[tuple[str, list[_Row]]]:
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return list(groups.items())


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("set", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _add_group(table: Table, group: str) -> None:
    if table.row_count:
        table.add_row()
    table.add_row(GROUP_TITLES[group], style="bold")


def _title(row: DigitRow | NonDigitRow) -> str:
    # Names of sets are the user's: in text of rich, square brackets are commands.
    from rich.markup import escape

    name = set_title(row.group, row.name) if row.part is None else f"  {row.part}"
    return escape(f"  {name}")


def _digit_cells(row: DigitRow, plain: bool) -> list[str]:
    low, high = row.interval
    return [
        _title(row),
        f"{row.pictures:,}",
        percent(row.accuracy),
        f"{percent(low)} – {percent(high)}",
        *[percent(row.plain_accuracy)] * plain,
        percent(row.rejected),
    ]


def _non_digit_cells(row: NonDigitRow, plain: bool) -> list[str]:
    return [
        _title(row),
        f"{row.pictures:,}",
        percent(row.auroc),
        *[percent(row.plain_auroc)] * plain,
        percent(row.rejected),
    ]
