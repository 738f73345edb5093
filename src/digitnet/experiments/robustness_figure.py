"""The results as a figure: a line for each set, a dot for each reader.

The axis shows shares so that halving the mistakes is the same step everywhere: its place is minus
the logarithm of the share that is wrong. On a plain axis 99 and 99.9 % would be one dot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Transform, blended_transform_factory

from digitnet.experiments.robustness.built_in import (
    CORRUPTIONS_ALONE,
    CORRUPTIONS_FOUND,
    NON_DIGITS,
)
from digitnet.experiments.robustness.results import DigitRow, Mean, NonDigitRow, Results
from digitnet.experiments.robustness.words import GROUP_TITLES, percent, set_title
from digitnet.showing.sheet import MARGIN
from digitnet.showing.theme import SMALL, WIDTH, Palette, figure_of, style_axes

_ROW = 0.205  # inches
_ABOVE, _BELOW = 0.62, 0.5  # inches, of the headings of the columns and of the axis
_GAP = 0.5  # lines, above a heading
_NAMES = 1.78  # inches, to the left of the axes
_COLUMN = 0.62  # inches, of one column of figures to their right
_LONGEST_NAME = 25  # letters; more would leave the page
# Non-digits of more kinds than this are drawn as one line.
_FEW_KINDS = 4
# Shares beyond this are drawn at it: a perfect result is infinitely far away on this axis.
_BEST = 0.9998
_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999)
_FINE_TICKS = (0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
"""Where nothing lies below the first of them."""


@dataclass(frozen=True)
class _Line:
    """One line of the figure: a heading, or a set."""

    title: str
    found: float | None = None
    """digitnet, by the whole path."""
    interval: tuple[float, float] | None = None
    alone: float | None = None
    """digitnet's network alone."""
    plain: float | None = None
    heading: bool = False


def robustness_figure(results: Results, figure: Figure | None = None) -> Figure:
    """Draw every whole set: digitnet beside the plain CNN, with 95 % intervals.

    Args:
        results: of the bench, one set at least.
        figure: where to draw; a new one when None. Its size is set.
    """
    lines = [*_digit_lines(results.digits, results.means), *_non_digit_lines(results.non_digits)]
    places = _places(lines)
    figure, ax = _new_axes(figure, places[-1] + 1, _columns(lines))
    palette = style_axes(ax)
    _set_axes(ax, lines, places, palette)
    for line, y in zip(lines, places, strict=True):
        if line.heading:
            _write_heading(ax, line, y, palette)
        else:
            _draw_line(ax, line, y, palette)
    _write_columns(ax, lines, places, palette)
    return figure


def _new_axes(figure: Figure | None, lines: float, columns: int) -> tuple[Figure, Axes]:
    """Return a figure and the axes in it, with room for names and columns beside them."""
    figure = Figure() if figure is None else figure
    height = _ABOVE + _ROW * lines + _BELOW
    figure.set_size_inches(WIDTH, height)
    width = WIDTH - _NAMES - _COLUMN * columns - 3 * MARGIN
    place = (_NAMES / WIDTH, _BELOW / height, width / WIDTH, _ROW * lines / height)
    return figure, figure.add_axes(place)


def _digit_lines(rows: Sequence[DigitRow], means: Mapping[str, Mean]) -> Iterator[_Line]:
    whole = [row for row in rows if row.part is None]
    for group in dict.fromkeys(row.group for row in whole):
        members = [row for row in whole if row.group == group]
        if group == CORRUPTIONS_ALONE:
            yield from _corruption_lines(whole)
            if group in means:
                yield _mean_line(means)
        elif group != CORRUPTIONS_FOUND or not any(r.group == CORRUPTIONS_ALONE for r in whole):
            yield _Line(GROUP_TITLES[group], heading=True)
            for row in members:
                title = set_title(group, row.name)
                yield _Line(title, row.accuracy, row.interval, plain=row.plain_accuracy)


def _corruption_lines(rows: Sequence[DigitRow]) -> Iterator[_Line]:
    """One line a kind, for both ways to read it."""
    found = {row.name: row for row in rows if row.group == CORRUPTIONS_FOUND}
    yield _Line("Corruptions", heading=True)
    for row in rows:
        if row.group == CORRUPTIONS_ALONE:
            whole = found.get(row.name)
            yield _Line(
                set_title(row.group, row.name),
                found=whole.accuracy if whole else None,
                interval=whole.interval if whole else None,
                alone=row.accuracy,
                plain=row.plain_accuracy,
            )


def _mean_line(means: Mapping[str, Mean]) -> _Line:
    alone, found = means[CORRUPTIONS_ALONE], means.get(CORRUPTIONS_FOUND)
    return _Line(
        f"mean of these {alone.sets}",
        found=found.accuracy if found else None,
        alone=alone.accuracy,
        plain=alone.plain_accuracy,
    )


def _non_digit_lines(rows: Sequence[NonDigitRow]) -> Iterator[_Line]:
    """One line a set, or one for each of its kinds when they are few."""
    if rows:
        yield _Line("Not digits: area under the ROC curve", heading=True)
    for name in dict.fromkeys(row.name for row in rows):
        members = [row for row in rows if row.name == name]
        few = 1 < len(members) <= _FEW_KINDS
        for row in members if few else members[:1]:
            title = set_title(NON_DIGITS, name) + (f": {row.part}" if row.part else "")
            yield _Line(title, row.auroc, plain=row.plain_auroc)


