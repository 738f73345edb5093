"""Signs for pages: digits, letters and marks as one person writes them with one pen.

Guarantees:

- A ``Glyph`` is strokes or an image that can be moved, turned and slanted without loss; its box
  begins at 0, 0 where it comes from a ``Penman``, and its longer side is about 1.
- A ``Penman`` writes all digits of a page alike: from one writer's strokes, from MNIST's, or in
  one typeface; always with one pen and one slant.
- Nothing depends on anything but the collection and the generator.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis.drawn_digits import bare_one, continental, rarely_written
from digitnet.synthesis.greek_letters import greek_letter
from digitnet.synthesis.middle_lines import middle_lines
from digitnet.synthesis.page_strokes import Bounds, Path, box_of, chance, pick
from digitnet.synthesis.scene_choices import log_uniform

if TYPE_CHECKING:
    from digitnet.data.pen_signs import Hands

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]

OTHER, CLUTTER = 10, -1
"""The labels of a sign that is no digit, and of what is no sign."""

# How a page's digits come about: a person's strokes, MNIST's lines redrawn, MNIST's images, print.
_KINDS = ("hand", "lines", "images", "print")
_SHARES = (0.45, 0.34, 0.18, 0.03)
_RARE = 0.1
# Letters that some write for digits, and how often.
_ALIKE, _AS_LETTER = {0: "Oo", 2: "Zz", 5: "Ss", 6: "b", 8: "B", 9: "gq"}, 0.04
# Pens, as fractions of a digit's size: the broadest, and the broadest for low zeros.
_BROADEST, _FINE = 0.3, 0.1
# The share of letters that are Greek.
_GREEK = 0.12
_PRINTED = "ACEFHKLMNRTUVWXadefhkmnrtuvwx"
_HERSHEY = (0, 1, 2, 3, 4, 6, 7)
_MASTER = 72


@dataclass(frozen=True, eq=False)
class Glyph:
    """One sign, anywhere and of any size.

    Attributes:
        label: 0 to 9, 10 for another sign, or -1 for clutter.
        paths: its strokes; of an image its outlines, for measuring only.
        image: uint8 (h, w), light on black; None for strokes.
        matrix: float64 (2, 3), from edge coordinates of the image to those of the glyph.
    """

    label: int
    paths: tuple[Path, ...]
    image: Image | None = None
    matrix: Matrix | None = None

    @functools.cached_property
    def box(self) -> Bounds:
        """Left, top, right and bottom of the strokes' middle lines, or of the image's ink."""
        return box_of(self.paths)

    @property
    def side(self) -> float:
        """The longer side of the box."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    def moved(self, turn: Matrix, shift: tuple[float, float] = (0.0, 0.0)) -> Glyph:
        """Return the glyph with each point p at ``turn @ p + shift``."""
        paths = tuple(path @ turn.T + shift for path in self.paths)
        matrix = self.matrix
        if matrix is not None:
            matrix = np.column_stack([turn @ matrix[:, :2], turn @ matrix[:, 2] + shift])
        return replace(self, paths=paths, matrix=matrix)

    def scaled(self, factor: float, shift: tuple[float, float] = (0.0, 0.0)) -> Glyph:
        """Return the glyph enlarged, then shifted."""
        return self.moved(np.eye(2) * factor, shift)

    def at_origin(self) -> Glyph:
        """Return the glyph with its box beginning at 0, 0."""
        return self.scaled(1, (-self.box[0], -self.box[1]))


def glyph_of_paths(paths: list[Path], label: int, *, to_unit: bool = True) -> Glyph:
    """Return strokes as a glyph; ``to_unit`` makes the longer side of its box 1."""
    glyph = Glyph(label, tuple(paths)).at_origin()
    return glyph.scaled(1 / max(glyph.side, 1e-6)) if to_unit else glyph


