"""Why a picture was read as it was: one page of six panels and a row of training digits.

Guarantees:

- A page shows every step from the picture to the answer, what the answer depends on, and the
  training digits that the network finds most similar; nothing on it is computed otherwise than for
  the answer.
- The same picture and recogniser give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from digitnet.data.catalogue import load_dataset
from digitnet.files import write_atomic
from digitnet.reading.explanation import PATCH, Evidence, gather
from digitnet.reading.picture_bytes import describe
from digitnet.reading.pictures import PictureSource
from digitnet.reading.prediction import Prediction, ranked
from digitnet.reading.recognizer import Recognizer
from digitnet.showing.sheet import (
    LINE,
    MARGIN,
    as_ink,
    draw_scale,
    draw_tiles,
    new_sheet,
    wrapped,
    write,
)
from digitnet.showing.theme import BODY, INK, LIGHT, SIGNED, SMALL, TITLE, WIDTH, png_bytes, theme
from digitnet.text import are_digits, percent, shortened

# All in inches.
_GAP = 0.16
_SIDE = (WIDTH - 2 * MARGIN - 2 * _GAP) / 3  # of a panel
_COLUMNS = tuple(MARGIN + i * (_SIDE + _GAP) for i in range(3))
_CAPTION = 0.44  # above a panel: two lines
_TILE = 0.8  # of a training digit
_BARS = 10
_EDGE = 0.3  # of full ink, where the strokes are outlined
_MOST_PIXELS = 600  # a side, of a picture on the page
# The colour scale never shows less than this fall of probability as its strongest colour: a network
# that is sure whatever is covered shall not look as if everything mattered.
_LEAST_REACH = 0.1


@dataclass(frozen=True, eq=False)
class Explanation:
    """What ``explain`` found and wrote."""

    path: Path
    """The page, a PNG file."""
    words: str
    """One line: what was read, what came second, why it was refused if it was."""
    answer: Prediction


def explain(
    recognizer: Recognizer, picture: PictureSource, path: Path | str, *, name: str | None = None
) -> Explanation:
    """Write a page that shows how a picture of one digit was read.

    Args:
        recognizer: reads it.
        picture: as for ``Recognizer.predict``.
        path: the PNG file to write; an old one is replaced.
        name: of the picture on the page; by default what ``describe`` calls it.

    Raises:
        InputError: the picture cannot be read.
        StorageError: the page cannot be written.
    """
    evidence = gather(recognizer, picture, training_digits)
    with theme():
        # In all its colours, unlike the figures of a report: a photograph has more than 256.
        page = png_bytes(draw(evidence, name or describe(picture)), few_colours=False)
    write_atomic(Path(path), page)
    return Explanation(Path(path), evidence.words, evidence.prediction)


def training_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images and labels of the sample, among which the most similar are looked for."""
    sample = load_dataset("sample")
    return sample.train_images, sample.train_labels


def draw(evidence: Evidence, name: str) -> Figure:
    """Return the page of a picture.

    Args:
        evidence: what is shown.
        name: of the picture.
    """
    words = wrapped(evidence.words)
    first = 0.42 + LINE * len(words)
    second = first + _CAPTION + _SIDE + _GAP
    third = second + _CAPTION + _SIDE + _GAP
    figure, ax = new_sheet(third + 0.5 + (_TILE + 0.34 if evidence.neighbours else 0))
    write(ax, MARGIN, 0.1, fitting_title(name), size=TITLE, weight="bold")
    for line, text in enumerate(words):
        write(ax, MARGIN, 0.34 + LINE * line, text)
    _draw_picture(ax, evidence, _COLUMNS[0], first)
    note = "where the finder sees signs"
    _panel(ax, _COLUMNS[1], first, "The ink in it", note, evidence.strokes[0], INK)
    image = as_ink(evidence.prediction.image, dimensions=2)
    _panel(ax, _COLUMNS[2], first, "What the network saw", "28 × 28 pixels", image, INK)
    _draw_bars(ax, evidence, _COLUMNS[0], second)
    _draw_importance(ax, evidence, _COLUMNS[1], second)
    _draw_neighbours(ax, evidence, third)
    return figure


