"""From what was typed after a verb to the list of pictures: files, folders, patterns, ``-``.

Guarantees:

- The order is that of the arguments; inside a folder or a pattern names are sorted as people do,
  2.png before 10.png.
- An argument that leads to no picture becomes an ``Input`` with an error: nothing typed is lost,
  and nothing here raises.
- Pages that ``--explain`` wrote into a folder are none of its pictures; named one by one they are.
- Nothing is opened.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from digitnet.errors import InputError
from digitnet.reading.suffixes import SHOWN_SUFFIXES, SUFFIXES
from digitnet.text import count_of

STDIN = "-"
# How names of --explain's pages end, which may lie beside the pictures that they explain.
PAGE = "_explained"
_PAGE = re.compile(PAGE + r"(_\d+)?\.png$")


@dataclass(frozen=True)
class Input:
    """A picture to read, or why there is none."""

    name: str
    """As typed, or below what was typed; ``-`` is the standard input."""
    error: InputError | None = None


def collect(
    arguments: Sequence[str], *, recursive: bool = False, tell: Callable[[str], None]
) -> list[Input]:
    """Return the pictures that the arguments name.

    Args:
        arguments: files, folders (the pictures in them), patterns, or ``-``.
        recursive: take the pictures in folders inside folders too.
        tell: is called with a line for each folder in which files were left out.
    """
    return [each for argument in arguments for each in _expand(argument, recursive, tell)]


def _expand(argument: str, recursive: bool, tell: Callable[[str], None]) -> list[Input]:
    if argument == STDIN or not argument:
        return [Input(argument)]
    # Not Path.is_dir, which raises for names that no file can have.
    if os.path.isdir(argument):  # noqa: PTH112
        return _in_folder(argument, recursive, tell)
    # A file may be called a[1].png; it is a pattern only when there is no such file.
    if not os.path.lexists(argument) and glob.has_magic(argument):
        return _matching(argument)
    return [Input(argument)]


def _matching(pattern: str) -> list[Input]:
    # Not Path.glob, which would not take an absolute pattern nor keep names as they were typed.
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207
    found = [name for name in names if not os.path.isdir(name)]  # noqa: PTH112
    if not found:
        error = InputError(
            f"No file matches '{pattern}'. Check the folder and the spelling; "
            "* stands for any part of a name, ** for any folders."
        )
        return [Input(pattern, error)]
    return [Input(name) for name in sorted(found, key=_as_people_count)]


def _in_folder(folder: str, recursive: bool, tell: Callable[[str], None]) -> list[Input]:
    inputs: list[Input] = []
    left_out = 0
    for name in _walk(folder, recursive):
        if isinstance(name, Input):
            inputs.append(name)
        elif name.lower().endswith(SUFFIXES) and not _PAGE.search(name):
            inputs.append(Input(name))
        else:
            left_out += 1
    if left_out and inputs:
        files = count_of(left_out, "file")
        tell(
            f"note: {files} in {folder} left out: no name of a picture (.png, .jpg and so on), "
            "or a page of --explain."
        )
    return inputs or [Input(folder, _nothing_in(folder, left_out, recursive))]


def _nothing_in(folder: str, left_out: int, recursive: bool) -> InputError:
    holds = f", but {count_of(left_out, 'other file')}" if left_out else ""
    deeper = "" if recursive else " --recursive looks in the folders inside it too."
    return InputError(
        f"The folder '{folder}' holds no picture{holds}. "
        f"Allowed are {SHOWN_SUFFIXES}, with the usual endings.{deeper}"
    )


def _walk(folder: str, recursive: bool) -> Iterator[str | Input]:
    """Yield the files of a folder in order, hidden ones left out, or why it cannot be listed."""
    failed: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=failed.append):
        yield from (
            f"{place.rstrip('/')}/{name}"
            for name in sorted(files, key=_as_people_count)
            if not name.startswith(".")
        )
        folders[:] = sorted((f for f in folders if f[0] != "."), key=_as_people_count)
        if not recursive:
            break
    for error in failed:
        reason = error.strerror or str(error)
        place = os.fsdecode(error.filename or folder)
        yield Input(place, InputError(f"Cannot list the folder '{place}': {reason}."))


def _as_people_count(name: str) -> tuple[list[str | int], str]:
    # Text and numbers take turns, so that like is compared with like.
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name
