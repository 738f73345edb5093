"""A network drawn: its plan, its first filters, and what each layer makes of an image.

Each function takes an optional ``figure``, sets its size, and returns it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.showing.sheet import (
    HEADER,
    MARGIN,
    as_ink,
    check_at_least_one,
    draw_tiles,
    is_narrow,
    new_sheet,
    write,
    write_header,
)
from digitnet.showing.theme import (
    BODY,
    SMALL,
    Palette,
    activity_colours,
    figure_of,
    ink_colours,
    page_width,
    palette_of,
    signed_colours,
)
from digitnet.text import count_of

_Picture: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]

_ACROSS = 8  # filters or maps in a row
_NUMBERS_ACROSS = 32  # values of a dense layer in a row
_LARGEST_NUMBER = 0.36  # inches, of one value of a dense layer
_MOST_NUMBERED = 16  # values of a dense layer that still have room for a number below each
_SHORT_NAME = 20  # letters, which leave room for a note on a phone
_NAME = 0.27  # inches, for the name above the maps of a layer
_ROW = 0.68  # inches, of a layer
_TALLEST = 0.32  # inches, of a map of the largest size
_STEP = 0.035  # inches, from one sheet of a stack to the next
_BAR = 0.11  # inches, the thickness of a layer of plain numbers


def _inside() -> float:
    """Return the inches between the margins."""
    return page_width() - 2 * MARGIN


def filters(kernels: NDArray[np.float32], *, figure: Figure | None = None) -> Figure:
    """Draw the filters of a first layer, numbered from 0, all on one scale.

    Args:
        kernels: float32 (C, 1, k, k), the weights.
        figure: where to draw; a new one when None. Its size is set.

    Raises:
        InputError: another shape: deeper filters have no picture of their own.
    """
    if kernels.ndim != 4 or kernels.shape[1] != 1 or not kernels.size:
        raise InputError(
            f"The kernels have shape {kernels.shape}; only filters of one input channel, "
            "(C, 1, k, k), can be drawn. Pass the weights of the first convolution."
        )
    count = len(kernels)
    pitch = _inside() / _ACROSS
    tile, row_height = pitch - 0.08, pitch + 0.12
    rows, columns = np.divmod(np.arange(count), _ACROSS)
    left, top = MARGIN + pitch * columns, HEADER + 0.05 + row_height * rows
    figure, ax = new_sheet(float(top.max()) + row_height + MARGIN / 2, figure)
    palette = palette_of(figure)
    reach = float(np.abs(kernels).max()) or 1.0  # a layer of zeros is drawn in the middle colour
    size = f"{kernels.shape[2]}×{kernels.shape[3]}"
    write_header(ax, f"{count} filters of {size} weights", "each looks for its own small pattern")
    colours = signed_colours(palette)
    draw_tiles(ax, kernels[:, 0], left, top, tile, colours=colours, low=-reach, high=reach)
    _draw_scale(ax, colours, reach)
    for number, (x, y) in enumerate(zip(left + tile / 2, top + tile + 0.02, strict=True)):
        write(ax, x, y, f"{number}", size=SMALL, quiet=True, ha="center")
    return figure


def feature_maps(
    image: _Picture,
    maps: Sequence[tuple[str, NDArray[np.float32]]],
    limit: int = 16,
    *,
    figure: Figure | None = None,
) -> Figure:
    """Draw one digit and what each layer makes of it.

    Each layer has its own scale. Values that are never negative run from quiet to strong; others
    diverge from zero.

    Args:
        image: uint8 in 0–255 or floating point in [0, 1], (28, 28).
        maps: for each layer its name and values, float32 (C, H, W); a dense layer is (C, 1, 1).
        limit: the most maps drawn of one layer, the first ones; a dense layer is drawn whole.
        figure: where to draw; a new one when None. Its size is set.

    Raises:
        InputError: a layer that is not (C, H, W).
        UsageError: ``limit`` is less than 1.
    """
    check_at_least_one("limit", limit)
    ink = as_ink(image, dimensions=2)
    blocks = []
    y = MARGIN + _inside() / _ACROSS  # below the picture, which has the title beside it
    for name, values in maps:
        blocks.append(_block(name, values, y, limit))
        y += blocks[-1].height
    figure, ax = new_sheet(y, figure)
    palette = palette_of(figure)
    write_header(
        ax,
        "What each layer makes of this image",
        "the stronger the colour, the stronger the response",
        left=MARGIN + _inside() / _ACROSS + 0.08,
    )
    _draw_picture(ax, ink, palette)
    for block in blocks:
        _draw_block(ax, block, palette)
    return figure


@dataclass(frozen=True, eq=False)
class _Block:
    """The maps of one layer and where they go, in inches."""

    name: str
    note: str
    tiles: NDArray[np.float32]  # (N, H, W)
    top: float
    across: int
    pitch: float
    gap: float

    @property
    def numbered(self) -> bool:
        """Whether each tile is a number of its own, such as the logit of a digit."""
        return self.tiles.shape[1:] == (1, 1) and len(self.tiles) <= _MOST_NUMBERED

    @property
    def height(self) -> float:
        rows = -(-len(self.tiles) // self.across)
        return _NAME + rows * self.row_pitch + (0.2 if self.numbered else 0.1)

    @property
    def row_pitch(self) -> float:
        """Inches from one row of tiles to the next; maps need not be square."""
        tall, wide = self.tiles.shape[1:]
        return (self.pitch - self.gap) * float(tall / wide) + self.gap


def _block(name: str, values: NDArray[np.float32], top: float, limit: int) -> _Block:
    if values.ndim != 3 or not values.size:
        raise InputError(
            f"The maps of layer '{name}' have shape {values.shape}; they must be (C, H, W) for one "
            "picture. Take the first of a batch, and give a dense layer the shape (C, 1, 1)."
        )
    count, height, width = values.shape
    if height == width == 1:
        across = min(count, _NUMBERS_ACROSS)
        pitch = min(_inside() / across, _LARGEST_NUMBER)
        return _Block(name, f"{count} numbers", values, top, across, pitch, 0.02)
    shown = min(count, limit)
    some = f"{count}" if shown == count else f"{shown} of {count}"
    note = f"{some} maps of {height}×{width}"
    return _Block(name, note, values[:shown], top, _ACROSS, _inside() / _ACROSS, 0.06)


def _draw_block(ax: Axes, block: _Block, palette: Palette) -> None:
    write(ax, MARGIN, block.top + 0.04, block.name, weight="bold")
    if not is_narrow() or len(block.name) < _SHORT_NAME:
        right = page_width() - MARGIN - 0.06
        write(ax, right, block.top + 0.04, block.note, ha="right", quiet=True)
    rows, columns = np.divmod(np.arange(len(block.tiles)), block.across)
    sizes = np.abs(block.tiles)
    # One wild value must not pale a whole layer, and a silent layer needs a scale none the less.
    reach = float(np.quantile(sizes, 0.998)) or float(sizes.max()) or 1.0
    signed = bool((block.tiles < 0).any())
    draw_tiles(
        ax,
        block.tiles,
        MARGIN + block.pitch * columns,
        block.top + _NAME + block.row_pitch * rows,
        block.pitch - block.gap,
        colours=signed_colours(palette) if signed else activity_colours(palette),
        low=-reach if signed else 0.0,
        high=reach,
    )
    if block.numbered:
        _number(ax, block)


def _number(ax: Axes, block: _Block) -> None:
    """Write 0, 1, 2, … below the tiles of a single row."""
    tile = block.pitch - block.gap
    for number in range(len(block.tiles)):
        x, y = MARGIN + block.pitch * number + tile / 2, block.top + _NAME + tile + 0.02
        write(ax, x, y, f"{number}", size=SMALL, quiet=True, ha="center")


def _draw_picture(ax: Axes, ink: NDArray[np.float32], palette: Palette) -> None:
    corner, tile = np.array([MARGIN]), _inside() / _ACROSS - 0.06
    draw_tiles(ax, ink[None], corner, corner, tile, colours=ink_colours(palette))


def _draw_scale(ax: Axes, colours: Colormap, reach: float) -> None:
    """Draw what the colours mean at the top right of a sheet."""
    wide, high = (1.0 if is_narrow() else 1.3), 0.13
    left, top = page_width() - MARGIN - 0.08 - wide, 0.12
    ramp = np.linspace(-reach, reach, 120, dtype=np.float32)[None, None].repeat(12, axis=1)
    place = np.array([left]), np.array([top])
    draw_tiles(ax, ramp, *place, wide, colours=colours, low=-reach, high=reach)
    ends = ((left, "left", f"−{reach:.2g}"), (left + wide, "right", f"+{reach:.2g}"))
    for x, side, value in (*ends, *([] if is_narrow() else [(left + wide / 2, "center", "0")])):
        y = top + high + 0.04
        write(ax, x, y, value, size=SMALL, quiet=True, ha=side)


def network_diagram(
    layers: Sequence[tuple[str, Sequence[int], int]], *, figure: Figure | None = None
) -> Figure:
    """Draw the layers of a network from top to bottom, with shapes and parameter counts.

    Maps are stacks of squares whose side is to scale; plain numbers are a bar. What learns is
    blue, and a blue line shows its share of all parameters.

    Args:
        layers: for each its name, output shape without the batch, and number of parameters. The
            shape is (C, H, W) for maps and (N,) for plain numbers.
        figure: where to draw; a new one when None. Its size is set.

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
    figure, ax = new_sheet(HEADER + _ROW * len(layers), figure)
    palette = palette_of(figure)
    total = sum(parameters for *_, parameters in layers)
    note = "blue learns: the longer its line, the more of the parameters it holds"
    write_header(ax, f"{total:,} parameters in {_count_learning(layers)}", note)
    largest = max(max(shape[1:], default=1) for _, shape, _ in layers)
    for row, (name, shape, parameters) in enumerate(layers):
        middle = HEADER + _ROW * (row + 0.5)
        colour = palette.blue if parameters else palette.muted
        _draw_output(ax, shape, middle, largest, colour)
        _write_layer(ax, name, shape, parameters, middle)
        if parameters:
            _draw_share(ax, parameters / total, middle)
        if row:
            _draw_arrow(ax, middle - _ROW / 2)
    return figure


