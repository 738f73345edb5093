"""What there is to recognise: a sorted list on disk, cut into parts.

The list is one Parquet file with a row group for each part. A row is a picture, or a range of rows
of a Parquet file.

Guarantees:

- Memory grows neither with the number of pictures, in one folder or in many, nor with the size of
  Parquet files or their row groups.
- The same pictures give the same list and the same SHA-256, on whatever file system.
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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.utils import glob_translate

from digitnet.errors import InputError, IntegrityError, MissingExtraError
from digitnet.reading.picture_formats import SHOWN_SUFFIXES, SUFFIXES

_PARQUET = (".parquet", ".pq")
# What is taken when no column is named.
_COLUMNS = ("bytes", "path")
# A part is what may be done twice when a process is lost, a second of drawings or a minute of
# photos; of few pictures it is less, so that every processor gets some.
_PART, _LEAST_PART, _MOST_PARTS_OF_FEW = 1_000, 32, 64
# To begin in the middle of a row group, what comes before is read and dropped, in a microsecond a
# row; cut into more parts than this, that would be several percent of all.
_MOST_CUTS = 64
_BUFFER_BYTES = 1 << 20

LIST = pa.schema(
    [
        pa.field("name", pa.binary(), nullable=False),
        # Of a Parquet file: the first row of the part.
        ("first", pa.int64()),
        ("rows", pa.int64()),
    ]
)
Range = tuple[bytes, int | None, int]
"""A row of the list."""


@dataclass(frozen=True)
class Location:
    """Where pictures are: among the files of this machine, or on a file system of fsspec.

    Attributes:
        path: of a file, a folder, or a pattern, as its file system takes it.
        url: what was typed, which opens the file system anywhere; None for files of the machine.
    """

    path: str
    url: str | None = None

    def filesystem(self) -> Any:
        """Return fsspec's file system of ``url``."""
        assert self.url
        return fsspec.core.url_to_fs(self.url)[0]

    @property
    def is_pattern(self) -> bool:
        """Whether this stands for the files that match it."""
        return glob.has_magic(self.path) and not (self.url is None and os.path.lexists(self.path))

    def is_parquet(self, column: str | None) -> bool:
        """Return whether this leads to Parquet files rather than to pictures."""
        return column is not None or self.path.lower().endswith(_PARQUET)

    def __str__(self) -> str:
        return self.url or self.path


