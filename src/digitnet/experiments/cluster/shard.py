"""Recognising one part of a list, on whichever node this runs.

Guarantees:

- Each process loads the model once, and computes with one thread.
- A picture that cannot be read is a row with an error, and stops no other.
- The bytes that come back depend on nothing but the pictures and the model.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from digitnet import __version__
from digitnet.errors import DigitnetError, InputError, IntegrityError
from digitnet.experiments.cluster import tables
from digitnet.experiments.cluster.listing import NAMES, Place, place_of
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
_FETCHES = 3
# What no second attempt will change.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


@dataclass(frozen=True)
class Job:
    """What every part of a recognition has in common; it is sent to every node.

    Attributes:
        place: where the pictures are.
        folder: which relative paths are below.
        column: of Parquet files; None where the list is of pictures.
        model: the content of the model file; None for digitnet's own.
        model_sha256: of the model file.
        version: of digitnet, where the job was started.
        witness: a picture of the list that is there.
    """

    place: Place
    folder: str
    column: str | None
    model: bytes | None
    model_sha256: str
    version: str
    witness: str | None


def read_part(part: tuple[int, pa.Table], *, job: Job) -> bytes:
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
    columns: dict[str, list[object]] = {name: [] for name in ROWS.names}
    for batch in _pictures(part[1], job):
        answers = recognizer.predict_each(picture for _, picture in batch)
        for (name, _), answer in zip(batch, answers, strict=True):
            for column, value in _row(name, answer).items():
                columns[column].append(value)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, ROWS), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _check_node(job: Job) -> None:
    node = os.uname().nodename
    if job.version != __version__:
        raise IntegrityError(
            f"The node {node} has digitnet {__version__}, and this was started with "
            f"{job.version}. Install the same version on every node."
        )
    if job.witness and not is_there(job.witness, job.place, job.folder):
        raise InputError(
            f"The node {node} does not see {job.witness}. Put the pictures where every node sees "
            "them under the same path, or on storage that has a URL."
        )


def is_there(name: str, place: Place, folder: str) -> bool:
    """Return whether this process sees a file; ``folder`` is what relative paths are below."""
    if place.url is None:
        return os.path.lexists(Path(folder) / name)
    return bool(place.filesystem().exists(name))


@functools.lru_cache(maxsize=1)
def _recognizer(sha256: str, model: bytes | None) -> Recognizer:
    """Return this process's recogniser, of one thread in every library that has several."""
    import cv2

    cv2.setNumThreads(1)
    if model is None:
        recognizer = Recognizer(threads=1)
    else:
        with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
            file.write(model)
            file.flush()
            recognizer = Recognizer(file.name, threads=1)
    if recognizer.sha256 != sha256:
        raise IntegrityError(
            f"The node {os.uname().nodename} has another model: SHA-256 {recognizer.sha256[:12]}…, "
            f"not {sha256[:12]}…. Install the same digitnet on every node."
        )
    return recognizer


def _row(name: str, answer: Prediction | InputError) -> dict[str, object]:
    # Names may hold bytes that are no text; Parquet's strings may not.
    row: dict[str, object] = dict.fromkeys(ROWS.names)
    row["path"] = _text(name)
    if isinstance(answer, InputError):
        return row | {"error": _text(str(answer))}
    return row | {
        "digit": answer.digit,
        "confidence": answer.confidence,
        "probabilities": answer.probabilities.tolist(),
        "is_digit": answer.is_digit,
        "reason": answer.reason,
    }


def _text(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")


# ---- from a part of the list to pictures


def _pictures(part: pa.Table, job: Job) -> Iterator[list[tuple[str, PictureSource | InputError]]]:
    """Yield names and pictures, a batch at a time."""
    if part.schema.names == NAMES.names:
        for start in range(0, part.num_rows, _BATCH):
            names = part.column(0).slice(start, _BATCH).to_pylist()
            yield _files([os.fsdecode(name) for name in names], job)
        return
    assert job.column
    for rows in tables.read_rows(part, job.place, job.column, job.folder, _BATCH):
        yield [(name, _of_row(name, value, job)) for name, value in rows]


def _files(names: list[str], job: Job) -> list[tuple[str, PictureSource | InputError]]:
    if job.place.url is None:
        return [(name, str(Path(job.folder) / name)) for name in names]
    system = job.place.filesystem()
    full = [system.unstrip_protocol(name) for name in names]
    return list(zip(full, _fetched(job.place, names), strict=True))


def _of_row(name: str, value: bytes | str | None, job: Job) -> PictureSource | InputError:
    if value is None or isinstance(value, bytes):
        return InputError(f"{name} is empty (null).") if value is None else value
    try:
        place = place_of(value)
        if place.url is not None:
            return _fetched(place, [place.path])[0]
    except DigitnetError as error:
        return InputError(str(error))
    return str(Path(job.folder) / place.path)


def _fetched(place: Place, names: Sequence[str]) -> list[bytes | InputError]:
    """Return the bytes of files of a file system, side by side if it can; or why there are none."""
    system = place.filesystem()
    got: dict[str, bytes | Exception] = {}
    for _ in range(_FETCHES):
        left = [n for n in names if n not in got or _may_pass(got[n])]
        if not left:
            break
        # One byte more than allowed, for the recogniser to refuse.
        ends = [MAX_BYTES + 1] * len(left)
        parts = system.cat_ranges(left, [0] * len(left), ends, on_error="return")
        got.update(zip(left, parts, strict=True))
    return [_bytes(name, got[name]) for name in names]


def _may_pass(part: bytes | Exception) -> bool:
    return isinstance(part, OSError) and not isinstance(part, _FINAL)


def _bytes(name: str, part: bytes | Exception) -> bytes | InputError:
    if not isinstance(part, Exception):
        return bytes(part)
    if isinstance(part, FileNotFoundError):
        return InputError(f"There is no file {name} any more.")
    reason = (str(part).splitlines() or [""])[0] or type(part).__name__
    return InputError(f"{name} could not be fetched: {reason.rstrip('.')}.")