def _count_learning(layers: Sequence[tuple[str, Sequence[int], int]]) -> str:
    return count_of(sum(parameters > 0 for *_, parameters in layers), "layer")


def _draw_output(ax: Axes, shape: Sequence[int], middle: float, largest: int, colour: str) -> None:
    if len(shape) == 1:
        _draw_bar(ax, shape[0], middle, colour)
    else:
        _draw_stack(ax, shape, middle, largest, colour)


def _draw_stack(ax: Axes, shape: Sequence[int], middle: float, largest: int, colour: str) -> None:
    """Draw maps as sheets one behind the other: one for one map, one more for each doubling."""
    sheets = 1 + max(0, math.ceil(math.log2(shape[0])))
    wide, tall = (max(side / largest * _TALLEST, 0.05) for side in (shape[2], shape[1]))
    for sheet in reversed(range(sheets)):
        shift = (sheet - (sheets - 1) / 2) * _STEP
        corner = (_middle() - wide / 2 + shift * 1.6, middle - tall / 2 - shift)
        _add_box(ax, corner, wide, tall, colour)


def _draw_bar(ax: Axes, size: int, middle: float, colour: str) -> None:
    """Draw plain numbers as cells while they can be counted, else as a bar that grows slowly."""
    if size <= 12:
        left = _middle() - size * _BAR / 2
        for cell in range(size):
            _add_box(ax, (left + cell * _BAR, middle - _BAR / 2), _BAR, _BAR, colour)
        return
    wide = min(0.12 * math.log2(size), 1.0 if is_narrow() else 1.4)
    _add_box(ax, (_middle() - wide / 2, middle - _BAR / 2), wide, _BAR, colour)


