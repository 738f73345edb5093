"""``digitnet read``: pictures in, the numbers that are written there out.

Guarantees: stdout has one line for each picture, in the order given, empty where nothing could be
read or is sure enough.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet.cli import picture_verbs
from digitnet.cli.console import Output
from digitnet.cli.inputs import collect
from digitnet.errors import UsageError
from digitnet.text import count_or_range

if TYPE_CHECKING:
    from digitnet.reading.recognizer import Recognizer

EPILOG = (
    f"{picture_verbs.EXIT_CODES} 4 also when a text was refused: below --min-confidence, or "
    "nothing fits --digits and --check."
)


def read(
    pictures: list[str],
    *,
    digits: str | None = None,
    check: str | None = None,
    min_confidence: float = 0.0,
    model: Path | None = None,
    recursive: bool = False,
    explain: Path | None = None,
    threads: int | None = None,
    engine: str = "local",
    out: Path | None = None,
    column: str | None = None,
    processes: int | None = None,
    address: str | None = None,
    output: Output,
) -> None:
    """Read all digits in each picture, line by line.

    Args:
        pictures (PICTURE...): Files, folders, quoted patterns such as 'scans/*.png', or - for
            standard input.
        digits (N[-N]): How many digits each picture has in all, 6 or 4-6.
        check (NAME): Check digit that they have: luhn, mod97 or ean13.
        min_confidence (X): Refuse a text that is less likely right, 0 to 1.
        model (FILE_OR_RUN): An exported network, or a run folder that holds one; default:
            digitnet's own.
        recursive (--recursive -r): Search subfolders too.
        explain (DIR): Write a picture of each PICTURE there: what was found, how it was read.
        threads (N): Threads to compute with; default: one a core.
        engine (NAME): local, or ray for thousands of pictures and more.
        out (DIR): With --engine ray: folder of answers, as Parquet; continued.
        column (NAME): With --engine ray: column of Parquet files; default: bytes, or path.
        processes (N): With --engine ray: pictures at a time; default: one a core.
        address (HOST:PORT): With --engine ray: cluster to join; default: this machine.
        as_json (--json): Print one JSON object a line for each picture.
        quiet (--quiet -q): Print only the texts, one a line, empty where there is none; and errors.
    """
    bulk: Any = {"out": out, "column": column, "processes": processes, "address": address}
    picture_verbs.check_engine(engine, bulk, {"explain": explain, "threads": threads})
    asked = {"digits": count_of_digits(digits), "check": check, "min_confidence": min_confidence}
    if engine == "ray":
        shared: Any = {"model": model, "recursive": recursive, "asked": asked}
        picture_verbs.answer_in_bulk(pictures, output, **shared, **bulk)
        return
    from digitnet.cli import answers

    inputs = collect(pictures, recursive=recursive, on_message=output.note)
    picture_verbs.check_stdin(inputs, "read")
    named = len(inputs) > 1 and sys.stdout.isatty() and not output.quiet
    in_words = functools.partial(answers.print_texts, quiet=output.quiet, named=named)
    printer = answers.print_json if output.as_json else in_words
    each, page = functools.partial(_each, asked=asked), functools.partial(_explain, asked=asked)
    reader = picture_verbs.reader(inputs, model, threads, each, page, explain)
    picture_verbs.answer_all(inputs, reader, printer, output, explain)


def _each(recognizer: Recognizer, pictures: Iterable[Any], *, asked: Any) -> Iterator[Any]:
    return recognizer.read_each(pictures, **asked)


def _explain(
    recognizer: Recognizer, picture: str, page: Path, name: str | None, *, asked: Any
) -> Any:
    from digitnet.showing.reading_page import explain_reading

    return explain_reading(recognizer, picture, page, name=name, **asked)


def count_of_digits(digits: str | None) -> int | tuple[int, int] | None:
    """Return what ``--digits`` means: a number, or the least and the most.

    Raises:
        UsageError: it is neither.
    """
    if digits is None:
        return None
    meant = count_or_range(digits)
    if meant is None:
        raise UsageError(f"--digits cannot be {digits!r}; allowed: a number, 6, or a range, 4-6.")
    return meant
