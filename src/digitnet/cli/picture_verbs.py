"""What ``predict`` and ``read`` have in common: batches of pictures, engines, how they end.

Guarantees: a picture that cannot be read stops none of the others; where every input is an error,
the model is not loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from digitnet.cli.console import Output, is_terminal, pictures_bar, say, show, show_json
from digitnet.cli.inputs import STDIN, Answer, page_names
from digitnet.errors import InputError, UsageError, importing_extras, unknown_name
from digitnet.files import make_folder
from digitnet.text import count_of

if TYPE_CHECKING:
    from digitnet.cli.answers import Printer
    from digitnet.reading.recognizer import Recognizer

EXIT_CODES = (
    "Exit code: 0 when every picture could be read, 4 when some could not, 3 when none could."
)

# So many pictures are read before their answers are printed.
BATCH = 32
_ENGINES = ("local", "ray")

# Gives for each picture, or error, what is in it or the error.
Each = Callable[["Recognizer", Iterable[Any]], Iterator[Any]]
# Writes a page that explains the answer to a picture; returns it.
Explain = Callable[["Recognizer", str, Path, str | None], Any]


def check_engine(engine: str, bulk: dict[str, Any], local: dict[str, Any]) -> None:
    """Refuse an engine that does not exist, and flags of the other one."""
    if engine not in _ENGINES:
        raise unknown_name("engine", engine, _ENGINES)
    for name, value in (bulk if engine == "local" else local).items():
        if value is not None:
            (other,) = set(_ENGINES) - {engine}
            raise UsageError(f"--{name} works with --engine {other} only; leave it out.")


def check_stdin(inputs: Sequence[Answer], verb: str) -> None:
    """Refuse a standard input that holds no picture, or that is wanted twice."""
    times = sum(each.name == STDIN for each in inputs)
    if times > 1:
        raise UsageError("'-' was given more than once; standard input holds one picture.")
    if times and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError(
            "'-' reads a picture from standard input, which is a terminal here. "
            f"Send one to it: digitnet {verb} - < four.png"
        )


def reader(
    inputs: Sequence[Answer],
    model: Path | None,
    threads: int | None,
    each: Each,
    explain: Explain,
    folder: Path | None,
) -> Callable[[Sequence[Answer]], list[Answer]]:
    """Return a function that reads a batch of pictures, and explains them in ``folder`` if any."""
    if all(one.error for one in inputs):
        return list
    from digitnet.reading.recognizer import Recognizer

    recognizer = Recognizer(model, threads=threads)
    if folder:
        pages = page_names(inputs, make_folder(folder))
        return lambda batch: [_explained(recognizer, one, next(pages), explain) for one in batch]

    def read(batch: Sequence[Answer]) -> list[Answer]:
        results = each(recognizer, (one.error or one.name for one in batch))
        return [_answered(one, got) for one, got in zip(batch, results, strict=True)]

    return read


def answer_all(
    inputs: Sequence[Answer],
    read: Callable[[Sequence[Answer]], list[Answer]],
    printer: Printer,
    output: Output,
    explain: Path | None,
) -> None:
    """Read and print everything, and end with the exit code that says how it went."""
    unread = pages = refused = 0
    # Answers on a terminal show by themselves how far it is.
    hidden = output.quiet or sys.stdout.isatty() or len(inputs) <= BATCH
    with pictures_bar(len(inputs), hidden=hidden) as advance:
        for start in range(0, len(inputs), BATCH):
            answers = read(inputs[start : start + BATCH])
            printer(answers)
            unread += sum(one.error is not None for one in answers)
            pages += sum(one.explanation is not None for one in answers)
            refused += sum(bool(one.reading and not one.reading.accepted) for one in answers)
            advance(start + len(answers), len(inputs))
    if pages:
        output.note(f"Wrote {count_of(pages, 'picture')} to '{explain}'.")
    if unread and len(inputs) > 1:
        output.note(f"{unread:,} of {len(inputs):,} pictures could not be read.")
    _exit(unread, len(inputs), refused)


def answer_in_bulk(
    pictures: Sequence[str], output: Output, *, out: Path | None, **settings: Any
) -> None:
    """Read everything on Ray, and end with the exit code that says how it went."""
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
        refused = f", {summary.refused:,} refused" if summary.refused else ""
        rows = count_of(summary.rows, "picture")
        show(f"{rows}, {summary.unread:,} of them unreadable{refused}: {out}")
    _exit(summary.unread, summary.rows, summary.refused)


def _explained(recognizer: Recognizer, asked: Answer, page: Path, explain: Explain) -> Answer:
    if asked.error:
        return asked
    try:
        shown = explain(recognizer, asked.name, page, None if asked.name == STDIN else asked.name)
    except InputError as error:
        return replace(asked, error=error)
    return replace(_answered(asked, shown.answer), explanation=shown)


def _answered(asked: Answer, got: Any) -> Answer:
    if isinstance(got, InputError):
        return replace(asked, error=got)
    kind = "reading" if hasattr(got, "lines") else "prediction"
    return replace(asked, **{kind: got})


def _tenths() -> Callable[[int, int], None]:
    """Return a function that prints a line for each tenth of the pictures."""
    printed = 0

    def advance(done: int, total: int) -> None:
        nonlocal printed
        if done * 10 // total > printed:
            printed = done * 10 // total
            say(f"{done:,} of {total:,}")

    return advance


def _exit(unread: int, total: int, refused: int) -> None:
    if unread or refused:
        raise typer.Exit(3 if unread == total else 4)
