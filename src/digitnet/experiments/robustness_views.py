"""The results of the bench as people read them: tables, a figure, and sheets of what was misread.

In the figure each set is a line and each reader a mark on it, on an axis on which halving the
mistakes is the same step everywhere: on a plain axis 99 and 99.9 % would coincide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from digitnet.experiments.picture_sets import (
    CORRUPTED,
    CORRUPTED_FOUND,
    GROUP_TITLES,
    NUMBERS,
    set_title,
)
from digitnet.experiments.robustness_scores import MeasuredSet, Row
from digitnet.files import make_folder, write_json
from digitnet.reading.pictures import decode
from digitnet.showing.scales import nines, set_accuracy_axis
from digitnet.showing.sheet import (
    HEADER,
    MARGIN,
    as_ink,
    draw_tiles,
    new_sheet,
    write,
    write_header,
)
from digitnet.showing.theme import INK, LIGHT, SMALL, WIDTH, save_png, style_axes, theme
from digitnet.text import percent, points, share, shortened

Floats = NDArray[np.float64]
_Results = Mapping[str, Any]  # of ``run_bench``

_ROW = 0.205  # inches
_ABOVE, _BELOW = 0.62, 0.5  # inches, of the headings of the columns and of the axis
_GAP = 0.5  # lines, above a heading
_NAMES = 1.78  # inches, to the left of the axes
_COLUMN = 0.62  # inches, of one column of numbers to their right
_LONGEST_NAME = 25  # letters; more would leave the page
_LONGEST_CELL = 32  # letters, of names in a table
# Non-digits of more kinds than this are drawn as one line.
_FEW_KINDS = 4

_SHOWN = 40  # misses on a sheet
_ACROSS = 4
_TILE = 0.7  # inches; two of them, then the next
_DOWN = 0.98


def write_results(results: _Results, folder: Path) -> list[Path]:
    """Write ``robustness.json`` and ``robustness.png`` to a folder, and return them.

    Raises:
        StorageError: the folder cannot be made or written.
    """
    make_folder(folder)
    values, picture = folder / "robustness.json", folder / "robustness.png"
    write_json(values, results)
    with theme():
        save_png(robustness_figure(results), picture)
    return [values, picture]


def results_table(results: _Results) -> Table:
    """Return a table of all digits and non-digits measured; all numbers are percentages.

    "accepted" are right and accepted, of non-digits wrongly accepted; "worst" names the digit of
    which the least are right and accepted. Intervals are in the figure and the file.
    """
    plain = bool(results["settings"]["plain"])
    readers = ("digitnet", *["plain CNN"] * plain)
    table = _empty_table("pictures", *readers, "accepted", "refused", "worst")
    rows = [*results["digits"], *results["non_digits"]]
    for group, members in groupby(rows, itemgetter("group")):
        if table.row_count:
            table.add_row()
        table.add_row(GROUP_TITLES[group], style="bold")
        for row in members:
            ours, rival, _ = _scores(row)
            accepted = row.get("accepted_right", 1 - row["rejected"])
            shares = map(_percent, (accepted, row["rejected"]))
            cells = [_percent(ours), *[_percent(rival)] * plain, *shares, _worst(row)]
            table.add_row(_name(row), f"{row['pictures']:,}", *cells)
        if mean := results["means"].get(group):
            cells = [_percent(mean["accuracy"]), *[_percent(mean["plain_accuracy"])] * plain]
            table.add_row(f"  mean of these {mean['sets']}", "", *cells, style="bold")
    return table


def numbers_table(results: _Results) -> Table:
    """Return a table of all numbers measured, of more digits than one; empty if there are none.

    All but the calibration error are percentages. "accepted" are exact and accepted; "surest" says
    how many of the surest nine tenths are exact, "one digit" how many of several digits ``predict``
    takes for one without a word.
    """
    table = _empty_table(
        *("pictures", "exact", "accepted", "refused", "surest", "calibration", "one digit")
    )
    for row in results["numbers"]:
        names = ("accuracy", "accepted_right", "rejected", "surest_accuracy")
        cells = [*(_percent(row[name]) for name in names)]
        cells += [f"{row['expected_calibration_error']:.4f}", _percent(row["one_digit"])]
        table.add_row(_name(row), f"{row['pictures']:,}", *cells)
    return table


def _empty_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("set", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _name(row: Row) -> str:
    """Return the name of a row; users name their sets, and rich would take brackets for markup."""
    name = f"    {row['part']}" if row["part"] else f"  {set_title(row['group'], row['name'])}"
    return escape(shortened(name, _LONGEST_CELL))


def _worst(row: Row) -> str:
    found = row.get("worst")
    return f"{found['digit']}: {_percent(found['accepted_right'])}" if found else ""


def remarks(results: _Results) -> list[str]:
    """Return the numbers that belong to no row, a sentence each."""
    lines = []
    if results["spread"] is not None:
        five = "The five sets of MNIST that differ in nothing that should matter"
        lines.append(f"{five} lie within {points(results['spread'])}.")
    if found := results["reference"]:
        refused = f"Of MNIST's {found['pictures']:,} test digits {share(found['rejected'])} are"
        error = f"the expected calibration error is {found['expected_calibration_error']:.4f}"
        lines.append(f"{refused} refused; {error}.")
    return lines


def _scores(row: Row) -> tuple[float, float | None, tuple[float, ...]]:
    """Return how well digitnet and the plain CNN do, and the interval of the first, if any."""
    score = "auroc" if "auroc" in row else "accuracy"
    return row[score], row.get(f"plain_{score}"), row.get("interval", ())


def _percent(value: float | None) -> str:
    """Return a fraction in percent where the heading says so; nothing when there is none."""
    return "" if value is None else share(value).removesuffix(" %")


_DOT = {"marker": "o", "markersize": 5.5, "color": LIGHT.blue, "zorder": 3}
# The heading and the mark of each reader, in the order of ``_FigureLine.marks``.
_READERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("plain\nCNN", _DOT | {"marker": "s", "markersize": 4.5, "color": LIGHT.orange}),
    ("network\nalone", _DOT | {"markerfacecolor": LIGHT.page, "markeredgewidth": 1.3}),
    ("digitnet", _DOT),
)


class _FigureLine(NamedTuple):
    """One line of the figure: a heading without marks, or a set.

    Args:
        title: what stands at its left.
        marks: the plain CNN, digitnet's network alone, and digitnet by the whole path, if any.
        interval: 95 % interval of the last, if any.
    """

    title: str
    marks: tuple[float | None, ...] = ()
    interval: tuple[float, ...] = ()


def robustness_figure(results: _Results) -> Figure:
    """Draw every whole set, of which there is one at least: digitnet beside the plain CNN."""
    lines = [*_digit_lines(results), *_number_lines(results["numbers"])]
    lines += _non_digit_lines(results["non_digits"])
    marks = np.array([line.marks or (None, None, None) for line in lines], float)
    intervals = np.array([line.interval or (None, None) for line in lines], float)
    # The middles of the lines, in inches from the top of the axes; headings keep a distance.
    gaps = np.cumsum([bool(index) and not line.marks for index, line in enumerate(lines)])
    middles = _ROW * (np.arange(len(lines)) + 0.5 + _GAP * gaps)
    height = _ABOVE + middles[-1] + _ROW / 2 + _BELOW
    figure, sheet = new_sheet(height)
    readers = np.flatnonzero(~np.isnan(marks).all(axis=0))
    width = WIDTH - _NAMES - _COLUMN * len(readers) - 3 * MARGIN
    room = 1 - (_ABOVE + _BELOW) / height
    ax = figure.add_axes((_NAMES / WIDTH, _BELOW / height, width / WIDTH, room))
    _draw_marks(ax, middles, marks, intervals)
    for y, line in zip(_ABOVE + middles, lines, strict=True):
        if line.marks:
            name = shortened(line.title, _LONGEST_NAME)
            write(sheet, _NAMES - MARGIN, y, name, size=SMALL, ha="right", va="center")
        else:
            write(sheet, MARGIN, y, line.title, size=SMALL, va="center", weight="bold")
    for place, reader in enumerate(readers):
        right = WIDTH - MARGIN - _COLUMN * place
        _write_column(sheet, right, _ABOVE + middles, marks[:, reader], *_READERS[reader])
    axis = "Read rightly (%); each halving of the mistakes is a step of one length"
    write(sheet, WIDTH / 2, height - 0.15, axis, ha="center", va="center")
    return figure


def _draw_marks(ax: Axes, middles: Floats, marks: Floats, intervals: Floats) -> None:
    """Draw the marks of the readers, joined by a line, and the intervals; NaN is not drawn."""
    style_axes(ax)
    shown = np.concatenate([marks, intervals], axis=None)
    set_accuracy_axis(ax.xaxis, ax.set_xlim, shown[~np.isnan(shown)].tolist(), 0.22)
    ax.set(ylim=(middles[-1] + _ROW / 2, 0), yticks=[], axisbelow=True)
    ax.tick_params(axis="x", labelsize=SMALL)
    ax.grid(axis="x", color=LIGHT.line, linewidth=0.6, alpha=0.6)
    ax.spines["left"].set_visible(False)
    sets = ~np.isnan(marks).all(axis=1)
    low, high = np.nanmin(nines(marks[sets]), axis=1), np.nanmax(nines(marks[sets]), axis=1)
    ax.hlines(middles[sets], low, high, color=LIGHT.line, linewidth=1.0, zorder=1)
    ax.hlines(middles, *nines(intervals).T, color=LIGHT.blue, linewidth=3.0, alpha=0.3, zorder=2)
    for accuracies, (_, style) in zip(nines(marks).T, _READERS, strict=True):
        ax.plot(accuracies, middles, linestyle="none", clip_on=False, **style)


def _write_column(
    sheet: Axes, right: float, middles: Floats, values: Floats, heading: str, style: dict[str, Any]
) -> None:
    """Write a reader's numbers beside the lines, below a heading with its mark, in inches."""
    for y, value in zip(middles, values, strict=True):
        if not np.isnan(value):
            write(sheet, right, y, _percent(value), size=SMALL, ha="right", va="center")
    above: dict[str, Any] = {"ha": "center", "va": "bottom", "weight": "bold", "linespacing": 1.05}
    write(sheet, right - 0.22, 0.45, heading, size=SMALL, color=style["color"], **above)
    sheet.plot(right - 0.22, 0.53, linestyle="none", **style)


