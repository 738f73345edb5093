"""UNIPEN's own files: from a copy of the release train_r01_v07 to the signs in it.

The release has a folder ``data`` with a folder for each category (``1a``: isolated digits) and in
it one for each contributor, and a folder ``include`` with what those files name: the pens' points
and what is known of the writers. A file is a row of statements, ``.KEYWORD`` and what belongs to it
up to the next:

- ``.INCLUDE apb/app.doc``: another file, below ``include``, as if its text stood here.
- ``.COORD X Y T``: what the numbers of a point are, in this order; y points up.
- ``.PEN_DOWN`` and ``.PEN_UP``: points. Each that has any is a component, counted from 0.
- ``.SEGMENT CHARACTER 4-5 OK "7"``: components 4 and 5 are a 7; ``4:10-5:3`` from point 10 of the
  one to point 3 of the other; several parts are joined by commas.
- ``.WRITER_ID``, ``.COUNTRY``: who wrote.

Guarantees:

- Writers are numbered, not named; contributors that share people (Apple, CEDAR) are one site.
- Any text gives signs or an ``IntegrityError`` that names the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digitnet.data.pen_signs import STEPS, Hands, hands_of
from digitnet.errors import InputError, IntegrityError
from digitnet.files import storage_errors

Points = NDArray[np.float64]

# Of a sign's longer side, unless the tablet's own steps are longer.
_SHORTEST_STEP = 1 / 40
# Signs that are smaller than a letter keep their size beside their writer's letters.
SMALL = frozenset(".,-_'`\"^~:;=*+<>")
_SITES = {"apa": "apple", "apb": "apple", "app": "apple"} | dict.fromkeys(
    ("cea", "ceb", "ced"), "cedar"
)
_STATEMENT = re.compile(r"^[ \t]*\.([A-Z_]+)", re.MULTILINE)
_CHARACTER = re.compile(r'CHARACTER\s+([\d:,-]+)\s+\S+\s+"(.)"')
# Files that include files that include files: more is a loop.
_DEEPEST = 8


@dataclass
class _Recording:
    """What a file and those that it includes say."""

    facts: dict[str, str] = field(default_factory=dict)
    components: list[Points] = field(default_factory=list)
    is_down: list[bool] = field(default_factory=list)
    segments: list[tuple[str, str]] = field(default_factory=list)


def read_release(root: Path) -> Hands:
    """Return the isolated digits, category ``1a``, of the release that lies in ``root``.

    Raises:
        InputError: there are none, or not a file that another includes.
        IntegrityError: a file is in another format.
        StorageError: a file cannot be read.
    """
    folder = root / "data" / "1a"
    files = sorted(folder.rglob("*.dat"))
    if not files:
        raise InputError(f"There are no UNIPEN files (*.dat) in {folder}. Name a whole copy.")
    signs: list[tuple[str, list[Points]]] = []
    about: list[tuple[str, str, str]] = []
    for file in files:
        contributor = file.relative_to(folder).parts[0]
        recording = _Recording()
        try:
            _gather(file, root / "include", recording, 0)
            own = [(label, _strokes(where, recording)) for where, label in recording.segments]
        except (ValueError, IndexError) as error:
            raise IntegrityError(f"{file} is not what UNIPEN's files are: {error}.") from error
        own = [(label, strokes) for label, strokes in own if strokes]
        signs += own
        site = _SITES.get(contributor, contributor)
        name = f"{site} {recording.facts.get('WRITER_ID', file.stem)}"
        about += [(contributor, name, recording.facts.get("COUNTRY", ""))] * len(own)
    if not signs:
        raise IntegrityError(f"The files in {folder} hold no sign. Name a whole copy.")
    return _as_hands(signs, about)


def rounded(strokes: list[Points], label: str, usual: float) -> list[NDArray[np.uint8]]:
    """Return the strokes of one sign, y down, in whole steps; its box begins at 0, 0.

    Points are set at equal distances and smoothed once, which takes away the stairs of coarse
    tablets; reading smooths once more.
    """
    points = np.concatenate(strokes)
    finest = min(float(np.diff(np.unique(values)).min(initial=np.inf)) for values in points.T)
    side = float(np.ptp(points, axis=0).max())
    step = max(side * _SHORTEST_STEP, min(finest, side) or 1.0)
    even = [_spaced(stroke, step) for stroke in strokes]
    low, high = np.min([s.min(0) for s in even], 0), np.max([s.max(0) for s in even], 0)
    unit = max(float((high - low).max()), usual if label in SMALL else 1.0)
    return [np.round((stroke - low) * (STEPS / unit)).astype(np.uint8) for stroke in even]


def _spaced(points: Points, step: float) -> Points:
    """Return the line through ``points`` as points about ``step`` apart, smoothed once."""
    if len(points) < 2:
        return points
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
    at = np.linspace(0, along[-1], max(2, int(np.ceil(along[-1] / step)) + 1))
    even = np.stack([np.interp(at, along, values) for values in points.T], axis=1)
    smooth: Points = np.r_[even[:1], (even[:-2] + 2 * even[1:-1] + even[2:]) / 4, even[-1:]]
    return smooth


def _as_hands(signs: list[tuple[str, list[Points]]], about: list[tuple[str, str, str]]) -> Hands:
    """Return signs, each a label and strokes, and of each its contributor, writer and country."""
    contributor, name, country = (np.array(each) for each in zip(*about, strict=True))
    label = np.array([each for each, _ in signs])
    sides = np.array([np.ptp(np.concatenate(strokes), axis=0).max() for _, strokes in signs])
    writer, usual = np.empty(len(signs), "U16"), np.empty(len(signs), np.float32)
    numbers: dict[str, int] = {}
    for each in np.unique(name):
        own, site = name == each, str(each).partition(" ")[0]
        numbers[site] = numbers.get(site, -1) + 1
        writer[own], usual[own] = f"{site}-{numbers[site]:02}", np.median(sides[own])
    strokes = [
        rounded(own, sign, float(side)) for (sign, own), side in zip(signs, usual, strict=True)
    ]
    return hands_of(
        strokes,
        label=label,
        writer=writer,
        contributor=contributor,
        country=country,
        usual_side=usual,
    )


def _statements(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each keyword of a file with the text up to the next."""
    with storage_errors(path, "read"):
        text = path.read_text(encoding="latin-1")
    found = list(_STATEMENT.finditer(text))
    ends = [each.start() for each in found[1:]] + [len(text)]
    for each, end in zip(found, ends, strict=True):
        yield each[1], text[each.end() : end].strip()


