"""A network drawn: its plan, its first filters, and what each layer makes of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.showing import sheet
from digitnet.showing.theme import ACTIVITY, BODY, INK, LIGHT, SIGNED, SMALL, page_width
from digitnet.text import count_of

_ACROSS = 8  # filters or maps in a row
_NUMBERS_ACROSS = 32  # values of a dense layer in a row
_LARGEST_NUMBER = 0.36  # inches, of one value of a dense layer
_MOST_NUMBERED = 16  # values of a dense layer that still have room for a number below each
_SHORT_NAME = 20  # letters, which leave room for a note on a phone
_NAME = 0.27  # inches, for the name above the maps of a layer
_ROW = 0.68  # inches, of a layer of the plan
_TALLEST = 0.32  # inches, of a map of the largest size
_STEP = 0.035  # inches, from one sheet of a stack to the next
_BAR = 0.11  # inches, the thickness of a layer of plain numbers
_LONGEST_SHARE = 1.6  # inches, of the line of all parameters


def network_diagram(layers: Sequence[tuple[str, Sequence[int], int]]) -> Figure:
    """Draw the layers of a network from top to bottom, with shapes and parameter counts.

    Maps are stacks of squares whose side is to scale; plain numbers are a bar. What learns is
    blue, and a blue line shows its share of all parameters.

    Args:
        layers: for each its name, output shape without the batch, and number of parameters. The
            shape is (C, H, W) for maps and (N,) for plain numbers.

    Raises:
        InputError: no layers, or a shape that is neither.
    """
    for name, shape, _ in layers:
        if len(shape) not in (1, 3):
            raise InputError(
                f"Layer '{name}' has the output shape {tuple(shape)}; it must be (C, H, W) or "
                "(N,), without the batch."
            )
    if not layers:
        raise InputError("There are no layers; a diagram needs at least one.")
    figure, ax = sheet.new_sheet(sheet.HEADER + _ROW * len(layers))
    total = sum(parameters for *_, parameters in layers)
    learning = count_of(sum(parameters > 0 for *_, parameters in layers), "layer")
    note = "blue learns: the longer its line, the more of the parameters it holds"
    sheet.write_header(ax, f"{total:,} parameters in {learning}", note)
    largest = max(max(shape[1:], default=1) for _, shape, _ in layers)
    for row, (name, shape, parameters) in enumerate(layers):
        middle = (0.6 if sheet.is_narrow() else 0.85), sheet.HEADER + _ROW * (row + 0.5)
        colour = LIGHT.blue if parameters else LIGHT.muted
        if len(shape) == 1:
            _draw_bar(ax, shape[0], middle, colour)
        else:
            _draw_stack(ax, shape, middle, largest, colour)
        _write_layer(ax, name, shape, parameters, total, middle[1])
        if row:
            _draw_arrow(ax, middle[0], middle[1] - _ROW / 2)
    return figure


_Place: TypeAlias = tuple[float, float]


def _draw_stack(ax: Axes, shape: Sequence[int], middle: _Place, largest: int, colour: str) -> None:
    """Draw maps as sheets one behind the other: one for one map, one more for each doubling."""
    sheets = 1 + max(0, math.ceil(math.log2(shape[0])))
    wide, tall = (max(side / largest * _TALLEST, 0.05) for side in (shape[2], shape[1]))
    for number in reversed(range(sheets)):
        shift = (number - (sheets - 1) / 2) * _STEP
        corner = middle[0] - wide / 2 + shift * 1.6, middle[1] - tall / 2 - shift
        _add_box(ax, corner, wide, tall, colour)


def _draw_bar(ax: Axes, size: int, middle: _Place, colour: str) -> None:
    """Draw plain numbers as cells while they can be counted, else as a bar that grows slowly."""
    longest = 1.0 if sheet.is_narrow() else 1.4
    cells, wide = (size, _BAR) if size <= 12 else (1, min(0.12 * math.log2(size), longest))
    for cell in range(cells):
        corner = middle[0] + (cell - cells / 2) * wide, middle[1] - _BAR / 2
        _add_box(ax, corner, wide, _BAR, colour)


def _add_box(ax: Axes, corner: _Place, wide: float, tall: float, colour: str) -> None:
    look: dict[str, Any] = {"facecolor": colour, "edgecolor": LIGHT.page, "linewidth": 0.9}
    ax.add_patch(Rectangle(corner, wide, tall, **look))


def _write_layer(
    ax: Axes, name: str, shape: Sequence[int], parameters: int, total: int, middle: float
) -> None:
    """Write what a layer is beside its drawing, and draw its share of all parameters."""
    left, right = (1.2 if sheet.is_narrow() else 1.75), page_width() - sheet.MARGIN - 0.05
    note = count_of(shape[0], "number")
    if len(shape) == 3:
        note = (
            f"{count_of(shape[0], 'map') if shape[0] > 1 else '1 image'} of {shape[1]}×{shape[2]}"
        )
    learns = count_of(parameters, "parameter") if parameters else ""
    sheet.write(ax, left, middle - 0.03, name, weight="bold", va="bottom")
    if sheet.is_narrow():
        note = ", ".join(filter(None, (note, learns)))
    elif learns:
        sheet.write(ax, right, middle - 0.03, learns, va="bottom", ha="right")
    sheet.write(
        ax, left, middle + 0.03, note, quiet=True, size=SMALL if sheet.is_narrow() else BODY
    )
    if parameters:
        y = middle + (0.24 if sheet.is_narrow() else 0.1)
        ends = [right - max(_LONGEST_SHARE * parameters / total, 0.02), right]
        ax.plot(ends, [y, y], color=LIGHT.blue, linewidth=4, solid_capstyle="butt")


def _draw_arrow(ax: Axes, x: float, y: float) -> None:
    """Draw a small arrow head between two layers."""
    corners = [(x - 0.05, y - 0.03), (x + 0.05, y - 0.03), (x, y + 0.04)]
    ax.add_patch(Polygon(corners, color=LIGHT.muted, linewidth=0))


def filters(kernels: NDArray[np.float32]) -> Figure:
    """Draw the filters of a first layer, numbered from 0, all on one scale.

    Args:
        kernels: float32 (C, 1, k, k), the weights.

    Raises:
        InputError: another shape: deeper filters have no picture of their own.
    """
    if kernels.ndim != 4 or kernels.shape[1] != 1 or not kernels.size:
        raise InputError(
            f"The kernels have shape {kernels.shape}; only filters of one input channel, "
            "(C, 1, k, k), can be drawn. Pass the weights of the first convolution."
        )
    count = len(kernels)
    pitch = sheet.inside() / _ACROSS
    tile, row_height = pitch - 0.08, pitch + 0.12
    rows, columns = np.divmod(np.arange(count), _ACROSS)
    left, top = sheet.MARGIN + pitch * columns, sheet.HEADER + 0.05 + row_height * rows
    figure, ax = sheet.new_sheet(float(top.max()) + row_height + sheet.MARGIN / 2)
    reach = float(np.abs(kernels).max()) or 1.0  # a layer of zeros is drawn in the middle colour
    size = f"{kernels.shape[2]}×{kernels.shape[3]}"
    sheet.write_header(
        ax, f"{count} filters of {size} weights", "each looks for its own small pattern"
    )
    sheet.draw_tiles(ax, kernels[:, 0], left, top, tile, colours=SIGNED, low=-reach, high=reach)
    # What the colours mean, at the top right.
    wide, middle = (1.0, "") if sheet.is_narrow() else (1.3, "0")
    marks = (f"−{reach:.2g}", middle, f"+{reach:.2g}")
    sheet.draw_scale(ax, page_width() - sheet.MARGIN - 0.08 - wide, 0.12, wide, reach, marks)
    sheet.write_below(ax, map(str, range(count)), left, top, tile)
    return figure


def feature_maps(
    image: sheet.Images, maps: Sequence[tuple[str, NDArray[np.float32]]], limit: int = 16
) -> Figure:
    """Draw one digit and what each layer makes of it.

    Each layer has its own scale. Values that are never negative run from quiet to strong; others
    diverge from zero.

    Args:
        image: uint8 in 0–255 or floating point in [0, 1], (28, 28).
        maps: for each layer its name and values, float32 (C, H, W); a dense layer is (C, 1, 1).
        limit: the most maps drawn of one layer, the first ones; a dense layer is drawn whole.

    Raises:
        InputError: a layer that is not (C, H, W).
        UsageError: ``limit`` is less than 1.
    """
    sheet.check_at_least_one("limit", limit)
    ink = sheet.as_ink(image, dimensions=2)
    pitch = sheet.inside() / _ACROSS
    figure, ax = sheet.new_sheet(sheet.HEADER)
    title = "What each layer makes of this image"
    note = "the stronger the colour, the stronger the response"
    sheet.write_header(ax, title, note, left=sheet.MARGIN + pitch + 0.08)
    sheet.draw_tiles(ax, ink[None], sheet.MARGIN, sheet.MARGIN, pitch - 0.06, colours=INK)
    bottom = sheet.MARGIN + pitch
    for name, values in maps:
        bottom = _draw_maps(ax, name, values, bottom, limit)
    sheet.set_height(figure, ax, bottom)
    return figure


def _draw_maps(ax: Axes, name: str, values: NDArray[np.float32], top: float, limit: int) -> float:
    """Draw the maps of one layer from ``top`` downwards, in inches; return where they end."""
    if values.ndim != 3 or not values.size:
        raise InputError(
            f"The maps of layer '{name}' have shape {values.shape}; they must be (C, H, W) for one "
            "picture. Take the first of a batch, and give a dense layer the shape (C, 1, 1)."
        )
    count, height, width = values.shape
    some = f"{count}" if count <= limit else f"{limit} of {count}"
    note, across, gap = f"{some} maps of {height}×{width}", _ACROSS, 0.06
    pitch, dense = sheet.inside() / across, height == width == 1
    if dense:
        note, across, gap = f"{count} numbers", min(count, _NUMBERS_ACROSS), 0.02
        pitch = min(sheet.inside() / across, _LARGEST_NUMBER)
    sheet.write(ax, sheet.MARGIN, top + 0.04, name, weight="bold")
    if not sheet.is_narrow() or len(name) < _SHORT_NAME:
        sheet.write(
            ax, page_width() - sheet.MARGIN - 0.06, top + 0.04, note, ha="right", quiet=True
        )
    tiles = values if dense else values[:limit]
    side = pitch - gap
    down = side * float(height / width) + gap  # maps need not be square
    rows, columns = np.divmod(np.arange(len(tiles)), across)
    lefts, tops = sheet.MARGIN + pitch * columns, top + _NAME + down * rows
    sizes = np.abs(tiles)
    # One wild value must not pale a whole layer, and a silent layer needs a scale none the less.
    reach = float(np.quantile(sizes, 0.998)) or float(sizes.max()) or 1.0
    colours, low = (SIGNED, -reach) if (tiles < 0).any() else (ACTIVITY, 0.0)
    sheet.draw_tiles(ax, tiles, lefts, tops, side, colours=colours, low=low, high=reach)
    numbered = dense and count <= _MOST_NUMBERED
    if numbered:
        sheet.write_below(ax, map(str, range(count)), lefts, tops, side)
    return float(tops[-1]) + down + (0.2 if numbered else 0.1)
