"""Colours, type and size of every figure, and PNG files that repeat byte for byte.

Guarantees:

- Only matplotlib's object API is used: nothing is registered and nothing is shown.
- A figure is 6.4 inches wide, or as wide as ``theme`` says; its type is 9 points or larger.
- Series colours come from the Okabe–Ito set, shifted in lightness so that text in them has a
  contrast of at least 4.5 : 1 against the page; they can be told apart without colour vision.
- ``png_bytes`` gives the same bytes for the same figure: no date, no version inside.

Digits are drawn as ink on paper, dark strokes on light. A page turns them over on a dark screen.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from digitnet.files import write_atomic

WIDTH = 6.4  # inches, of a figure unless the theme says otherwise
PHONE_WIDTH = 3.8  # inches: type stays legible when a phone shows all of the figure
SMALL = 9.0  # points: the smallest type on any figure
BODY = 10.0
TITLE = 11.5
DEFAULT_DPI = 150


@dataclass(frozen=True)
class Palette:
    """Colours of figures and pages, as hexadecimal strings that CSS understands too."""

    page: str = "#ffffff"  # behind everything
    panel: str = "#eef0f3"  # the paper of a picture, or a neutral cell
    text: str = "#14181f"
    muted: str = "#596273"  # secondary text
    line: str = "#c3c9d3"  # axes and grid
    blue: str = "#0069a6"  # validation, what is right, positive weights
    orange: str = "#b84a00"  # training, what is wrong, negative weights


LIGHT = Palette()


def page_width() -> float:
    """Return the width of the figures drawn now, in inches."""
    return float(mpl.rcParams["figure.figsize"][0])


@contextmanager
def theme(width: float = WIDTH) -> Iterator[None]:
    """Make the figures drawn inside the block look alike, ``width`` inches wide."""
    settings: dict[Any, object] = {
        "figure.figsize": (width, width),
        "text.color": LIGHT.text,
        "font.family": ["DejaVu Sans"],  # comes with matplotlib, so every machine draws the same
        "font.size": BODY,
        "text.parse_math": False,  # a class may be called $x$
    }
    with mpl.rc_context(settings):
        yield


@dataclass(frozen=True)
class Drawing:
    """A figure for a page, as PNG files: as wide as the text, and narrow enough for a phone."""

    wide: bytes
    narrow: bytes


def drawn(draw: Callable[[], Figure]) -> Drawing:
    """Return the figure that ``draw`` makes, for a wide page and for a phone."""

    def png(width: float) -> bytes:
        with theme(width):
            return png_bytes(draw())

    return Drawing(png(WIDTH), png(PHONE_WIDTH))


def png_bytes(figure: Figure, dpi: float = DEFAULT_DPI, *, few_colours: bool = True) -> bytes:
    """Return ``figure`` as a PNG, by default in 256 colours; the same figure gives the same bytes.

    The first call settles where the axes stand: add titles before it.
    """
    layout = figure.get_layout_engine()
    if layout is not None:
        # Left in place it would run at every drawing, each time from where the last one ended.
        layout.execute(figure)
        figure.set_layout_engine("none")
    drawn = io.BytesIO()
    with mpl.rc_context({"text.hinting": "none"}):  # as legible at this resolution, and quicker
        figure.savefig(drawn, format="rgba", dpi=dpi, facecolor=LIGHT.page)
    width = int(figure.get_figwidth() * dpi)
    height = len(drawn.getvalue()) // (4 * width)
    picture = Image.frombuffer("RGBA", (width, height), drawn.getvalue())
    # The last row and column may be half covered; without a ground they would come out black.
    opaque = Image.new("RGB", picture.size, LIGHT.page)
    opaque.paste(picture, mask=picture.getchannel("A"))
    kept = _with_few_colours(opaque) if few_colours else opaque
    written = io.BytesIO()
    # Nothing but the picture is written: no date, and no version that an upgrade would change.
    kept.save(written, format="png", dpi=(dpi, dpi), compress_level=4)
    return written.getvalue()


def save_png(figure: Figure, path: Path, dpi: float = DEFAULT_DPI) -> None:
    """Write ``figure`` to ``path`` as a PNG, whole or not at all.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    write_atomic(path, png_bytes(figure, dpi))


def _with_few_colours(picture: Image.Image) -> Image.Image:
    """Return ``picture`` in 256 colours: it looks the same and takes a third of the bytes."""
    few = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    colours = np.reshape(few.getpalette() or [], (-1, 3))
    # White may be off by a shade; on a white page it would show as a frame.
    colours[colours.sum(axis=1).argmax()] = 255
    few.putpalette(colours.astype(np.uint8).tobytes())
    return few


def sized_figure(height: float, margins: tuple[float, float, float, float] | None = None) -> Figure:
    """Return a figure as wide as the page.

    Args:
        height: in inches.
        margins: left, bottom, right and top of the axes, in inches, where they are known; None
            measures all words when the figure is drawn, which takes as long as drawing it.
    """
    width = page_width()
    figure = Figure((width, height))
    if margins is None:
        figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09))
    else:
        left, bottom, right, top = margins
        figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height)
    return figure


def style_axes(ax: Axes) -> None:
    """Give ``ax`` thin lines, quiet ticks and no box."""
    ax.set_facecolor("none")
    ax.grid(visible=False)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(LIGHT.line)
    ax.tick_params(colors=LIGHT.muted, labelsize=BODY, length=3, color=LIGHT.line)
    ax.xaxis.label.set(color=LIGHT.text, size=BODY)
    ax.yaxis.label.set(color=LIGHT.text, size=BODY)


def _colours(name: str, *stops: str) -> Colormap:
    return LinearSegmentedColormap.from_list(name, stops).with_extremes(bad=(0, 0, 0, 0))


# What is missing is transparent.
INK = _colours("ink", LIGHT.panel, LIGHT.text)
"""Of ink, from 0 (paper) to 1 (stroke)."""
MISTAKES = _colours("mistakes", LIGHT.page, "#f6b26b", LIGHT.orange)
"""Of a count of mistakes, from none (the page) to most."""
ACTIVITY = _colours("activity", LIGHT.panel, "#5aa7d6", LIGHT.blue, "#062c4a")
"""Of an activation, from 0 (silent) to the strongest."""
SIGNED = _colours("signed", "#8f3400", "#e2945a", LIGHT.panel, "#67abd9", "#00487a")
"""Diverging: orange below zero, quiet at zero, blue above."""
