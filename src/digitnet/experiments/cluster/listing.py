"""What there is to recognise: a sorted list, on disk, cut into parts.

The list is one Parquet file with a row group for each part. Of pictures it holds their names; of
Parquet files, ranges of rows.

Guarantees:

- Memory does not grow with the number of pictures, whether in one folder or in many.
- The same pictures give the same list and the same SHA-256, on whatever file system.
- What cannot be listed is an error: nothing is left out in silence but hidden files, and in folders
  what has no name of a picture.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import heapq
import itertools
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.utils import glob_translate

from digitnet.errors import InputError, IntegrityError, MissingExtraError
from digitnet.reading.picture_formats import SHOWN_SUFFIXES, SUFFIXES

# Names that are sorted in memory at a time, some tens of megabytes.
_RUN = 200_000
_READ_ROWS = 2_000
# A part is what may be done twice when a process is lost, a second of drawings or a minute of
# photos; of few pictures it is less, so that every processor gets some.
_PART, _LEAST_PART, _MOST_PARTS_OF_FEW = 1_000, 32, 64

NAMES = pa.schema([pa.field("name", pa.binary(), nullable=False)])


@dataclass(frozen=True)
class Place:
    """Where pictures are: this machine's files, or a file system of fsspec.

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


@dataclass(frozen=True)
class Listing:
    """A list on disk.

    Attributes:
        file: the Parquet file.
        rows: how many pictures it leads to.
        parts: in how many parts it is cut.
        sha256: of what it lists, in hexadecimal.
    """

    file: Path
    rows: int
    parts: int
    sha256: str


class Parts:
    """An open list.

    Attributes:
        sizes: how many pictures each part leads to.
    """

    def __init__(self, file: pq.ParquetFile) -> None:
        self._file = file
        groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
        if "rows" in file.schema_arrow.names:
            self.sizes: list[int] = file.read(["rows"]).column(0).to_pylist()
        else:
            self.sizes = [group.num_rows for group in groups]

    def table(self, number: int) -> pa.Table:
        """Return the rows of a part."""
        return self._file.read_row_group(number)


@contextlib.contextmanager
def opened(file: Path) -> Iterator[Parts]:
    """Open a list.

    Raises:
        IntegrityError: it is damaged.
    """
    try:
        stream = pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise IntegrityError(
            f"{file} is missing or damaged: {error}. Name a new folder with --out."
        ) from error
    with stream:
        yield Parts(stream)


