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
- A picture that cannot be read is a row with an error, and stops no other.
- Each process loads the model once, and computes with one thread. The answers depend on nothing but
  the pictures and the model.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pickle
import platform
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from digitnet import __version__
from digitnet.errors import DigitnetError, InputError, IntegrityError, UsageError, reason
from digitnet.experiments import picture_list, ray_engine
from digitnet.experiments.picture_list import Listing, Location, Range
from digitnet.files import hold_lock, is_occupied, make_folder, write_atomic, write_json
from digitnet.reading.prediction import Prediction, Reading
from digitnet.reading.recognizer import Recognizer
from digitnet.text import shortened

# 1 and 2 had other lists, 3 did not say what was asked.
SCHEMA_VERSION = 4

_MANIFEST, _LIST, _SUMMARY = "_manifest.json", "_list.parquet", "_summary.json"
# What must be as the manifest says, and how a sentence names it when it is not.
_SAME = {
    "schema_version": "another format",
    "model_sha256": "another model",
    "inputs_sha256": "other pictures",
    "column": "another column",
    "digitnet": "another version of digitnet",
    "asked": "another task",
}
ROWS = pa.schema(
    [
        ("path", pa.string()),
        ("digit", pa.int16()),
        ("confidence", pa.float32()),
        ("probabilities", pa.list_(pa.float32())),
        ("is_digit", pa.bool_()),
        ("reason", pa.string()),
        ("error", pa.string()),
    ]
)
# Of texts; there is none where it was refused.
TEXT_ROWS = pa.schema(
    [
        ("path", pa.string()),
        ("text", pa.string()),
        ("confidence", pa.float32()),
        ("odds", pa.float32()),
        ("reason", pa.string()),
        ("turned", pa.int16()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True)
class BulkSummary:
    """What a recognition came to.

    Attributes:
        out: the folder of answers.
        rows: pictures, each of which has one row.
        unread: those of them that could not be read, and have an error.
        computed: rows that this call computed; the others were there.
        refused: texts that did not fit, or were not sure enough.
    """

    out: str
    rows: int
    unread: int
    computed: int
    refused: int = 0


def predict_all(
    source: str,
    out: Path | str,
    *,
    model: Path | str | None = None,
    asked: dict[str, Any] | None = None,
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
        asked: to read all that is written, the keywords of ``Recognizer.read``: ``{}`` for none of
            them; None for the one digit of each picture.
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
    location = picture_list.locate(source)
    recognizer = Recognizer(model, threads=1)
    if asked is not None:
        # What cannot be asked for is told before anything is written.
        list(recognizer.read_each([], **asked))
    folder = Path(out)
    _refuse_full(folder)
    with hold_lock(make_folder(folder)):
        on_message("Listing the pictures …")
        listing = _begin(folder, location, recognizer, asked, column, recursive)
        sizes, rows = listing.sizes, sum(listing.sizes)
        files = [folder / f"part-{number:06}.parquet" for number in range(len(sizes))]
        left = [number for number, file in enumerate(files) if not file.exists()]
        done = rows - sum(sizes[number] for number in left)
        computed = rows - done
        if left:
            on_message(f"{computed:,} of {rows:,} pictures are left to read.")
            parts = functools.partial(picture_list.read_parts, folder / _LIST, left)
            first = os.fsdecode(next(parts())[1][0][0])
            witness = first if location.system.exists(first) else None
            job = BulkJob(location, listing.column, recognizer, witness, asked)
            ended = ray_engine.results(
                functools.partial(read_part, job=pickle.dumps(job)),
                parts(),
                # Of two parts for each processor, one is being computed and one waits.
                ahead=2,
                processes=processes,
                address=address,
                # Processors are for pictures: so many at a time is faster than one by many threads.
                env={"OMP_NUM_THREADS": "1"},
            )
            with contextlib.closing(ended):
                for (number, _), content in ended:
                    if isinstance(content, DigitnetError):
                        raise type(content)(
                            f"{content} This happened in part {number}. What is done is kept."
                        )
                    write_atomic(files[number], content)
                    done += sizes[number]
                    on_progress(done, rows)
        texts = asked is not None
        counted = [_counted(*each, texts) for each in zip(files, sizes, strict=True)]
        unread, refused = (sum(column) for column in zip(*counted, strict=True))
        summary = {"rows": rows, "unread": unread, "refused": refused}
        write_json(folder / _SUMMARY, {"schema_version": 1, **summary})
    return BulkSummary(str(out), rows, unread, computed, refused)


# ---- on a node


@dataclass(frozen=True)
class BulkJob:
    """What all parts of a recognition have in common; it is sent to every node.

    Attributes:
        location: where the pictures are.
        column: of Parquet files; None where the list is one of pictures.
        recognizer: reads the pictures.
        witness: a picture of the list that exists where the job was started.
        asked: keywords of ``Recognizer.read``; None for the one digit of each picture.
    """

    location: Location
    column: str | None
    recognizer: Recognizer
    witness: str | None
    asked: dict[str, Any] | None


def read_part(part: tuple[int, list[Range]], *, job: bytes) -> bytes:
    """Return the answers to a part of a list as the content of a Parquet file.

    Args:
        part: its number, and its rows of the list.
        job: a pickled ``BulkJob``.

    Raises:
        InputError: this node does not see the pictures.
    """
    about: BulkJob = _opened(job)
    if about.witness and not about.location.system.exists(about.witness):
        raise InputError(
            f"The node {platform.node()} does not see {about.witness}. Put the pictures where "
            "every node sees them under the same path, or on storage that has a URL."
        )
    rows: list[dict[str, object]] = []
    for batch in picture_list.pictures(part[1], about.location, about.column):
        sources = (picture for _, picture in batch)
        answers: Iterator[Prediction | Reading | InputError] = (
            about.recognizer.predict_each(sources)
            if about.asked is None
            else about.recognizer.read_each(sources, **about.asked)
        )
        rows += [_row(name, answer) for (name, _), answer in zip(batch, answers, strict=True)]
    sink = pa.BufferOutputStream()
    schema = ROWS if about.asked is None else TEXT_ROWS
    pq.write_table(pa.Table.from_pylist(rows, schema), sink, compression="zstd")
    return bytes(sink.getvalue())


@functools.lru_cache(maxsize=1)
def _opened(job: bytes) -> Any:
    """Return the job of this process; opening the model takes as long as many pictures."""
    return pickle.loads(job)  # noqa: S301


def _row(name: str, answer: Prediction | Reading | InputError) -> dict[str, object]:
    """Return a row; what it has none of is null, and what is no column is left out."""
    if isinstance(answer, InputError):
        return {"path": _text(name), "error": _text(str(answer))}
    row = {"path": _text(name), **answer.as_dict()}
    return row | ({"text": None} if isinstance(answer, Reading) and not answer.accepted else {})


def _text(name: str) -> str:
    """Return a name as text: names may hold bytes that are none, Parquet's strings may not."""
    return os.fsencode(name).decode(errors="backslashreplace")


# ---- the folder


def _begin(
    folder: Path,
    location: Location,
    recognizer: Recognizer,
    asked: dict[str, Any] | None,
    column: str | None,
    recursive: bool,
) -> Listing:
    """List the pictures, and refuse a folder that was begun with others."""
    with tempfile.TemporaryDirectory(prefix=".listing-", dir=folder) as scratch:
        listing = picture_list.make_list(location, Path(scratch), column, recursive)
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "digitnet": __version__,
            # Without the password that a URL may hold.
            "source": re.sub(r"//[^/@]*@", "//***@", location.given),
            "column": listing.column,
            "model_sha256": recognizer.sha256,
            "asked": "one digit" if asked is None else f"read {json.dumps(asked, default=str)}",
            # What the numbers in the column ``digit`` stand for.
            "class_names": list(recognizer.class_names),
            "inputs_sha256": listing.sha256,
            "rows": sum(listing.sizes),
            "parts": len(listing.sizes),
        }
        _refuse_other(folder, manifest)
        listing.file.replace(folder / _LIST)
    write_json(folder / _MANIFEST, manifest)
    return listing


def _refuse_full(folder: Path) -> None:
    # A list alone is what a kill leaves.
    if is_occupied(folder) and not any((folder / name).exists() for name in (_MANIFEST, _LIST)):
        raise UsageError(f"--out {folder} is not empty and holds no answers. Name a new folder.")


def _refuse_other(folder: Path, wanted: dict[str, Any]) -> None:
    """Compare what is wanted with the manifest, if there is one."""
    file = folder / _MANIFEST
    if not file.exists():
        return
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        known = {name: saved[name] for name in _SAME}
        rows = int(saved["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{file} is damaged: {reason(error)} Name a new folder.") from error
    differing = [
        f"{words} ({shortened(str(known[name]))}, now {shortened(str(wanted[name]))})"
        for name, words in _SAME.items()
        if known[name] != wanted[name]
    ]
    if differing:
        raise UsageError(
            f"--out {folder} was begun with {' and '.join(differing)}; it had {rows:,} "
            f"pictures, and there are {wanted['rows']:,} now. Name a new folder, or give what was "
            "given then."
        )


def _counted(part: Path, size: int, texts: bool) -> tuple[int, int]:
    """Return how many rows of a part have an error, and in how many a text was refused.

    Raises:
        IntegrityError: it is damaged, or has other rows than the list says.
    """
    try:
        table = pq.read_table(part, columns=["error", *(["text"] if texts else [])])
        errors = table["error"]
        if len(errors) != size:
            raise ValueError(f"it has {len(errors):,} rows instead of {size:,}")
    except (OSError, ValueError, KeyError) as error:
        raise IntegrityError(
            f"{part} is damaged: {error}. Remove this file; the same command makes it again."
        ) from error
    unread = size - int(errors.null_count)
    return unread, int(table["text"].null_count) - unread if texts else 0