def _draw_picture(ax: Axes, evidence: Evidence, left: float, top: float) -> None:
    pixels, scale, box = evidence.picture.pixels, evidence.picture.scale, evidence.prediction.box
    height, width = (round(side * scale) for side in pixels.shape)
    note = f"{width:,} × {height:,} pixels".replace(",", " ")
    x, y, pixel = _panel(ax, left, top, "The picture", note, pixels, "gray", high=255)
    if box is None:
        return
    pixel /= scale  # the box is in pixels of the original
    corner = x + box.left * pixel, y + box.top * pixel
    for colour, line in (("white", 3.5), (LIGHT.orange, 1.6)):
        frame = Rectangle(corner, box.width * pixel, box.height * pixel, fill=False)
        frame.set(edgecolor=colour, linewidth=line, joinstyle="miter")
        ax.add_patch(frame)


def _draw_bars(ax: Axes, evidence: Evidence, left: float, top: float) -> None:
    prediction = evidence.prediction
    names, order = prediction.class_names, ranked(prediction)
    digits = are_digits(names)
    note = "of each digit" if digits else "of each class"
    # Of a network that knows more than digits, the ten most probable.
    note = note if len(names) <= _BARS else "of the ten likeliest"
    note += "" if prediction.is_digit else ", if it were one"
    _caption(ax, left, top, "Probability", note)
    shown = sorted(order[:_BARS])
    aside = 0.12 + 0.08 * max(len(shortened(names[each])) for each in shown)
    pitch, start, full = _SIDE / _BARS, left + aside, _SIDE - aside - 0.68
    for row, label in enumerate(shown):
        probability, y = float(prediction.probabilities[label]), top + _CAPTION + pitch * row
        won = prediction.is_digit and label == order[0]
        style: dict[str, Any] = {"va": "center_baseline", "weight": "bold" if won else "normal"}
        middle, right = y + pitch / 2, left + _SIDE
        write(ax, left, middle, shortened(names[label]), size=BODY if digits else SMALL, **style)
        colour = LIGHT.blue if won else LIGHT.muted
        for share, paint in ((1.0, LIGHT.panel), (probability, colour)):
            corner = start, y + 0.03
            ax.add_patch(Rectangle(corner, full * share, pitch - 0.06, color=paint, lw=0))
        style |= {"size": SMALL, "ha": "right", "quiet": not won}
        write(ax, right, middle, percent(probability), **style)


def _draw_importance(ax: Axes, evidence: Evidence, left: float, top: float) -> None:
    prediction, importance = evidence.prediction, evidence.importance
    reach = max(_LEAST_REACH, float(np.abs(importance).max()))
    title, note = "What it depends on", f"{PATCH} × {PATCH} pixels covered at a time"
    x, y, pixel = _panel(ax, left, top, title, note, importance, SIGNED, low=-reach, high=reach)
    image = prediction.image / 255
    if image.min() < _EDGE < image.max():
        centres = (np.arange(len(image)) + 0.5) * pixel
        ax.contour(x + centres, y + centres, image, [_EDGE], colors=LIGHT.text, linewidths=1)
    _draw_key(ax, shortened(prediction.class_names[ranked(prediction)[0]]), reach, top + _CAPTION)


def _draw_key(ax: Axes, name: str, reach: float, top: float) -> None:
    """Draw the colour scale of the occlusion map and say what it means."""
    left, points = _COLUMNS[2], f"{100 * reach:.0f}"
    draw_scale(ax, left, top, _SIDE, reach, (f"+{points}", "0", f"−{points}"))
    whose = f"the probability of {name}" if len(name) < 3 else "its probability"
    lines = (
        *(f"Change of {whose}", "when a part is covered, in", "percentage points.", ""),
        *("Blue: it speaks for the answer.", "Orange: it speaks against it.", ""),
        "Line: edge of the strokes.",
    )
    for line, text in enumerate(lines):
        write(ax, left, top + 0.48 + 0.165 * line, text, size=SMALL)


