"""A sheet measured in inches, for figures made of many small pictures and words.

Guarantees:

- One unit of the axes is one inch and y runs downwards, so type and pictures cannot drift apart.
- All tiles of a call are one image: forty pictures cost as little as one.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from digitnet.errors import InputError, UsageError
from digitnet.showing.theme import BODY, LIGHT, PHONE_WIDTH, SIGNED, SMALL, TITLE, page_width

Images: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]

MARGIN = 0.1  # inches, round the sheet
LINE = 0.19  # inches, of running text
HEADER = 0.55  # inches, of a title with one line below
_LETTERS = 84  # that fit in a line of running text
_TITLE_LETTER = 0.098  # inches, of a letter of a title
_FEWEST_PIXELS = 80  # tiles are enlarged to at least this: their places are rounded to a pixel


def new_sheet(height: float) -> tuple[Figure, Axes]:
    """Return a figure ``height`` inches tall and the axes that cover it, in inches, y down."""
    figure = Figure()
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, page_width()), autoscale_on=False)
    ax.set_axis_off()
    set_height(figure, ax, height)
    return figure, ax


def set_height(figure: Figure, ax: Axes, height: float) -> None:
    """Make a sheet ``height`` inches tall; what is drawn on it stays where it is."""
    figure.set_figheight(height)
    ax.set_ylim(height, 0)


def inside() -> float:
    """Return the inches between the margins of a sheet."""
    return page_width() - 2 * MARGIN


def is_narrow() -> bool:
    """Return whether figures are drawn for a phone."""
    return page_width() <= PHONE_WIDTH


def wrapped(text: str) -> list[str]:
    """Return the lines of running text; a percent sign stays with its number."""
    return textwrap.wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), _LETTERS)


def write_header(ax: Axes, title: str, note: str, *, left: float = MARGIN) -> None:
    """Write a title and one quieter line below it at the top of the sheet.

    On a phone there is room for the title alone, in two lines; the page around it says the rest.
    """
    lines = [title]
    if is_narrow():
        lines = textwrap.wrap(title, int((page_width() - left - MARGIN) / _TITLE_LETTER))
    for row, line in enumerate(lines):
        write(ax, left, 0.09 + 0.2 * row, line, size=TITLE, weight="bold")
    if not is_narrow():
        write(ax, left, 0.31, note, quiet=True)


def write(ax: Axes, x: float, y: float, words: str, *, quiet: bool = False, **style: Any) -> None:
    """Write ``words`` below the point (x, y), in inches; ``style`` is that of ``Axes.text``."""
    usual: dict[str, Any] = {
        "size": BODY,
        "va": "top",
        "color": LIGHT.muted if quiet else LIGHT.text,
        "parse_math": False,  # a dollar in a layer's name is a dollar
    }
    ax.text(x, y, words, **(usual | style))


def draw_tiles(
    ax: Axes,
    tiles: NDArray[np.float32],
    left: ArrayLike,
    top: ArrayLike,
    width: float,
    *,
    colours: Colormap,
    low: float = 0.0,
    high: float = 1.0,
) -> AxesImage:
    """Draw pictures on a sheet as one image.

    Args:
        ax: the sheet.
        tiles: float32 (N, H, W), N at least 1.
        left: (N,) inches, the left edge of each tile, or the same for all.
        top: (N,) inches, the upper edge of each tile, or the same for all.
        width: inches, of every tile; its height follows from H and W.
        colours: from ``low`` to ``high``.
        low: the value of the first colour.
        high: the value of the last colour.
    """
    enlarge = -(-_FEWEST_PIXELS // min(tiles.shape[1:]))
    tiles = tiles.repeat(enlarge, axis=1).repeat(enlarge, axis=2)
    tall, wide = tiles.shape[1:]
    pixel = width / wide
    x, y = float(np.min(left)), float(np.min(top))
    columns = np.broadcast_to(np.rint(np.subtract(left, x) / pixel).astype(int), len(tiles))
    rows = np.broadcast_to(np.rint(np.subtract(top, y) / pixel).astype(int), len(tiles))
    canvas = np.full((rows.max() + tall, columns.max() + wide), np.nan, dtype=np.float32)
    for tile, row, column in zip(tiles, rows, columns, strict=True):
        canvas[row : row + tall, column : column + wide] = tile
    extent = (x, x + canvas.shape[1] * pixel, y + canvas.shape[0] * pixel, y)
    return ax.imshow(
        canvas,
        cmap=colours,
        vmin=low,
        vmax=high,
        extent=extent,
        aspect="auto",
        origin="upper",
        interpolation_stage="data",  # one channel to resample, not four
    )


def write_below(
    ax: Axes, words: Iterable[str], left: ArrayLike, top: ArrayLike, side: float
) -> None:
    """Write quiet words below square tiles, ``side`` inches wide, one each."""
    for text, x, y in zip(words, np.add(left, side / 2), np.add(top, side + 0.02), strict=True):
        write(ax, x, y, text, size=SMALL, quiet=True, ha="center")


def draw_scale(
    ax: Axes, left: float, top: float, width: float, reach: float, marks: Sequence[str]
) -> None:
    """Draw the colours of ``SIGNED`` from ``-reach`` to ``reach``, ``width`` inches wide.

    Args:
        ax: the sheet.
        left: inches, the left edge.
        top: inches, the upper edge; scale and marks are 0.3 inches tall.
        width: inches.
        reach: the largest value.
        marks: what is written below the left end, the middle and the right end.
    """
    ramp = np.linspace(-reach, reach, 240, dtype=np.float32)[None, None].repeat(22, axis=1)
    draw_tiles(ax, ramp, left, top, width, colours=SIGNED, low=-reach, high=reach)
    for share, side, mark in zip((0, 0.5, 1), ("left", "center", "right"), marks, strict=True):
        y = top + width * 22 / 240 + 0.04
        write(ax, left + share * width, y, mark, size=SMALL, quiet=True, ha=side)


def as_ink(images: Images, dimensions: int = 3) -> NDArray[np.float32]:
    """Return images as float32 in [0, 1], 1 being full ink.

    Args:
        images: uint8 in 0–255 or floating point in [0, 1], (…, H, W).
        dimensions: how many dimensions ``images`` must have.

    Raises:
        InputError: another number of dimensions.
    """
    if images.ndim != dimensions:
        raise InputError(
            f"These images have shape {images.shape}; a figure needs {dimensions} dimensions, "
            "the last two being height and width. Index or reshape the array first."
        )
    ink: NDArray[np.float32] = images.astype(np.float32)
    return ink / np.float32(255) if images.dtype == np.uint8 else ink


def check_at_least_one(name: str, value: int) -> None:
    """Raise ``UsageError`` when a count that must be positive is not."""
    if value < 1:
        raise UsageError(f"{name} is {value}; it must be 1 or more.")