def glyph_of_image(image: Image, label: int) -> Glyph:
    """Return an image, which must not be blank, as a glyph whose longer side is 1."""
    mask = (image > image.max() // 3).astype(np.uint8)
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = tuple(contour[:, 0].astype(np.float64) + 0.5 for contour in found)
    glyph = Glyph(label, outlines, image, np.eye(2, 3)).at_origin()
    return glyph.scaled(1 / max(glyph.side, 1.0))


class Collection:
    """Everything that was ever written: MNIST's images and the strokes of many hands.

    Args:
        images: uint8 (N, 28, 28), digits, light on black.
        labels: int (N,), 0 to 9.
        hands: strokes of many people.
        items: which of them to use.
    """

    def __init__(
        self, images: Image, labels: NDArray[np.integer], hands: Hands, items: NDArray[np.intp]
    ) -> None:
        self.images = images
        self.of_digit = [np.flatnonzero(labels == digit) for digit in range(10)]
        self._hands = hands
        self._lines: dict[int, tuple[Path, ...] | None] = {}
        self._strokes: dict[int, list[Path]] = {}
        self.by_writer: dict[str, dict[str, list[int]]] = {}
        self.writers_of: dict[str, list[str]] = {}
        for item in items.tolist():
            sign, writer = str(hands.label[item]), str(hands.writer[item])
            self.by_writer.setdefault(writer, {}).setdefault(sign, []).append(item)
        for writer, signs in self.by_writer.items():
            for sign in signs:
                self.writers_of.setdefault(sign, []).append(writer)
        digits = set("0123456789")
        self.writers = [w for w, signs in self.by_writer.items() if len(digits & signs.keys()) >= 5]

    def strokes(self, item: int) -> list[Path]:
        """Return the strokes of a sign of ``hands``."""
        if item not in self._strokes:
            self._strokes[item] = self._hands.strokes(item)
        return self._strokes[item]

    def lines(self, index: int) -> tuple[Path, ...] | None:
        """Return the middle lines of an image, or None if another pen cannot draw it."""
        if index not in self._lines:
            self._lines[index] = middle_lines(self.images[index])
        return self._lines[index]


class Penman:
    """Whoever writes a page, and how.

    Args:
        collection: what people wrote.
        rng: source of every choice.
        kind: ``hand`` for a person's own signs and nothing else; by chance if None.

    Attributes:
        pen: width of the pen as a fraction of a digit's size.
        contrast: see ``Pen``.
        steady: by how much the sizes of the digits differ, small for a steady hand.
        old_style: whether digits have ascenders and descenders.
        high: how high some digits are beside the others: low zeros, long ones.
        flags: how often somebody who draws strokes writes digits as where 1s have flags, beyond
            those of the hand.
    """

    def __init__(self, collection: Collection, rng: Generator, kind: str | None = None) -> None:
        self._all, self._rng = collection, rng
        own, kind = kind == "hand", kind or _KINDS[pick(rng, _SHARES)]
        self.kind = kind if kind != "hand" or collection.writers else "lines"
        writers = collection.writers
        self._writer = writers[rng.integers(len(writers))] if writers else ""
        pen = self._choose_pen()
        self.contrast = rng.uniform(0.3, 1.5) if chance(rng, 0.08) else 0.0
        self.take(pen)
        self.steady = rng.uniform(0.0, 0.09) * (self.kind != "print")
        slant = rng.normal(0.05, 0.13) if chance(rng, 0.7) else rng.normal(0.3, 0.2)
        if self.kind == "print":
            slant *= 0.3
        self._slant = float(np.clip(slant, -0.5, 0.8))
        self._stretch = float(np.exp(rng.normal(0, 0.12)))
        self.old_style = chance(rng, 0.07)
        # Broader pens would fill what is so small.
        small = chance(rng, 0.1) and not own and pen < _FINE
        self.high = {"0": rng.uniform(0.4, 0.85)} if small else {}
        if not own and chance(rng, 0.12):
            self.high["1"] = rng.uniform(1.1, 1.5)
        self.flags = 0.0
        self._loose = rng.uniform(0.3, 1.0)
        self._face = int(rng.integers(len(_HERSHEY) + 3))
        # Some write every 1 as a bare stem.
        self._bare = chance(rng, 0.25) and not own
        self._rare = 0.0 if own else _RARE if chance(rng, 0.7) else 0.4
        self._breadth = 0.0

    def take(self, pen: float) -> None:
        """Write with another pen, whose downstrokes are no broader than the broadest pen."""
        self.pen = pen
        self.contrast = min(self.contrast, max(_BROADEST / pen - 1, 0.0))

    def _choose_pen(self) -> float:
        rng = self._rng
        kind = pick(rng, (0.19, 0.51, 0.19, 0.11))
        low, high = ((0.012, 0.035), (0.03, 0.1), (0.09, 0.2), (0.2, _BROADEST))[kind]
        return log_uniform(rng, low, high)

    def digit(self, digit: int) -> Glyph:
        """Return a digit."""
        rng = self._rng
        drawn = self._drawn(digit)
        if drawn is not None:
            return self._as_written(glyph_of_paths(drawn, digit))
        if self.kind == "print":
            return self._as_written(_printed(str(digit), self._face, digit))
        if self.kind == "hand":
            item = self._item(str(digit))
            if item is not None:
                return self._as_written(glyph_of_paths(self._all.strokes(item), digit))
        indices = self._all.of_digit[digit]
        index = int(indices[rng.integers(len(indices))])
        if self.kind == "images":
            index = self._alike(indices)
        lines = self._all.lines(index) if self.kind != "images" else None
        if lines is not None:
            return self._as_written(glyph_of_paths(list(lines), digit))
        return self._as_written(glyph_of_image(self._all.images[index], digit))

    def _drawn(self, digit: int) -> list[Path] | None:
        """Return the strokes of a digit in a style that was not collected; None for most."""
        rng = self._rng
        if self.kind not in ("hand", "lines"):
            return None
        if self.flags and chance(rng, self.flags):
            drawn = continental(digit, rng)
            if drawn is not None:
                return drawn
        if digit == 1 and self._bare and chance(rng, 0.7):
            return bare_one(rng)
        # As with rare styles, a person who writes nothing but their own signs does not.
        if self._rare and digit in _ALIKE and chance(rng, _AS_LETTER):
            item = self._item(str(rng.choice(list(_ALIKE[digit]))))
            return self._all.strokes(item) if item is not None else None
        return rarely_written(digit, rng) if chance(rng, self._rare) else None

    def _alike(self, indices: NDArray[np.intp]) -> int:
        """Return an image whose strokes are about as broad as those before: one pen."""
        some = indices[self._rng.integers(len(indices), size=6)]
        breadths = [_breadth(self._all.images[index]) for index in some]
        best = int(np.argmin(np.abs(np.array(breadths) - (self._breadth or breadths[0]))))
        self._breadth = self._breadth or breadths[0]
        return int(some[best])

    def letter(self, signs: str) -> Glyph | None:
        """Return no digit: one of these letters, print, or a Greek one; None if nobody wrote it."""
        rng = self._rng
        if self.kind == "print" or chance(rng, 0.25):
            text = _PRINTED[rng.integers(len(_PRINTED))]
            return self._as_written(_printed(text, int(rng.integers(len(_HERSHEY) + 3)), OTHER))
        if chance(rng, _GREEK):
            return self._as_written(glyph_of_paths(greek_letter(rng), OTHER))
        item = self._item(signs[rng.integers(len(signs))])
        if item is None:
            return None
        return self._as_written(glyph_of_paths(self._all.strokes(item), OTHER))

    def mark(self, sign: str) -> Glyph | None:
        """Return a mark, unscaled, its box beginning at 0, 0; None if nobody wrote it."""
        item = self._item(sign)
        if item is None:
            return None
        glyph = glyph_of_paths(self._all.strokes(item), CLUTTER, to_unit=False)
        return self._as_written(glyph)

    def _item(self, sign: str) -> int | None:
        """Return a sign by this writer, or by another if this one never wrote it."""
        own = self._all.by_writer[self._writer].get(sign) if self._writer else None
        if own is None:
            writers = self._all.writers_of.get(sign)
            if writers is None:
                return None
            own = self._all.by_writer[writers[self._rng.integers(len(writers))]][sign]
        return own[self._rng.integers(len(own))]

    def _as_written(self, glyph: Glyph) -> Glyph:
        """Return the glyph slanted, stretched and shaken as this person would."""
        rng, loose = self._rng, self._loose
        slant = self._slant * (0.4 if self.kind == "hand" else 1) + rng.normal(0, 0.04) * loose
        stretch = self._stretch * math.exp(rng.normal(0, 0.05) * loose)
        tilt = rng.normal(0, 0.04) * loose * (self.kind != "print")
        turn = np.array([[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]])
        return glyph.moved(turn @ np.array([[stretch, -slant], [0, 1]])).at_origin()


def _breadth(image: Image) -> float:
    """Return how broad strokes are: their area over half their rim, in pixels."""
    inside = (image > 127).astype(np.uint8)
    core = cv2.erode(inside, np.ones((3, 3), np.uint8))
    area = int(inside.sum())
    return 2 * area / max(area - int(core.sum()), 1)


def printed_text(text: str, face: int) -> Image | None:
    """Return a text in one of ten typefaces, uint8 light on black; None if it is blank."""
    from PIL import Image as Pictures
    from PIL import ImageDraw, ImageFont

    if face < len(_HERSHEY):
        ink = np.zeros((2 * _MASTER, _MASTER * (len(text) + 1)), np.uint8)
        place, scale = (_MASTER // 2, int(1.4 * _MASTER)), 2.2
        cv2.putText(ink, text, place, _HERSHEY[face], scale, 255, 2 + face % 4, cv2.LINE_AA)
    else:
        canvas = Pictures.new("L", (_MASTER * (len(text) + 1), 2 * _MASTER))
        font = ImageFont.load_default(_MASTER)
        bold = 2 * (face - len(_HERSHEY))
        ImageDraw.Draw(canvas).text((20, 20), text, 255, font, stroke_width=bold)
        ink = np.asarray(canvas)
    left, top, width, height = cv2.boundingRect(ink)
    return ink[top : top + height, left : left + width] if width else None


@functools.lru_cache(512)
def _printed(text: str, face: int, label: int) -> Glyph:
    ink = printed_text(text, face)
    if ink is None:
        msg = f"No typeface shows {text!r}."
        raise ValueError(msg)
    return glyph_of_image(np.pad(ink, 2), label)