def _draw_neighbours(ax: Axes, evidence: Evidence, top: float) -> None:
    found = evidence.neighbours
    if not are_digits(evidence.prediction.class_names):
        return
    note = "label, and distance between what the last hidden layer makes of the two"
    note = note if found else "without ink there is nothing to compare"
    _caption(ax, MARGIN, top, "The most similar of 5,000 training digits", note)
    if not found:
        return
    pitch = (WIDTH - 2 * MARGIN - _TILE) / (len(found) - 1)
    left = MARGIN + pitch * np.arange(len(found))
    tiles = as_ink(np.stack([each.image for each in found]))
    draw_tiles(ax, tiles, left, top + 0.5, _TILE, colours=INK)
    for x, each in zip(left, found, strict=True):
        y = top + 0.5 + _TILE + 0.04
        write(ax, x, y, str(each.label), weight="bold")
        distance = f"{each.distance:#.3g}"
        write(ax, x + _TILE, y + 0.015, distance, size=SMALL, quiet=True, ha="right")


def _panel(
    ax: Axes,
    left: float,
    top: float,
    title: str,
    note: str,
    pixels: NDArray[Any],
    colours: Colormap | str,
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> tuple[float, float, float]:
    """Draw an image in the middle of a framed square; return its corner and a pixel's side."""
    _caption(ax, left, top, title, note)
    height, width = pixels.shape
    pixel = _SIDE / max(height, width)
    top += _CAPTION
    x, y = left + (_SIDE - width * pixel) / 2, top + (_SIDE - height * pixel) / 2
    extent = (x, x + width * pixel, y + height * pixel, y)
    pixels = shrunk(pixels, _MOST_PIXELS)
    ground, frame = (Rectangle((left, top), _SIDE, _SIDE) for _ in range(2))
    ground.set(facecolor=LIGHT.panel, linewidth=0, zorder=-1)  # behind the image
    frame.set(fill=False, linewidth=0.8, edgecolor=LIGHT.line)
    for patch in (ground, frame):
        ax.add_patch(patch)
    ax.imshow(pixels, colours, vmin=low, vmax=high, extent=extent, aspect="auto")
    return x, y, pixel


def shrunk(pixels: NDArray[Any], most: int) -> NDArray[Any]:
    """Return an image, (H, W), made smaller where a side has more than ``most`` pixels."""
    height, width = pixels.shape
    factor = most / max(height, width)
    if factor >= 1:
        return pixels
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _caption(ax: Axes, left: float, top: float, title: str, note: str) -> None:
    write(ax, left, top, title, weight="bold")
    write(ax, left, top + 0.19, note, size=SMALL, quiet=True)


def fitting_title(name: str) -> str:
    """Return the name of a file as it fits in a line: whole, without folders, or with a gap."""
    bold = font_manager.FontProperties(family="DejaVu Sans", weight="bold")
    font = font_manager.get_font(font_manager.findfont(bold))
    font.set_size(TITLE, 72)
    known = font.get_charmap()

    def writable(text: str) -> str:
        """Return text with a box for each character that the font does not have."""
        return "".join(c if c.isprintable() and ord(c) in known else "□" for c in text)

    def width(text: str) -> float:
        """Return how long a text is, in points."""
        return sum(font.load_char(ord(c)).linearHoriAdvance for c in text) / 65536

    text, whole = writable(name), writable(PurePath(name).name or name)
    kept = len(whole)
    while width(text) > 72 * (WIDTH - 2 * MARGIN):
        text = whole if kept == len(whole) else f"{whole[: kept // 2]}…{whole[-(kept // 2) :]}"
        kept -= 2
    return text
