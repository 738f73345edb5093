"""Drawings of what is not a digit, to teach a network to refuse and to test whether it does.

Guarantees:

- ``draw_non_digits`` gives inks, bright on 0 and never blank, whose kinds are named; a seed gives
  the same drawings each time.
- Nothing is downloaded: printed letters come with the package, and written ones from OpenCV's
  typefaces; everything else is drawn or made from the digits given.

Letters that people write like a digit (O, l, S, Z, b, g, q …) are left out: to refuse them would
be to refuse digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.data.printed_letters import load_printed_letters
from digitnet.errors import unknown_name

Canvas = NDArray[np.uint8]
Points = NDArray[np.float64]

# Side of the result, and of the canvas it is drawn on and averaged down from.
SIZE = 40
_LARGE = 160
# Where a drawing lies on the canvas: a field of 28 pixels inside the margin.
_LOW, _HIGH = 28, 132
_MIDDLE = (80, 80)
# A drawing whose brightest pixel is below this is blank.
_VISIBLE = 64

_WRITTEN = "ABCDEFGHJKLMNPQRTUVWXYacdefhkmnprtuvwxy&@#%?+=*"


def draw_non_digits(
    count: int, seed: int, digits: Canvas, kinds: Sequence[str] = ()
) -> tuple[Canvas, list[str]]:
    """Draw ``count`` non-digits.

    Args:
        count: how many.
        seed: of all randomness.
        digits: uint8 (N, 28, 28), of which pairs and negatives are made.
        kinds: which of ``KINDS``, in turn; all of them by default.

    Returns:
        Inks uint8 (count, 40, 40), and the kind of each.

    Raises:
        UsageError: there is no such kind; the nearest is named.
        IntegrityError: the file of printed letters is damaged.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown_name("kind of non-digit", kind, KINDS)
    rng = np.random.default_rng(seed)
    names = list(islice(cycle(kinds or KINDS), count))
    drawn = np.array([_draw(name, rng, digits) for name in names], np.uint8)
    return drawn.reshape(count, SIZE, SIZE), names


def _draw(name: str, rng: Generator, digits: Canvas) -> Canvas:
    """Draw one; if it is blank, as when a blot lies outside its window, draw another."""
    while True:
        canvas = np.zeros((_LARGE, _LARGE), np.uint8)
        KINDS[name](canvas, rng, digits)
        small = np.asarray(cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)
        if small.max() >= _VISIBLE:
            return small


def _thickness(rng: Generator) -> int:
    return int(rng.integers(3, 17))


