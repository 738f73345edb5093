"""Accuracy against labels, a line for each method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from digitnet.experiments.transfer.budgets import budget_name
from digitnet.experiments.transfer.results import Results, Summary
from digitnet.showing.theme import SMALL, Palette, sized_figure, style_axes

NAMES = {
    "zero-shot": "as it is, no labels",
    "probe": "new last layer",
    "head": "dense layers tuned",
    "all": "all layers tuned",
    "scratch": "from scratch",
}


# Where the axis may be marked: errors in percent.
_ERRORS = (80, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02)


def accuracy_against_labels(results: Results, ax: Axes | None = None) -> Axes:
    """Draw the mean accuracy of each method, in percent, against the labels it learnt from.

    The axis is as long from 90 to 99 % as from 99 to 99.9 %: a tenth of the errors is left. Bars
    are 95 % intervals. Zero-shot is a level line.

    Args:
        results: with one budget at least.
        ax: where to draw; a new figure when None.
    """
    ax = sized_figure(4.2).add_subplot() if ax is None else ax
    palette = style_axes(ax)
    budgets = results.budgets()
    ends = []
    for method, (colour, line, mark, aside) in _looks(palette).items():
        found = [each for b in budgets if (each := results.summary(method, b))]
        if found:
            # A little apart, so that no bar hides another.
            places = [budgets.index(each.labels) + aside for each in found]
            _draw(ax, places, found, colour, line, mark)
            ends.append((method, found[-1].accuracy, colour))
    zero = results.summary("zero-shot", 0)
    if zero:
        ax.axhline(_error(zero.accuracy), color=palette.muted, linewidth=1.4, linestyle=(0, (2, 2)))
        ends.append(("zero-shot", zero.accuracy, palette.muted))
    ax.set_xticks(range(len(budgets)), [budget_name(b) for b in budgets])
    room = 0.25 if len(budgets) > 1 else 1.5
    ax.set_xlim(-room, len(budgets) - 1 + room)
    ax.set_xlabel("Labelled images of each class")
    ax.set_ylabel("Accuracy on the test images (%)")
    _set_range(ax, results)
    ax.grid(axis="y", which="major", color=palette.line, linewidth=0.6, alpha=0.6)
    _label(ax, ends)
    return ax


def _looks(palette: Palette) -> dict[str, tuple[str, Any, str, float]]:
    """Return colour, dashes, mark and shift of each method; no two differ by colour alone."""
    return {
        "all": (palette.blue, "-", "o", 0.0),
        "head": (palette.blue, (0, (4, 1.5)), "^", 0.06),
        "probe": (palette.text, (0, (1, 1.2)), "D", -0.06),
        "scratch": (palette.orange, "-", "s", 0.0),
    }


def _draw(
    ax: Axes, places: Sequence[float], found: Sequence[Summary], colour: str, line: Any, mark: str
) -> None:
    middle = [_error(each.accuracy) for each in found]
    # On an axis of errors the upper end of accuracy is the lower one.
    below = [at - min(_error(each.high), at) for at, each in zip(middle, found, strict=True)]
    above = [max(_error(each.low), at) - at for at, each in zip(middle, found, strict=True)]
    ax.errorbar(
        places,
        middle,
        yerr=[below, above],
        color=colour,
        linestyle=line,
        linewidth=1.8,
        marker=mark,
        markersize=5,
        elinewidth=1.2,
        capsize=3,
    )


def _error(accuracy: float) -> float:
    """Return the share of errors in percent, at least a hundredth, which has a logarithm."""
    return max(100 * (1 - accuracy), 0.01)


def _set_range(ax: Axes, results: Results) -> None:
    """Show all means; an interval may leave the picture, lest it flatten the rest."""
    errors = [_error(each.accuracy) for each in results.summaries()]
    least, most = min(errors) / 1.4, min(max(errors) * 1.4, 100.0)
    ax.set_yscale("log")
    ax.set_ylim(most, least)
    ticks = [tick for tick in _ERRORS if least <= tick <= most]
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_yticks(ticks, [f"{100 - tick:g}" for tick in ticks])


def _label(ax: Axes, ends: Sequence[tuple[str, float, str]]) -> None:
    """Write each name beside the end of its line, from the highest to the lowest."""
    most, least = ax.get_ylim()
    ordered = sorted(ends, key=lambda end: -end[1])
    gap = 0.075
    whole = math.log(most / least)
    places = [math.log(most / _error(value)) / whole for _, value, _ in ordered]
    for index in range(1, len(places)):
        places[index] = min(places[index], places[index - 1] - gap)
    # What was pushed below the axis pushes the others up again.
    for index in reversed(range(len(places))):
        floor = 0.0 if index == len(places) - 1 else places[index + 1] + gap
        places[index] = max(places[index], floor)
    for (method, value, colour), place in zip(ordered, places, strict=True):
        ax.annotate(
            f"{NAMES[method]}  {100 * value:.1f} %",
            xy=(1.0, place),
            xycoords="axes fraction",
            xytext=(9, 0),
            textcoords="offset points",
            color=colour,
            size=SMALL,
            va="center",
            annotation_clip=False,
        )
