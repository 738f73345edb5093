"""Printing predictions as they come: JSON Lines for programs, a table and drawings for people.

Guarantees:

- Answers go to stdout in the order of the inputs; in a table, errors go to stderr.
- A printer keeps nothing: a folder of any length takes no more memory than one batch.
- Every name can be printed, whatever bytes it is made of and whatever the terminal can write.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from digitnet.cli.console import SCHEMA_VERSION, say, show
from digitnet.cli.inputs import STDIN
from digitnet.reading.explain.words import note
from digitnet.text import are_digits, escaped, percent

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from digitnet.errors import InputError
    from digitnet.reading.recognizer import Prediction
    from digitnet.showing.explanation_page import Explanation

# In columns: digit, confidence, the space between, and what notes get before names do.
_DIGIT_WIDTH = 5
_OTHER_WIDTH = _DIGIT_WIDTH + 10 + 3 * 3 + 24
_WIDEST_NAME = 24
_NARROWEST_NAME = 12


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of one picture: a prediction, perhaps explained, or an error."""

    name: str
    prediction: Prediction | None = None
    explanation: Explanation | None = None
    error: InputError | None = None


class Printer(Protocol):
    """Prints answers, batch by batch."""

    def print(self, answers: Sequence[Answer]) -> None:
        """Print the next answers."""


class JsonPrinter:
    """Prints one JSON object a line for each picture."""

    def print(self, answers: Sequence[Answer]) -> None:
        """Print the next answers."""
        for answer in answers:
            show(_json(_values(answer)))


class TablePrinter:
    """Prints a table, drawings of what the network saw, or both.

    Args:
        names: of all pictures that will come, for the width of the table.
        drawn: whether to draw what the network saw.
    """

    def __init__(self, names: Sequence[str], *, drawn: bool) -> None:
        from rich.cells import cell_len
        from rich.console import Console

        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        self._console = Console(highlight=False, markup=False, emoji=False)
        longest = max((cell_len(printable(name)) for name in names), default=1)
        if self._console.is_terminal:
            longest = min(longest, max(_NARROWEST_NAME, self._console.width - _OTHER_WIDTH))
        else:
            # Whoever reads a file or a pipe wants a line for each picture, however long.
            self._console.width = max(self._console.width, longest + 250)
        self._name_width = max(len("file"), longest)
        self._drawn, self._only_one, self._headed = drawn, len(names) == 1, False

    def print(self, answers: Sequence[Answer]) -> None:
        """Print the next answers."""
        for answer in answers:
            if answer.error:
                say(f"error: {answer.error}")
        good = [answer for answer in answers if answer.prediction]
        if not good:
            return
        if self._drawn and self._only_one:
            self._print_one(good[0])
            return
        if self._drawn:
            self._print_drawings(good)
        self._print_rows(good)

    def _print_one(self, answer: Answer) -> None:
        from digitnet.cli.drawing import draw_one

        assert answer.prediction
        self._console.print(draw_one(_heading(answer), answer.prediction, self._console))

    def _print_drawings(self, answers: Sequence[Answer]) -> None:
        from digitnet.cli.drawing import draw_several

        predictions = [answer.prediction for answer in answers if answer.prediction]
        captions = [_heading(answer)[:2] for answer in answers]
        self._console.print(draw_several(captions, predictions, self._console), "")

    def _print_rows(self, answers: Sequence[Answer]) -> None:
        predictions = [answer.prediction for answer in answers if answer.prediction]
        table = self._table(predictions[0].class_names)
        for answer in answers:
            table.add_row(*_row(answer))
        self._console.print(table)
        self._headed = True

    def _table(self, class_names: Sequence[str]) -> Table:
        from rich import box
        from rich.table import Table

        # Each batch is a table of its own; fixed widths make them one.
        table = Table(box=box.SIMPLE_HEAD, show_header=not self._headed, show_edge=False)
        table.add_column("file", width=self._name_width, overflow="fold")
        if are_digits(class_names):
            table.add_column("digit", width=_DIGIT_WIDTH, justify="center")
        else:
            widest = min(_WIDEST_NAME, max(map(len, class_names)))
            table.add_column("class", width=max(_DIGIT_WIDTH, widest), overflow="ellipsis")
        table.add_column("confidence", width=10, justify="right")
        table.add_column("note", overflow="fold")
        return table


def printable(name: str) -> str:
    """Return a file name without what no terminal should get: control codes, stray bytes."""
    if name == STDIN:
        return "<stdin>"
    return escaped(name) or "''"


def _values(answer: Answer) -> dict[str, Any]:
    if answer.error:
        error = {"type": type(answer.error).__name__, "message": str(answer.error)}
        return {"file": answer.name, "error": error}
    prediction = answer.prediction
    assert prediction
    values = {"file": answer.name, **prediction.as_dict()}
    if answer.explanation:
        explained = {"file": str(answer.explanation.path), "words": answer.explanation.words}
        values["explanation"] = explained
    return values


def _json(values: dict[str, Any]) -> str:
    """Return a JSON object in one line that stdout can write."""
    values = {"schema_version": SCHEMA_VERSION, **values}
    text = json.dumps(values, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        # A name with stray bytes, or a terminal that knows few characters.
        return json.dumps(values)
    return text


def _row(answer: Answer) -> tuple[Text, Text, Text, Text]:
    from rich.text import Text

    prediction = answer.prediction
    assert prediction
    name = Text(printable(answer.name))
    words = answer.explanation.words if answer.explanation else note(prediction)
    if not prediction.is_digit:
        return name, Text("-", "yellow"), Text(), Text(words, "yellow")
    style = "yellow" if prediction.reason else ""
    sure = Text(percent(float(prediction.confidence)), style)
    return name, Text(printable(prediction.label), "bold"), sure, Text(words, style)


def _heading(answer: Answer) -> list[Text]:
    """Return three lines: name, answer, and what else must be known."""
    from rich.text import Text

    prediction = answer.prediction
    assert prediction
    name = Text(printable(answer.name), "dim", overflow="fold")
    if prediction.is_digit:
        result = Text.assemble(
            (printable(prediction.label), "bold green"),
            f"  {percent(float(prediction.confidence))}",
        )
    else:
        nothing = "no digit" if are_digits(prediction.class_names) else "none of the classes"
        result = Text("blank" if prediction.reason == "blank" else nothing, "bold yellow")
    words = answer.explanation.words if answer.explanation else note(prediction)
    return [name, result, Text(words, "yellow" if prediction.reason else "dim")]