def _digit_lines(results: _Results) -> Iterator[_FigureLine]:
    """Yield a line for each whole set; a kind of corruption, read in two ways, has one line."""
    whole = [row for row in results["digits"] if row["part"] is None]
    alone, found = (
        {row["name"]: row for row in whole if row["group"] == group}
        for group in (CORRUPTED, CORRUPTED_FOUND)
    )
    means = results["means"]
    for group, rows in groupby(whole, itemgetter("group")):
        if group not in (CORRUPTED, CORRUPTED_FOUND):
            yield _FigureLine(GROUP_TITLES[group])
            yield from (_line(set_title(group, row["name"]), row) for row in rows)
        elif group == CORRUPTED or not alone:
            yield _FigureLine("Corruptions")
            for name in alone | found:
                yield _line(set_title(group, name), found.get(name), alone.get(name))
            if group in means:
                title = f"mean of these {means[group]['sets']}"
                yield _line(title, means.get(CORRUPTED_FOUND), means.get(CORRUPTED))


def _line(title: str, found: Row | None, alone: Row | None = None) -> _FigureLine:
    """Return the line of a set that was read by the whole path, by the network alone, or both."""
    ours, plain, interval = _scores(found) if found else (None, None, ())
    if alone:
        return _FigureLine(title, (alone["plain_accuracy"], alone["accuracy"], ours), interval)
    return _FigureLine(title, (plain, None, ours), interval)


