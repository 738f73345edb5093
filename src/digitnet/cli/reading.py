"""From inputs to answers: a batch at a time, a bad picture stopping none of the others."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from digitnet import extras
from digitnet.cli.answers import Answer
from digitnet.cli.inputs import PAGE, STDIN, Input
from digitnet.errors import InputError
from digitnet.files import make_folder
from digitnet.reading.pictures import MAX_BYTES
from digitnet.reading.recognizer import Recognizer

if TYPE_CHECKING:
    from digitnet.reading.pictures import PictureSource

# Bytes of a page's name; file systems allow 255.
_LONGEST_STEM = 150


class Reader:
    """Reads pictures, and writes a page on each if told where.

    Args:
        inputs: all that will be read, which pages must not overwrite.
        model: an exported network or a run folder; None is digitnet's own.
        threads: of the network; None leaves that to the recogniser.
        folder: where the pages go; None writes none.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        *,
        model: Path | None = None,
        threads: int | None = None,
        folder: Path | None = None,
    ) -> None:
        self._recognizer = Recognizer(model, threads=threads)
        self._pages = page_names(inputs, make_folder(folder)) if folder else None

    def read(self, batch: Sequence[Input]) -> list[Answer]:
        """Return what came of each input, in order."""
        sources = [each.name if each.error else _source(each.name) for each in batch]
        given = (each.error or source for each, source in zip(batch, sources, strict=True))
        answers = []
        for each, source, one in zip(
            batch, sources, self._recognizer.predict_each(given), strict=True
        ):
            page = next(self._pages) if self._pages else None
            if isinstance(one, InputError):
                answers.append(Answer(each.name, error=one))
                continue
            answer = Answer(each.name, one)
            answers.append(self._explained(answer, source, page) if page else answer)
        return answers

    def _explained(self, answer: Answer, source: PictureSource, page: Path) -> Answer:
        with extras.needed():
            from digitnet.showing.explanation_page import explain

        name = None if answer.name == STDIN else answer.name
        if isinstance(source, io.BytesIO):
            source.seek(0)
        try:
            return replace(answer, explanation=explain(self._recognizer, source, page, name=name))
        except InputError as error:  # the file has changed since it was read
            return Answer(answer.name, error=error)


def page_names(inputs: Sequence[Input], folder: Path) -> Iterator[Path]:
    """Yield a file in ``folder`` for each input: no two the same, and none that is an input."""
    taken = {_key(Path(each.name).parent, Path(each.name).name) for each in inputs}
    place = folder.resolve()
    counts: Counter[str] = Counter()
    for each in inputs:
        stem = "stdin" if each.name == STDIN else Path(each.name).stem
        stem = os.fsdecode(os.fsencode(stem)[:_LONGEST_STEM])
        name = ""
        while not name or _key(place, name) in taken:
            counts[stem] += 1
            name = f"{stem}{PAGE}{f'_{counts[stem]}' if counts[stem] > 1 else ''}.png"
        taken.add(_key(place, name))
        yield folder / name


def _key(folder: Path, name: str) -> str:
    # Some file systems take A.png and a.png for one.
    return str(folder.resolve() / name).casefold()


def _source(name: str) -> PictureSource:
    """Return what to read: a path, or what came on the standard input, which comes only once."""
    if name != STDIN:
        return name
    stream = getattr(sys.stdin, "buffer", None)
    # One byte more than allowed, for the recogniser to refuse.
    content = io.BytesIO(b"" if stream is None else stream.read(MAX_BYTES + 1))
    content.name = STDIN  # for messages
    return content
