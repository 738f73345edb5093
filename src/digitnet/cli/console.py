"""What the command line prints, and where."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from digitnet.text import escaped

SCHEMA_VERSION = 1


def say(text: str) -> None:
    """Print a line about the work to stderr, without codes that names of files may hold."""
    print(escaped(text, kept="\n\t"), file=sys.stderr, flush=True)  # noqa: T201


def notes(quiet: bool) -> Callable[..., None]:
    """Return what takes a line about the work: ``say``, or nothing."""
    return (lambda _: None) if quiet else say


def show(text: str) -> None:
    """Print a line of result to stdout."""
    print(text, flush=True)  # noqa: T201


def show_json(values: dict[str, Any]) -> None:
    """Print one JSON object to stdout."""
    show(json.dumps({"schema_version": SCHEMA_VERSION, **values}, ensure_ascii=False))


def show_rows(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows of text as aligned columns to stdout."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        show("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def is_terminal() -> bool:
    """True when a person watches stderr and it can draw a progress bar."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def fail(message: str, code: int, error: BaseException) -> NoReturn:
    """Print an error and exit with its code."""
    if os.environ.get("DIGITNET_DEBUG"):
        traceback.print_exception(error)
    say(f"error: {message}")
    raise SystemExit(code)
