"""Recognising millions of pictures: what is left to do, done anywhere, written down here.

    _manifest.json       what is being recognised, by which model
    _list.parquet        the sorted list of pictures, cut into parts
    part-000000.parquet  the answers to one part, in the order of the list
    _summary.json        how many there were; written when all parts are there

Names with an underscore are what readers of Parquet folders leave out: ``pandas.read_parquet(out)``
gives the answers and nothing else.

Guarantees:

- A part is one file, written in one step by this process alone: wherever and however often it was
  computed, its rows are there once or not yet.
- Stopped at any instant, the same call computes the parts that are missing, and no others.
- A folder holds the answers to one list by one model; for another it is refused.
- Before it says that all is done, the rows of all parts have been counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet import __version__
from digitnet.errors import (
    DigitnetError,
    InputError,
    IntegrityError,
    StoppedError,
    UsageError,
    importing_extras,
)
from digitnet.experiments.ray_tasks import ray_session
from digitnet.files import hold_lock, make_folder, storage_errors, write_atomic, write_json

if TYPE_CHECKING:
    import pyarrow as pa

    from digitnet.experiments.cluster.listing import Parts, Place
    from digitnet.experiments.cluster.shard import Job
    from digitnet.reading.model_file import ModelFile

SCHEMA_VERSION = 1

_MANIFEST, _LIST, _SUMMARY = "_manifest.json", "_list.parquet", "_summary.json"
# Of what a manifest says, that which must be as it was, and its name in a sentence.
_SAME = {
    "model_sha256": "another model",
    "inputs_sha256": "other pictures",
    "column": "another column",
    "digitnet": "another version of digitnet",
}
# Parts under way for each processor: one being computed, one waiting.
_AHEAD = 2


@dataclass(frozen=True)
class Summary:
    """What came of a recognition.

    Attributes:
        out: the folder of answers.
        rows: pictures, each of which has one row.
        unread: those of them that could not be read, and have an error.
        computed: rows that this call computed; the others were there.
    """

    out: str
    rows: int
    unread: int
    computed: int


def predict_all(
    source: str,
    out: Path | str,
    *,
    model: Path | str | None = None,
    column: str | None = None,
    recursive: bool = False,
    processes: int | None = None,
    address: str | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    on_message: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Recognise every picture of a place, and write the answers as a folder of Parquet files.

    Args:
        source: a folder, a pattern, a Parquet file or a pattern of such (``*.parquet``), or a URL
            of any of these that fsspec can open.
        out: the folder of answers: new, empty, or that of the same call, which is continued.
        model: an exported network or a run folder; digitnet's own by default.
        column: of Parquet files: holds the bytes of pictures, their paths, or structs with a field
            ``bytes``. By default ``bytes`` if there is one, else ``path``.
        recursive: look in the folders inside a folder too.
        processes: how many pictures are recognised at a time; by default one on each processor.
        address: HOST:PORT of a Ray cluster to join; by default Ray is started on this machine.
        on_progress: called with the pictures that are done, and all.
        on_message: called with a line of text about what is going on.

    Returns:
        The numbers of rows.

    Raises:
        MissingExtraError: Ray is not installed, or what a URL needs is not.
        UsageError: ``out`` holds something else, or another process is writing there.
        InputError: there is no such picture, or a node does not see it.
        StoppedError: a signal came; the same call goes on.
        DigitnetError: a part could not be computed; what is done is kept.
    """
    with importing_extras():
        from digitnet.experiments.cluster import listing
        from digitnet.reading.model_file import load_model_file
    place = listing.place_of(source)
    file = load_model_file(model)
    folder = Path(out)
    _refuse_full(folder)
    with hold_lock(make_folder(folder)):
        on_message("Listing the pictures …")
        manifest = _begin(folder, place, file, column, recursive)
        computed = 0
        with listing.opened(folder / _LIST) as parts:
            left = [n for n in range(len(parts.sizes)) if not _part(folder, n).exists()]
            todo = sum(parts.sizes[number] for number in left)
            if left:
                on_message(f"{todo:,} of {manifest['rows']:,} pictures are left to read.")
                job = _job(place, manifest, parts, file.content if model else None)
                for number, content in _computed(parts, left, job, processes, address):
                    write_atomic(_part(folder, number), content)
                    computed += parts.sizes[number]
                    on_progress(manifest["rows"] - todo + computed, manifest["rows"])
            unread = _check_all(folder, parts.sizes)
        summary = Summary(str(out), manifest["rows"], unread, computed)
        about = {"schema_version": SCHEMA_VERSION, "rows": summary.rows, "unread": unread}
        write_json(folder / _SUMMARY, about)
        return summary


def _computed(
    parts: Parts, left: list[int], job: Job, processes: int | None, address: str | None
) -> Iterator[tuple[int, bytes]]:
    """Yield the numbers of parts and their answers, as they come."""
    with importing_extras():
        from digitnet.experiments import ray_tasks
        from digitnet.experiments.cluster import shard
        from digitnet.machine import usable_cores
    cores = processes or usable_cores()
    # Processors are for pictures: so many at a time is faster than one by many threads.
    env = {"OMP_NUM_THREADS": "1"}
    with ray_session(address, cores=cores, env=env) as received:
        found = ray_tasks.results(
            shard.read_part,
            ((number, parts.table(number)) for number in left),
            common={"job": job},
            threads=1,
            limit=lambda: (
                min(_AHEAD * ray_tasks.processors(), processes or sys.maxsize)
                if address
                else _AHEAD * cores
            ),
            should_stop=lambda: bool(received),
        )
        with contextlib.closing(found) as ended:
            for (number, table), content in ended:
                if isinstance(content, DigitnetError):
                    raise _named(content, number, table)
                yield number, content
    if received:
        raise StoppedError(
            "The recognition was stopped; what is done is kept, and the same command goes on.",
            received[0],
        )


