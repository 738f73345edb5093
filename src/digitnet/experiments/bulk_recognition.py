"""Recognising millions of pictures on Ray: what is left to do, done anywhere, written down here.

    _manifest.json       what is recognised, by which model
    _list.parquet        the sorted list of pictures, cut into parts
    part-000000.parquet  the answers to one part, in the order of the list
    _summary.json        how many there were; written when all parts exist

Readers of Parquet folders leave out names with an underscore: ``pandas.read_parquet(out)`` gives
the answers and nothing else.

Guarantees:

- A part is one file, written in one step by this process alone: wherever and however often it was
  computed, its rows are there once or not yet.
- Stopped at any instant, the same call computes the parts that are missing, and no others.
- A folder holds the answers to one list by one model; it is refused for another.
- Before the call returns, the rows of all parts have been counted.
- Importing this loads neither Ray nor any other heavy library.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
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
from digitnet.experiments import ray_engine
from digitnet.files import (
    hold_lock,
    is_occupied,
    make_folder,
    storage_errors,
    write_atomic,
    write_json,
)
from digitnet.machine import usable_cores
from digitnet.text import shortened

if TYPE_CHECKING:
    from digitnet.experiments.bulk_part import BulkJob
    from digitnet.experiments.picture_list import Location, Range
    from digitnet.reading.model_file import ModelFile

# 1 had another list.
SCHEMA_VERSION = 2

_MANIFEST, _LIST, _SUMMARY = "_manifest.json", "_list.parquet", "_summary.json"
# What must be as the manifest says, and how a sentence names it when it is not.
_SAME = {
    "model_sha256": "another model",
    "inputs_sha256": "other pictures",
    "column": "another column",
    "digitnet": "another version of digitnet",
}
# Parts under way for each processor: one being computed, one waiting.
_AHEAD = 2


@dataclass(frozen=True)
class BulkSummary:
    """What a recognition came to.

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
) -> BulkSummary:
    """Recognise all pictures of a location, and write the answers as a folder of Parquet files.

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
        InputError: there are no such pictures, or a node does not see them.
        StoppedError: a signal came; the same call continues.
        DigitnetError: a part could not be computed; what is done is kept.
    """
    with importing_extras():
        from digitnet.experiments.picture_list import locate, open_list
        from digitnet.reading.model_file import load_model_file
    location = locate(source)
    file = load_model_file(model)
    folder = Path(out)
    _refuse_full(folder)
    with hold_lock(make_folder(folder)):
        on_message("Listing the pictures …")
        manifest = _begin(folder, location, file, column, recursive)
        rows = manifest["rows"]
        with open_list(folder / _LIST) as (sizes, part):
            left = [n for n in range(len(sizes)) if not _file(folder, n).exists()]
            todo = sum(sizes[number] for number in left)
            done = rows - todo
            if left:
                on_message(f"{todo:,} of {rows:,} pictures are left to read.")
                job = _job(location, manifest, part(0)[0], file.content if model else None)
                items = ((number, part(number)) for number in left)
                for number, content in _computed(items, job, processes, address):
                    write_atomic(_file(folder, number), content)
                    done += sizes[number]
                    on_progress(done, rows)
            unread = sum(_errors(_file(folder, n), size) for n, size in enumerate(sizes))
        write_json(folder / _SUMMARY, {"schema_version": 1, "rows": rows, "unread": unread})
    return BulkSummary(str(out), rows, unread, todo)


def _computed(
    items: Iterable[tuple[int, list[Range]]],
    job: BulkJob,
    processes: int | None,
    address: str | None,
) -> Iterator[tuple[int, bytes]]:
    """Yield the numbers of parts and their answers, as they come."""
    with importing_extras():
        from digitnet.experiments.bulk_part import read_part
    cores = processes or usable_cores()

    def limit() -> int:
        if address:
            return min(_AHEAD * ray_engine.processors(), processes or sys.maxsize)
        return _AHEAD * cores

    # Processors are for pictures: so many at a time is faster than one by many threads.
    env = {"OMP_NUM_THREADS": "1"}
    with ray_engine.ray_session(address, cores=cores, env=env) as received:
        results = ray_engine.results(
            read_part,
            items,
            common={"job": job},
            threads=1,
            limit=limit,
            should_stop=lambda: bool(received),
        )
        with contextlib.closing(results):
            for (number, part), content in results:
                if isinstance(content, DigitnetError):
                    first = os.fsdecode(part[0][0])
                    raise type(content)(
                        f"{content} This happened in part {number}, which begins at {first}. What "
                        "is done is kept."
                    )
                yield number, content
    if received:
        raise StoppedError(
            "The recognition was stopped; what is done is kept, and the same command continues it.",
            received[0],
        )


