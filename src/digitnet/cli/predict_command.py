"""``digitnet predict``: pictures in, digits out.

Guarantees: a picture that cannot be read stops none of the others; where every input is an error,
neither the model nor NumPy is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from digitnet.cli.console import Output, is_terminal, pictures_bar, say, show, show_json
from digitnet.cli.inputs import STDIN, Answer, collect, page_names
from digitnet.errors import InputError, UsageError, importing_extras, unknown_name
from digitnet.files import make_folder
from digitnet.text import count_of

if TYPE_CHECKING:
    from digitnet.cli.answers import Printer
    from digitnet.reading.recognizer import Recognizer

EPILOG = (
    "Exit code: 0 when every picture could be read, 4 when some could not, 3 when none could. "
    "A picture that holds no digit is an answer, not an error."
)

# So many pictures are read before their answers are printed.
_BATCH = 32
# With more pictures than this, drawings are left out unless asked for.
_FEW = 4
_ENGINES = ("local", "ray")


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
        quiet (--quiet -q): Print only the digits, one a line, - where there is none; and errors.
    """
    bulk: Any = {"out": out, "column": column, "processes": processes, "address": address}
    local = {"show": drawn, "explain": explain, "threads": threads}
    _check_engine(engine, bulk if engine == "local" else local)
    if engine == "ray":
        _predict_in_bulk(pictures, output, model=model, recursive=recursive, **bulk)
        return
    inputs = collect(pictures, recursive=recursive, on_message=output.note)
    _check_stdin(inputs)
    printer = _printer(inputs, output, drawn)
    read = _reader(inputs, model, threads, explain)
    unread = pages = 0
    # Answers on a terminal show by themselves how far it is.
    hidden = output.quiet or sys.stdout.isatty() or len(inputs) <= _BATCH
    with pictures_bar(len(inputs), hidden=hidden) as advance:
        for start in range(0, len(inputs), _BATCH):
            answers = read(inputs[start : start + _BATCH])
            printer(answers)
            unread += sum(answer.error is not None for answer in answers)
            pages += sum(answer.explanation is not None for answer in answers)
            advance(start + len(answers), len(inputs))
    if pages:
        output.note(f"Wrote {count_of(pages, 'picture')} to {explain}.")
    if unread and len(inputs) > 1:
        output.note(f"{unread:,} of {len(inputs):,} pictures could not be read.")
    _exit(unread, len(inputs))


def _check_engine(engine: str, of_the_other: dict[str, Any]) -> None:
    if engine not in _ENGINES:
        raise unknown_name("engine", engine, _ENGINES)
    for name, value in of_the_other.items():
        if value is not None:
            (other,) = set(_ENGINES) - {engine}
            raise UsageError(f"--{name} works with --engine {other} only; leave it out.")


def _check_stdin(inputs: Sequence[Answer]) -> None:
    times = sum(each.name == STDIN for each in inputs)
    if times > 1:
        raise UsageError("'-' was given more than once; standard input holds one picture.")
    if times and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError(
            "'-' reads a picture from standard input, which is a terminal here. "
            "Send one to it: digitnet predict - < four.png"
        )


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


def _reader(
    inputs: Sequence[Answer], model: Path | None, threads: int | None, folder: Path | None
) -> Callable[[Sequence[Answer]], list[Answer]]:
    """Return a function that reads a batch of pictures."""
    if all(each.error for each in inputs):
        return list
    from digitnet.reading.recognizer import Recognizer

    recognizer = Recognizer(model, threads=threads)
    if folder:
        pages = page_names(inputs, make_folder(folder))
        return lambda batch: [_explained(recognizer, each, next(pages)) for each in batch]

    def read(batch: Sequence[Answer]) -> list[Answer]:
        results = recognizer.predict_each(each.error or each.name for each in batch)
        return [
            replace(one, error=got) if isinstance(got, InputError) else replace(one, prediction=got)
            for one, got in zip(batch, results, strict=True)
        ]

    return read


def _explained(recognizer: Recognizer, asked: Answer, page: Path) -> Answer:
    from digitnet.showing.explanation_page import explain

    if asked.error:
        return asked
    try:
        name = None if asked.name == STDIN else asked.name
        shown = explain(recognizer, asked.name, page, name=name)
    except InputError as error:
        return replace(asked, error=error)
    return replace(asked, prediction=shown.prediction, explanation=shown)


def _predict_in_bulk(
    pictures: Sequence[str], output: Output, *, out: Path | None, **settings: Any
) -> None:
    with importing_extras():
        from digitnet.experiments.bulk_recognition import predict_all
    if out is None:
        raise UsageError("--engine ray writes a folder of Parquet files; name it with --out.")
    if len(pictures) != 1:
        raise UsageError(
            f"--engine ray takes one folder, quoted pattern, Parquet file or URL, "
            f"not {len(pictures)}."
        )
    with pictures_bar(hidden=output.quiet) as bar:
        on_progress = bar if output.quiet or is_terminal() else _tenths()
        summary = predict_all(
            pictures[0], out, on_progress=on_progress, on_message=output.note, **settings
        )
    if output.as_json:
        show_json(asdict(summary))
    else:
        show(f"{count_of(summary.rows, 'picture')}, {summary.unread:,} of them unreadable: {out}")
    _exit(summary.unread, summary.rows)


def _tenths() -> Callable[[int, int], None]:
    """Return a function that prints a line for each tenth of the pictures."""
    printed = 0

    def advance(done: int, total: int) -> None:
        nonlocal printed
        if done * 10 // total > printed:
            printed = done * 10 // total
            say(f"{done:,} of {total:,}")

    return advance


def _exit(unread: int, total: int) -> None:
    if unread:
        raise typer.Exit(3 if unread == total else 4)
