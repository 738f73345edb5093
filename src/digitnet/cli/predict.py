"""``digitnet predict``: pictures in, digits out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from digitnet.cli.answers import Answer, JsonPrinter, Printer, TablePrinter
from digitnet.cli.console import is_terminal, notes
from digitnet.cli.inputs import STDIN, Input, collect
from digitnet.cli.progress import pictures_bar
from digitnet.errors import UsageError, unknown_name

EPILOG = (
    "Exit code: 0 when every picture could be read, 4 when some could not, 3 when none could. "
    "That a picture holds no digit is an answer, not an error."
)

# So many pictures are read before their answers are printed.
_BATCH = 32
# With more pictures than this, drawings are left out unless asked for.
_FEW = 4
_ENGINES = ("local", "ray")


def predict(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE",
            help="Files, folders, quoted patterns such as 'scans/*.png', or - for standard input.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE_OR_RUN",
            help="An exported network, or a run folder that holds one; default: digitnet's own.",
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look in the folders inside folders too.")
    ] = False,
    drawn: Annotated[
        bool | None,
        typer.Option(
            "--show/--no-show",
            help=f"Draw what the network saw; default: for up to {_FEW} pictures.",
            show_default=False,
        ),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a page on each picture: why it was read so."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Threads to compute with; default: one a core."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(metavar="NAME", help="local, or ray for thousands of pictures and more."),
    ] = "local",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="With --engine ray: folder of answers, as Parquet; continued."
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --engine ray: column of Parquet files; default: bytes, or path.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="With --engine ray: pictures at a time; default: one a core."
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="With --engine ray: cluster to join; default: this machine."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for each picture.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print answers and errors only.")
    ] = False,
) -> None:
    """Read the digit in each picture."""
    settings: dict[str, Any] = {
        "out": out,
        "column": column,
        "processes": processes,
        "address": address,
    }
    local_only: dict[str, Any] = {"show": drawn, "explain": explain, "threads": threads}
    _check_engine(engine, settings if engine == "local" else local_only)
    if engine == "ray":
        from digitnet.cli.bulk import predict_in_bulk

        common: Any = {"model": model, "recursive": recursive, "as_json": as_json, "quiet": quiet}
        predict_in_bulk(pictures, **settings, **common)
        return
    tell = notes(quiet)
    inputs = collect(pictures, recursive=recursive, tell=tell)
    _check_stdin(inputs)
    printer = _printer(inputs, as_json=as_json, drawn=drawn)
    read = _reader(inputs, model, threads, explain)
    unread = pages = 0
    with _progress(len(inputs), hidden=quiet or sys.stdout.isatty()) as advance:
        for start in range(0, len(inputs), _BATCH):
            answers = read(inputs[start : start + _BATCH])
            printer.print(answers)
            unread += sum(answer.error is not None for answer in answers)
            pages += sum(answer.explanation is not None for answer in answers)
            advance(start + len(answers))
    if pages:
        tell(f"{pages:,} {'page' if pages == 1 else 'pages'} written to {explain}.")
    if unread and len(inputs) > 1:
        tell(f"{unread:,} of {len(inputs):,} pictures could not be read.")
    if unread:
        raise typer.Exit(3 if unread == len(inputs) else 4)


def _check_engine(engine: str, of_the_other: dict[str, Any]) -> None:
    if engine not in _ENGINES:
        raise unknown_name("engine", engine, _ENGINES)
    for name, value in of_the_other.items():
        if value is not None:
            (other,) = set(_ENGINES) - {engine}
            raise UsageError(f"--{name} goes with --engine {other} only; leave it out.")


def _check_stdin(inputs: Sequence[Input]) -> None:
    times = sum(each.name == STDIN for each in inputs)
    if times > 1:
        raise UsageError("'-' was given more than once; the standard input holds one picture.")
    if times and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError(
            "'-' reads a picture from the standard input, which is a terminal here. "
            "Send one to it: digitnet predict - < four.png"
        )


def _printer(inputs: Sequence[Input], *, as_json: bool, drawn: bool | None) -> Printer:
    if as_json:
        return JsonPrinter()
    if drawn is None:
        drawn = len(inputs) <= _FEW
    return TablePrinter([each.name for each in inputs], drawn=drawn)


def _reader(
    inputs: Sequence[Input], model: Path | None, threads: int | None, folder: Path | None
) -> Callable[[Sequence[Input]], list[Answer]]:
    """Return what turns inputs into answers; nothing is loaded when there is nothing to read."""
    if all(each.error for each in inputs):
        return lambda batch: [Answer(each.name, error=each.error) for each in batch]
    from digitnet.cli.reading import Reader

    return Reader(inputs, model=model, threads=threads, folder=folder).read


@contextlib.contextmanager
def _progress(total: int, *, hidden: bool) -> Iterator[Callable[[int], None]]:
    """Show on stderr how far it is; answers on a terminal show that by themselves."""
    if hidden or total <= _BATCH or not is_terminal():
        yield lambda _: None
        return
    with pictures_bar(total) as show:
        yield lambda done: show(done, total)