def _places(lines: Sequence[_Line]) -> list[float]:
    """Return where each line is, in lines from the top; headings keep a distance."""
    places, y = [], 0.0
    for index, line in enumerate(lines):
        y += _GAP if line.heading and index else 0.0
        places.append(y)
        y += 1.0
    return places


def _on_axis(share: float) -> float:
    return float(-np.log10(1 - min(share, _BEST)))


def _set_axes(ax: Axes, lines: Sequence[_Line], places: Sequence[float], palette: Palette) -> None:
    lowest = min(share for each in lines for share in _shares(each) if share is not None)
    ticks = _TICKS if lowest < _FINE_TICKS[0] else _FINE_TICKS
    low, high = _on_axis(ticks[0]), _on_axis(_BEST)
    # Room for half a mark at both ends.
    ax.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))
    ax.set_ylim(places[-1] + 0.5, -0.5)
    ax.set_xticks([*map(_on_axis, ticks), high], [*(f"{100 * tick:g}" for tick in ticks), "100"])
    ax.set_xlabel("Read rightly (%); each halving of the mistakes is a step of one length")
    middle = blended_transform_factory(figure_of(ax).transFigure, figure_of(ax).dpi_scale_trans)
    ax.xaxis.set_label_coords(0.5, 0.21, transform=middle)
    ax.grid(axis="x", color=palette.line, linewidth=0.6, alpha=0.6)
    ax.set_axisbelow(True)
    ax.spines["left"].set_visible(False)
    shown = [(y, line.title) for y, line in zip(places, lines, strict=True) if not line.heading]
    ax.set_yticks([y for y, _ in shown], [_short(title) for _, title in shown])
    ax.tick_params(axis="y", length=0, labelsize=SMALL, labelcolor=palette.text)
    ax.tick_params(axis="x", labelsize=SMALL)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _write_heading(ax: Axes, line: _Line, y: float, palette: Palette) -> None:
    where = _at_inches(ax)
    ax.text(MARGIN, y, line.title, transform=where, va="center", weight="bold", size=SMALL,
            color=palette.text)  # fmt: skip


def _draw_line(ax: Axes, line: _Line, y: float, palette: Palette) -> None:
    shares = [share for share in _shares(line) if share is not None]
    ends = min(map(_on_axis, shares)), max(map(_on_axis, shares))
    ax.hlines(y, *ends, color=palette.line, linewidth=1.0, zorder=1)
    if line.interval:
        low, high = map(_on_axis, line.interval)
        ax.hlines(y, low, high, color=palette.blue, linewidth=3.0, alpha=0.3, zorder=2)
    for share, style in zip(_shares(line), _marks(palette), strict=True):
        if share is not None:
            ax.plot(_on_axis(share), y, zorder=3, linestyle="none", clip_on=False, **style)


def _marks(palette: Palette) -> tuple[dict[str, Any], ...]:
    """Return how the plain CNN, our network alone, and the whole path are drawn."""
    return (
        {"marker": "s", "markersize": 4.5, "color": palette.orange},
        {
            "marker": "o",
            "markersize": 5.5,
            "markerfacecolor": palette.page,
            "color": palette.blue,
            "markeredgewidth": 1.3,
        },
        {"marker": "o", "markersize": 5.5, "color": palette.blue},
    )


def _columns(lines: Sequence[_Line]) -> int:
    """Return how many of the three readers have figures."""
    return sum(any(_shares(each)[index] is not None for each in lines) for index in range(3))


def _shares(line: _Line) -> tuple[float | None, float | None, float | None]:
    """Return the figures in the order of ``_marks``."""
    return line.plain, line.alone, line.found


def _write_columns(
    ax: Axes, lines: Sequence[_Line], places: Sequence[float], palette: Palette
) -> None:
    """Write the figures to the right of the lines, below headings that are the key to the marks."""
    where = _at_inches(ax)
    right = WIDTH - MARGIN
    heads = ("plain CNN", "network\nalone", "digitnet")
    for index, (head, style) in enumerate(zip(heads, _marks(palette), strict=True)):
        shares = [_shares(line)[index] for line in lines]
        if all(share is None for share in shares):
            continue
        for y, share in zip(places, shares, strict=True):
            ax.text(right, y, percent(share), transform=where, ha="right", va="center", size=SMALL,
                    color=palette.text)  # fmt: skip
        middle = right - 0.22
        ax.text(middle, -1.35, head.replace(" ", "\n"), transform=where, ha="center", va="bottom",
                size=SMALL, weight="bold", color=style["color"], linespacing=1.05)  # fmt: skip
        ax.plot(middle, -0.95, transform=where, clip_on=False, linestyle="none", **style)
        right -= _COLUMN


def _at_inches(ax: Axes) -> Transform:
    """Return coordinates of inches from the left of the figure, and lines."""
    return blended_transform_factory(figure_of(ax).dpi_scale_trans, ax.transData)