def locate(given: str) -> Location:
    """Return what was typed as a location.

    Raises:
        InputError: it is a URL of a kind that does not exist.
        MissingExtraError: it is one that needs a package which is not installed.
    """
    if "://" not in given and "::" not in given:
        return Location(given)
    try:
        system, path = fsspec.core.url_to_fs(given)
    except ImportError as error:
        raise MissingExtraError(f"{given} cannot be opened: {error}.") from error
    except (ValueError, OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise InputError(f"{given} cannot be opened: {error}.") from error
    is_local = type(system).__name__ == "LocalFileSystem"
    return Location(path) if is_local else Location(path, given)


# ---- the list


@dataclass(frozen=True)
class Listing:
    """A list on disk.

    Attributes:
        file: the Parquet file.
        pictures: how many it leads to.
        parts: how many parts it is cut into.
        sha256: of what it lists, in hexadecimal.
    """

    file: Path
    pictures: int
    parts: int
    sha256: str


def list_pictures(location: Location, folder: Path, *, recursive: bool) -> Listing:
    """Write the sorted list of the pictures of a location to ``folder``.

    Raises:
        InputError: there are none, or they cannot be listed.
    """
    names = _files(location, SUFFIXES, recursive=recursive)
    with contextlib.closing(sqlite3.connect(folder / "names.sqlite")) as disk:
        disk.execute("PRAGMA journal_mode = OFF")
        disk.execute("CREATE TABLE names (name BLOB PRIMARY KEY) WITHOUT ROWID")
        disk.executemany(
            "INSERT OR IGNORE INTO names VALUES (?)", ((os.fsencode(n),) for n in names)
        )
        (count,) = disk.execute("SELECT count(*) FROM names").fetchone()
        if not count:
            raise InputError(_nothing(location, recursive))
        names_in_order = disk.execute("SELECT name FROM names ORDER BY name")
        ranges = ((name, None, 1) for (name,) in names_in_order)
        parts = iter(lambda: list(itertools.islice(ranges, part_size(count))), [])
        return _write(folder, count, parts)


def list_rows(
    location: Location, folder: Path, *, column: str | None, recursive: bool
) -> tuple[Listing, str]:
    """Write the list of the rows of Parquet files to ``folder``; return it, and the column.

    No part goes beyond a row group.

    Raises:
        InputError: there is no Parquet file, one is damaged, or has no such column.
    """
    names = sorted(_files(location, _PARQUET, recursive=recursive))
    if not names:
        raise InputError(f"There is no Parquet file at '{location}'.")
    groups: list[tuple[str, int, int]] = []
    for name in names:
        sizes, column = _row_groups(name, location, column)
        ends = itertools.accumulate(sizes)
        groups += [(name, end - size, size) for size, end in zip(sizes, ends, strict=True)]
    count = sum(size for *_, size in groups)
    if not count:
        raise InputError(f"'{location}' has no rows.")
    assert column
    parts = (
        [(os.fsencode(name), first, min(step, end - first))]
        for name, start, size in groups
        for step in [max(part_size(count), -(-size // _MOST_CUTS))]
        for end in [start + size]
        for first in range(start, end, step)
    )
    return _write(folder, count, parts), column


def part_size(count: int) -> int:
    """Return how many of so many pictures make one part."""
    return min(_PART, max(_LEAST_PART, -(-count // _MOST_PARTS_OF_FEW)))


def _write(folder: Path, pictures: int, parts: Iterable[Sequence[Range]]) -> Listing:
    file, digest, count = folder / "list.parquet", hashlib.sha256(), 0
    with pq.ParquetWriter(file, LIST, compression="zstd") as writer:
        for count, part in enumerate(parts, 1):  # noqa: B007
            for name, first, rows in part:
                digest.update(b"%d %d %d " % (len(name), first or 0, rows) + name)
            columns = dict(zip(LIST.names, zip(*part, strict=True), strict=True))
            writer.write_table(pa.table(columns, LIST), row_group_size=len(part))
    return Listing(file, pictures, count, digest.hexdigest())


@contextlib.contextmanager
def open_list(file: Path) -> Iterator[tuple[list[int], Callable[[int], list[Range]]]]:
    """Open a list; give how many pictures each part leads to, and what returns a part's rows.

    Raises:
        IntegrityError: it is damaged.
    """
    try:
        stream = pq.ParquetFile(file)
        counts = [stream.read_row_group(n, ["rows"]) for n in range(stream.num_row_groups)]
        sizes = [pc.sum(count.column(0)).as_py() for count in counts]
    except (OSError, pa.ArrowException) as error:
        raise IntegrityError(
            f"{file} is missing or damaged: {error}. Name a new folder with --out."
        ) from error

    def part(number: int) -> list[Range]:
        columns = stream.read_row_group(number).to_pydict()
        return list(zip(*(columns[name] for name in LIST.names), strict=True))

    with stream:
        yield sizes, part


def _files(location: Location, suffixes: tuple[str, ...], *, recursive: bool) -> Iterator[str]:
    """Yield the files of a location, in no order.

    Args:
        location: a file, a folder (the files in it that end in ``suffixes``), or a pattern.
        suffixes: in lower case.
        recursive: look in the folders inside a folder too.

    Raises:
        InputError: there is no such location, or it cannot be listed.
    """
    path = location.path
    if location.is_pattern:
        path = re.sub("/+", "/", path) if location.url is None else path
        yield from filter(_matcher(path), _walk(location, *_root(path)))
    elif _is_folder(location):
        names = _walk(location, path, None if recursive else 1)
        yield from (name for name in names if name.lower().endswith(suffixes))
    else:
        yield path


def _matcher(pattern: str) -> Callable[[str], object]:
    try:
        return re.compile(glob_translate(pattern)).fullmatch
    except ValueError as error:
        raise InputError(
            f"'{pattern}' is not a pattern: ** stands alone between two slashes, for any folders; "
            "* stands for any part of a name."
        ) from error


def _root(pattern: str) -> tuple[str, int | None]:
    """Return the folder below which a pattern may match, and how deep; None is any depth."""
    parts = pattern.split("/")
    plain = list(itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    root = "/".join(plain) or ("/" if pattern.startswith("/") else "")
    return root, None if "**" in parts else len(parts) - len(plain)


def _walk(location: Location, folder: str, depth: int | None) -> Iterator[str]:
    """Yield the files below a folder, hidden ones left out.

    Links to folders are followed, unless they lead back to a folder that they are in.
    """
    children = _local_children if location.url is None else _remote_children(location)
    top = Path(os.path.realpath(folder)) if location.url is None else Path()
    waiting = [(folder, 1, frozenset(map(_identity, top.parents)))]
    while waiting:
        inside, level, above = waiting.pop()
        prefix = f"{inside.rstrip('/')}/" if inside else ""
        try:
            own = _identity(inside or ".") if location.url is None else None
            if own in above:
                continue
            for name, is_folder in children(inside):
                if name.startswith("."):
                    continue
                if not is_folder:
                    yield prefix + name
                elif depth is None or level < depth:
                    waiting.append((prefix + name, level + 1, above | {own}))
        except OSError as error:
            raise InputError(
                f"Cannot list the folder '{inside or '.'}': {error.strerror or error}."
            ) from error


def _identity(folder: str | Path) -> tuple[int, int] | None:
    about = os.stat(folder)  # noqa: PTH116
    return about.st_dev, about.st_ino


def _local_children(folder: str) -> Iterator[tuple[str, bool]]:
    with os.scandir(folder or ".") as entries:
        yield from ((entry.name, entry.is_dir()) for entry in entries)


def _remote_children(location: Location) -> Callable[[str], Iterator[tuple[str, bool]]]:
    system = location.filesystem()

    def children(folder: str) -> Iterator[tuple[str, bool]]:
        for about in system.ls(folder, detail=True):
            path = about["name"].rstrip("/")
            if path != folder.rstrip("/"):
                yield path.rpartition("/")[2], about["type"] == "directory"

    return children


def _is_folder(location: Location) -> bool:
    """Return whether a location that is not a pattern is a folder, and not a file.

    Raises:
        InputError: it is neither.
    """
    if location.url is None:
        is_folder, exists = os.path.isdir, os.path.lexists
    else:
        system = location.filesystem()
        is_folder, exists = system.isdir, system.exists
    if not exists(location.path):
        raise InputError(f"There is no '{location}'. Check the path and spelling.")
    return bool(is_folder(location.path))


def _nothing(location: Location, recursive: bool) -> str:
    if location.is_pattern:
        return (
            f"No file matches '{location}'. Check the folder and the spelling; * stands for any "
            "part of a name, ** for any folders."
        )
    deeper = "" if recursive else " --recursive looks in the folders inside it too."
    return (
        f"The folder '{location}' holds no picture. Allowed are {SHOWN_SUFFIXES}, with the usual "
        f"suffixes; of a folder of Parquet files, name the column with --column.{deeper}"
    )


def _row_groups(name: str, location: Location, column: str | None) -> tuple[list[int], str]:
    """Return the rows of each row group of a file, and the column to read."""
    with open_parquet(name, location, "") as file:
        schema, about = file.schema_arrow, file.metadata
        column = column or next((c for c in _COLUMNS if c in schema.names), None)
        if column is None or column not in schema.names:
            wanted = f"column '{column}'" if column else "column 'bytes' or 'path'"
            raise InputError(
                f"{name} has no {wanted}; it has {', '.join(schema.names)}. Name the column of "
                "pictures with --column."
            )
        _check_type(name, schema.field(column))
        return [about.row_group(i).num_rows for i in range(about.num_row_groups)], column


def _check_type(name: str, field: pa.Field) -> None:
    kind = field.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if kind not in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
        raise InputError(
            f"Column '{field.name}' of {name} is of type {field.type}; it must hold the bytes of "
            "pictures, their paths, or structs with a field 'bytes'."
        )


@contextlib.contextmanager
def open_parquet(name: str, location: Location, folder: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file of a location; ``folder`` is what relative paths are below.

    Raises:
        InputError: it is damaged, or a part of it that is read in the block.
    """
    with contextlib.ExitStack() as stack:
        try:
            source: Any = str(Path(folder) / name)
            if location.url is not None:
                source = stack.enter_context(location.filesystem().open(name, "rb"))
            # Errors in the block count too: pages are read, and may be damaged, only there.
            yield stack.enter_context(pq.ParquetFile(source, buffer_size=_BUFFER_BYTES))
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise InputError(f"{name} cannot be read as Parquet: {reason}.") from error
