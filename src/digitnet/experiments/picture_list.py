"""What there is to recognise: a sorted list on disk, cut into parts, and the pictures of a part.

The list is one Parquet file with a row group for each part. A row is a picture, or a range of rows
of a Parquet file.

Guarantees:

- Memory grows neither with the number of pictures, in one folder or in many, nor with the size of
  Parquet files or their row groups.
- The same pictures give the same list and the same SHA-256, on whatever file system.
- A picture that cannot be fetched is an error of its own, and stops no other.
- What cannot be listed is an error: only hidden files are left out silently and, of folders, files
  that are not named like a picture.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import itertools
import os
import re
import sqlite3
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from digitnet.errors import DigitnetError, InputError, MissingExtraError, reason
from digitnet.files import storage_errors
from digitnet.reading.picture_bytes import MAX_BYTES
from digitnet.reading.picture_formats import SHOWN_SUFFIXES, SUFFIXES
from digitnet.reading.pictures import PictureSource

# Pictures that are read at a time.
_BATCH = 64
_PARQUET = (".parquet", ".pq")
# What is taken when no column is named.
_COLUMNS = ("bytes", "path")
# A part is what may be done twice when a process is lost, a second of drawings or a minute of
# photos; of few pictures it is less, so that every processor gets some.
_PART, _LEAST_PART, _MOST_PARTS_OF_FEW = 15 * _BATCH, 32, 64
# To begin in the middle of a row group, what comes before is read and dropped, in a microsecond a
# row; cut into more parts than this, that would be several percent of all.
_MOST_CUTS = 64
_BUFFER_BYTES = 1 << 20

# The group is one of rows of a Parquet file, and first the first row of the part in it.
LIST = pa.schema({"name": pa.binary()} | dict.fromkeys(("group", "first", "rows"), pa.int64()))
Range = tuple[bytes, int, int, int]
"""A row of the list."""
Named = tuple[str, PictureSource | InputError]
"""A picture with its name, or why there is none."""


@dataclass(frozen=True)
class Location:
    """Where pictures are.

    Attributes:
        system: fsspec's file system; it can be pickled, and then opens the same files elsewhere.
        path: of a file, a folder, or a pattern, as the file system takes it.
        given: what was typed.
    """

    system: Any
    path: str
    given: str

    @property
    def is_local(self) -> bool:
        """Whether it is among the files of this machine."""
        return isinstance(self.system, LocalFileSystem)


def locate(given: str) -> Location:
    """Return what was typed as a location.

    Raises:
        InputError: it is a URL of a kind that does not exist.
        MissingExtraError: it is one that needs a package which is not installed.
    """
    if "://" not in given and "::" not in given:
        return Location(LocalFileSystem(), re.sub("/+", "/", given), given)
    try:
        system, path = fsspec.core.url_to_fs(given)
    except ImportError as error:
        raise MissingExtraError(f"{given} cannot be opened: {error}.") from error
    except (ValueError, OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise InputError(f"{given} cannot be opened: {error}.") from error
    return Location(system, path, given)


# ---- the list


@dataclass(frozen=True)
class Listing:
    """A list on disk.

    Attributes:
        file: the Parquet file.
        sizes: how many pictures each part leads to.
        sha256: of what it lists, in hexadecimal.
        column: of Parquet files, which holds their pictures.
    """

    file: Path
    sizes: list[int]
    sha256: str
    column: str | None


def make_list(location: Location, folder: Path, column: str | None, recursive: bool) -> Listing:
    """Write the sorted list of the pictures of a location to ``folder``.

    Args:
        location: leads to pictures, or to Parquet files if it is named so or ``column`` is given.
        folder: gets ``list.parquet``.
        column: of Parquet files: holds their pictures; by default ``bytes``, else ``path``.
        recursive: look in the folders inside a folder too.

    Raises:
        InputError: there are none, they cannot be listed, or have no such column.
    """
    if column is not None or location.path.lower().endswith(_PARQUET):
        return _list_rows(location, folder, column, recursive)
    with contextlib.closing(sqlite3.connect(folder / "names.sqlite")) as disk:
        disk.execute("PRAGMA journal_mode = OFF")
        disk.execute("CREATE TABLE names (name BLOB PRIMARY KEY) WITHOUT ROWID")
        names = ((os.fsencode(name),) for name in _files(location, SUFFIXES, recursive))
        disk.executemany("INSERT OR IGNORE INTO names VALUES (?)", names)
        (count,) = disk.execute("SELECT count(*) FROM names").fetchone()
        if not count:
            raise InputError(
                f"There is no picture at '{location.given}'. Allowed are {SHOWN_SUFFIXES}, with "
                "the usual suffixes; in a pattern, * stands for any part of a name and ** for any "
                "folders; --recursive looks in the folders inside a folder too; of a folder of "
                "Parquet files, name the column with --column."
            )
        ordered = disk.execute("SELECT name, 0, 0, 1 FROM names ORDER BY name")
        parts = iter(lambda: ordered.fetchmany(part_size(count)), [])
        return _write(folder, parts, None)


def _list_rows(location: Location, folder: Path, column: str | None, recursive: bool) -> Listing:
    """Write the list of the rows of Parquet files; no part goes beyond a row group."""
    groups: list[tuple[str, int, int]] = []
    for name in sorted(_files(location, _PARQUET, recursive)):
        with _open_parquet(name, location) as file:
            column = _checked_column(name, file.schema_arrow, column)
            sizes = (file.metadata.row_group(n).num_rows for n in range(file.num_row_groups))
            groups += [(name, group, size) for group, size in enumerate(sizes)]
    count = sum(size for *_, size in groups)
    if not count:
        raise InputError(f"There is no Parquet file with rows at '{location.given}'.")
    parts = (
        [(os.fsencode(name), group, first, min(step, size - first))]
        for name, group, size in groups
        for step in [max(part_size(count), -(-size // _MOST_CUTS))]
        # A part begins with a batch.
        for step in [-(-step // _BATCH) * _BATCH]
        for first in range(0, size, step)
    )
    return _write(folder, parts, column)


def part_size(count: int) -> int:
    """Return how many of so many pictures make one part."""
    return min(_PART, max(_LEAST_PART, -(-count // _MOST_PARTS_OF_FEW)))


def _write(folder: Path, parts: Iterable[Sequence[Range]], column: str | None) -> Listing:
    file, digest, sizes = folder / "list.parquet", hashlib.sha256(), []
    with storage_errors(file), pq.ParquetWriter(file, LIST, compression="zstd") as writer:
        for part in parts:
            for name, group, first, rows in part:
                digest.update(b"%d %d %d %d " % (len(name), group, first, rows) + name)
            columns = list(zip(*part, strict=True))
            writer.write_table(pa.table(dict(zip(LIST.names, columns, strict=True)), LIST))
            sizes.append(sum(columns[-1]))
    return Listing(file, sizes, digest.hexdigest(), column)


def read_parts(file: Path, numbers: Iterable[int]) -> Iterator[tuple[int, list[Range]]]:
    """Yield parts of a list: the number of each, and its rows."""
    with pq.ParquetFile(file) as stream:
        for number in numbers:
            columns = stream.read_row_group(number).to_pydict()
            yield number, list(zip(*columns.values(), strict=True))


# ---- the files of a location


def _files(location: Location, suffixes: tuple[str, ...], recursive: bool) -> Iterator[str]:
    """Yield the files of a location, in no order.

    Args:
        location: a file, a folder (the files in it that end in ``suffixes``), or a pattern.
        suffixes: in lower case.
        recursive: look in the folders inside a folder too.

    Raises:
        InputError: there is no such location, or it cannot be listed.
    """
    system, path = location.system, location.path
    if glob.has_magic(path) and not system.exists(path):
        try:
            matches = re.compile(glob_translate(path)).fullmatch
        except ValueError as error:
            raise InputError(f"'{path}' cannot be used: {reason(error)}") from error
        # Where names are the same: up to the last slash before the first wildcard.
        top = "".join(re.split(r"[*?[]", path)[0].rpartition("/")[:2])
        depth = None if "**" in path else path.count("/") - top.count("/") + 1
        yield from filter(matches, _walk(location, top, depth))
    elif not location.given or not system.exists(path):
        raise InputError(f"There is no '{location.given}'. Check the path and spelling.")
    elif system.isdir(path):
        names = _walk(location, path and f"{path.rstrip('/')}/", None if recursive else 1)
        yield from (name for name in names if name.lower().endswith(suffixes))
    else:
        yield path


def _walk(location: Location, folder: str, depth: int | None) -> Iterator[str]:
    """Yield the files below a folder, hidden ones left out; ``folder`` ends with a slash."""
    try:
        for name, is_folder in _children(location, folder):
            if name.startswith("."):
                continue
            if not is_folder:
                yield folder + name
            elif depth != 1:
                yield from _walk(location, f"{folder}{name}/", depth and depth - 1)
    except OSError as error:
        raise InputError(
            f"Cannot list the folder '{folder or '.'}': {error.strerror or error}."
        ) from error


def _children(location: Location, folder: str) -> Iterator[tuple[str, bool]]:
    """Yield each name in a folder, and whether it is a folder; links back to it are left out."""
    if location.is_local:
        # Not fsspec, which has all names of a folder in memory.
        here = Path(os.path.realpath(folder))
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                if not (entry.is_symlink() and here.is_relative_to(os.path.realpath(entry))):
                    yield entry.name, entry.is_dir()
        return
    own = folder[:-1] or folder
    for about in location.system.ls(own, detail=True):
        path = about["name"].rstrip("/")
        if path != own:
            yield path.rpartition("/")[2], about["type"] == "directory"


# ---- from a part of the list to its pictures


def pictures(part: list[Range], location: Location, column: str | None) -> Iterator[list[Named]]:
    """Yield names and pictures of a part, a batch at a time.

    Args:
        part: from ``read_parts``.
        location: that of the list.
        column: that of the list.
    """
    if column is not None:
        # Such a part is one range.
        yield from _parquet_rows(part[0], location, column)
        return
    for start in range(0, len(part), _BATCH):
        names = [os.fsdecode(name) for name, *_ in part[start : start + _BATCH]]
        if location.is_local:
            yield [(name, name) for name in names]
        else:
            full = map(location.system.unstrip_protocol, names)
            yield list(zip(full, _fetched(location, names), strict=True))


def _fetched(location: Location, names: Sequence[str]) -> list[bytes | InputError]:
    """Return the content of files of a file system, or why there is none; together if it can."""
    starts, ends = [0] * len(names), [MAX_BYTES + 1] * len(names)
    # One byte more than allowed, for the recogniser to refuse.
    parts = location.system.cat_ranges(list(names), starts, ends, on_error="return")
    return [
        InputError(f"{name} could not be fetched ({type(part).__name__}): {reason(part)}")
        if isinstance(part, Exception)
        else bytes(part)
        for name, part in zip(names, parts, strict=True)
    ]


def _parquet_rows(item: Range, location: Location, column: str) -> Iterator[list[Named]]:
    """Yield names and pictures of a range of rows; one without a path is named by its number."""
    name, group, first, count = os.fsdecode(item[0]), *item[1:]
    with _open_parquet(name, location) as file:
        before = sum(file.metadata.row_group(n).num_rows for n in range(group))
        columns = [c for c in dict.fromkeys((column, "path")) if c in file.schema_arrow.names]
        batches = file.iter_batches(_BATCH, row_groups=[group], columns=columns)
        # A part begins with a batch, and ends with one.
        for batch in itertools.islice(batches, first // _BATCH, -(-(first + count) // _BATCH)):
            rows = enumerate(batch.to_pylist(), before + first)
            yield [_named(row, column, f"{name}#{number}") for number, row in rows]
            first += batch.num_rows


def _named(row: dict[str, Any], column: str, name: str) -> Named:
    value: Any = row[column]
    path = row.get("path")
    if isinstance(value, dict):
        value, path = value.get("bytes"), value.get("path")
    elif isinstance(value, str):
        path = value
    if isinstance(path, str):
        name = path
    if value is None:
        return name, InputError(f"{name} is empty (null).")
    if isinstance(value, bytes):
        return name, value
    try:
        location = locate(value)
        return name, value if location.is_local else _fetched(location, [location.path])[0]
    except DigitnetError as error:
        return name, InputError(str(error))


# ---- Parquet files


@contextlib.contextmanager
def _open_parquet(name: str, location: Location) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file of a location.

    Raises:
        InputError: it is damaged, or a part of it that is read in the block.
    """
    try:
        # Errors in the block count too: pages are read, and may be damaged, only there.
        with pq.ParquetFile(name, filesystem=location.system, buffer_size=_BUFFER_BYTES) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{name} cannot be read as Parquet: {reason(error)}") from error


def _checked_column(name: str, schema: pa.Schema, column: str | None) -> str:
    """Return the column of a file to read."""
    kinds: dict[str, Any] = dict(zip(schema.names, schema.types, strict=True))
    for found in [column] if column else _COLUMNS:
        kind: Any = kinds.get(found, pa.null())
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
            return found
    wanted = f"'{column}'" if column else "'bytes' or 'path'"
    raise InputError(
        f"{name} has no column {wanted} of bytes of pictures, of their paths, or of structs with a "
        f"field 'bytes'; it has {', '.join(f'{n} ({kind})' for n, kind in kinds.items())}. Name "
        "the column of pictures with --column."
    )
