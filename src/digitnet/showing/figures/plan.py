"""A plan of a network: its layers from picture to answer, drawn to scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from digitnet.errors import InputError
from digitnet.showing.figures.sheet import HEADER, MARGIN, new_sheet, write, write_header
from digitnet.showing.figures.theme import WIDTH, figure_of, palette_of

_ROW = 0.68  # inches, of a layer
_MIDDLE = 0.85  # inches, where the drawings are centred
_TALLEST = 0.32  # inches, of a map of the largest size
_STEP = 0.035  # inches, from one sheet of a stack to the next
_BAR = 0.11  # inches, the thickness of a layer of plain numbers
_WORDS = 1.75  # inches, where the names begin
_RIGHT = WIDTH - MARGIN - 0.05


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
    count = sum(parameters > 0 for *_, parameters in layers)
    return "1 layer" if count == 1 else f"{count} layers"


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
        corner = (_MIDDLE - wide / 2 + shift * 1.6, middle - tall / 2 - shift)
        _add_box(ax, corner, wide, tall, colour)


def _draw_bar(ax: Axes, size: int, middle: float, colour: str) -> None:
    """Draw plain numbers as cells while they can be counted, else as a bar that grows slowly."""
    if size <= 12:
        left = _MIDDLE - size * _BAR / 2
        for cell in range(size):
            _add_box(ax, (left + cell * _BAR, middle - _BAR / 2), _BAR, _BAR, colour)
        return
    wide = min(0.12 * math.log2(size), 1.4)
    _add_box(ax, (_MIDDLE - wide / 2, middle - _BAR / 2), wide, _BAR, colour)


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


def _write_layer(ax: Axes, name: str, shape: Sequence[int], parameters: int, middle: float) -> None:
    write(ax, _WORDS, middle - 0.03, name, weight="bold", va="bottom")
    write(ax, _WORDS, middle + 0.03, _describe(shape), quiet=True)
    if parameters:
        words = "1 parameter" if parameters == 1 else f"{parameters:,} parameters"
        write(ax, _RIGHT, middle - 0.03, words, va="bottom", ha="right")


def _describe(shape: Sequence[int]) -> str:
    if len(shape) == 1:
        return f"{shape[0]:,} numbers"
    maps = "1 image" if shape[0] == 1 else f"{shape[0]} maps"
    return f"{maps} of {shape[1]}×{shape[2]}"


def _draw_share(ax: Axes, share: float, middle: float) -> None:
    """Draw a line as long as the layer's share of all parameters."""
    longest = 1.6
    ends = [_RIGHT - max(longest * share, 0.02), _RIGHT]
    ax.plot(
        ends,
        [middle + 0.1] * 2,
        color=palette_of(figure_of(ax)).blue,
        linewidth=4,
        solid_capstyle="butt",
    )


def _draw_arrow(ax: Axes, y: float) -> None:
    """Draw a small arrow head between two layers."""
    corners = [(_MIDDLE - 0.05, y - 0.03), (_MIDDLE + 0.05, y - 0.03), (_MIDDLE, y + 0.04)]
    ax.add_patch(Polygon(corners, color=palette_of(figure_of(ax)).muted, linewidth=0))
