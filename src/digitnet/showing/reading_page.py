"""How a picture was read: a page of what was found on it, its ink, and each sign as it was seen.

Guarantees:

- Everything on a page is what the answer was made of; nothing is computed otherwise for it. The ink
  is that of the first look at the whole picture; what is tiny or crowded is looked at again.
- The same picture and recogniser give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from digitnet.files import write_atomic
from digitnet.reading.picture_bytes import describe
from digitnet.reading.pictures import Picture, PictureSource, load
from digitnet.reading.prediction import Prediction, Reading, remark
from digitnet.reading.recognizer import Recognizer
from digitnet.showing.explanation_page import fitting_title, shrunk
from digitnet.showing.sheet import LINE, MARGIN, as_ink, draw_tiles, new_sheet, wrapped, write
from digitnet.showing.theme import INK, LIGHT, SMALL, TITLE, WIDTH, png_bytes, theme
from digitnet.text import count_of, percent

# All in inches.
_WIDE = WIDTH - 2 * MARGIN  # of the picture, at most
_TALL = 4.2
_TILE, _PITCH, _ROW = 0.62, 0.7, 1.02  # of a sign: its side, from one to the next, and of a line
_GAP = 0.16  # between the two maps
_MAP_WIDE, _MAP_TALL = (_WIDE - _GAP) / 2, 2.4
_MAP_LEFT = (MARGIN, MARGIN + _MAP_WIDE + _GAP)
_MAPS = (
    ("Signs", "ink of digits and letters, at first"),
    ("Other ink", "rules, points …, at first"),
)
_PER_ROW = int((_WIDE + _PITCH - _TILE) / _PITCH)
_LONGEST = 50  # letters of a text in the header


@dataclass(frozen=True, eq=False)
class ExplainedReading:
    """What ``explain_reading`` found and wrote."""

    path: Path
    """The page, a PNG file."""
    words: str
    """One line: what was read, how sure that is, and what to beware of."""
    answer: Reading


def explain_reading(
    recognizer: Recognizer,
    picture: PictureSource,
    path: Path | str,
    *,
    name: str | None = None,
    **asked: Any,
) -> ExplainedReading:
    """Write a page that shows how a picture was read.

    Args:
        recognizer: reads it.
        picture: as for ``Recognizer.read``.
        path: the PNG file to write; an old one is replaced.
        name: of the picture on the page; by default what ``describe`` calls it.
        **asked: keywords of ``Recognizer.read``.

    Raises:
        InputError: the picture cannot be read.
        StorageError: the page cannot be written.
        UsageError: as for ``Recognizer.read``.
    """
    loaded = load(picture)
    reading = recognizer.reading_of(loaded, recognizer.goal_of(**asked))
    strokes = ink_of_page(recognizer, loaded, reading.turned // 90)
    with theme():
        figure = draw_reading(loaded, reading, strokes, name or describe(picture))
        page = png_bytes(figure, few_colours=False)
    write_atomic(Path(path), page)
    return ExplainedReading(Path(path), in_words(reading), reading)


def ink_of_page(recognizer: Recognizer, picture: Picture, quarter: int) -> NDArray[np.float32]:
    """Return the ink that the finder saw, which lies as the picture lies.

    Args:
        recognizer: read the picture.
        picture: as it was decoded.
        quarter: by how many quarters of a turn, clockwise, it was turned to be read.
    """
    upright = np.ascontiguousarray(np.rot90(picture.pixels, -quarter))
    return np.rot90(recognizer.strokes_of(replace(picture, pixels=upright)), quarter, (1, 2))


def in_words(reading: Reading) -> str:
    """Return one line on a reading: its text, how sure it is, and what to beware of."""
    text = reading.text.replace("\n", " / ")
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    unsure = reading.accepted and reading.reason == "uncertain"
    how = "read, but with doubt," if unsure else "read"
    said = f"{how} as {text} ({percent(reading.confidence)})" if text else "not read"
    rest = remark(replace(reading, reason=None) if unsure else reading)
    return "; ".join(filter(None, (said, rest)))


def draw_reading(
    picture: Picture, reading: Reading, strokes: NDArray[np.float32], name: str
) -> Figure:
    """Return the page of a picture: its boxes, its ink, and a row of signs for each line.

    Args:
        picture: as it was decoded.
        reading: of it.
        strokes: float32 (2, h, w), ink of signs and of clutter, 0 to 1.
        name: of the picture.
    """
    words = wrapped(in_words(reading))
    top = 0.34 + LINE * len(words) + 0.09
    lines = [line.digits[i : i + _PER_ROW] for line in reading.lines for i in _starts(line.digits)]
    height, width = picture.pixels.shape
    pixel = min(_WIDE / width, _TALL / height)
    maps = top + height * pixel + 0.2
    map_pixel = min(_MAP_WIDE / strokes.shape[2], _MAP_TALL / strokes.shape[1])
    below = maps + 0.3 + strokes.shape[1] * map_pixel + 0.2
    figure, ax = new_sheet(below + 0.3 + _ROW * len(lines) + 0.1)
    write(ax, MARGIN, 0.1, fitting_title(name), size=TITLE, weight="bold")
    for row, text in enumerate(words):
        write(ax, MARGIN, 0.34 + LINE * row, text)
    _draw_picture(ax, picture, reading, top, pixel)
    for left, (title, note), ink in zip(_MAP_LEFT, _MAPS, strokes, strict=True):
        write(ax, left, maps, title, weight="bold")
        write(ax, left + 0.9, maps + 0.01, note, size=SMALL, quiet=True)
        _draw_map(ax, ink, left, maps + 0.3, map_pixel)
    signs = sum(len(line) for line in lines)
    note = "each as the network saw it, what it read, and how sure that is; dashed: no digit"
    write(ax, MARGIN, below, count_of(signs, "sign"), weight="bold")
    write(ax, MARGIN + 0.9, below + 0.01, note, size=SMALL, quiet=True)
    for row, line in enumerate(lines):
        _draw_line(ax, line, below + 0.3 + _ROW * row)
    return figure


def _starts(signs: tuple[Prediction, ...]) -> range:
    return range(0, len(signs), _PER_ROW)


def _draw_picture(ax: Axes, picture: Picture, reading: Reading, top: float, pixel: float) -> None:
    height, width = picture.pixels.shape
    left = MARGIN
    extent = (left, left + width * pixel, top + height * pixel, top)
    pixels = shrunk(picture.pixels, 1000)
    ax.imshow(pixels, "gray", vmin=0, vmax=255, extent=extent, aspect="auto")
    for one in (one for line in reading.lines for one in line.digits if one.box):
        assert one.box
        # Boxes are in pixels of the original.
        x, y, wide, tall = (
            side * pixel / picture.scale
            for side in (one.box.left, one.box.top, one.box.width, one.box.height)
        )
        colour = LIGHT.blue if one.is_digit else LIGHT.orange
        for edge, line in (("white", 2.4), (colour, 1.2)):
            frame = Rectangle((left + x, top + y), wide, tall, fill=False, joinstyle="miter")
            # What is no digit is told apart without colours, too.
            dash = "-" if one.is_digit else (0, (3, 2))
            frame.set(edgecolor=edge, linewidth=line, linestyle=dash)
            ax.add_patch(frame)


def _draw_map(ax: Axes, ink: NDArray[np.float32], left: float, top: float, pixel: float) -> None:
    height, width = ink.shape
    frame = Rectangle((left, top), width * pixel, height * pixel, fill=False)
    frame.set(linewidth=0.8, edgecolor=LIGHT.line)
    ax.add_patch(frame)
    extent = (left, left + width * pixel, top + height * pixel, top)
    ax.imshow(ink, INK, vmin=0, vmax=1, extent=extent, aspect="auto")


def _draw_line(ax: Axes, signs: tuple[Prediction, ...], top: float) -> None:
    left = MARGIN + _PITCH * np.arange(len(signs))
    tiles = as_ink(np.stack([one.image for one in signs]))
    draw_tiles(ax, tiles, left, top, _TILE, colours=INK)
    for one, x in zip(signs, left, strict=True):
        middle = float(x) + _TILE / 2
        read = (one.label or "?") if one.is_digit else "?"
        chance = percent(one.confidence) if one.is_digit else f"nearest {one.label}"
        write(ax, middle, top + _TILE + 0.02, read, weight="bold", ha="center")
        write(ax, middle, top + _TILE + 0.02 + LINE, chance, size=SMALL, quiet=True, ha="center")
