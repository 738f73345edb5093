"""Which class was taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from numpy.typing import ArrayLike, NDArray

from digitnet.errors import InputError
from digitnet.showing.figures.theme import (
    BODY,
    SMALL,
    Palette,
    is_dark,
    mistake_colours,
    sized_figure,
    style_axes,
)
from digitnet.text import are_digits, shortened

# With more classes than these, numbers get smaller and zeros are left out.
_ROOMY = 15


def confusion_matrix(matrix: ArrayLike, class_names: Sequence[str], ax: Axes | None = None) -> Axes:
    """Draw how often each true class (row) was read as each class (column).

    What is right lies on the diagonal in grey. Only mistakes are coloured, by the square root of
    their count: one mistake among ten thousand pictures can still be seen.

    Args:
        matrix: (C, C) counts, ``matrix[true][predicted]``.
        class_names: C names.
        ax: where to draw; a new figure's when None.

    Raises:
        InputError: the matrix is not square, or the names are not as many as its rows.
    """
    counts = np.asarray(matrix)
    if counts.shape != (len(class_names), len(class_names)):
        raise InputError(
            f"The confusion matrix has shape {counts.shape} and there are {len(class_names)} class "
            "names; it must have one row and one column for each name."
        )
    ax = sized_figure(max(5.9, 0.32 * len(counts))).add_subplot() if ax is None else ax
    palette = style_axes(ax)
    cells = _cell_colours(counts, palette)
    ax.imshow(cells, interpolation="nearest", aspect="auto", origin="upper")
    _draw_grid(ax, len(counts), palette)
    _write_counts(ax, counts, cells, palette)
    _name_axes(ax, class_names)
    return ax


def _cell_colours(counts: NDArray[np.int64], palette: Palette) -> NDArray[np.float64]:
    """Return (C, C, 4) colours in [0, 1]."""
    mistakes = counts * ~np.eye(len(counts), dtype=bool)
    cells = mistake_colours(palette)(np.sqrt(mistakes / max(int(mistakes.max(initial=0)), 1)))
    np.einsum("iik->ik", cells)[:] = to_rgba(palette.panel)  # a writable view of the diagonal
    return np.asarray(cells, dtype=np.float64)


def _draw_grid(ax: Axes, size: int, palette: Palette) -> None:
    edges = np.arange(size + 1) - 0.5
    ax.hlines(edges, -0.5, size - 0.5, color=palette.line, linewidth=0.6, clip_on=False)
    ax.vlines(edges, -0.5, size - 0.5, color=palette.line, linewidth=0.6, clip_on=False)
    ax.spines[:].set_visible(False)


def _write_counts(
    ax: Axes, counts: NDArray[np.int64], cells: NDArray[np.float64], palette: Palette
) -> None:
    crowded = len(counts) > _ROOMY
    for row, column in np.ndindex(counts.shape):
        count = int(counts[row, column])
        if crowded and not count:
            continue
        strong = "#ffffff" if is_dark(tuple(cells[row, column, :3])) else "#000000"
        ax.text(
            column,
            row,
            f"{count}",
            ha="center",
            va="center_baseline",
            size=SMALL if crowded or not count else BODY,
            weight="bold" if count and row != column else "normal",
            color=strong if count else palette.line,
            in_layout=False,  # always inside its cell; measuring a hundred of them takes time
        )


def _name_axes(ax: Axes, class_names: Sequence[str]) -> None:
    places, class_names = range(len(class_names)), [shortened(name, 20) for name in class_names]
    slanted = max(map(len, class_names), default=0) > 4
    # A dollar sign in a name is no formula.
    ax.set_xticks(places, class_names, rotation=40 if slanted else 0, parse_math=False)
    if slanted:
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    ax.set_yticks(places, class_names, parse_math=False)
    ax.tick_params(length=0)
    thing = "digit" if are_digits(class_names) else "class"
    ax.set(xlabel=f"Predicted {thing}", ylabel=f"True {thing}")