def _add_box(ax: Axes, corner: tuple[float, float], wide: float, tall: float, colour: str) -> None:
    box = Rectangle(
        corner,
        wide,
        tall,
        facecolor=colour,
        edgecolor=palette_of(figure_of(ax)).page,
        linewidth=0.9,
    )
    ax.add_patch(box)


def _middle() -> float:
    """Return where the drawings of a plan are centred, in inches."""
    return 0.6 if is_narrow() else 0.85


def _write_layer(ax: Axes, name: str, shape: Sequence[int], parameters: int, middle: float) -> None:
    left, note = (1.2 if is_narrow() else 1.75), _describe(shape)
    learns = count_of(parameters, "parameter") if parameters else ""
    write(ax, left, middle - 0.03, name, weight="bold", va="bottom")
    if is_narrow():
        note = ", ".join(filter(None, (note, learns)))
    elif learns:
        write(ax, _right(), middle - 0.03, learns, va="bottom", ha="right")
    write(ax, left, middle + 0.03, note, quiet=True, size=SMALL if is_narrow() else BODY)


def _right() -> float:
    return page_width() - MARGIN - 0.05


def _describe(shape: Sequence[int]) -> str:
    if len(shape) == 1:
        return count_of(shape[0], "number")
    maps = "1 image" if shape[0] == 1 else f"{shape[0]} maps"
    return f"{maps} of {shape[1]}×{shape[2]}"


def _draw_share(ax: Axes, share: float, middle: float) -> None:
    """Draw a line as long as the layer's share of all parameters."""
    longest = 1.6
    y = middle + (0.24 if is_narrow() else 0.1)
    ends = [_right() - max(longest * share, 0.02), _right()]
    colour = palette_of(figure_of(ax)).blue
    ax.plot(ends, [y] * 2, color=colour, linewidth=4, solid_capstyle="butt")


def _draw_arrow(ax: Axes, y: float) -> None:
    """Draw a small arrow head between two layers."""
    x = _middle()
    corners = [(x - 0.05, y - 0.03), (x + 0.05, y - 0.03), (x, y + 0.04)]
    ax.add_patch(Polygon(corners, color=palette_of(figure_of(ax)).muted, linewidth=0))
