"""What the network saw, and how sure it is, drawn in a terminal.

Guarantees:

- 28 × 28 pixels take 28 columns and 14 rows, and a frame: each character is two pixels, one above
  the other.
- With colours enough the pixels are greys; without, the block or shade nearest to both; on a
  terminal without Unicode, ASCII.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from digitnet.reading.explain.words import ranked
from digitnet.text import percent, shortened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from digitnet.reading.recognizer import Prediction

# What each character shows: the ink of its upper and its lower half.
_BLOCKS = (
    *((" ", 0.0, 0.0), ("░", 0.25, 0.25), ("▒", 0.5, 0.5), ("▓", 0.75, 0.75)),
    *(("▀", 1.0, 0.0), ("▄", 0.0, 1.0), ("█", 1.0, 1.0)),
)
_ASCII = (
    *((" ", 0.0, 0.0), (".", 0.0, 0.3), (":", 0.25, 0.25), ("'", 0.4, 0.0), ("-", 0.4, 0.4)),
    *(("_", 0.0, 0.7), ('"', 0.8, 0.0), ("+", 0.55, 0.55), ("#", 0.8, 0.8), ("@", 1.0, 1.0)),
)
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_FRAME_WIDTH = 28 + 2
_WIDEST_BAR, _NARROWEST_BAR = 24, 8
_WIDEST_NAME = 12


def draw_image(image: NDArray[Any], console: Console) -> Text:
    """Return an image, uint8 (28, 28), as lines of text for this console."""
    upper, lower = image[0::2] / 255, image[1::2] / 255
    # Sixteen colours hold too few greys.
    in_colour = console.color_system in ("256", "truecolor") and not console.no_color
    lines = Text(no_wrap=True)
    for row in zip(upper.tolist(), lower.tolist(), strict=True):
        for above, below in zip(*row, strict=True):
            if in_colour and not console.options.ascii_only:
                lines.append("▀", style=f"{_grey(above)} on {_grey(below)}")
            else:
                lines.append(_nearest(above, below, ascii_only=console.options.ascii_only))
        lines.append("\n")
    lines.right_crop(1)
    return lines


def draw_bars(prediction: Prediction, width: int, *, ascii_only: bool = False) -> Text:
    """Return ten lines, the probability of each class as a bar of at most ``width`` columns."""
    first = ranked(prediction)[0]
    lines = Text(no_wrap=True)
    wide = _name_width(prediction)
    for digit in _shown(prediction):
        probability = float(prediction.probabilities[digit])
        strong = prediction.is_digit and digit == first
        bar = _bar(probability, width, ascii_only=ascii_only)
        name = shortened(prediction.class_names[digit], wide)
        lines.append(f"{name:<{wide}} ", style="bold" if strong else "")
        lines.append(f"{bar:<{width}}", style="green" if strong else "dim")
        lines.append(f" {percent(probability):>7}", style="bold" if strong else "dim")
        lines.append("\n")
    lines.right_crop(1)
    return lines


def draw_one(heading: list[Text], prediction: Prediction, console: Console) -> RenderableType:
    """Return what the network saw, and beside it (below it when narrow) the heading and bars."""
    framed = _framed(prediction, console)
    beside = console.width - _FRAME_WIDTH - len("     >99.9 %") - _name_width(prediction)
    narrow = beside < _NARROWEST_BAR
    room = beside + _FRAME_WIDTH + 3 if narrow else beside
    width = max(1, min(_WIDEST_BAR, room))
    bars = draw_bars(prediction, width, ascii_only=console.options.ascii_only)
    words = Group(*heading, Text(), bars)
    if narrow:
        return Group(framed, words)
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(width=_FRAME_WIDTH)
    grid.add_column(vertical="middle")
    grid.add_row(framed, words)
    return grid


def draw_several(
    captions: list[list[Text]], predictions: list[Prediction], console: Console
) -> RenderableType:
    """Return what the network saw in several pictures, side by side, with words below each."""
    across = max(1, (console.width + 1) // (_FRAME_WIDTH + 1))
    grid = Table.grid(padding=(0, 1, 1, 0))
    for _ in range(min(across, len(predictions))):
        grid.add_column(width=_FRAME_WIDTH)
    cells = [
        Group(_framed(prediction, console), *caption)
        for caption, prediction in zip(captions, predictions, strict=True)
    ]
    for start in range(0, len(cells), across):
        grid.add_row(*cells[start : start + across])
    return grid


def _shown(prediction: Prediction) -> list[int]:
    """Return the classes that get a bar: of a network that knows many, the ten most probable."""
    return sorted(ranked(prediction)[:10])


def _name_width(prediction: Prediction) -> int:
    return min(_WIDEST_NAME, max(len(prediction.class_names[each]) for each in _shown(prediction)))


def _framed(prediction: Prediction, console: Console) -> Panel:
    image = draw_image(prediction.image, console)
    return Panel(image, width=_FRAME_WIDTH, padding=0, box=box.SQUARE, border_style="dim")


def _grey(ink: float) -> str:
    level = round(255 * ink)
    return f"rgb({level},{level},{level})"


def _nearest(above: float, below: float, *, ascii_only: bool) -> str:
    glyphs = _ASCII if ascii_only else _BLOCKS
    return min(glyphs, key=lambda g: (g[1] - above) ** 2 + (g[2] - below) ** 2)[0]


def _bar(share: float, width: int, *, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * round(share * width)
    eighths = round(share * width * 8)
    # What is more than nothing gets at least the thinnest bar.
    whole, rest = divmod(max(eighths, int(share > 0.0005)), 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")
