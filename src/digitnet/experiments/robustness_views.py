"""The results of the bench as people read them: a table, a figure, and sheets of what was misread.

In the figure each set is a line and each reader a mark on it, on an axis on which halving the
mistakes is the same step everywhere: on a plain axis 99 and 99.9 % would coincide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Transform, blended_transform_factory
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.markup import escape
from rich.table import Table

from digitnet.experiments.picture_readers import answers
from digitnet.experiments.picture_sets import (
    CORRUPTED,
    CORRUPTED_FOUND,
    GROUP_TITLES,
    PictureSet,
    set_title,
)
from digitnet.experiments.robustness import (
    DigitRow,
    GroupMean,
    MeasuredSet,
    NonDigitRow,
    RobustnessResults,
)
from digitnet.files import make_folder, write_json
from digitnet.reading.pictures import decode
from digitnet.reading.recognizer import Recognizer
from digitnet.showing import theme
from digitnet.showing.scales import nines, set_accuracy_axis
from digitnet.showing.sheet import HEADER, MARGIN, draw_tiles, new_sheet, write, write_header
from digitnet.showing.theme import SMALL, WIDTH, figure_of
from digitnet.text import points, share, shortened

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_ROW = 0.205  # inches
_ABOVE, _BELOW = 0.62, 0.5  # inches, of the headings of the columns and of the axis
_GAP = 0.5  # lines, above a heading
_NAMES = 1.78  # inches, to the left of the axes
_COLUMN = 0.62  # inches, of one column of numbers to their right
_LONGEST_NAME = 25  # letters; more would leave the page
# Non-digits of more kinds than this are drawn as one line.
_FEW_KINDS = 4

_SHOWN = 40  # misses on a sheet
_ACROSS = 4
_TILE = 0.7  # inches; two of them, then the next
_DOWN = 0.98
_SIDE = 112  # pixels of a tile, four times an image


def write_results(results: RobustnessResults, folder: Path) -> list[Path]:
    """Write ``robustness.json`` and ``robustness.png`` to a folder, and return them.

    Raises:
        StorageError: the folder cannot be made or written.
    """
    make_folder(folder)
    values, picture = folder / "robustness.json", folder / "robustness.png"
    write_json(values, results.as_json())
    with theme.theme():
        theme.save_png(robustness_figure(results), picture)
    return [values, picture]


def results_table(results: RobustnessResults) -> Table:
    """Return a table of everything measured; all numbers are percentages."""
    plain = bool(results.settings["plain"])
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("set", no_wrap=True)
    for column in ("pictures", "digitnet", "95 % interval", *["plain CNN"] * plain, "refused"):
        table.add_column(column, justify="right", no_wrap=True)
    rows: list[DigitRow | NonDigitRow] = [*results.digits, *results.non_digits]
    for group, members in groupby(rows, lambda row: row.group):
        if table.row_count:
            table.add_row()
        table.add_row(GROUP_TITLES[group], style="bold")
        for row in members:
            # Names of sets are the user's: in text of rich, square brackets are commands.
            name = escape(f"    {row.part}" if row.part else f"  {set_title(group, row.name)}")
            ours, rival, interval = _numbers(row)
            ours_cells = (_percent(ours), " – ".join(map(_percent, interval)))
            cells = [*ours_cells, *[_percent(rival)] * plain, _percent(row.rejected)]
            table.add_row(name, f"{row.pictures:,}", *cells)
        if mean := results.means.get(group):
            cells = [_percent(mean.accuracy), "", *[_percent(mean.plain_accuracy)] * plain]
            table.add_row(f"  mean of these {mean.sets}", "", *cells, style="bold")
    return table


def remarks(results: RobustnessResults) -> list[str]:
    """Return the numbers that belong to no row, a sentence each."""
    lines = []
    if results.spread is not None:
        five = "The five sets of MNIST that differ in nothing that should matter"
        lines.append(f"{five} lie within {points(results.spread)}.")
    if found := results.reference:
        refused = f"Of MNIST's {found.pictures:,} test digits {share(found.rejected)} are refused"
        error = f"the expected calibration error is {found.expected_calibration_error:.4f}"
        lines.append(f"{refused}; {error}.")
    return lines


def _numbers(row: DigitRow | NonDigitRow) -> tuple[float, float | None, tuple[float, ...]]:
    """Return how well digitnet and the plain CNN do, and the interval of the first, if any."""
    if isinstance(row, DigitRow):
        return row.accuracy, row.plain_accuracy, row.interval
    return row.auroc, row.plain_auroc, ()


def _percent(value: float | None) -> str:
    """Return a fraction in percent where the heading says so; nothing when there is none."""
    return "" if value is None else share(value).removesuffix(" %")


@dataclass(frozen=True)
class _FigureLine:
    """One line of the figure: a heading without marks, or a set.

    Args:
        title: what stands at its left.
        marks: the plain CNN, digitnet's network alone, and digitnet by the whole path, if any.
        interval: 95 % interval of the last, if any.
    """

    title: str
    marks: tuple[float | None, ...] = ()
    interval: tuple[float, ...] = ()


def robustness_figure(results: RobustnessResults, figure: Figure | None = None) -> Figure:
    """Draw every whole set: digitnet beside the plain CNN, with 95 % intervals.

    Args:
        results: of the bench, one set at least.
        figure: where to draw; a new one when None. Its size is set.
    """
    lines = [*_digit_lines(results), *_non_digit_lines(results.non_digits)]
    # In lines from the top; headings keep a distance.
    gaps = np.cumsum([bool(index) and not line.marks for index, line in enumerate(lines)])
    heights = np.arange(len(lines)) + _GAP * gaps
    marks = np.array([line.marks or (None, None, None) for line in lines], float)
    intervals = np.array([line.interval or (None, None) for line in lines], float)
    readers = np.flatnonzero(~np.isnan(marks).all(axis=0))
    figure, ax = _new_axes(figure, heights[-1] + 1, len(readers))
    palette = theme.style_axes(ax)
    shown = np.concatenate([marks, intervals], axis=None)
    set_accuracy_axis(ax.xaxis, ax.set_xlim, shown[~np.isnan(shown)].tolist(), 0.22)
    _name_lines(ax, lines, heights.tolist(), palette)
    sets = ~np.isnan(marks).all(axis=1)
    low, high = np.nanmin(nines(marks[sets]), axis=1), np.nanmax(nines(marks[sets]), axis=1)
    ax.hlines(heights[sets], low, high, color=palette.line, linewidth=1.0, zorder=1)
    ax.hlines(heights, *nines(intervals).T, color=palette.blue, linewidth=3.0, alpha=0.3, zorder=2)
    for place, reader in enumerate(readers):
        heading, style = _readers(palette)[reader]
        values = marks[:, reader]
        ax.plot(nines(values), heights, linestyle="none", clip_on=False, **style)
        _write_column(ax, WIDTH - MARGIN - _COLUMN * place, heights, values, heading, style)
    return figure


def _digit_lines(results: RobustnessResults) -> Iterator[_FigureLine]:
    """Yield a line for each whole set; a kind of corruption, read in two ways, has one line."""
    whole = [row for row in results.digits if row.part is None]
    alone = {row.name: row for row in whole if row.group == CORRUPTED}
    found = {row.name: row for row in whole if row.group == CORRUPTED_FOUND}
    means = results.means
    for group, rows in groupby(whole, lambda row: row.group):
        if group not in (CORRUPTED, CORRUPTED_FOUND):
            yield _FigureLine(GROUP_TITLES[group])
            yield from (_line(set_title(group, row.name), row) for row in rows)
        elif group == CORRUPTED or not alone:
            yield _FigureLine("Corruptions")
            for name in alone | found:
                yield _line(set_title(group, name), found.get(name), alone.get(name))
            if group in means:
                title = f"mean of these {means[group].sets}"
                yield _line(title, means.get(CORRUPTED_FOUND), means.get(CORRUPTED))


def _line(
    title: str, found: DigitRow | GroupMean | None, alone: DigitRow | GroupMean | None = None
) -> _FigureLine:
    """Return the line of a set that was read by the whole path, by the network alone, or both."""
    plain = next(each.plain_accuracy for each in (alone, found) if each)
    marks = (plain, *(each.accuracy if each else None for each in (alone, found)))
    return _FigureLine(title, marks, found.interval if isinstance(found, DigitRow) else ())


def _non_digit_lines(rows: Sequence[NonDigitRow]) -> Iterator[_FigureLine]:
    """Yield a line for each set, or for each of its kinds when they are few."""
    if rows:
        yield _FigureLine("Not digits: area under the ROC curve")
    for name, group in groupby(rows, lambda row: row.name):
        whole, *parts = group
        few = 0 < len(parts) < _FEW_KINDS
        for row in (whole, *parts) if few else (whole,):
            title = set_title(row.group, name) + (f": {row.part}" if row.part else "")
            yield _FigureLine(title, (row.plain_auroc, None, row.auroc))


def _new_axes(figure: Figure | None, lines: float, columns: int) -> tuple[Figure, Axes]:
    """Return a figure and the axes in it, with room for names and columns beside them."""
    figure = Figure() if figure is None else figure
    height = _ABOVE + _ROW * lines + _BELOW
    figure.set_size_inches(WIDTH, height)
    width = WIDTH - _NAMES - _COLUMN * columns - 3 * MARGIN
    box = (_NAMES / WIDTH, _BELOW / height, width / WIDTH, _ROW * lines / height)
    return figure, figure.add_axes(box)


def _name_lines(
    ax: Axes, lines: Sequence[_FigureLine], heights: Sequence[float], palette: theme.Palette
) -> None:
    """Write the names of the sets, the headings between them and the title of the axis."""
    sets = [(y, line.title) for y, line in zip(heights, lines, strict=True) if line.marks]
    ax.set_yticks([y for y, _ in sets], [shortened(title, _LONGEST_NAME) for _, title in sets])
    ax.tick_params(axis="y", length=0, labelsize=SMALL, labelcolor=palette.text)
    for y, line in zip(heights, lines, strict=True):
        if not line.marks:
            _text(ax, MARGIN, y, line.title, va="center", weight="bold")
    ax.set_ylim(heights[-1] + 0.5, -0.5)
    ax.set_xlabel("Read rightly (%); each halving of the mistakes is a step of one length")
    middle = blended_transform_factory(figure_of(ax).transFigure, figure_of(ax).dpi_scale_trans)
    ax.xaxis.set_label_coords(0.5, 0.21, transform=middle)
    ax.tick_params(axis="x", labelsize=SMALL)
    ax.grid(axis="x", color=palette.line, linewidth=0.6, alpha=0.6)
    ax.set_axisbelow(True)
    ax.spines["left"].set_visible(False)


def _write_column(
    ax: Axes, right: float, heights: Floats, values: Floats, heading: str, style: dict[str, Any]
) -> None:
    """Write a reader's numbers beside the lines, below a heading with its mark.

    Args:
        ax: where the lines are.
        right: where the column ends, in inches.
        heights: of the lines.
        values: of the lines, from 0 to 1; NaN where there is none.
        heading: of the column.
        style: of the mark.
    """
    for y, value in zip(heights, values, strict=True):
        if not np.isnan(value):
            _text(ax, right, y, _percent(value), ha="right", va="center")
    above = {"ha": "center", "va": "bottom", "weight": "bold", "linespacing": 1.05}
    _text(ax, right - 0.22, -1.35, heading, color=style["color"], **above)
    ax.plot(right - 0.22, -0.95, transform=_inches(ax), clip_on=False, linestyle="none", **style)


def _text(ax: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Write text at inches from the left of the figure, and lines from the top."""
    ax.text(x, y, text, transform=_inches(ax), size=SMALL, **style)