def _named(error: DigitnetError, number: int, table: pa.Table) -> DigitnetError:
    """Return the error of a part, saying which pictures it is about."""
    first = os.fsdecode(table.column("name")[0].as_py())
    more = f"This happened in part {number}, which begins at {first}. What is done is kept."
    return type(error)(f"{error} {more}")


def _job(place: Place, manifest: dict[str, Any], parts: Parts, model: bytes | None) -> Job:
    from digitnet.experiments.cluster.shard import Job, is_there

    first = os.fsdecode(parts.table(0).column("name")[0].as_py())
    folder = str(Path.cwd())
    return Job(
        place=place,
        folder=folder,
        column=manifest["column"],
        model=model,
        model_sha256=manifest["model_sha256"],
        version=__version__,
        witness=first if is_there(first, place, folder) else None,
    )


# ---- the folder


def _begin(
    folder: Path, place: Place, model: ModelFile, column: str | None, recursive: bool
) -> dict[str, Any]:
    """List the pictures; keep the list if it is the first, else compare it with the first."""
    from digitnet.experiments.cluster import listing, tables

    with tempfile.TemporaryDirectory(prefix=".listing-", dir=folder) as scratch:
        if tables.is_parquet(place, column):
            found, column = tables.list_rows(
                place, Path(scratch), column=column, recursive=recursive
            )
        else:
            found = listing.list_pictures(place, Path(scratch), recursive=recursive)
        wanted = {
            "schema_version": SCHEMA_VERSION,
            "digitnet": __version__,
            # Without the password that a URL may hold.
            "source": re.sub(r"//[^/@]*@", "//***@", place.url or place.path),
            "column": column,
            "model_sha256": model.sha256,
            # What the numbers in the column ``digit`` stand for.
            "class_names": list(model.class_names),
            "inputs_sha256": found.sha256,
            "rows": found.rows,
            "parts": found.parts,
        }
        saved = _manifest(folder)
        if saved is not None:
            _refuse_other(saved, wanted, folder)
            return saved
        with storage_errors(folder / _LIST):
            with found.file.open("rb+") as stream:
                os.fsync(stream.fileno())
            found.file.replace(folder / _LIST)
    write_json(folder / _MANIFEST, wanted)
    return wanted


def _refuse_full(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder} is a file; name a new folder, which will hold several.")
    if not folder.is_dir() or (folder / _MANIFEST).exists():
        return
    with storage_errors(folder, "read"):
        names = sorted(entry.name for entry in folder.iterdir())
    if any(name != _LIST and not name.startswith(".") for name in names):
        raise UsageError(f"--out {folder} is not empty and holds no answers. Name a new folder.")


def _manifest(folder: Path) -> dict[str, Any] | None:
    file = folder / _MANIFEST
    if not file.exists():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if values["schema_version"] != SCHEMA_VERSION or not _SAME.keys() <= values.keys():
            raise ValueError("its format is another one")
        return dict(values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read: {error}. Name a new folder.") from error


def _refuse_other(saved: dict[str, Any], wanted: dict[str, Any], folder: Path) -> None:
    told = [
        f"{words} ({_short(saved[name])}, now {_short(wanted[name])})"
        for name, words in _SAME.items()
        if saved[name] != wanted[name]
    ]
    if told:
        raise UsageError(
            f"--out {folder} was begun with {' and '.join(told)}; it had {saved['rows']:,} "
            f"pictures, and there are {wanted['rows']:,} now. Name a new folder, or give what was "
            "given then."
        )


def _short(value: object) -> str:
    text = str(value)
    return f"{text[:12]}…" if len(text) > 40 else text


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:06}.parquet"


def _check_all(folder: Path, sizes: list[int]) -> int:
    """Count the rows of every part; return how many have an error.

    Raises:
        IntegrityError: a part is damaged, or has other rows than the list says.
    """
    unread = 0
    for number, size in enumerate(sizes):
        rows, errors = _counts(_part(folder, number))
        if rows != size:
            raise IntegrityError(
                f"{_part(folder, number)} has {rows:,} rows instead of {size:,}. Remove this file; "
                "the same command makes it again."
            )
        unread += errors
    return unread


def _counts(part: Path) -> tuple[int, int]:
    """Return the rows of a part and how many of them have an error."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        about = pq.read_metadata(part)
        place = about.schema.names.index("error")
        groups = [about.row_group(i).column(place) for i in range(about.num_row_groups)]
        without = sum(group.statistics.null_count for group in groups)
        return about.num_rows, about.num_rows - without
    except (OSError, ValueError, pa.ArrowException) as error:
        raise IntegrityError(
            f"{part} is damaged: {error}. Remove this file; the same command makes it again."
        ) from error
