"""An axis for accuracies, and names beside the ends of lines.

On the axis each halving of the mistakes is the same step: an accuracy is placed at its number of
nines, minus the logarithm of the share that is wrong. On a plain axis 99 and 99.9 % would coincide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import ArrayLike, NDArray

from digitnet.showing.theme import LIGHT, SMALL

# An accuracy beyond this is drawn at it: a perfect result is infinitely far away on this axis.
_BEST = 0.9999
_TICKS = (
    *(0.0, 0.2, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99),
    *(0.992, 0.993, 0.994, 0.995, 0.996, 0.997, 0.998, 0.9985, 0.999, 0.9995),
)


def nines(accuracy: ArrayLike) -> Any:
    """Return where accuracies, from 0 to 1, stand on the axis: 1 for 90 %, 2 for 99 %."""
    return -np.log10(1 - np.clip(accuracy, 0.0, _BEST))


def set_accuracy_axis(
    axis: Axis, set_limits: Callable[..., Any], accuracies: Sequence[float], apart: float = 0.09
) -> None:
    """Give an axis of nines the range of some accuracies, and ticks in percent.

    Args:
        axis: the axis.
        set_limits: sets its limits: ``Axes.set_xlim`` or ``Axes.set_ylim``.
        accuracies: what must lie in its range, from 0 to 1.
        apart: the least distance between ticks, as a share of the axis.
    """
    low, high = float(nines(min(accuracies))), float(nines(max(accuracies)))
    room = max(0.06 * (high - low), 0.01)
    low, high = low - room, high + room
    set_limits(low, high)
    axis.set_minor_locator(NullLocator())
    axis.set_major_locator(FixedLocator([float(nines(tick)) for tick in _ticks(low, high, apart)]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * (1 - 10**-value):.4g}"))


def _ticks(low: float, high: float, apart: float) -> list[float]:
    """Return accuracies to mark between two numbers of nines, neither too few nor too close."""
    inside = [tick for tick in _TICKS if low <= nines(tick) <= high]
    if len(inside) < min(4, 0.6 / apart):
        # A narrow range: plain steps of accuracy.
        first, last = 1 - 10**-low, 1 - 10**-high
        step = 10 ** math.floor(math.log10(max(last - first, 1e-5) / 2))
        step = next((m * step for m in (5, 2, 1) if (last - first) / (m * step) >= 3), step)
        inside = [round(n * step, 6) for n in range(math.ceil(first / step), int(last / step) + 1)]
    kept: list[float] = []
    for tick in inside:
        if not kept or nines(tick) - nines(kept[-1]) > apart * (high - low):
            kept.append(tick)
    return kept


def label_lines(
    ax: Axes,
    labels: Sequence[str],
    places: ArrayLike,
    colours: Sequence[str],
    *,
    x: float = 1.0,
    size: float = SMALL,
) -> NDArray[np.float64]:
    """Write a label beside the end of each line, apart even where lines meet.

    Args:
        ax: where the lines are.
        labels: one a line.
        places: where each line ends, as a share of the height of the axes.
        colours: one a line.
        x: where the labels begin, as a share of the width of the axes.
        size: of the type, in points.

    Returns:
        Where the labels stand, as shares of the height.
    """
    rows = 1 + max((label.count("\n") for label in labels), default=0)
    height = ax.get_window_extent().height * 72 / ax.figure.dpi
    moved = spread(np.clip(np.nan_to_num(places), 0, 1), min(1.25 * rows * size / height, 1.0))
    # A label must not be crossed by a grid line.
    patch = {"facecolor": LIGHT.page, "edgecolor": "none", "pad": 1.5}
    for label, y, colour in zip(labels, moved, colours, strict=True):
        look: dict[str, Any] = {"size": size, "weight": "bold", "color": colour, "bbox": patch}
        look |= {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center"}
        ax.annotate(label, (x, y), (9, 0), annotation_clip=False, **look)
    return moved


def spread(places: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Move places in [0, 1] apart to at least ``gap``, keeping their order.

    The first of equal places goes on top. Where there is no room for all, the last ones lie
    beyond 1.
    """
    order = np.argsort(-places, kind="stable")
    steps = gap * np.arange(len(places))
    wished, ends = places[order] + steps, range(1, len(places) + 1)
    # Distances beyond the gaps must not fall: the nearest such sequence, by the min-max formula.
    nearest = [
        min(max(wished[a:b].mean() for b in ends[i:]) for a in range(i + 1))
        for i in range(len(wished))
    ]
    moved: NDArray[np.float64] = np.array(nearest) - steps
    half = gap / 2 if len(places) * gap <= 1 else 0.0  # a label needs room above and below
    moved -= max(float(moved.max(initial=0)) - 1 + half, 0.0) if half else 0.0
    moved += max(half - float(moved.min(initial=1)), 0.0)
    return moved[np.argsort(order)]
