"""Recognising one part of a list, on whichever node this runs.

Guarantees:

- Each process loads the model once, and computes with one thread.
- A picture that cannot be read is a row with an error, and stops no other.
- The bytes that come back depend on nothing but the pictures and the model.
"""

from __future__ import annotations

import functools
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from digitnet import __version__
from digitnet.errors import DigitnetError, InputError, IntegrityError
from digitnet.experiments.picture_list import Location, Range, locate, open_parquet
from digitnet.reading.picture_bytes import MAX_BYTES
from digitnet.reading.pictures import PictureSource
from digitnet.reading.prediction import Prediction
from digitnet.reading.recognizer import Recognizer

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

# Pictures whose ink is held at a time.
_BATCH = 64

Named = tuple[str, PictureSource | InputError]
"""A picture with its name, or why there is none."""


@dataclass(frozen=True)
class BulkJob:
    """What all parts of a recognition have in common; it is sent to every node.

    Attributes:
        location: where the pictures are.
        folder: which relative paths are below.
        column: of Parquet files; None where the list is one of pictures.
        model: the content of the model file; None for digitnet's own.
        model_sha256: of the model file.
        version: of digitnet, where the job was started.
        witness: a picture of the list that exists there.
    """

    location: Location
    folder: str
    column: str | None
    model: bytes | None
    model_sha256: str
    version: str
    witness: str | None


def read_part(part: tuple[int, list[Range]], *, job: BulkJob) -> bytes:
    """Return the answers to a part of a list as the content of a Parquet file.

    Args:
        part: its number, and its rows of the list.
        job: the rest.

    Raises:
        InputError: this node does not see the pictures.
        IntegrityError: this node has another digitnet.
    """
    _check_node(job)
    recognizer = _recognizer(job.model_sha256, job.model)
    rows: list[dict[str, object]] = []
    for batch in _pictures(part[1], job):
        answers = recognizer.predict_each(picture for _, picture in batch)
        rows += [_row(name, answer) for (name, _), answer in zip(batch, answers, strict=True)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, ROWS), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _check_node(job: BulkJob) -> None:
    node = platform.node()
    if job.version != __version__:
        raise IntegrityError(
            f"The node {node} has digitnet {__version__}, and this was started with "
            f"{job.version}. Install the same version on every node."
        )
    if job.witness and not exists(job.witness, job.location, job.folder):
        raise InputError(
            f"The node {node} does not see {job.witness}. Put the pictures where every node sees "
            "them under the same path, or on storage that has a URL."
        )


def exists(name: str, location: Location, folder: str) -> bool:
    """Return whether this process sees a file; ``folder`` is what relative paths are below."""
    if location.url is None:
        return os.path.lexists(Path(folder) / name)
    return bool(location.filesystem().exists(name))


@functools.lru_cache(maxsize=1)
def _recognizer(sha256: str, model: bytes | None) -> Recognizer:
    """Return this process's recogniser, with one thread in every library that has several."""
    import cv2

    cv2.setNumThreads(1)
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        if model:
            file.write(model)
            file.flush()
        recognizer = Recognizer(file.name if model else None, threads=1)
    if recognizer.sha256 != sha256:
        raise IntegrityError(
            f"The node {platform.node()} has another model: SHA-256 {recognizer.sha256[:12]}…, "
            f"not {sha256[:12]}…. Install the same digitnet on every node."
        )
    return recognizer


def _row(name: str, answer: Prediction | InputError) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(ROWS.names) | {"path": _text(name)}
    if isinstance(answer, InputError):
        return row | {"error": _text(str(answer))}
    same = ("digit", "confidence", "is_digit", "reason")
    row |= {column: getattr(answer, column) for column in same}
    return row | {"probabilities": answer.probabilities.tolist()}


def _text(name: str) -> str:
    """Return a name as text: names may hold bytes that are none, Parquet's strings may not."""
    return os.fsencode(name).decode(errors="backslashreplace")


# ---- from a part of the list to pictures


def _pictures(part: list[Range], job: BulkJob) -> Iterator[list[Named]]:
    """Yield names and pictures, a batch at a time."""
    if job.column is not None:
        # Such a part is one range.
        for rows in _parquet_rows(part[0], job):
            yield [(name, _of_row(name, value, job)) for name, value in rows]
        return
    names = [os.fsdecode(name) for name, *_ in part]
    for start in range(0, len(names), _BATCH):
        yield _files(names[start : start + _BATCH], job)


def _files(names: list[str], job: BulkJob) -> list[Named]:
    if job.location.url is None:
        return [(name, str(Path(job.folder) / name)) for name in names]
    system = job.location.filesystem()
    full = [system.unstrip_protocol(name) for name in names]
    return list(zip(full, _fetched(job.location, names), strict=True))


def _of_row(name: str, value: bytes | str | None, job: BulkJob) -> PictureSource | InputError:
    if value is None or isinstance(value, bytes):
        return InputError(f"{name} is empty (null).") if value is None else value
    try:
        location = locate(value)
        if location.url is not None:
            return _fetched(location, [location.path])[0]
    except DigitnetError as error:
        return InputError(str(error))
    return str(Path(job.folder) / location.path)


def _fetched(location: Location, names: Sequence[str]) -> list[bytes | InputError]:
    """Return the content of files of a file system, or why there is none; together if it can."""
    starts, ends = [0] * len(names), [MAX_BYTES + 1] * len(names)
    # One byte more than allowed, for the recogniser to refuse.
    parts = location.filesystem().cat_ranges(list(names), starts, ends, on_error="return")
    return [_bytes(name, part) for name, part in zip(names, parts, strict=True)]


def _bytes(name: str, part: bytes | Exception) -> bytes | InputError:
    if not isinstance(part, Exception):
        return bytes(part)
    if isinstance(part, FileNotFoundError):
        return InputError(f"There is no file {name} any more.")
    reason = (str(part).splitlines() or [""])[0] or type(part).__name__
    return InputError(f"{name} could not be fetched: {reason.rstrip('.')}.")


def _parquet_rows(item: Range, job: BulkJob) -> Iterator[list[tuple[str, bytes | str | None]]]:
    """Yield the rows of a range, a batch at a time: each one's name, and its bytes or path."""
    name, number, left = os.fsdecode(item[0]), item[1] or 0, item[2]
    assert job.column
    with open_parquet(name, job.location, job.folder) as file:
        group, skip = 0, number
        while skip >= file.metadata.row_group(group).num_rows:
            skip -= file.metadata.row_group(group).num_rows
            group += 1
        columns = [c for c in dict.fromkeys((job.column, "path")) if c in file.schema_arrow.names]
        for rows in file.iter_batches(_BATCH, row_groups=[group], columns=columns):
            taken = rows.slice(skip, left)
            skip = max(0, skip - rows.num_rows)
            left -= taken.num_rows
            if taken.num_rows:
                yield _named(taken, job.column, name, number)
                number += taken.num_rows
            if not left:
                return


def _named(
    rows: pa.RecordBatch, column: str, file: str, number: int
) -> list[tuple[str, bytes | str | None]]:
    """Return names and values of rows; a row without a path is named by its number."""
    named = []
    for index, row in enumerate(rows.to_pylist(), number):
        value: Any = row[column]
        path = row.get("path")
        if isinstance(value, dict):
            value, path = value.get("bytes"), value.get("path")
        elif isinstance(value, str):
            path = value
        named.append((path if isinstance(path, str) else f"{file}#{index}", value))
    return named
