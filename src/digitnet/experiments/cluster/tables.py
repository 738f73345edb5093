"""Pictures in the rows of Parquet files: their bytes, or the paths of files.

Guarantees:

- Files are read in pieces: memory grows neither with a file nor with its row groups.
- No part goes beyond a row group, and none is cut so often that reading past what other parts read
  would count.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from digitnet.errors import InputError
from digitnet.experiments.cluster.listing import Listing, Place, files, part_size, write_parts

# To begin in the middle of a row group, what comes before is read and dropped, in a microsecond a
# row; cut into more parts than this, that would be several percent of all.
_MOST_CUTS = 64
_BUFFER = 1 << 20
# What is taken when no column is named.
_COLUMNS = ("bytes", "path")

RANGES = pa.schema(
    [
        ("name", pa.binary()),
        ("row_group", pa.int32()),
        # Rows of the row group before the part, rows of the file before the row group, and of it.
        ("skip", pa.int64()),
        ("before", pa.int64()),
        ("rows", pa.int64()),
    ]
)


def is_parquet(place: Place, column: str | None) -> bool:
    """Return whether a place leads to Parquet files rather than to pictures."""
    return column is not None or place.path.lower().endswith((".parquet", ".pq"))


def list_rows(
    place: Place, folder: Path, *, column: str | None, recursive: bool
) -> tuple[Listing, str]:
    """Write the list of the rows of Parquet files to ``folder``; return it, and the column.

    Raises:
        InputError: there is no Parquet file, one is damaged, or has no such column.
    """
    names = sorted(files(place, suffixes=(".parquet", ".pq"), recursive=recursive))
    if not names:
        raise InputError(f"There is no Parquet file at '{place.url or place.path}'.")
    groups: list[tuple[str, int, int, int]] = []
    digest = hashlib.sha256()
    for name in names:
        sizes, column = _row_groups(name, place, column)
        digest.update(f"{name}\0{sizes}\0".encode(errors="surrogateescape"))
        groups += [(name, i, sum(sizes[:i]), size) for i, size in enumerate(sizes) if size]
    rows = sum(size for *_, size in groups)
    if not rows:
        raise InputError(f"'{place.url or place.path}' has no rows.")
    assert column
    digest.update(column.encode())
    size = part_size(rows)
    tables = (
        _range(name, group, before, skip, min(step, rows_in - skip))
        for name, group, before, rows_in in groups
        for step in [max(size, -(-rows_in // _MOST_CUTS))]
        for skip in range(0, rows_in, step)
    )
    parts = write_parts(folder / "list.parquet", RANGES, tables)
    return Listing(folder / "list.parquet", rows, parts, digest.hexdigest()), column


def read_rows(
    part: pa.Table, place: Place, column: str, folder: str, batch: int
) -> Iterator[list[tuple[str, bytes | str | None]]]:
    """Yield the rows of a part, ``batch`` at a time: each one's name, and its bytes or path.

    Args:
        part: one row of ``RANGES``.
        place: where the file is.
        column: that holds bytes, paths, or structs with a field ``bytes``.
        folder: which relative paths are below.
        batch: how many rows at a time.
    """
    row = part.to_pylist()[0]
    name = os.fsdecode(row["name"])
    skip, left = row["skip"], row["rows"]
    number = row["before"] + skip
    with _opened(name, place, folder) as file:
        columns = [c for c in dict.fromkeys((column, "path")) if c in file.schema_arrow.names]
        for rows in file.iter_batches(batch, row_groups=[row["row_group"]], columns=columns):
            taken = rows.slice(skip, left)
            skip = max(0, skip - rows.num_rows)
            left -= taken.num_rows
            if taken.num_rows:
                yield _named(taken, column, name, number)
                number += taken.num_rows
            if not left:
                return


def _named(
    rows: pa.RecordBatch, column: str, file: str, number: int
) -> list[tuple[str, bytes | str | None]]:
    values: Sequence[Any] = rows.column(column).to_pylist()
    paths: Sequence[Any] = [None] * len(values)
    if isinstance(rows.column(column), pa.StructArray):
        paths = [value and value.get("path") for value in values]
        values = [value and value.get("bytes") for value in values]
    elif "path" in rows.schema.names:
        paths = rows.column("path").to_pylist()
    elif _is_text(rows.column(column).type):
        paths = values
    return [
        (path if isinstance(path, str) else f"{file}#{place}", value)
        for place, (path, value) in enumerate(zip(paths, values, strict=True), number)
    ]


def _range(name: str, group: int, before: int, skip: int, rows: int) -> pa.Table:
    row = {"name": os.fsencode(name), "row_group": group, "before": before}
    return pa.Table.from_pylist([row | {"skip": skip, "rows": rows}], schema=RANGES)


def _row_groups(name: str, place: Place, column: str | None) -> tuple[list[int], str]:
    """Return the rows of each row group of a file, and the column to read."""
    with _opened(name, place, "") as file:
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
    if not _is_text(kind) and not pa.types.is_binary(kind) and not pa.types.is_large_binary(kind):
        raise InputError(
            f"Column '{field.name}' of {name} is of type {field.type}; it must hold the bytes of "
            "pictures, their paths, or structs with a field 'bytes'."
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


@contextlib.contextmanager
def _opened(name: str, place: Place, folder: str) -> Iterator[pq.ParquetFile]:
    with contextlib.ExitStack() as stack:
        try:
            source: Any = str(Path(folder) / name)
            if place.url is not None:
                source = stack.enter_context(place.filesystem().open(name, "rb"))
            # What is done with it is in here too: pages are read, and may be damaged, later.
            yield stack.enter_context(pq.ParquetFile(source, buffer_size=_BUFFER))
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise InputError(f"{name} cannot be read as Parquet: {reason}.") from error