def _number_lines(rows: Sequence[Row]) -> Iterator[_FigureLine]:
    """Yield a line for each set."""
    if rows:
        yield _FigureLine(GROUP_TITLES[NUMBERS])
    yield from (_line(set_title(NUMBERS, row["name"]), row) for row in rows if not row["part"])


def _non_digit_lines(rows: Sequence[Row]) -> Iterator[_FigureLine]:
    """Yield a line for each set, or for each of its kinds when they are few."""
    if rows:
        yield _FigureLine("Not digits: area under the ROC curve")
    for name, group in groupby(rows, itemgetter("name")):
        whole, *parts = group
        for row in (whole, *parts) if len(parts) < _FEW_KINDS else (whole,):
            title = set_title(row["group"], name)
            yield _line(f"{title}: {row['part']}" if row["part"] else title, row)


def write_misses(measured: MeasuredSet, folder: Path) -> Path | None:
    """Write a sheet of the misses of a set of digits, most confident first.

    Args:
        measured: the set and what was read in it.
        folder: where ``GROUP-NAME.png`` goes.

    Returns:
        The file; None when nothing was misread or there is nothing to read.

    Raises:
        StorageError: the folder cannot be written.
    """
    (group, name, _), made, found = measured.named, measured.made, measured.ours
    wrong = np.flatnonzero(~measured.right(found))
    if made.labels is None or not wrong.size:
        return None
    shown = wrong[np.argsort(-found.confidence[wrong], kind="stable")][:_SHOWN]
    rows, columns = np.divmod(np.arange(len(shown)), _ACROSS)
    left, top = MARGIN + (WIDTH - 2 * MARGIN) / _ACROSS * columns, HEADER + _DOWN * rows
    file = folder / f"{group}-{name}.png"
    with theme():
        figure, ax = new_sheet(top[-1] + _DOWN + MARGIN)
        title = f"{GROUP_TITLES[group]}: {set_title(group, name)}"
        note = f"{len(wrong):,} of {made.count:,} misread, the most confident first"
        write_header(ax, title, f"{note}; index: truth → answer, confidence")
        draw_tiles(ax, as_ink(found.image[shown]), left + _TILE + 0.03, top, _TILE, colours=INK)
        for index, x, y in zip(shown, left, top, strict=True):
            _draw_picture(ax, decode(made.picture(int(index))), x, y)
            digit = found.digit[index] if found.digit[index] >= 0 else "nothing"
            sure = percent(float(found.confidence[index]))
            words = f"{index}: {made.labels[index]} → {digit}, {sure}"
            write(ax, x, y + _TILE + 0.03, words, size=SMALL)
        save_png(figure, file)
    return file


def _draw_picture(ax: Axes, picture: NDArray[np.uint8], left: float, top: float) -> None:
    """Draw grey pixels (H, W) in the middle of a square tile, as large as fits."""
    height, width = (_TILE * side / max(picture.shape) for side in picture.shape)
    x, y = left + (_TILE - width) / 2, top + (_TILE - height) / 2
    extent = (x, x + width, y + height, y)
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
