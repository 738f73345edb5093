"""Charts of one run: learning curves, the confusion matrix, and calibration."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from digitnet.errors import InputError
from digitnet.showing.scales import label_lines
from digitnet.showing.sheet import is_narrow
from digitnet.showing.theme import BODY, LIGHT, MISTAKES, SMALL, TITLE, sized_figure, style_axes
from digitnet.text import are_digits, shortened
from digitnet.training.evaluation import ReliabilityBin
from digitnet.training.runs import Epoch
from digitnet.training.statistics import wilson_interval

_MARKED_EPOCHS = 30  # with more, a mark at each epoch would hide the line
_FEWEST_TO_ZOOM = 4  # with fewer epochs the first one is part of the story
_ROOMY = 15  # classes; with more, numbers get smaller and zeros are left out


@dataclass(frozen=True)
class _Quantity:
    """Something measured every epoch on both splits."""

    axis: str
    style: str  # format of a value with its unit
    train: NDArray[np.float64] | None
    val: NDArray[np.float64]
    rising: bool  # whether better is higher
    span: float  # the least height of the axis, so that noise does not fill it
    ceiling: float

    @property
    def lines(self) -> list[tuple[str, NDArray[np.float64], str]]:
        """Name, values and colour of each split that was measured."""
        training = [] if self.train is None else [("training", self.train, LIGHT.orange)]
        return [*training, ("validation", self.val, LIGHT.blue)]


def learning_curves(
    history: Sequence[Epoch], names: tuple[str, str] = ("Accuracy", "Loss (cross-entropy)")
) -> Figure:
    """Draw accuracy (percent) above loss (cross-entropy, nats), both splits, against epochs.

    A first epoch that would flatten the rest is left off the scale and given in words.

    Args:
        history: one row an epoch, at least one; accuracies in [0, 1]. Training accuracy is left out
            where it was not measured in every epoch.
        names: of the two.

    Raises:
        InputError: the history is empty.
    """
    if not history:
        raise InputError("The history is empty; learning curves need at least one epoch.")
    rows = [(r.val_accuracy, r.train_loss, r.val_loss) for r in history]
    val, train_loss, val_loss = np.array(rows, dtype=np.float64).T
    shares = [r.train_accuracy for r in history if r.train_accuracy is not None]
    train = 100 * np.array(shares) if len(shares) == len(history) else None
    accuracy = _Quantity(f"{names[0]} (%)", "{:.2f} %", train, 100 * val, True, 0.5, 100.0)
    loss = _Quantity(names[1], "{:.4f}", train_loss, val_loss, False, 0.005, np.inf)
    epochs = np.array([row.epoch for row in history])
    several = len(history) > 1
    # On the right, where lines end, stand their names.
    margins = (0.82, 0.52, 1.12 if several else 0.15, 0.12)
    figure = sized_figure(5.6 if several else 3.6, margins)
    above, below = figure.subplots(2, 1, sharex=True)
    _draw_curves(above, epochs, accuracy)
    _draw_curves(below, epochs, loss)
    below.set_xlabel("Epoch")
    above.tick_params(labelbottom=False)
    figure.align_ylabels()
    return figure


def _draw_curves(ax: Axes, epochs: NDArray[np.int64], quantity: _Quantity) -> None:
    style_axes(ax)
    _draw_lines(ax, epochs, quantity)
    _set_epoch_axis(ax, epochs)
    low, high = _limits(quantity)
    ax.set_ylabel(quantity.axis)
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ax.ticklabel_format(axis="y", style="plain", useOffset=False)
    ax.grid(axis="y", color=LIGHT.line, linewidth=0.6, alpha=0.6)
    names, values, colours = zip(*quantity.lines, strict=True)
    ends = [each[-1] for each in values]
    labels = [f"{n}\n{quantity.style.format(end)}" for n, end in zip(names, ends, strict=True)]
    places = (np.array(ends) - low) / (high - low)
    x = 1.0 if len(epochs) > 1 else 0.5  # a single epoch stands in the middle
    label_lines(ax, labels, places, colours, x=x, size=BODY)
    _note_first_epoch(ax, epochs, quantity)


def _draw_lines(ax: Axes, epochs: NDArray[np.int64], quantity: _Quantity) -> None:
    marks = ("s", "o") if len(epochs) <= _MARKED_EPOCHS else (None, None)
    dashes = (0, (4, 1.5))
    if quantity.train is not None:
        ax.plot(epochs, quantity.train, color=LIGHT.orange, linewidth=1.6, linestyle=dashes,
                marker=marks[0], markersize=4, label="training")  # fmt: skip
    ax.plot(epochs, quantity.val, color=LIGHT.blue, linewidth=2.2,
            marker=marks[1], markersize=5, label="validation")  # fmt: skip


def _set_epoch_axis(ax: Axes, epochs: NDArray[np.int64]) -> None:
    """Mark whole epochs only, and none that was not run."""
    first, last = int(epochs[0]), int(epochs[-1])
    room = max(0.02 * (last - first), 0.15)
    ax.set_xlim(first - room, last + room)
    most, all_of = (5, 7) if is_narrow() else (10, 12)
    round_numbers = MaxNLocator(most, integer=True, steps=[1, 2, 5, 10]).tick_values(first, last)
    every = range(first, last + 1)
    ax.set_xticks(every if last - first < all_of else np.intersect1d(round_numbers, every))


def _limits(quantity: _Quantity) -> tuple[float, float]:
    """Return the range of the axis: what is there and a little more."""
    start = 1 if _first_is_aside(quantity) else 0
    values = np.concatenate([each[start:] for _, each, _ in quantity.lines])
    values = values[np.isfinite(values)]
    if not values.size:  # a run whose loss was never finite still gets its accuracy drawn
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    span = max(high - low, quantity.span)
    room = span * (0.08 if len(quantity.val) > 1 else 0.35)  # labels stand inside with one epoch
    upper = min(high + room, quantity.ceiling + 0.04 * span)
    return max(min(low, high - span) - room, 0.0), upper


def _first_is_aside(quantity: _Quantity) -> bool:
    """Return whether the first epoch would take most of the axis for itself."""
    if len(quantity.val) < _FEWEST_TO_ZOOM:
        return False
    whole = np.concatenate([each for _, each, _ in quantity.lines])
    rest = np.concatenate([each[1:] for _, each, _ in quantity.lines])
    return bool(np.ptp(rest) < 0.6 * np.ptp(whole))


def _note_first_epoch(ax: Axes, epochs: NDArray[np.int64], quantity: _Quantity) -> None:
    """Write which values of the first epoch lie off the scale."""
    low, high = ax.get_ylim()
    firsts = [(name, each[0]) for name, each, _ in quantity.lines]
    outside = [(name, value) for name, value in firsts if not low <= value <= high]
    if not outside:
        return
    values = ", ".join(f"{name} {quantity.style.format(value)}" for name, value in outside)
    between = "\n" if is_narrow() else " "
    y, side = (0.04, "bottom") if quantity.rising else (0.96, "top")
    look: dict[str, Any] = {"ha": "right", "va": side, "size": SMALL, "color": LIGHT.muted}
    patch = {"facecolor": LIGHT.page, "edgecolor": "none", "pad": 1.5}
    words = f"off the scale in epoch {epochs[0]}:{between}{values}"
    ax.text(0.98, y, words, transform=ax.transAxes, bbox=patch, **look)


def reliability_diagram(reliability: Sequence[ReliabilityBin], ece: float) -> Figure:
    """Draw accuracy against confidence, and below it how many images each bin holds.

    Each point is one bin that holds images, with its 95 % interval: a bin of three images says
    little, and shows it. A bin without images is not drawn.

    Args:
        reliability: bins of confidence in [0, 1].
        ece: expected calibration error in [0, 1].
    """
    figure = sized_figure(6.0, (0.82, 0.52, 0.1, 0.75 if is_narrow() else 0.52))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [each for each in reliability if each.count]
    _draw_bins(above, filled)
    _head_bins(above, ece)
    _draw_counts(below, filled)
    figure.align_ylabels()
    return figure


def _draw_bins(ax: Axes, filled: Sequence[ReliabilityBin]) -> None:
    style_axes(ax)
    ax.plot([0, 100], [0, 100], color=LIGHT.muted, linewidth=1.2, linestyle=(0, (5, 3)))
    if filled:
        confidence = 100 * np.array([each.confidence for each in filled], dtype=np.float64)
        accuracy = np.array([each.accuracy for each in filled], dtype=np.float64)
        counts = [each.count for each in filled]
        ends = [wilson_interval(round(a * n), n) for a, n in zip(accuracy, counts, strict=True)]
        low, high = 100 * np.array(ends).T
        ax.vlines(confidence, low, high, color=LIGHT.blue, alpha=0.5, linewidth=2)
        ax.plot(confidence, 100 * accuracy, "o", color=LIGHT.blue, markersize=7)
    ax.set(xlim=(0, 102), ylim=(-4, 104), ylabel="Accuracy in the bin (%)")
    ax.tick_params(labelbottom=False)
    ax.grid(color=LIGHT.line, linewidth=0.6, alpha=0.6)


def _head_bins(ax: Axes, ece: float) -> None:
    """Write above the axes, where no point can be, what is drawn and what the dashed line is."""
    note = "above the dashed line: right more often than it claims; below: too sure"
    lines = textwrap.wrap(note, 48) if is_narrow() else [note]
    head = [(f"Expected calibration error {100 * ece:.2f} %", TITLE, "bold", LIGHT.text)]
    head += [(line, SMALL if is_narrow() else BODY, "normal", LIGHT.muted) for line in lines]
    for row, (words, size, weight, colour) in enumerate(reversed(head)):
        # On a phone from the left of the figure, not of the axes.
        place = (-52 if is_narrow() else 0, 7 + 16 * row)
        ax.annotate(words, (0, 1), place, xycoords="axes fraction", textcoords="offset points",
                    size=size, weight=weight, color=colour)  # fmt: skip


def _draw_counts(ax: Axes, filled: Sequence[ReliabilityBin]) -> None:
    style_axes(ax)
    counts = [each.count for each in filled]
    middles = [50 * (each.low + each.high) for each in filled]
    widths = [90 * (each.high - each.low) for each in filled]
    upright = is_narrow()  # there is no room for the numbers side by side
    ax.set_yscale("log")
    ax.bar(middles, counts, widths, bottom=0.5, color=LIGHT.blue, alpha=0.75)
    for x, count in zip(middles, counts, strict=True):
        ax.annotate(f"{count}", (x, count + 0.5), (0, 2), textcoords="offset points", ha="center",
                    va="bottom", size=SMALL, rotation=90 * upright, color=LIGHT.text)  # fmt: skip
    # Room for the numbers above the bars; the bars start at half an image so that one is visible.
    ax.set_ylim(0.5, (60 if upright else 12) * max(counts, default=1))
    ax.set_yticks([])
    ax.minorticks_off()
    ax.spines["left"].set_visible(False)
    ax.set(xlabel="Confidence (%)", ylabel="Images\n(log scale)")


def confusion_matrix(matrix: ArrayLike, class_names: Sequence[str]) -> Figure:
    """Draw how often each true class (row) was read as each class (column).

    What is right lies on the diagonal in grey. Only mistakes are coloured, by the square root of
    their count: one mistake among ten thousand pictures can still be seen.

    Args:
        matrix: (C, C) counts, ``matrix[true][predicted]``.
        class_names: C names.

    Raises:
        InputError: the matrix is not square, or the names are not as many as its rows.
    """
    counts = np.asarray(matrix)
    if counts.shape != (len(class_names), len(class_names)):
        raise InputError(
            f"The confusion matrix has shape {counts.shape} and there are {len(class_names)} class "
            "names; it must have one row and one column for each name."
        )
    margins = None if _are_long(class_names) else (0.62, 0.55, 0.12, 0.12)
    figure = sized_figure(max(5.9, 0.32 * len(counts)), margins)
    ax = figure.add_subplot()
    style_axes(ax)
    mistakes = counts * ~np.eye(len(counts), dtype=bool)
    cells = np.asarray(MISTAKES(np.sqrt(mistakes / max(int(mistakes.max(initial=0)), 1))))
    np.einsum("iik->ik", cells)[:] = to_rgba(LIGHT.panel)  # a writable view of the diagonal
    ax.imshow(cells, interpolation="nearest", aspect="auto", origin="upper")
    edges, size = np.arange(len(counts) + 1) - 0.5, len(counts) - 0.5
    ax.hlines(edges, -0.5, size, color=LIGHT.line, linewidth=0.6, clip_on=False)
    ax.vlines(edges, -0.5, size, color=LIGHT.line, linewidth=0.6, clip_on=False)
    ax.spines[:].set_visible(False)
    _write_counts(ax, counts, cells)
    _name_axes(ax, class_names)
    return figure


def _write_counts(ax: Axes, counts: NDArray[np.int64], cells: NDArray[np.float64]) -> None:
    crowded = len(counts) > _ROOMY
    for (row, column), count in np.ndenumerate(counts):
        if crowded and not count:
            continue
        strong = "#000000" if cells[row, column, :3] @ (0.3, 0.6, 0.1) > 0.5 else "#ffffff"
        look: dict[str, Any] = {
            "size": SMALL if crowded or not count else BODY,
            "weight": "bold" if count and row != column else "normal",
            "color": strong if count else LIGHT.line,
            "in_layout": False,  # always inside its cell; measuring a hundred of them takes time
        }
        ax.text(column, row, f"{count}", ha="center", va="center_baseline", **look)


def _are_long(class_names: Sequence[str]) -> bool:
    """Return whether names have no room side by side below the columns of a matrix."""
    return max(map(len, class_names), default=0) > 4


def _name_axes(ax: Axes, class_names: Sequence[str]) -> None:
    places, names = range(len(class_names)), [shortened(name, 20) for name in class_names]
    slanted = _are_long(names)
    # A dollar sign in a name is no formula.
    ax.set_xticks(places, names, rotation=40 if slanted else 0, parse_math=False)
    if slanted:
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    ax.set_yticks(places, names, parse_math=False)
    ax.tick_params(length=0)
    thing = "digit" if are_digits(class_names) else "class"
    ax.set(xlabel=f"Predicted {thing}", ylabel=f"True {thing}")