def _gather(path: Path, include: Path, recording: _Recording, depth: int) -> None:
    """Add to ``recording`` what ``path`` says, and what the files say that it includes."""
    if depth > _DEEPEST:
        raise ValueError(f"{path} includes itself")
    for keyword, text in _statements(path):
        if keyword == "INCLUDE":
            if not (included := include / text).is_file():
                raise InputError(f"{path} includes {included}, which is not there.")
            _gather(included, include, recording, depth + 1)
        elif keyword in ("PEN_DOWN", "PEN_UP") and text:
            columns = recording.facts.get("COORD", "X Y").split()
            values = np.array(text.split(), np.float64).reshape(-1, len(columns))
            points = values[:, [columns.index("X"), columns.index("Y")]] * (1, -1)
            if not np.isfinite(points).all():
                raise ValueError("a pen was nowhere")
            recording.components.append(points)
            recording.is_down.append(keyword == "PEN_DOWN")
        elif keyword == "SEGMENT" and (found := _CHARACTER.match(text)):
            recording.segments.append((found[1], found[2]))
        elif keyword in ("COORD", "WRITER_ID", "COUNTRY"):
            recording.facts[keyword] = text


def _strokes(where: str, recording: _Recording) -> list[Points]:
    """Return the strokes, pen down, in a segment such as ``4:10-5:3,7``."""
    strokes = []
    for part in where.split(","):
        begin, _, end = part.partition("-")
        first, _, start = begin.partition(":")
        last, _, stop = (end or begin).partition(":")
        for index in range(int(first), int(last) + 1):
            points = recording.components[index]
            until = int(stop) + 1 if end and stop and index == int(last) else len(points)
            points = points[int(start or 0) if index == int(first) else 0 : until]
            if recording.is_down[index] and len(points):
                strokes.append(points)
    return strokes
