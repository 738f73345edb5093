"""Pages of digits with everything that is known about them, for a finder to learn from.

Guarantees:

- ``PageMaker.page`` is a pure function of the collection, the seed and the shape: the same page on
  every machine and in any order.
- A page shows 0 to some 30 digits of 8 pixels and more, as users send them: alone, tight in the
  frame, in rows, on forms, with other writing, on any paper, under any light, drawn on a screen.
- ``ink``, ``owner`` and ``boxes`` are what was drawn, before light and camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.data.pen_signs import Hands
from digitnet.errors import unknown_name
from digitnet.synthesis.page_clutter import distract, nothing_but_clutter
from digitnet.synthesis.page_desk import Desk, Spacing, fit
from digitnet.synthesis.page_forms import comb, grid, one_cell, one_field, table
from digitnet.synthesis.page_layouts import (
    one_anywhere,
    one_note,
    one_row,
    one_tight,
    scattered,
    several_rows,
)
from digitnet.synthesis.page_paper import develop
from digitnet.synthesis.page_sheet import LEAST_COVER, Sheet
from digitnet.synthesis.page_signs import Collection, Penman
from digitnet.synthesis.page_strokes import chance, pick
from digitnet.synthesis.pens import Float, as_float32
from digitnet.synthesis.scene_choices import log_uniform

Shape = tuple[int, int]

SHAPES: tuple[Shape, ...] = (
    (192, 192), (160, 224), (224, 160), (128, 288), (96, 384), (256, 144), (192, 192),
)  # fmt: skip
"""Height and width of pages: all of about 36,000 pixels."""

_BROAD = ((128, 288), (96, 384), (160, 224), (192, 192), (128, 288))

# What a page shows, and how often.
LAYOUTS: dict[str, tuple[Callable[[Desk], None], float]] = {
    "anywhere": (one_anywhere, 0.13),
    "tight": (one_tight, 0.15),
    "row": (one_row, 0.22),
    "rows": (several_rows, 0.07),
    "note": (one_note, 0.11),
    "scattered": (scattered, 0.03),
    "cell": (one_cell, 0.07),
    "field": (one_field, 0.05),
    "comb": (comb, 0.03),
    "grid": (grid, 0.03),
    "table": (table, 0.02),
    "clutter": (nothing_but_clutter, 0.11),
}
_ROWS = ("row", "note", "field", "comb", "table")
# How many write as where 1s have flags.
_FLAGS = 0.12
# Small pictures that were enlarged: their longer side, and how they were enlarged.
_SMALL = (16, 16, 28, 28, 28, 32, 40, 64)
_ENLARGE = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_CUBIC)


@dataclass(frozen=True, eq=False)
class Page:
    """A page, and what is on it.

    Attributes:
        grey: uint8 (H, W).
        ink: float32 (2, H, W), how much of each pixel ink of signs and clutter covers, 0 to 1.
        owner: int16 (H, W), the sign whose ink is here, -1 elsewhere.
        labels: int64 (K,), 0 to 9, or 10 for another sign.
        boxes: float32 (K, 4), left, top, right and bottom of each sign's ink in the frame.
        lines: the signs of each line from left to right, lines from top to bottom; empty where
            signs stand in no order.
    """

    grey: NDArray[np.uint8]
    ink: Float
    owner: NDArray[np.int16]
    labels: NDArray[np.int64]
    boxes: Float
    lines: tuple[tuple[int, ...], ...]

    @property
    def text(self) -> str:
        """What is to be read: digits, ``?`` for other signs, lines apart by newlines."""
        signs = "0123456789?"
        return "\n".join("".join(signs[self.labels[i]] for i in row) for row in self.lines)


class PageMaker:
    """Makes pages.

    Args:
        images: uint8 (N, 28, 28), MNIST's training images.
        labels: int (N,), 0 to 9.
        hands: strokes of many people.
        items: which of them to use.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.integer],
        hands: Hands,
        items: NDArray[np.intp],
    ) -> None:
        self._collection = Collection(images, labels, hands, items)

    def page(self, seed: int, shape: Shape | None = None, layout: str | None = None) -> Page:
        """Return a page.

        Args:
            seed: of everything.
            shape: height and width in pixels; by chance one of ``SHAPES`` if None.
            layout: one of ``LAYOUTS``; by chance if None.

        Raises:
            UsageError: there is no such layout; the nearest is named.
        """
        rng = np.random.default_rng(seed)
        if layout is None:
            layout = list(LAYOUTS)[pick(rng, [share for _, share in LAYOUTS.values()])]
        elif layout not in LAYOUTS:
            raise unknown_name("layout", layout, tuple(LAYOUTS))
        shapes = _BROAD if layout in _ROWS else SHAPES
        chosen = shapes[rng.integers(len(shapes))] if shape is None else shape
        small = _small_shape(chosen, layout, rng)
        desk = self._written(small or chosen, layout, rng)
        desk.sheet.forget_hidden()
        grey = develop(desk.sheet, desk.pen(desk.size or 20.0).width, desk.size, rng)
        if small is None:
            return _finished(desk.sheet, grey)
        return _enlarged(desk.sheet, grey, chosen, _ENLARGE[rng.integers(len(_ENLARGE))])

    def number(
        self,
        seed: int,
        *,
        touching: bool,
        lengths: tuple[int, int] = (3, 10),
    ) -> Page:
        """Return a page with one number by one of the hands, in one row, to measure reading by.

        Args:
            seed: of everything.
            touching: whether digits touch; otherwise there is paper between them.
            lengths: the fewest and the most digits.
        """
        rng = np.random.default_rng(seed)
        shape = (96, 384)
        sheet = Sheet(shape, crisp=1.0)
        desk = Desk(sheet, Penman(self._collection, rng, "hand"), rng, strength=rng.uniform(0.8, 1))
        desk.penman.pen = log_uniform(rng, 0.03, 0.11)
        length = int(rng.integers(lengths[0], lengths[1] + 1))
        text = "".join(str(digit) for digit in rng.integers(0, 10, length).tolist())
        # Where ink meets ink the gap is none: between -2 and -6 % of a digit's height it overlaps.
        gap = rng.uniform(-0.06, -0.02) if touching else rng.uniform(0.08, 0.5)
        margin = 0.04 * shape[0]
        box = (margin, margin, shape[1] - margin, shape[0] - margin)
        fill, slope = rng.uniform(0.6, 1), rng.normal(0, 1.5)
        fit(desk, text, Spacing(gap, 0.01, 0.02), box, 0, fill=fill, slope=slope)
        return _finished(sheet, develop(sheet, desk.pen(desk.size).width, desk.size, rng))

    def _written(self, shape: Shape, layout: str, rng: Generator) -> Desk:
        """Return a desk whose sheet is written on."""
        sheet = Sheet(shape, crisp=rng.random() if chance(rng, 0.7) else 0.0)
        if layout != "tight" and chance(rng, 0.6):
            sheet.lie_askew(rng.normal(0, 2.5))
        strength = rng.uniform(0.8, 1.0)
        penman = Penman(self._collection, rng)
        if chance(rng, _FLAGS):
            penman.flags = rng.uniform(0.5, 1)
        desk = Desk(sheet, penman, rng, strength=strength)
        LAYOUTS[layout][0](desk)
        if layout != "clutter" and chance(rng, 0.15 if layout == "tight" else 0.5):
            beside = desk
            if chance(rng, 0.3):  # somebody else's
                beside = Desk(
                    sheet, Penman(self._collection, rng), rng, desk.size, rng.uniform(0.5, 1)
                )
            for _ in range(1 + pick(rng, (0.6, 0.25, 0.15))):
                distract(beside)
        return desk


