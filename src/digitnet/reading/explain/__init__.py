"""Why a picture was read as it was: one page for each, made to be looked at.

Guarantees:

- A page shows every step from the picture to the answer, what the answer hangs on, and the training
  digits that the network finds most alike; nothing on it is computed otherwise than for the answer.
- Importing this loads neither matplotlib nor NumPy; ``explain`` loads them.

    words      a prediction in words
    evidence   what the page shows, as numbers: occlusion map, nearest training digits
    page       the page itself
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from digitnet import extras

if TYPE_CHECKING:
    from digitnet.reading.pictures import PictureSource
    from digitnet.reading.recognizer import Prediction, Recognizer

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What ``explain`` found and wrote."""

    path: Path
    """The page, a PNG file."""
    words: str
    """One line: what was read, what came second, why it was refused if it was."""
    prediction: Prediction


def explain(
    recognizer: Recognizer,
    picture: PictureSource,
    path: Path | str,
    *,
    name: str | None = None,
) -> Explanation:
    """Write a page that shows how a picture of one digit was read.

    Args:
        recognizer: reads it.
        picture: as for ``Recognizer.predict``.
        path: the PNG file to write; an old one is replaced.
        name: how the page calls the picture; by default what ``pictures.describe`` calls it.

    Raises:
        InputError: the picture cannot be read.
        MissingExtraError: matplotlib is not installed.
        StorageError: the page cannot be written.
    """
    with extras.needed():
        from digitnet.reading.explain.evidence import gather
        from digitnet.reading.explain.page import draw, png
        from digitnet.showing.figures.theme import theme
    from digitnet.files import write_atomic
    from digitnet.reading.pictures import describe

    evidence = gather(recognizer, picture)
    with theme():
        page = png(draw(evidence, name or describe(picture)))
    write_atomic(Path(path), page)
    return Explanation(Path(path), evidence.words, evidence.prediction)
