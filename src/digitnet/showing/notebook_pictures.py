"""Pictures in a notebook: with words for whoever cannot see them, and curves that grow.

Guarantees:

- Every picture carries an alternative text, where Jupyter's own pictures carry it (``alt`` of the
  output), and as plain text beside the PNG or JPEG.
- Nothing is left open in matplotlib, so no picture appears twice.
- Importing this loads no IPython; only curves need it.
"""

from __future__ import annotations

import io
import time
from typing import Any, TypeAlias

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from digitnet.errors import InputError, UsageError, importing_extras
from digitnet.showing.charts import learning_curves
from digitnet.showing.theme import png_bytes
from digitnet.text import count_of
from digitnet.training.progress import Progress
from digitnet.training.runs import Epoch

_DPI = 130  # sharp on a screen of twice the pixels, and small enough for a file that is committed
_WIDEST = 640  # pixels of a notebook's page that a picture takes at most
_ENLARGED = 168  # the least height in which an array of 28 × 28 is shown
_PAUSE = 0.5  # seconds between two words about how far a training is

Showable: TypeAlias = Figure | bytes | NDArray[Any]


class Described:
    """A picture and its words: Jupyter shows the picture, a screen reader reads the words."""

    def __init__(self, encoded: bytes, words: str) -> None:
        self.encoded, self.words = encoded, words
        with Image.open(io.BytesIO(encoded)) as picture:
            self.kind, self.width = str(picture.get_format_mimetype()), picture.width

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the picture by its type, and what Jupyter is to know about it."""
        about = {"alt": self.words, "width": min(self.width, _WIDEST)}
        return {self.kind: self.encoded, "text/plain": self.words}, {self.kind: about}


def described(picture: Showable, words: str) -> Described:
    """Return ``picture`` for a notebook, with ``words`` that say what there is to see.

    Args:
        picture: a figure; the bytes of a PNG or JPEG file; or ink, (H, W) or (N, H, W) side by
            side, uint8 in 0–255 or floating point in [0, 1], drawn dark on light and enlarged.
        words: a sentence or two for whoever cannot see it.

    Raises:
        UsageError: there are no words.
        InputError: an array of another shape.
    """
    if not words.strip():
        raise UsageError("The words are empty; say in a sentence what the picture shows.")
    if isinstance(picture, Figure):
        return Described(png_bytes(picture, _DPI), words)
    if isinstance(picture, bytes):
        return Described(picture, words)
    return Described(_png_of_ink(np.asarray(picture)), words)


def _png_of_ink(ink: NDArray[Any]) -> bytes:
    """Return ink as a PNG: images in one row, each pixel a square that can be seen."""
    if ink.ndim not in (2, 3) or not ink.size:
        raise InputError(f"Ink must be (H, W) or (N, H, W), not {ink.shape}; pass one row of it.")
    row = ink if ink.ndim == 2 else np.hstack(list(ink))
    grey = row if row.dtype == np.uint8 else np.clip(255 * row, 0, 255).round().astype(np.uint8)
    times = max(1, min(_ENLARGED // grey.shape[0], _WIDEST // grey.shape[1]))
    shown = Image.fromarray(255 - grey)
    shown = shown.resize((times * shown.width, times * shown.height), Image.Resampling.NEAREST)
    written = io.BytesIO()
    shown.save(written, format="png", optimize=True)
    return written.getvalue()


class LiveCurves:
    """Learning curves that are drawn again after each epoch, below a line that says how far it is.

    Pass one as ``on_progress`` of ``digitnet.train``, in a notebook.

    Raises:
        MissingExtraError: there is no IPython.
    """

    def __init__(self) -> None:
        with importing_extras():
            from IPython import display
        self.rows: list[Epoch] = []
        self._display: Any = display.display
        self._line = self._display(  # type: ignore[no-untyped-call]
            {"text/plain": "starting"}, raw=True, display_id=True
        )
        self._curves: Any = None
        self._said = time.monotonic()

    def __call__(self, now: Progress) -> None:
        """Show where training stands; the curves change where an epoch has ended."""
        if now.finished:
            self.rows.append(now.finished)
            self._show(described(learning_curves(self.rows), _curve_words(self.rows)))
        if now.finished or time.monotonic() - self._said >= _PAUSE:
            self._said = time.monotonic()
            self._line.update({"text/plain": _standing(now)}, raw=True)

    def _show(self, picture: Described) -> None:
        if self._curves is None:
            self._curves = self._display(picture, display_id=True)
        else:
            self._curves.update(picture)


def _standing(now: Progress) -> str:
    if now.finished:
        share = f"{now.finished.val_accuracy:.2%} of the validation images right"
        return f"{now.epoch} of {count_of(now.epochs, 'epoch')} done, {share}"
    return f"epoch {now.epoch} of {now.epochs}, step {now.step} of {now.steps}, loss {now.loss:.3f}"


def _curve_words(rows: list[Epoch]) -> str:
    """Return what the curves show, for whoever cannot see them."""
    last = rows[-1]
    words = f"Learning curves, {count_of(len(rows), 'epoch')}. At the end, "
    words += f"{last.val_accuracy:.2%} of the validation images are read right, their loss is "
    words += f"{last.val_loss:.4f}, and that of training {last.train_loss:.4f}."
    if len(rows) > 1:
        first = rows[0]
        words += f" After the first epoch it was {first.val_accuracy:.2%}, {first.val_loss:.4f} "
        words += f"and {first.train_loss:.4f}."
    return words
