"""What the command line prints: results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from digitnet.text import escaped

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA_VERSION = 1

# Columns of a table that is written to a file or a pipe, which limit nothing.
_WIDTH = 160


def say(text: str) -> None:
    """Print a line about the work to stderr; control codes in file names are written out."""
    print(escaped(text, kept="\n\t"), file=sys.stderr, flush=True)  # noqa: T201


@dataclass(frozen=True)
class Output:
    """What is printed: the flags ``--json`` and ``--quiet`` of a command."""

    as_json: bool
    quiet: bool

    def note(self, text: str) -> None:
        """Print a line about the work, unless it is to be quiet."""
        if not self.quiet:
            say(text)


def show(text: str) -> None:
    """Print a line of result to stdout."""
    print(text, flush=True)  # noqa: T201


def show_json(values: dict[str, Any]) -> None:
    """Print one JSON object on one line of stdout, in ASCII, which every stream can take."""
    show(json.dumps({"schema_version": SCHEMA_VERSION, **values}))


def show_rows(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows of text as aligned columns to stdout."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        show("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def show_values(values: Mapping[str, Any]) -> None:
    """Print named values to stdout, a line each."""
    show_rows([(name.replace("_", " "), _as_text(value)) for name, value in values.items()])


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_as_text(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_as_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return str(value)


def show_tables(tables: Iterable[Table]) -> None:
    """Print tables to stdout, an empty line after each."""
    from rich.console import Console

    # Rich assumes 80 columns for a file, and would cut numbers off.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    for table in tables:
        console.print(table, "")


def is_terminal() -> bool:
    """Return whether a person watches stderr, on a terminal that can draw a progress bar."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def pictures_bar(total: int | None = None, *, hidden: bool) -> Iterator[Callable[[int, int], None]]:
    """Show on the terminal how many pictures are done.

    Yields:
        A function of how many are done, and of how many. The bar appears once the total is known.
    """
    if hidden or not is_terminal():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    console = Console(stderr=True)
    # Redirected, answers would come out with the bar, on stderr.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bars:
        task = bars.add_task("", total=total, visible=total is not None)
        yield lambda done, total: bars.update(task, completed=done, total=total, visible=True)


def fail(message: str, code: int, error: BaseException) -> NoReturn:
    """Print why the command failed and exit with its code."""
    if os.environ.get("DIGITNET_DEBUG"):
        traceback.print_exception(error)
    say(message)
    raise SystemExit(code)