def _job(
    location: Location, manifest: dict[str, Any], first: Range, model: bytes | None
) -> BulkJob:
    from digitnet.experiments.bulk_part import BulkJob, exists

    name, folder = os.fsdecode(first[0]), str(Path.cwd())
    return BulkJob(
        location=location,
        folder=folder,
        column=manifest["column"],
        model=model,
        model_sha256=manifest["model_sha256"],
        version=__version__,
        witness=name if exists(name, location, folder) else None,
    )


# ---- the folder


def _begin(
    folder: Path, location: Location, model: ModelFile, column: str | None, recursive: bool
) -> dict[str, Any]:
    """List the pictures; keep the list if it is the first, else compare it with the first."""
    from digitnet.experiments.picture_list import list_pictures, list_rows

    with tempfile.TemporaryDirectory(prefix=".listing-", dir=folder) as scratch:
        if location.is_parquet(column):
            listing, column = list_rows(location, Path(scratch), column=column, recursive=recursive)
        else:
            listing = list_pictures(location, Path(scratch), recursive=recursive)
        wanted = {
            "schema_version": SCHEMA_VERSION,
            "digitnet": __version__,
            # Without the password that a URL may hold.
            "source": re.sub(r"//[^/@]*@", "//***@", str(location)),
            "column": column,
            "model_sha256": model.sha256,
            # What the numbers in the column ``digit`` stand for.
            "class_names": list(model.class_names),
            "inputs_sha256": listing.sha256,
            "rows": listing.pictures,
            "parts": listing.parts,
        }
        saved = _manifest(folder)
        if saved is not None:
            _refuse_other(saved, wanted, folder)
            return saved
        with storage_errors(folder / _LIST):
            with listing.file.open("rb+") as stream:
                os.fsync(stream.fileno())
            listing.file.replace(folder / _LIST)
    write_json(folder / _MANIFEST, wanted)
    return wanted


def _refuse_full(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder} is a file; name a new folder, which will hold several.")
    # A list alone is what a kill leaves.
    if is_occupied(folder) and not any((folder / name).exists() for name in (_MANIFEST, _LIST)):
        raise UsageError(f"--out {folder} is not empty and holds no answers. Name a new folder.")


def _manifest(folder: Path) -> dict[str, Any] | None:
    file = folder / _MANIFEST
    if not file.exists():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if values["schema_version"] != SCHEMA_VERSION or not _SAME.keys() <= values.keys():
            raise ValueError("it has another format")
        return dict(values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read: {error}. Name a new folder.") from error


def _refuse_other(saved: dict[str, Any], wanted: dict[str, Any], folder: Path) -> None:
    differing = [
        f"{words} ({shortened(str(saved[name]))}, now {shortened(str(wanted[name]))})"
        for name, words in _SAME.items()
        if saved[name] != wanted[name]
    ]
    if differing:
        raise UsageError(
            f"--out {folder} was begun with {' and '.join(differing)}; it had {saved['rows']:,} "
            f"pictures, and there are {wanted['rows']:,} now. Name a new folder, or give what was "
            "given then."
        )


def _file(folder: Path, number: int) -> Path:
    return folder / f"part-{number:06}.parquet"


def _errors(part: Path, size: int) -> int:
    """Return how many rows of a part have an error.

    Raises:
        IntegrityError: it is damaged, or has other rows than the list says.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        errors = pq.read_table(part, columns=["error"]).column(0)
        problem = f"has {len(errors):,} rows instead of {size:,}" if len(errors) != size else ""
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        problem = f"is damaged: {error}"
    if problem:
        raise IntegrityError(
            f"{part} {problem}. Remove this file; the same command makes it again."
        )
    return size - int(errors.null_count)
