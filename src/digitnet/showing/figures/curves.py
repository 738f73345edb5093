"""How accuracy and loss changed from epoch to epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.showing.figures.theme import BODY, SMALL, Palette, figure_of, sized_figure, style_axes

if TYPE_CHECKING:
    from digitnet.training.runs import Epoch

_LABEL_GAP = 2.5 * BODY  # points from one end label to the next; each has two lines
_MARKED_EPOCHS = 30  # with more, a mark at each epoch would hide the line
_FEWEST_TO_ZOOM = 4  # with fewer epochs the first one is part of the story


@dataclass(frozen=True)
class _Quantity:
    """One thing measured every epoch on both splits."""

    axis: str
    style: str  # format of a value with its unit
    train: NDArray[np.float64]
    val: NDArray[np.float64]
    rising: bool  # whether better is higher
    span: float  # the least height of the axis, lest noise fill it
    ceiling: float


def learning_curves(history: Sequence[Epoch], figure: Figure | None = None) -> Figure:
    """Draw accuracy above loss, training and validation, against epochs.

    Args:
        history: one row an epoch, at least one; accuracies in [0, 1].
        figure: where to draw; a new one when None. Its size is set.

    Raises:
        InputError: the history is empty.
    """
    figure = sized_figure(5.6 if len(history) > 1 else 3.6, figure)
    above, below = figure.subplots(2, 1, sharex=True)
    accuracy_curves(history, above)
    loss_curves(history, below)
    above.set_xlabel("")
    above.tick_params(labelbottom=False)
    figure.align_ylabels()
    return figure


def accuracy_curves(history: Sequence[Epoch], ax: Axes | None = None) -> Axes:
    """Draw training and validation accuracy, in percent, against epochs.

    A first epoch so low that it would flatten the rest is left off the scale and told in words.

    Raises:
        InputError: the history is empty.
    """
    quantity = _Quantity(
        axis="Accuracy (%)",
        style="{:.2f} %",
        train=100 * np.array([row.train_accuracy for row in history], dtype=np.float64),
        val=100 * np.array([row.val_accuracy for row in history], dtype=np.float64),
        rising=True,
        span=0.5,
        ceiling=100.0,
    )
    return _draw(quantity, history, ax)


def loss_curves(history: Sequence[Epoch], ax: Axes | None = None) -> Axes:
    """Draw training and validation loss (cross-entropy, in nats) against epochs.

    A first epoch so high that it would flatten the rest is left off the scale and told in words.

    Raises:
        InputError: the history is empty.
    """
    quantity = _Quantity(
        axis="Loss (cross-entropy)",
        style="{:.4f}",
        train=np.array([row.train_loss for row in history], dtype=np.float64),
        val=np.array([row.val_loss for row in history], dtype=np.float64),
        rising=False,
        span=0.005,
        ceiling=np.inf,
    )
    return _draw(quantity, history, ax)


def _draw(quantity: _Quantity, history: Sequence[Epoch], ax: Axes | None) -> Axes:
    if not history:
        raise InputError("The history is empty; learning curves need at least one epoch.")
    ax = sized_figure(3.2).add_subplot() if ax is None else ax
    palette = style_axes(ax)
    epochs = np.array([row.epoch for row in history])
    _draw_lines(ax, epochs, quantity, palette)
    _set_epoch_axis(ax, epochs)
    ax.set_ylabel(quantity.axis)
    ax.set_ylim(*_limits(quantity))
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    ax.ticklabel_format(axis="y", style="plain", useOffset=False)
    ax.grid(axis="y", color=palette.line, linewidth=0.6, alpha=0.6)
    _label_ends(ax, quantity, palette)
    _tell_first_epoch(ax, epochs, quantity, palette)
    return ax


def _draw_lines(ax: Axes, epochs: NDArray[np.int64], quantity: _Quantity, palette: Palette) -> None:
    marked = len(epochs) <= _MARKED_EPOCHS
    ax.plot(
        epochs,
        quantity.train,
        color=palette.orange,
        linewidth=1.6,
        linestyle=(0, (4, 1.5)),
        marker="s" if marked else None,
        markersize=4,
        label="training",
    )
    ax.plot(
        epochs,
        quantity.val,
        color=palette.blue,
        linewidth=2.2,
        marker="o" if marked else None,
        markersize=5,
        label="validation",
    )


def _set_epoch_axis(ax: Axes, epochs: NDArray[np.int64]) -> None:
    """Mark whole epochs only, and none that was not run."""
    first, last = int(epochs[0]), int(epochs[-1])
    room = max(0.02 * (last - first), 0.15)
    ax.set_xlim(first - room, last + room)
    ax.set_xlabel("Epoch")
    round_numbers = MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]).tick_values(first, last)
    every = range(first, last + 1)
    ax.set_xticks(every if last - first < 12 else np.intersect1d(round_numbers, every))


def _first_is_aside(quantity: _Quantity) -> bool:
    """Return whether the first epoch would take most of the axis for itself."""
    if len(quantity.val) < _FEWEST_TO_ZOOM:
        return False
    whole = np.concatenate([quantity.train, quantity.val])
    rest = np.concatenate([quantity.train[1:], quantity.val[1:]])
    return bool(np.ptp(rest) < 0.6 * np.ptp(whole))


def _limits(quantity: _Quantity) -> tuple[float, float]:
    """Return the range of the axis: what is there and a little more."""
    start = 1 if _first_is_aside(quantity) else 0
    values = np.concatenate([quantity.train[start:], quantity.val[start:]])
    values = values[np.isfinite(values)]
    if not values.size:  # a run whose loss was never a number still gets its accuracy drawn
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    span = max(high - low, quantity.span)
    room = span * (0.08 if len(quantity.val) > 1 else 0.35)  # labels stand inside with one epoch
    upper = min(high + room, quantity.ceiling + 0.04 * span)
    return max(min(low, high - span) - room, 0.0), upper


def _label_ends(ax: Axes, quantity: _Quantity, palette: Palette) -> None:
    """Write name and last value beside each line, apart even where the lines meet."""
    low, high = ax.get_ylim()
    ends = np.array([quantity.train[-1], quantity.val[-1]])
    places = np.clip((np.nan_to_num(ends) - low) / (high - low), 0.0, 1.0)
    height = ax.get_window_extent().height * 72 / figure_of(ax).dpi
    for name, end, place, colour in zip(
        ("training", "validation"),
        ends,
        _spread(places, min(_LABEL_GAP / height, 1.0)),
        (palette.orange, palette.blue),
        strict=True,
    ):
        ax.annotate(
            f"{name}\n{quantity.style.format(end)}",
            xy=(1.0 if len(quantity.val) > 1 else 0.5, place),  # one epoch stands in the middle
            xycoords="axes fraction",
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            size=BODY,
            weight="bold",
            bbox=_patch(palette),
        )


def _spread(places: NDArray[np.float64], gap: float) -> tuple[float, float]:
    """Move two places in [0, 1] apart to at least ``gap``, keeping their order."""
    first, second = float(places[0]), float(places[1])
    if abs(first - second) >= gap:
        return first, second
    middle = min(max((first + second) / 2, gap / 2), 1 - gap / 2)
    half = gap / 2 if first > second else -gap / 2
    return middle + half, middle - half


def _tell_first_epoch(
    ax: Axes, epochs: NDArray[np.int64], quantity: _Quantity, palette: Palette
) -> None:
    """Say in words which values of the first epoch lie off the scale."""
    low, high = ax.get_ylim()
    firsts = {"training": quantity.train[0], "validation": quantity.val[0]}
    outside = {name: value for name, value in firsts.items() if not low <= value <= high}
    if not outside:
        return
    values = ", ".join(f"{name} {quantity.style.format(end)}" for name, end in outside.items())
    ax.text(
        0.98,
        0.04 if quantity.rising else 0.96,
        f"off the scale in epoch {epochs[0]}: {values}",
        transform=ax.transAxes,
        ha="right",
        va="bottom" if quantity.rising else "top",
        size=SMALL,
        color=palette.muted,
        bbox=_patch(palette),
    )


def _patch(palette: Palette) -> dict[str, Any]:
    """Return the background of words that would else be crossed by a grid line."""
    return {"facecolor": palette.page, "edgecolor": "none", "pad": 1.5}