def _printed_letter(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """A letter in one of many typefaces, sometimes broadened or stretched."""
    letters = load_printed_letters().images
    ink = letters[rng.integers(len(letters))]
    if rng.random() < 0.5:
        reach = int(rng.integers(1, 10))
        pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        ink = np.asarray(cv2.dilate(np.pad(ink, reach), pen), np.uint8)
    _put(ink, canvas, rng)


def _display_letter(canvas: Canvas, rng: Generator, digits: Canvas) -> None:
    """A printed letter as display faces have it: italic, condensed, hollow, coarse or filled."""
    _printed_letter(canvas, rng, digits)
    if rng.random() < 0.5:  # italic
        slant = rng.uniform(-0.15, 0.4)
        matrix = np.array([[1, slant, -slant * _MIDDLE[1]], [0, 1, 0]])
        canvas[:] = cv2.warpAffine(canvas, matrix, (_LARGE, _LARGE))
    if rng.random() < 0.3:  # condensed, or the contrary
        width = int(_LARGE * rng.uniform(0.6, 0.9))
        squeezed = cv2.resize(canvas, (width, _LARGE), interpolation=cv2.INTER_AREA)
        canvas[:] = 0
        left = (_LARGE - width) // 2
        canvas[:, left : left + width] = squeezed
    style, reach = rng.random(), int(rng.integers(2, 6)) * 2 + 1
    core = cv2.erode(canvas, np.ones((reach, reach), np.uint8))
    if style < 0.15:  # hollow
        canvas[:] = cv2.subtract(canvas, core)
    elif style < 0.3 and core.sum() > 0.5 * canvas.sum():  # light
        canvas[:] = core
    elif style < 0.5:  # set in few pixels
        side = int(rng.integers(9, 24))
        coarse = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
        canvas[:] = cv2.resize(coarse, (_LARGE, _LARGE), interpolation=cv2.INTER_LINEAR)
    elif style < 0.6:  # a pattern inside
        canvas[:] = canvas * (1.0 - rng.uniform(0.2, 0.8) * _texture(rng))


def _mark(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """What stands between numbers: dots, commas, dashes, equal signs, plus signs, colons."""
    thick = _thickness(rng) + 3
    low, high = rng.integers(_LOW, 60), rng.integers(100, _HIGH)
    tilt = int(rng.integers(-12, 13))
    mark = rng.integers(5)
    if mark == 0:  # a dash, straight or wavy
        bend = int(rng.integers(-14, 15))
        points = np.array([(low, 80 + tilt), (65, 80 + bend), (95, 80 - bend), (high, 80 - tilt)])
        cv2.polylines(canvas, [points.astype(np.int32)], False, 255, thick, cv2.LINE_AA)
    elif mark == 1:  # an equal sign
        gap = int(rng.integers(thick, 34))
        for y in (80 - gap, 80 + gap):
            start, end = (int(low), y + tilt), (int(high), y - tilt)
            cv2.line(canvas, start, end, 255, thick, cv2.LINE_AA)
    elif mark == 2:  # a full stop, or a comma, that fills the field
        radius = int(rng.integers(14, 40))
        cv2.ellipse(
            canvas, _MIDDLE, (radius, int(radius * rng.uniform(0.7, 1.1))), 0, 0, 360, 255, -1
        )
        if rng.random() < 0.6:
            tail = (80 - radius, 80 + int(radius * rng.uniform(1.2, 1.9)))
            corners = np.array([(80 + radius, 84), tail, (80 - radius // 2, 84)])
            cv2.fillPoly(canvas, [corners.astype(np.int32)], 255, cv2.LINE_AA)
    elif mark == 3:  # a colon
        radius, gap = int(rng.integers(6, 18)), int(rng.integers(24, 50))
        for y in (80 - gap, 80 + gap):
            cv2.circle(canvas, (80 + tilt // 3, y), radius, 255, -1, cv2.LINE_AA)
    else:  # a plus sign
        cv2.line(canvas, (int(low), 80 + tilt), (int(high), 80 - tilt), 255, thick, cv2.LINE_AA)
        cv2.line(canvas, (80 - tilt, _LOW), (80 + tilt, _HIGH), 255, thick, cv2.LINE_AA)


def _put(picture: Canvas, canvas: Canvas, rng: Generator) -> None:
    """Put the ink of ``picture``, of any size, in the field, sometimes stretched a little."""
    left, top, width, height = cv2.boundingRect(picture)
    ink = picture[top : top + height, left : left + width]
    scale = (_HIGH - _LOW) / max(height, width)
    stretch = np.exp(rng.uniform(-0.25, 0.25, 2)) if rng.random() < 0.4 else np.ones(2)
    wide, high = np.clip(np.array([width, height]) * scale * stretch, 6, _LARGE - 8).astype(int)
    left, top = (_LARGE - wide) // 2, (_LARGE - high) // 2
    fitted = cv2.resize(ink, (wide, high), interpolation=cv2.INTER_AREA)
    canvas[top : top + high, left : left + wide] = fitted


def _written_letter(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """A letter in one of OpenCV's stroke typefaces, whose lines a pen could draw."""
    letter = _WRITTEN[rng.integers(len(_WRITTEN))]
    ink = np.zeros((260, 260), np.uint8)
    face = int(rng.choice([0, 1, 2, 3, 4, 6, 7])) | (16 if rng.random() < 0.3 else 0)
    cv2.putText(ink, letter, (60, 180), face, 5.0, 255, _thickness(rng) + 4, cv2.LINE_AA)
    _put(ink, canvas, rng)


def _bar(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """A fat printed I: a block with serifs, since without them it is a one of a broad pen."""
    width = int(rng.integers(18, 44))
    cv2.rectangle(canvas, (80 - width // 2, _LOW), (80 + width // 2, _HIGH), 255, -1)
    reach, thick = width // 2 + int(rng.integers(10, 26)), int(rng.integers(6, 20))
    cv2.rectangle(canvas, (80 - reach, _LOW), (80 + reach, _LOW + thick), 255, -1)
    cv2.rectangle(canvas, (80 - reach, _HIGH - thick), (80 + reach, _HIGH), 255, -1)


def _scribble(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """A smooth random path: knots joined by a Catmull-Rom spline."""
    knots = rng.uniform(_LOW, _HIGH, (int(rng.integers(7, 22)) + 2, 2))
    t = np.linspace(0, 1, 12)[:, None]
    a, b, c, d = (knots[i : len(knots) - 3 + i, None] for i in range(4))
    first, second, third = c - a, 2 * a - 5 * b + 4 * c - d, 3 * b - a - 3 * c + d
    path = 0.5 * (2 * b + first * t + second * t**2 + third * t**3)
    points = path.reshape(-1, 2).astype(np.int32)
    cv2.polylines(canvas, [points], False, 255, _thickness(rng), cv2.LINE_AA)


def _strokes(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """Three to seven straight strokes at random."""
    thick = _thickness(rng)
    for _ in range(rng.integers(3, 8)):
        start, end = rng.integers(_LOW, _HIGH, (2, 2)).tolist()
        cv2.line(canvas, start, end, 255, thick, cv2.LINE_AA)


def _shape(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """Stars, arrows, crosses, ticks, boxes, spirals: what people draw to try a recogniser."""
    thick = _thickness(rng)
    outline = _OUTLINES[rng.integers(len(_OUTLINES))](rng)
    points = (outline * 48 + 80).astype(np.int32)
    if rng.random() < 0.25:
        cv2.fillPoly(canvas, [points], 255, cv2.LINE_AA)
    else:
        cv2.polylines(canvas, [points], False, 255, thick, cv2.LINE_AA)


def _polygon(corners: int, skip: int, rng: Generator) -> Points:
    """Return a closed polygon, or a star that joins every ``skip``-th corner, at any angle."""
    angle = np.arange(corners + 1) * 2 * np.pi * skip / corners + rng.uniform(0, 6.3)
    return np.stack((np.cos(angle), np.sin(angle)), 1)


def _path(points: Sequence[tuple[float, float]], rng: Generator) -> Points:
    """Return a path through ``points``, each moved a little."""
    return np.array(points) * rng.uniform(0.7, 1.0, 2) + rng.normal(0, 0.04, (len(points), 2))


def _spiral(rng: Generator) -> Points:
    angle = np.linspace(0, 2 * np.pi * rng.uniform(2.2, 4), 90)
    radius = angle / angle[-1]
    return np.asarray(np.stack((np.cos(angle), np.sin(angle)), 1) * radius[:, None])


_OUTLINES: tuple[Callable[[Generator], Points], ...] = (
    *(partial(_polygon, *form) for form in ((3, 1), (4, 1), (5, 1), (5, 2), (6, 1))),
    _spiral,
    *(
        partial(_path, points)
        for points in (
            ((-1, 0), (1, 0), (0.5, -0.5), (1, 0), (0.5, 0.5)),
            ((-1, 0.1), (-0.3, 0.8), (1, -0.9)),
            ((-1, -1), (1, 1), (0, 0), (1, -1), (-1, 1)),
            ((-1, 0), (1, 0), (0, 0), (0, -1), (0, 1)),
            ((0, 1), (-1, -0.2), (-0.5, -0.9), (0, -0.3), (0.5, -0.9), (1, -0.2), (0, 1)),
            ((-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1), (0, -1.3), (1, -1)),
            ((-1, 0), (-0.6, -0.8), (-0.2, 0.8), (0.2, -0.8), (0.6, 0.8), (1, 0)),
        )
    ),
)


def _silhouette(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """A filled body, often symmetric, with its own light and pattern: objects, clothes, blots."""
    count = int(rng.integers(3, 9))
    down = np.sort(rng.uniform(_LOW, _HIGH, count))
    half = rng.uniform(10, 52, count)
    other = half if rng.random() < 0.7 else rng.uniform(5, 52, count)
    sides = (np.stack((80 - half, down), 1), np.stack((80 + other, down), 1)[::-1])
    cv2.fillPoly(canvas, [np.concatenate(sides).astype(np.int32)], 255, cv2.LINE_AA)
    if rng.random() < 0.35:  # a gap between two legs, or two straps
        low, width = int(rng.integers(50, 110)), int(rng.integers(3, 16))
        canvas[low if rng.random() < 0.5 else 0 :, 80 - width : 80 + width][: _LARGE // 2] = 0
    pattern = 1.0 - rng.uniform(0, 0.8) * _texture(rng)
    turned = canvas if rng.random() < 0.7 else np.rot90(canvas)
    canvas[:] = turned * pattern


def _texture(rng: Generator) -> Points:
    """Return a random pattern (160, 160) in [0, 1]: smooth light, stripes or grain."""
    cells = int(rng.choice([2, 4, 8, 20, 40]))
    coarse = rng.random((cells, cells if rng.random() < 0.6 else 1))
    return np.asarray(cv2.resize(coarse, (_LARGE, _LARGE), interpolation=cv2.INTER_LINEAR), float)


def _blot(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """Blots of filtered noise, with hard or soft edges."""
    cells = int(rng.integers(3, 24))
    coarse = rng.random((cells, cells))
    field = np.asarray(cv2.resize(coarse, (_LARGE, _LARGE), interpolation=cv2.INTER_CUBIC))
    slope = rng.uniform(1.5, 30)
    ink = np.clip((field - np.quantile(field, rng.uniform(0.3, 0.85))) * slope, 0, 1)
    window = np.zeros((_LARGE, _LARGE))
    cv2.ellipse(window, _MIDDLE, rng.integers(28, 56, 2).tolist(), 0, 0, 360, 1, -1)
    canvas[:] = 255 * ink * window


def _noise(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """Grain over the whole field, as a blank page shows when it is stretched to full range."""
    cells, side = int(rng.choice([14, 26, 40])), _HIGH - _LOW
    grain = 255 * rng.random((cells, cells)) ** rng.uniform(0.5, 6)
    canvas[_LOW:_HIGH, _LOW:_HIGH] = cv2.resize(grain, (side, side), interpolation=cv2.INTER_AREA)


def _hatching(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """Parallel lines, one way or crossed: squared paper mistaken for ink."""
    thick = int(rng.integers(2, 9))
    for at in range(_LOW, _HIGH + 1, int(rng.integers(12, 40))):
        cv2.line(canvas, (at, _LOW), (at, _HIGH), 255, thick, cv2.LINE_AA)
        if rng.random() < 0.5:
            cv2.line(canvas, (_LOW, at), (_HIGH, at), 255, thick, cv2.LINE_AA)
    if rng.random() >= 0.5:
        canvas[:] = canvas.T.copy()


def _two_digits(canvas: Canvas, rng: Generator, digits: Canvas) -> None:
    """Two or three digits in one box, beside or above each other."""
    chosen = digits[rng.integers(len(digits), size=int(rng.choice([2, 2, 2, 3])))]
    step = 28 - int(rng.integers(2, 13))
    ink = np.zeros((28, 28 + step * (len(chosen) - 1)), np.uint8)
    for index, digit in enumerate(chosen):
        part = ink[:, step * index : step * index + 28]
        np.maximum(part, digit, out=part)
    _put(np.rot90(ink).copy() if rng.random() < 0.15 else ink, canvas, rng)


def _negative(canvas: Canvas, rng: Generator, digits: Canvas) -> None:
    """A digit cut out of a solid block, as when light and dark are mistaken for each other."""
    digit = digits[rng.integers(len(digits))]
    canvas[24:136, 24:136] = np.kron(255 - digit, np.ones((4, 4), np.uint8))


def _face(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """A circle with details inside: a face, a clock, a button."""
    thick = int(rng.integers(3, 11))
    outline = rng.integers(38, 54, 2).tolist()
    cv2.ellipse(canvas, _MIDDLE, outline, 0, 0, 360, 255, thick, cv2.LINE_AA)
    for x in (62, 98):
        eye = (x, int(rng.integers(56, 74)))
        cv2.circle(canvas, eye, int(rng.integers(3, 8)), 255, -1, cv2.LINE_AA)
    if rng.random() < 0.8:
        mouth = (22, int(rng.integers(6, 20)))
        cv2.ellipse(canvas, (80, 86), mouth, 0, 0, 180, 255, thick, cv2.LINE_AA)


def _dots(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    for centre in rng.integers(_LOW, _HIGH, (int(rng.integers(2, 14)), 2)).tolist():
        cv2.circle(canvas, centre, int(rng.integers(3, 14)), 255, -1, cv2.LINE_AA)


def _block(canvas: Canvas, rng: Generator, _digits: Canvas) -> None:
    """A solid or framed rectangle or disc: a dark picture, a stain, an empty box."""
    low, high = rng.integers(_LOW, 70, 2), rng.integers(90, _HIGH, 2)
    if (high - low)[1] > 2.5 * (high - low)[0]:  # tall and narrow: a one of a broad pen
        low, high = low[::-1], high[::-1]
    thick = -1 if rng.random() < 0.6 else int(rng.integers(3, 12))
    if rng.random() < 0.7:
        cv2.rectangle(canvas, low.tolist(), high.tolist(), 255, thick)
    else:
        cv2.circle(canvas, _MIDDLE, int(rng.integers(10, 50)), 255, -1, cv2.LINE_AA)
    canvas[:] = canvas * (1 - 0.5 * _texture(rng) * rng.random())


KINDS: dict[str, Callable[[Canvas, Generator, Canvas], None]] = {
    "printed letter": _printed_letter,
    "display letter": _display_letter,
    "written letter": _written_letter,
    "mark": _mark,
    "bar": _bar,
    "scribble": _scribble,
    "strokes": _strokes,
    "shape": _shape,
    "silhouette": _silhouette,
    "blot": _blot,
    "noise": _noise,
    "hatching": _hatching,
    "two digits": _two_digits,
    "negative": _negative,
    "face": _face,
    "dots": _dots,
    "block": _block,
}