def _inches(ax: Axes) -> Transform:
    return blended_transform_factory(figure_of(ax).dpi_scale_trans, ax.transData)


def _readers(palette: theme.Palette) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the heading and the mark of each reader, in the order of ``_FigureLine.marks``."""
    dot = {"marker": "o", "markersize": 5.5, "color": palette.blue, "zorder": 3}
    return (
        ("plain\nCNN", dot | {"marker": "s", "markersize": 4.5, "color": palette.orange}),
        ("network\nalone", dot | {"markerfacecolor": palette.page, "markeredgewidth": 1.3}),
        ("digitnet", dot),
    )


def write_misses(
    measured: MeasuredSet, made: PictureSet, recognizer: Recognizer, folder: Path
) -> Path | None:
    """Write a sheet of the misses of a set of digits, most confident first.

    Args:
        measured: what was read in the set.
        made: the set.
        recognizer: whose misses they are, to ask again what it saw.
        folder: where ``GROUP-NAME.png`` goes.

    Returns:
        The file; None when nothing was misread or there is nothing to read.

    Raises:
        StorageError: the folder cannot be written.
    """
    wrong = np.flatnonzero(~measured.right(measured.ours))
    if made.labels is None or not wrong.size:
        return None
    found = measured.ours
    shown = wrong[np.argsort(-found.confidence[wrong], kind="stable")][:_SHOWN]
    pictures = [made.picture(int(index)) for index in shown]
    seen = [each.image for each in answers(recognizer, pictures, made.straight)]
    digits = [str(digit) if digit >= 0 else "nothing" for digit in found.digit[shown]]
    captions = [
        f"{index}: {made.labels[index]} → {digit}, {found.confidence[index]:.0%}"
        for index, digit in zip(shown, digits, strict=True)
    ]
    file = folder / f"{measured.group}-{measured.name}.png"
    with theme.theme():
        figure = _sheet([decode(each) for each in pictures], seen, captions)
        title = f"{GROUP_TITLES[measured.group]}: {set_title(measured.group, measured.name)}"
        note = f"{len(wrong):,} of {made.count:,} misread, the most confident first"
        write_header(figure.axes[0], title, f"{note}; index: truth → answer, confidence")
        theme.save_png(figure, file)
    return file


def _sheet(given: Sequence[Pixels], seen: Sequence[Pixels], captions: Sequence[str]) -> Figure:
    """Draw pictures as they were given, each beside what the network saw, with a caption below."""
    rows = -(-len(given) // _ACROSS)
    figure, ax = new_sheet(HEADER + rows * _DOWN + MARGIN)
    place = np.arange(len(given))
    left = MARGIN + (WIDTH - 2 * MARGIN) / _ACROSS * (place % _ACROSS)
    top = HEADER + _DOWN * (place // _ACROSS)
    grey = colormaps["gray"].with_extremes(bad=(0, 0, 0, 0))
    inks = theme.INK
    draw_tiles(ax, _tiles(given), left, top, _TILE, colours=grey)
    draw_tiles(ax, _tiles(seen), left + _TILE + 0.03, top, _TILE, colours=inks)
    for caption, x, y in zip(captions, left, top, strict=True):
        write(ax, float(x), float(y) + _TILE + 0.03, caption, size=SMALL)
    return figure


def _tiles(pictures: Sequence[Pixels]) -> NDArray[np.float32]:
    """Return pictures as large as fit a square, float32 (N, 112, 112); NaN where nothing is."""
    tiles = np.full((len(pictures), _SIDE, _SIDE), np.nan, np.float32)
    for tile, picture in zip(tiles, pictures, strict=True):
        size = (_SIDE, _SIDE)
        fitted = ImageOps.contain(Image.fromarray(picture), size, Image.Resampling.BOX)
        top, left = (_SIDE - fitted.height) // 2, (_SIDE - fitted.width) // 2
        tile[top : top + fitted.height, left : left + fitted.width] = np.asarray(fitted) / 255
    return tiles
