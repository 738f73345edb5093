"""Whether a network that says 90 % is right nine times in ten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digitnet.showing.figures.theme import BODY, SMALL, TITLE, Palette, sized_figure, style_axes
from digitnet.training.statistics import wilson_interval

if TYPE_CHECKING:
    from digitnet.training.evaluation import ReliabilityBin


def reliability_diagram(
    reliability: Sequence[ReliabilityBin], ece: float, figure: Figure | None = None
) -> Figure:
    """Draw accuracy against confidence, and below it how many images each bin holds.

    Each point is one bin that holds images, with its 95 % interval: a bin of three images says
    little, and is seen to. A bin without images is not drawn.

    Args:
        reliability: bins of confidence in [0, 1].
        ece: expected calibration error in [0, 1].
        figure: where to draw; a new one when None. Its size is set.
    """
    figure = sized_figure(6.0, figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [each for each in reliability if each.count]
    _draw_points(above, filled, ece)
    _draw_counts(below, filled)
    figure.align_ylabels()
    return figure


def _draw_points(ax: Axes, filled: Sequence[ReliabilityBin], ece: float) -> None:
    palette = style_axes(ax)
    ax.plot([0, 100], [0, 100], color=palette.muted, linewidth=1.2, linestyle=(0, (5, 3)))
    if filled:
        confidence = 100 * np.array([each.confidence for each in filled], dtype=np.float64)
        accuracy = np.array([each.accuracy for each in filled], dtype=np.float64)
        low, high = 100 * np.array([_interval(each) for each in filled]).T
        ax.vlines(confidence, low, high, color=palette.blue, alpha=0.5, linewidth=2)
        ax.plot(confidence, 100 * accuracy, "o", color=palette.blue, markersize=7)
    ax.set(xlim=(0, 102), ylim=(-4, 104), ylabel="Accuracy in the bin (%)")
    ax.tick_params(labelbottom=False)
    ax.grid(color=palette.line, linewidth=0.6, alpha=0.6)
    _write_reading_aid(ax, ece, palette)


def _write_reading_aid(ax: Axes, ece: float, palette: Palette) -> None:
    """Write above the axes, where no point can be, what is drawn and what the dashed line is."""
    title = f"Expected calibration error {100 * ece:.2f} %"
    note = "above the dashed line: more often right than it claims; below: too sure"
    for up, words, size, weight, colour in (
        (23, title, TITLE, "bold", palette.text),
        (7, note, BODY, "normal", palette.muted),
    ):
        ax.annotate(
            words,
            (0, 1),
            (0, up),
            xycoords="axes fraction",
            textcoords="offset points",
            size=size,
            weight=weight,
            color=colour,
        )


def _draw_counts(ax: Axes, filled: Sequence[ReliabilityBin]) -> None:
    palette = style_axes(ax)
    counts = [each.count for each in filled]
    middles = [50 * (each.low + each.high) for each in filled]
    widths = [90 * (each.high - each.low) for each in filled]
    ax.set_yscale("log")
    ax.bar(middles, counts, widths, bottom=0.5, color=palette.blue, alpha=0.75)
    for x, count in zip(middles, counts, strict=True):
        ax.annotate(
            f"{count}",
            (x, count + 0.5),
            (0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            size=SMALL,
            color=palette.text,
        )
    # Room for the numbers above the bars; the bars start at half an image so that one is visible.
    ax.set_ylim(0.5, 12 * max(counts, default=1))
    ax.set_yticks([])
    ax.minorticks_off()
    ax.spines["left"].set_visible(False)
    ax.set(xlabel="Confidence (%)", ylabel="Images\n(log scale)")


def _interval(each: ReliabilityBin) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy of a bin that holds images."""
    assert each.accuracy is not None
    return wilson_interval(round(each.accuracy * each.count), each.count)
