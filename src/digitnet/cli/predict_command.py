"""``digitnet predict``: pictures in, digits out.

Guarantees: a picture that cannot be read stops none of the others; where every input is an error,
neither the model nor NumPy is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet.cli import picture_verbs
from digitnet.cli.console import Output
from digitnet.cli.inputs import Answer, collect

if TYPE_CHECKING:
    from digitnet.cli.answers import Printer
    from digitnet.reading.recognizer import Recognizer

EPILOG = f"{picture_verbs.EXIT_CODES} A picture that holds no digit is an answer, not an error."

# With more pictures than this, drawings are left out unless asked for.
_FEW = 4


def predict(
    pictures: list[str],
    *,
    model: Path | None = None,
    recursive: bool = False,
    drawn: bool | None = None,
    explain: Path | None = None,
    threads: int | None = None,
    engine: str = "local",
    out: Path | None = None,
    column: str | None = None,
    processes: int | None = None,
    address: str | None = None,
    output: Output,
) -> None:
    """Read the digit in each picture.

    Args:
        pictures (PICTURE...): Files, folders, quoted patterns such as 'scans/*.png', or - for
            standard input.
        model (FILE_OR_RUN): An exported network, or a run folder that holds one; default:
            digitnet's own.
        recursive (--recursive -r): Search subfolders too.
        drawn (--show/--no-show): Draw what the network saw; default: for up to 4 pictures.
        explain (DIR): Draw a picture of every step there: why each PICTURE was read so.
        threads (N): Threads to compute with; default: one a core.
        engine (NAME): local, or ray for thousands of pictures and more.
        out (DIR): With --engine ray: folder of answers, as Parquet; continued.
        column (NAME): With --engine ray: column of Parquet files; default: bytes, or path.
        processes (N): With --engine ray: pictures at a time; default: one a core.
        address (HOST:PORT): With --engine ray: cluster to join; default: this machine.
        as_json (--json): Print one JSON object a line for each picture.
        quiet (--quiet -q): Print only the digits, one a line, - unless there is exactly one; and
            errors.
    """
    bulk: Any = {"out": out, "column": column, "processes": processes, "address": address}
    local = {"show": drawn, "explain": explain, "threads": threads}
    picture_verbs.check_engine(engine, bulk, local)
    if engine == "ray":
        shared: Any = {"model": model, "recursive": recursive}
        picture_verbs.answer_in_bulk(pictures, output, **shared, **bulk)
        return
    inputs = collect(pictures, recursive=recursive, on_message=output.note)
    picture_verbs.check_stdin(inputs, "predict")
    printer = _printer(inputs, output, drawn)
    read = picture_verbs.reader(inputs, model, threads, _each, _explain, explain)
    picture_verbs.answer_all(inputs, read, printer, output, explain)


def _each(recognizer: Recognizer, pictures: Iterable[Any]) -> Iterator[Any]:
    return recognizer.predict_each(pictures)


def _explain(recognizer: Recognizer, picture: str, page: Path, name: str | None) -> Any:
    from digitnet.showing.explanation_page import explain

    return explain(recognizer, picture, page, name=name)


def _printer(asked: Sequence[Answer], output: Output, drawn: bool | None) -> Printer:
    # Rich takes a tenth of a second to load, which --help should not pay.
    from digitnet.cli import answers

    if output.as_json:
        return answers.print_json
    if output.quiet and not drawn:
        return answers.print_digits
    if drawn is None:
        drawn = len(asked) <= _FEW
    return answers.TablePrinter([each.name for each in asked], drawn=drawn)
