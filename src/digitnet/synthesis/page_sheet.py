"""A sheet that is written on: how much ink lies where, and which sign it belongs to.

Guarantees:

- A sign of which less than 72 % of the ink would lie in the frame is clutter, not a sign.
- Each pixel belongs to the sign that covers most of it; the ink of a sign lies in its box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from digitnet.synthesis.page_signs import CLUTTER, Glyph, Image, Matrix
from digitnet.synthesis.page_strokes import Bounds, Path, Pen, Stain, render
from digitnet.synthesis.pens import Float, as_float32

# The least fraction of a sign's ink in the frame, and of a pixel that makes it a sign's own.
LEAST_INSIDE = 0.72
LEAST_COVER = 0.2
# The least fraction of a sign that others have not covered.
_LEAST_SEEN = 0.25
# A sign leaves at least this much ink, in pixels.
_LEAST_INK = 3.0


class Sheet:
    """A page while it is written.

    Args:
        shape: height and width in pixels.
        crisp: how far the soft edges of enlarged images are made hard, 0 to 1.

    Attributes:
        shade: float32 (H, W), how much of the paper is hidden.
        ink: float32 (2, H, W), how much of each pixel ink of signs and clutter covers.
        owner: int16 (H, W), the sign whose ink is here, -1 elsewhere.
        labels: of the signs.
        boxes: left, top, right and bottom of each sign's ink in the frame, in whole pixels.
        rows: of each sign the number of its line; -1 where there are no lines.
        turn: applied to everything that is drawn: a page that lies askew.
        shift: likewise, after ``turn``.
    """

    def __init__(self, shape: tuple[int, int], crisp: float = 0.5) -> None:
        self.shape = shape
        self.shade: Float = np.zeros(shape, np.float32)
        self.ink: Float = np.zeros((2, *shape), np.float32)
        self.owner: NDArray[np.int16] = np.full(shape, -1, np.int16)
        self.labels: list[int] = []
        self.rows: list[int] = []
        self.boxes: list[tuple[int, int, int, int]] = []
        self._areas: list[int] = []
        self.turn: Matrix = np.eye(2)
        self.shift: tuple[float, float] = (0.0, 0.0)
        self._best: Float = np.zeros(shape, np.float32)
        self._crisp = crisp

    def lie_askew(self, degrees: float) -> None:
        """Turn whatever is drawn from now on about the middle of the sheet."""
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        self.turn = np.array([[cos, -sin], [sin, cos]])
        middle = np.array([self.shape[1] / 2, self.shape[0] / 2])
        x, y = middle - self.turn @ middle
        self.shift = (float(x), float(y))

    def write(self, glyph: Glyph, pen: Pen, row: int = -1) -> bool:
        """Write a sign; return whether enough of it lies in the frame to be one.

        Args:
            glyph: in pixels of the sheet.
            pen: what it is written with.
            row: the line that it belongs to.
        """
        stain = self._stain(glyph, pen)
        rows, columns, ink = self._inside(stain)
        if stain is None or not ink.size:
            return False
        whole = float(stain.ink.sum())
        inside = float(ink.sum())
        self._darken(rows, columns, ink, pen)
        own = ink > LEAST_COVER
        is_sign = inside >= LEAST_INSIDE * whole and inside > _LEAST_INK and bool(own.any())
        channel = self.ink[0 if is_sign else 1, rows, columns]
        np.maximum(channel, ink, out=channel)
        if is_sign:
            best, owner = self._best[rows, columns], self.owner[rows, columns]
            owner[own & (ink > best)] = len(self.labels)
            np.maximum(best, ink, out=best)
            left, top, width, height = cv2.boundingRect(own.astype(np.uint8))
            left, top = left + columns.start, top + rows.start
            self.boxes.append((left, top, left + width, top + height))
            self._areas.append(int(own.sum()))
            self.labels.append(glyph.label)
            self.rows.append(row)
        return is_sign

    def draw(self, drawn: Glyph | Sequence[Path], pen: Pen) -> None:
        """Draw clutter, in pixels of the sheet."""
        glyph = drawn if isinstance(drawn, Glyph) else Glyph(CLUTTER, tuple(drawn))
        rows, columns, ink = self._inside(self._stain(glyph, pen, clipped=True))
        if ink.size:
            self._darken(rows, columns, ink, pen)
            channel = self.ink[1, rows, columns]
            np.maximum(channel, ink, out=channel)

    def is_free(self, box: Bounds) -> bool:
        """Return whether no sign lies where a box would be drawn, in pixels."""
        corners = np.array([[x, y] for x in box[::2] for y in box[1::2]]) @ self.turn.T + self.shift
        left, top = np.floor(corners.min(0)).clip(0).astype(int)
        right, bottom = np.ceil(corners.max(0)).clip(0).astype(int)
        window = self.ink[0, top:bottom, left:right]
        return not window.size or float(window.max()) < LEAST_COVER

    def forget_hidden(self) -> None:
        """Forget signs of which others have covered nearly everything."""
        count = len(self.labels)
        left = np.bincount(self.owner.ravel() + 1, minlength=count + 1)[1:]
        kept = [i for i in range(count) if left[i] >= _LEAST_SEEN * self._areas[i]]
        if len(kept) < count:
            number = np.full(count + 1, -1, np.int16)
            number[kept] = np.arange(len(kept))
            self.owner = number[self.owner]
            self.labels = [self.labels[i] for i in kept]
            self.rows = [self.rows[i] for i in kept]
            self.boxes = [self.boxes[i] for i in kept]
            self._areas = [self._areas[i] for i in kept]

    def free_margins(self) -> tuple[float, float, float, float]:
        """Return how far signs stay away from the left, top, right and bottom, in parts of 1."""
        if not self.boxes:
            return (1.0, 1.0, 1.0, 1.0)
        boxes, (height, width) = np.array(self.boxes), self.shape
        left, top = boxes[:, :2].min(0) / (width, height)
        right, bottom = 1 - boxes[:, 2:].max(0) / (width, height)
        return float(left), float(top), float(right), float(bottom)

    def _stain(self, glyph: Glyph, pen: Pen, *, clipped: bool = False) -> Stain | None:
        if not glyph.paths:
            return None
        placed = glyph.moved(self.turn, self.shift)
        if placed.image is not None and placed.matrix is not None:
            return self._printed(placed.image, placed.matrix)
        frame = (0.0, 0.0, float(self.shape[1]), float(self.shape[0]))
        left, top, right, bottom = placed.box
        # A sign that begins far outside is clutter however it ends.
        far = max(self.shape)
        huge = min(left, top) < -far or right > 2 * far or bottom > 2 * far
        return render(placed.paths, pen, frame if clipped or huge else None)

    def _printed(self, image: Image, matrix: Matrix) -> Stain | None:
        """Return an image, uint8 light on black, moved by ``matrix`` to the page."""
        height, width = image.shape
        corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ matrix[:, :2].T
        corners += matrix[:, 2]
        low, high = np.floor(corners.min(0)) - 1, np.ceil(corners.max(0)) + 1
        size = (high - low).astype(int)
        if (size > 3 * max(self.shape)).any():
            return None
        scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
        fine = math.ceil(1 / scale) if scale < 1 else 1
        move = matrix * fine
        move[:, 2] += move[:, :2] @ (0.5, 0.5) - 0.5 - low * fine
        source = as_float32(image) * np.float32(1 / max(int(image.max()), 1))
        if scale > 1.5:
            source = as_float32(cv2.GaussianBlur(source, (0, 0), 0.6))
        ink = cv2.warpAffine(source, move, (size * fine).tolist(), flags=cv2.INTER_CUBIC)
        if fine > 1:
            ink = cv2.resize(ink, size.tolist(), interpolation=cv2.INTER_AREA)
        gain = 1 + self._crisp * max(min(scale, 8) - 1, 0)
        ink = np.clip((as_float32(ink) - np.float32(0.45)) * np.float32(gain) + 0.45, 0, 1)
        return Stain(int(low[0]), int(low[1]), as_float32(ink))

    def _inside(self, stain: Stain | None) -> tuple[slice, slice, Float]:
        if stain is None:
            return slice(0), slice(0), np.zeros((0, 0), np.float32)
        height, width = stain.ink.shape
        top, left = max(stain.top, 0), max(stain.left, 0)
        bottom = max(min(stain.top + height, self.shape[0]), top)
        right = max(min(stain.left + width, self.shape[1]), left)
        ink = stain.ink[
            top - stain.top : bottom - stain.top, left - stain.left : right - stain.left
        ]
        return slice(top, bottom), slice(left, right), ink

    def _darken(self, rows: slice, columns: slice, ink: Float, pen: Pen) -> None:
        shade = self.shade[rows, columns]
        np.maximum(shade, ink * np.float32(pen.strength), out=shade)