def place_of(given: str) -> Place:
    """Return what was typed as a place.

    Raises:
        InputError: it is a URL of a kind that does not exist.
        MissingExtraError: it is one that needs a package which is not installed.
    """
    if "://" not in given and "::" not in given:
        return Place(given)
    try:
        system, path = fsspec.core.url_to_fs(given)
    except ImportError as error:
        raise MissingExtraError(f"{given} cannot be opened: {error}.") from error
    except (ValueError, OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise InputError(f"{given} cannot be opened: {error}.") from error
    if type(system).__name__ == "LocalFileSystem":
        return Place(path)
    return Place(path, given)


def files(place: Place, *, suffixes: tuple[str, ...], recursive: bool) -> Iterator[str]:
    """Yield the files of a place, in no order.

    Args:
        place: a file, a folder (the files in it that end in ``suffixes``), or a pattern.
        suffixes: in lower case.
        recursive: look in the folders inside a folder too.

    Raises:
        InputError: there is no such place, or it cannot be listed.
    """
    walk = _walk_files if place.url is None else _remote_walk(place)
    path = place.path
    if place.is_pattern:
        if place.url is None:
            path = re.sub("/+", "/", path)
        root, depth = _root(path)
        yield from filter(_matcher(path), walk(root, depth))
    elif _is_folder(place):
        depth = None if recursive else 1
        ends = (n for n in walk(path, depth) if n.lower().endswith(suffixes))
        yield from ends
    else:
        yield path


def _matcher(pattern: str) -> Callable[[str], object]:
    try:
        return re.compile(glob_translate(pattern)).fullmatch
    except ValueError as error:
        raise InputError(
            f"'{pattern}' is no pattern: ** stands alone between two slashes, for any folders; "
            "* stands for any part of a name."
        ) from error


def list_pictures(place: Place, folder: Path, *, recursive: bool) -> Listing:
    """Write the sorted list of the pictures of a place to ``folder``.

    Raises:
        InputError: there is none, or they cannot be listed.
    """
    names = files(place, suffixes=SUFFIXES, recursive=recursive)
    runs, rows = _sorted_runs(map(os.fsencode, names), folder)
    if not rows:
        raise InputError(_nothing(place, recursive))
    size = part_size(rows)
    digest = hashlib.sha256()

    def tables() -> Iterator[pa.Table]:
        merged = heapq.merge(*map(_read_run, runs))
        while part := list(itertools.islice(merged, size)):
            for name in part:
                digest.update(len(name).to_bytes(4) + name)
            yield pa.table({"name": part}, schema=NAMES)

    parts = write_parts(folder / "list.parquet", NAMES, tables())
    return Listing(folder / "list.parquet", rows, parts, digest.hexdigest())


def part_size(rows: int) -> int:
    """Return how many of so many pictures make one part."""
    return min(_PART, max(_LEAST_PART, -(-rows // _MOST_PARTS_OF_FEW)))


def write_parts(file: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> int:
    """Write tables as the row groups of a Parquet file; return how many there were."""
    count = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for count, table in enumerate(tables, 1):  # noqa: B007
            writer.write_table(table, row_group_size=max(1, table.num_rows))
    return count


def _sorted_runs(names: Iterable[bytes], folder: Path) -> tuple[list[Path], int]:
    """Write names as sorted files of a bounded size; return these, and how many names there are."""
    runs: list[Path] = []
    rows = 0
    rest = iter(names)
    while run := sorted(itertools.islice(rest, _RUN)):
        rows += len(run)
        runs.append(folder / f"run-{len(runs)}.parquet")
        pq.write_table(pa.table({"name": run}, NAMES), runs[-1], row_group_size=_READ_ROWS)
    return runs, rows


def _read_run(file: Path) -> Iterator[bytes]:
    with pq.ParquetFile(file) as run:
        for batch in run.iter_batches(_READ_ROWS):
            yield from batch.column(0).to_pylist()


def _root(pattern: str) -> tuple[str, int | None]:
    """Return the folder below which a pattern may match, and how deep; None is any depth."""
    parts = pattern.split("/")
    plain = list(itertools.takewhile(lambda part: not glob.has_magic(part), parts))
    magic = parts[len(plain) :]
    root = "/".join(plain) or ("/" if pattern.startswith("/") else "")
    return root, None if "**" in magic else len(magic)


def _walk_files(folder: str, depth: int | None) -> Iterator[str]:
    """Yield the files below a folder of this machine, hidden ones left out.

    Links to folders are followed, unless they lead back to where they lie.
    """
    start: tuple[str, ...] = (os.path.realpath(folder),)
    waiting = [(folder, 1, start)]
    while waiting:
        place, level, above = waiting.pop()
        prefix = f"{place.rstrip('/')}/" if place else ""
        try:
            with os.scandir(place or ".") as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if not entry.is_dir():
                        yield prefix + entry.name
                    elif depth is None or level < depth:
                        inside = _inside(entry, above)
                        if inside:
                            waiting.append((prefix + entry.name, level + 1, inside))
        except OSError as error:
            raise InputError(
                f"Cannot list the folder '{place or '.'}': {error.strerror or error}."
            ) from error


def _inside(entry: os.DirEntry[str], above: tuple[str, ...]) -> tuple[str, ...]:
    """Return the folders that one lies in, itself the last, or none for a link back to one.

    Of those on the way, only the first one and links count: the others are below these.
    """
    if not entry.is_symlink():
        return above
    place = os.path.realpath(entry.path)
    own = os.path.realpath(os.path.dirname(entry.path) or ".")  # noqa: PTH120
    leads_back = any(os.path.commonpath((each, place)) == place for each in (*above, own))
    return () if leads_back else (*above, place)


def _remote_walk(place: Place) -> Callable[[str, int | None], Iterator[str]]:
    system = place.filesystem()

    def walk(folder: str, depth: int | None) -> Iterator[str]:
        try:
            for inside, folders, names in system.walk(folder, maxdepth=depth, on_error="raise"):
                folders_hidden = [name for name in folders if name.startswith(".")]
                for name in folders_hidden:
                    del folders[name]
                prefix = f"{inside.rstrip('/')}/" if inside else ""
                yield from (prefix + name for name in names if name and not name.startswith("."))
        except OSError as error:
            raise InputError(f"Cannot list '{place.url}': {error}.") from error

    return walk


def _is_folder(place: Place) -> bool:
    """Return whether a place that is no pattern is a folder, and not a file.

    Raises:
        InputError: it is neither.
    """
    if place.url is None:
        if os.path.isdir(place.path):  # noqa: PTH112
            return True
        found = os.path.lexists(place.path)
    else:
        system = place.filesystem()
        if system.isdir(place.path):
            return True
        found = system.exists(place.path)
    if not found:
        raise InputError(f"There is no '{place.url or place.path}'. Check the path and spelling.")
    return False


def _nothing(place: Place, recursive: bool) -> str:
    name = place.url or place.path
    if place.is_pattern:
        return (
            f"No file matches '{name}'. Check the folder and the spelling; * stands for any part "
            "of a name, ** for any folders."
        )
    deeper = "" if recursive else " --recursive looks in the folders inside it too."
    return (
        f"The folder '{name}' holds no picture. Allowed are {SHOWN_SUFFIXES}, with the usual "
        f"endings; of a folder of Parquet files, name the column with --column.{deeper}"
    )
