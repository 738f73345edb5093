"""From the arguments of ``predict`` and ``read`` to pictures: files, folders, patterns, ``-``.

Guarantees:

- The order is that of the arguments; inside a folder or a pattern names are sorted as people do,
  2.png before 10.png.
- An argument that leads to no picture becomes an ``Answer`` with an error: nothing typed is lost,
  and nothing here raises.
- Pages that ``--explain`` wrote into a folder are skipped, unless they are named one by one.
- No picture is opened.
"""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from digitnet.errors import InputError
from digitnet.reading.picture_formats import SHOWN_SUFFIXES, SUFFIXES
from digitnet.text import count_of

if TYPE_CHECKING:
    from digitnet.reading.prediction import Prediction, Reading
    from digitnet.showing.explanation_page import Explanation
    from digitnet.showing.reading_page import ExplainedReading

STDIN = "-"
# How the names of --explain's pages end; they may lie beside the pictures that they explain.
_PAGE = "_explained"
_IS_PAGE = re.compile(_PAGE + r"(_\d+)?\.png$")
# Bytes of a page's name; file systems allow 255.
_LONGEST_STEM = 150


@dataclass(frozen=True, eq=False)
class Answer:
    """A picture that was asked for, and what came of it: an answer of the verb, or an error."""

    name: str
    """As typed, or below the folder that was typed; ``-`` is standard input."""
    error: InputError | None = None
    prediction: Prediction | None = None
    reading: Reading | None = None
    explanation: Explanation | ExplainedReading | None = None


def collect(
    arguments: Sequence[str], *, recursive: bool = False, on_message: Callable[[str], None]
) -> list[Answer]:
    """Return the pictures that the arguments name.

    Args:
        arguments: files, folders (the pictures in them), patterns, or ``-``.
        recursive: search subfolders too.
        on_message: is called with a line for each folder in which files were skipped.
    """
    return [each for argument in arguments for each in _expand(argument, recursive, on_message)]


def page_names(inputs: Sequence[Answer], folder: Path) -> Iterator[Path]:
    """Yield a file in ``folder`` for each input: no two the same, and none that is an input."""
    taken = {_key(Path(each.name).parent, Path(each.name).name) for each in inputs}
    resolved = Path(os.path.realpath(folder))
    counts: Counter[str] = Counter()
    for each in inputs:
        stem = "stdin" if each.name == STDIN else Path(each.name).stem
        while len(os.fsencode(stem)) > _LONGEST_STEM:
            stem = stem[:-1]
        name = ""
        while not name or _key(resolved, name) in taken:
            counts[stem] += 1
            name = f"{stem}{_PAGE}{f'_{counts[stem]}' if counts[stem] > 1 else ''}.png"
        taken.add(_key(resolved, name))
        yield folder / name


def _key(folder: Path, name: str) -> str:
    # To some file systems A.png and a.png are the same.
    # Not Path.resolve, which raises where links lead back to themselves.
    return str(Path(os.path.realpath(folder)) / name).casefold()


def _expand(argument: str, recursive: bool, on_message: Callable[[str], None]) -> list[Answer]:
    # Not Path.is_dir, which raises for names that no file can have.
    if argument != STDIN and os.path.isdir(argument):  # noqa: PTH112
        return _in_folder(argument, recursive, on_message)
    # A file may be called a[1].png; it is a pattern only when there is no such file.
    if not os.path.lexists(argument) and glob.has_magic(argument):
        return _matching(argument)
    return [Answer(argument)]


def _matching(pattern: str) -> list[Answer]:
    names = [name for name in _globbed(pattern) if not os.path.isdir(name)]  # noqa: PTH112
    files = [name for name in names if not _IS_PAGE.search(name)]
    if not files:
        error = InputError(
            f"Nothing but pages of --explain matches '{pattern}'. Name one to read it as a picture."
            if names
            else f"No file matches '{pattern}'. Check the folder and the spelling; "
            "* stands for any part of a name, ** for any folders."
        )
        return [Answer(pattern, error)]
    return [Answer(name) for name in sorted(files, key=_as_people_count)]


def _globbed(pattern: str) -> list[str]:
    """Return what a pattern matches; ``**`` follows no link to a folder, which may lead back."""
    pattern += "/*" if re.search(r"(^|/)\*\*$", pattern) else ""
    found = re.fullmatch(r"((?:.*?/)?)\*\*/+(.+)", pattern, re.DOTALL)
    if not found:
        # Not Path.glob, which takes no absolute pattern and does not keep names as they were typed.
        return glob.glob(pattern)  # noqa: PTH207
    names: list[str] = []
    for root in glob.glob(found[1]) if found[1] else [""]:  # noqa: PTH207
        for parent, folders, _ in os.walk(root or "."):
            folders[:] = _visible(folders)
            below = f"{parent.rstrip('/')}/"
            names += _globbed(glob.escape(below if root else below[2:]) + found[2])
    return list(dict.fromkeys(names))


def _in_folder(folder: str, recursive: bool, on_message: Callable[[str], None]) -> list[Answer]:
    failed: list[OSError] = []
    names: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=failed.append):
        names += [f"{parent.rstrip('/')}/{name}" for name in _visible(files)]
        folders[:] = _visible(folders) if recursive else []
    inputs = [Answer(name) for name in names if _is_picture(name)]
    inputs += [_unlisted(folder, error) for error in failed]
    skipped = sum(not _is_picture(name) for name in names)
    if inputs and skipped:
        on_message(
            f"Skipped {count_of(skipped, 'file')} in {folder}: not named like a picture "
            "(.png, .jpg and so on), or a picture from --explain."
        )
    if inputs:
        return inputs
    holds = f", only {count_of(skipped, 'other file')}" if skipped else ""
    deeper = "" if recursive else " --recursive searches its subfolders too."
    error = InputError(
        f"The folder '{folder}' holds no picture{holds}. "
        f"Pictures are {SHOWN_SUFFIXES}, with the usual endings.{deeper}"
    )
    return [Answer(folder, error)]


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not _IS_PAGE.search(name)


def _visible(names: list[str]) -> list[str]:
    return sorted((name for name in names if name[0] != "."), key=_as_people_count)


def _unlisted(folder: str, error: OSError) -> Answer:
    name = os.fsdecode(error.filename or folder)
    return Answer(name, InputError(f"Cannot list the folder '{name}': {error.strerror or error}."))


def _as_people_count(name: str) -> tuple[list[str | int], str]:
    # Text and numbers alternate, so that only like is compared with like.
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name
