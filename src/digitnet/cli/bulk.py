"""``digitnet predict --engine ray``: a place full of pictures in, a folder of answers out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from digitnet.cli.console import is_terminal, notes, say, show, show_json
from digitnet.cli.progress import pictures_bar
from digitnet.errors import UsageError


def predict_in_bulk(
    pictures: Sequence[str],
    out: Path | None,
    *,
    model: Path | None,
    column: str | None,
    recursive: bool,
    processes: int | None,
    address: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Read all pictures of a place, and say how many there were.

    Raises:
        UsageError: there is no ``out``, or not exactly one place.
        Exit: with 4 when some pictures could not be read, 3 when none could.
    """
    from digitnet.experiments.cluster import predict_all

    if out is None:
        raise UsageError("--engine ray writes a folder of Parquet files; name it with --out.")
    if len(pictures) != 1:
        raise UsageError(
            f"--engine ray takes one folder, quoted pattern, Parquet file or URL, "
            f"not {len(pictures)}."
        )
    with _progress(hidden=quiet) as on_progress:
        summary = predict_all(
            pictures[0],
            out,
            model=model,
            column=column,
            recursive=recursive,
            processes=processes,
            address=address,
            on_progress=on_progress,
            on_message=notes(quiet),
        )
    if as_json:
        show_json(asdict(summary))
    else:
        show(f"{summary.rows:,} pictures, {summary.unread:,} of them unreadable: {out}")
    if summary.unread:
        raise typer.Exit(3 if summary.unread == summary.rows else 4)


@contextlib.contextmanager
def _progress(*, hidden: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how far it is: a bar on a terminal, elsewhere a line for each tenth."""
    if hidden:
        yield lambda _done, _total: None
        return
    if not is_terminal():
        yield _lines()
        return
    with pictures_bar() as show_done:
        yield show_done


def _lines() -> Callable[[int, int], None]:
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if done * 10 // total > told:
            told = done * 10 // total
            say(f"{done:,} of {total:,}")

    return tell
