"""Answers as they are printed: JSON Lines, digits or texts alone, or a table and drawings.

Guarantees:

- Answers go to stdout in the order of the inputs; outside of JSON, errors go to stderr.
- A printer stores nothing: a folder of any size takes no more memory than one batch.
- Every name can be printed, whatever bytes it is made of and whatever the terminal can write.
- Of an image, 28 × 28 pixels take 28 columns and 14 rows, and a frame: each character is two
  pixels, one above the other. With enough colours they are greys; without, the nearest block or
  shade; on a terminal without Unicode, ASCII.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from digitnet.cli.console import say, show, show_json
from digitnet.cli.inputs import STDIN, Answer
from digitnet.reading.prediction import Prediction, note, ranked, remark
from digitnet.text import are_digits, escaped, percent, shortened

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Columns: of the digit, of the name of a class, and what follows a name in a table.
_DIGIT_WIDTH, _CLASS_WIDTH = 5, 24
_AFTER_NAME = _DIGIT_WIDTH + 10 + 3 * 2 + 24
_NARROWEST_NAME = 12
# What each character shows: the ink of its upper and of its lower half.
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
_WIDEST_BAR, _NARROWEST_BAR, _WIDEST_LABEL = 24, 8, 12


# Prints the next answers.
Printer = Callable[[Sequence[Answer]], None]


def print_json(answers: Sequence[Answer]) -> None:
    """Print one JSON object a line for each picture."""
    for answer in answers:
        values: dict[str, Any] = {"file": answer.name}
        if answer.error:
            values["error"] = {"type": type(answer.error).__name__, "message": str(answer.error)}
        elif result := answer.prediction or answer.reading:
            values |= result.as_dict()
        if page := answer.explanation:
            values["explanation"] = {"file": str(page.path), "words": page.words}
        show_json(values)


def print_digits(answers: Sequence[Answer]) -> None:
    """Print a line for each picture: its digit, or ``-`` where there is none."""
    _print_errors(answers)
    for answer in answers:
        show(_read(answer.prediction)[0] if answer.prediction else "-")


def print_texts(answers: Sequence[Answer], *, quiet: bool, named: bool) -> None:
    """Print a line for each picture, what is written there, its lines separated by a space.

    The line is empty where nothing is; unless ``quiet``, what to beware of goes to stderr.

    Args:
        answers: the next answers.
        quiet: whether nothing but texts is printed.
        named: whether the name of the picture comes before its text, for a person who looks.
    """
    _print_errors(answers)
    for answer in answers:
        reading = answer.reading
        text = reading.text.replace("\n", " ") if reading else ""
        show(f"{printable(answer.name)}: {text}" if named else text)
        if reading and not quiet and (words := remark(reading)):
            say(f"{printable(answer.name)}: {words}")


class TablePrinter:
    """Prints a table, drawings of what the network saw, or both.

    Args:
        names: of all pictures that will come, for the width of the table.
        drawn: whether to draw what the network saw.
    """

    def __init__(self, names: Sequence[str], *, drawn: bool) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)
        longest = max((cell_len(printable(name)) for name in names), default=1)
        if self._console.is_terminal:
            longest = min(longest, max(_NARROWEST_NAME, self._console.width - _AFTER_NAME))
        self._name_width = max(len("file"), longest)
        self._drawn, self._only_one, self._headed = drawn, len(names) == 1, False

    def __call__(self, answers: Sequence[Answer]) -> None:
        """Print the next answers."""
        _print_errors(answers)
        read = [(answer, answer.prediction) for answer in answers if answer.prediction]
        headed = [(_heading(*pair), pair[1]) for pair in read]
        if self._drawn and self._only_one:
            for heading, prediction in headed:
                self._console.print(draw_one(heading, prediction, self._console))
            return
        if self._drawn and read:
            self._console.print(draw_several(headed, self._console), "")
        for answer, prediction in read:
            self._print_row(answer, prediction)

    def _print_row(self, answer: Answer, prediction: Prediction) -> None:
        names = prediction.class_names
        kind, width = "digit", _DIGIT_WIDTH
        if not are_digits(names):
            kind, width = "class", max(_DIGIT_WIDTH, min(_CLASS_WIDTH, max(map(len, names))))
        if not self._headed:
            self._print_cells("file", kind, "confidence", "note", width, "bold", "bold")
            self._headed = True
        style = "yellow" if prediction.reason else ""
        label, chance = _read(prediction)
        label = f"{label:^{width}}" if kind == "digit" else shortened(label, width)
        strong = "bold" if prediction.is_digit else style
        words = _words(answer, prediction)
        self._print_cells(printable(answer.name), label, chance, words, width, style, strong)

    def _print_cells(
        self, name: str, label: str, chance: str, words: str, width: int, style: str, strong: str
    ) -> None:
        name += " " * (self._name_width - cell_len(name))
        rest = f"  {chance:>10}  {words}".rstrip()
        line = Text.assemble(f"{name}  ", (f"{label:<{width}}", strong), (rest, style))
        # Whoever reads a file or a pipe wants one line for each picture, however long.
        self._console.print(line, soft_wrap=True)


def printable(name: str) -> str:
    """Return a file name without control codes and stray bytes, which no terminal should get."""
    if name == STDIN:
        return "<stdin>"
    return escaped(name) or "''"


def _print_errors(answers: Sequence[Answer]) -> None:
    for answer in answers:
        if answer.error:
            say(f"Error: {answer.error}")


def _read(prediction: Prediction) -> tuple[str, str]:
    """Return the digit and its confidence as they are shown; "-" and "" where there is none."""
    if not prediction.is_digit:
        return "-", ""
    return printable(prediction.label or ""), percent(float(prediction.confidence))


def _words(answer: Answer, prediction: Prediction) -> str:
    return answer.explanation.words if answer.explanation else note(prediction)


def _heading(answer: Answer, prediction: Prediction) -> list[Text]:
    """Return three lines: name, answer, and what else must be known."""
    name = Text(printable(answer.name), "dim", overflow="fold")
    label, chance = _read(prediction)
    nothing = "no digit" if are_digits(prediction.class_names) else "none of the classes"
    if prediction.is_digit:
        result = Text.assemble((label, "bold green"), f"  {chance}")
    else:
        said = {"blank": "blank", "several": "several digits"}
        result = Text(said.get(prediction.reason or "", nothing), "bold yellow")
    words = Text(_words(answer, prediction), "yellow" if prediction.reason else "dim")
    return [name, result, words]


def draw_image(image: NDArray[Any], console: Console) -> Text:
    """Return an image, uint8 (28, 28), as lines of text for this console."""
    # Sixteen colours hold too few greys.
    ascii_only = console.options.ascii_only
    grey = console.color_system in ("256", "truecolor") and not (console.no_color or ascii_only)
    glyphs = _ASCII if ascii_only else _BLOCKS
    text = Text(no_wrap=True)
    for rows in zip(image[0::2].tolist(), image[1::2].tolist(), strict=True):
        text.append("\n" if text else "")
        for up, low in zip(*rows, strict=True):
            style = f"rgb({up},{up},{up}) on rgb({low},{low},{low})" if grey else ""
            text.append("▀" if grey else _nearest(up / 255, low / 255, glyphs), style)
    return text


def draw_bars(prediction: Prediction, width: int, *, ascii_only: bool = False) -> Text:
    """Return a line for each class, or the ten likeliest, with a bar of at most ``width``."""
    likeliest = ranked(prediction)[:10]
    wide = _label_width(prediction)
    text = Text(no_wrap=True)
    for each in sorted(likeliest):
        probability = float(prediction.probabilities[each])
        strong = prediction.is_digit and each == likeliest[0]
        bar = _bar(probability, width, ascii_only=ascii_only)
        name = shortened(prediction.class_names[each], wide)
        text.append(f"{name:<{wide}} ", "bold" if strong else "")
        text.append(f"{bar:<{width}}", "green" if strong else "dim")
        text.append(f" {percent(probability):>7}\n", "bold" if strong else "dim")
    text.rstrip()
    return text


def draw_one(heading: list[Text], prediction: Prediction, console: Console) -> RenderableType:
    """Return what the network saw, and beside it (below it when narrow) the heading and bars."""
    framed = _framed(prediction, console)
    beside = console.width - _FRAME_WIDTH - len("     >99.9 %") - _label_width(prediction)
    narrow = beside < _NARROWEST_BAR
    room = beside + _FRAME_WIDTH + 3 if narrow else beside
    width = max(1, min(_WIDEST_BAR, room))
    bars = draw_bars(prediction, width, ascii_only=console.options.ascii_only)
    words = Group(*heading, *((Text(), bars) if prediction.reason != "blank" else ()))
    if narrow:
        return Group(framed, words)
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(width=_FRAME_WIDTH)
    grid.add_column(vertical="middle")
    grid.add_row(framed, words)
    return grid


def draw_several(headed: list[tuple[list[Text], Prediction]], console: Console) -> RenderableType:
    """Return what the network saw in several pictures, side by side, name and answer below."""
    cells = [Group(_framed(prediction, console), *words[:2]) for words, prediction in headed]
    if console.width <= _FRAME_WIDTH:
        return Group(*cells)
    return Columns(cells, padding=(0, 1), width=_FRAME_WIDTH)


def _label_width(prediction: Prediction) -> int:
    names = [prediction.class_names[each] for each in ranked(prediction)[:10]]
    return min(_WIDEST_LABEL, max(map(len, names)))


def _framed(prediction: Prediction, console: Console) -> Panel:
    image = draw_image(prediction.image, console)
    return Panel(image, width=_FRAME_WIDTH, padding=0, box=box.SQUARE, border_style="dim")


def _nearest(above: float, below: float, glyphs: tuple[tuple[str, float, float], ...]) -> str:
    return min(glyphs, key=lambda g: (g[1] - above) ** 2 + (g[2] - below) ** 2)[0]


def _bar(share: float, width: int, *, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * round(share * width)
    # Whatever is more than nothing gets at least the thinnest bar.
    eighths = max(round(share * width * 8), int(share > 0.0005))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