def _small_shape(shape: Shape, layout: str, rng: Generator) -> Shape | None:
    """Return the shape of a picture to be enlarged to ``shape``; None for most pages."""
    alone = layout in ("anywhere", "tight", "cell", "clutter")
    if not chance(rng, (0.35 if layout == "tight" else 0.22) if alone else 0.18):
        return None
    longer = _SMALL[rng.integers(len(_SMALL))] if alone else log_uniform(rng, 26, 120)
    factor = max(longer / max(shape), 12 / min(shape))
    return (max(round(shape[0] * factor), 1), max(round(shape[1] * factor), 1))


def _lines(sheet: Sheet) -> tuple[tuple[int, ...], ...]:
    """Return the signs of each line; nothing if one belongs to none."""
    if -1 in sheet.rows:
        return ()
    found: dict[int, list[int]] = {}
    for sign, row in enumerate(sheet.rows):
        found.setdefault(row, []).append(sign)
    return tuple(tuple(found[row]) for row in sorted(found))


def _finished(sheet: Sheet, grey: NDArray[np.uint8]) -> Page:
    labels = np.array(sheet.labels, np.int64)
    boxes = np.array(sheet.boxes, np.float32).reshape(-1, 4)
    return Page(grey, np.clip(sheet.ink, 0, 1), sheet.owner, labels, boxes, _lines(sheet))


def _enlarged(sheet: Sheet, grey: NDArray[np.uint8], shape: Shape, how: int) -> Page:
    """Return the page of a small picture that was enlarged."""
    size = shape[::-1]
    large = np.asarray(cv2.resize(grey, size, interpolation=how), np.uint8)
    ink = np.stack([as_float32(cv2.resize(each, size)) for each in sheet.ink])
    nearest = cv2.resize(sheet.owner, size, interpolation=cv2.INTER_NEAREST)
    owner = np.where(ink[0] > LEAST_COVER / 2, nearest, -1).astype(np.int16)
    factor = np.array(size, np.float32) / sheet.shape[::-1]
    boxes = np.array(sheet.boxes, np.float32).reshape(-1, 4) * np.tile(factor, 2)
    labels = np.array(sheet.labels, np.int64)
    return Page(large, np.clip(ink, 0, 1), owner, labels, as_float32(boxes), _lines(sheet))
