"""Drawings of what is no digit, made by a program: to teach a network to refuse, and to test it.

Guarantees:

- ``draw_non_digits`` gives inks, bright on 0 and never blank, whose kinds are named; a seed gives
  the same drawings each time.
- Nothing is downloaded: letters come from the typefaces that matplotlib and OpenCV bring along,
  everything else is drawn or made of the digits given.

Letters that a hand writes like a digit (O, l, S, Z, b, g, q …) are left out: to refuse them would
be to refuse digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import importing_extras, unknown_name

Canvas = NDArray[np.uint8]
Random = np.random.Generator

# Side of the result, and of the canvas it is drawn on and averaged down from.
SIZE = 40
_LARGE = 160
# Where a drawing lies on the canvas: a field of 28 pixels inside the margin.
_LOW, _HIGH = 28, 132
# A drawing whose brightest pixel is darker than this is blank.
_VISIBLE = 64

_PRINTED = "ABCDEFGHIJKLMNPQRTUVWXYabcdefhkmnprtuvwxyacdehkmrtwx&@#%?+=$€§"
_WRITTEN = "ABCDEFGHJKLMNPQRTUVWXYacdefhkmnprtuvwxy&@#%?+=*"
_FACES = (
    "DejaVuSans",
    "DejaVuSerif",
    "STIXGeneral",
    "cmr10",
    "cmb10",
    "cmss10",
    "cmtt10",
    "cmti10",
)
_WITHOUT_SERIFS = ("DejaVuSans", "cmss")


def draw_non_digits(
    count: int,
    seed: int,
    digits: NDArray[np.uint8],
    kinds: Sequence[str] = (),
) -> tuple[NDArray[np.uint8], list[str]]:
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
        MissingExtraError: matplotlib is not installed.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown_name("kind of non-digit", kind, KINDS)
    import cv2

    random = np.random.default_rng(seed)
    names = [(kinds or tuple(KINDS))[i % len(kinds or KINDS)] for i in range(count)]
    drawn = np.empty((count, SIZE, SIZE), np.uint8)
    for index, name in enumerate(names):
        drawn[index] = _draw(KINDS[name], random, digits, cv2)
    return drawn, names


def _draw(
    kind: Callable[[Random, Canvas, Any], Canvas], random: Random, digits: Canvas, cv2: Any
) -> Canvas:
    """Draw one; a blank one, as when a blot lies outside its window, is drawn again."""
    while True:
        small: Canvas = cv2.resize(
            kind(random, digits, cv2), (SIZE, SIZE), interpolation=cv2.INTER_AREA
        )
        if small.max() >= _VISIBLE:
            return small


def _canvas() -> Canvas:
    return np.zeros((_LARGE, _LARGE), np.uint8)


def _points(random: Random, count: int) -> NDArray[np.int32]:
    return random.integers(_LOW, _HIGH, (count, 2)).astype(np.int32)


def _thickness(random: Random) -> int:
    return int(random.integers(3, 17))


@cache
def _typefaces() -> list[Path]:
    with importing_extras():
        import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    return sorted(p for p in folder.glob("*.ttf") if p.stem.startswith(_FACES))


def _printed_letter(random: Random, _digits: Any, _cv2: Any) -> Canvas:
    """A letter in one of the typefaces, sometimes stretched or outlined."""
    from PIL import Image, ImageDraw, ImageFont

    face = _typefaces()[random.integers(len(_typefaces()))]
    font = ImageFont.truetype(str(face), 120)
    letter = _PRINTED[random.integers(len(_PRINTED))]
    if letter == "I" and face.stem.startswith(_WITHOUT_SERIFS):  # no more than a stroke
        letter = "H"
    image = Image.new("L", (240, 240))
    # A display face is fatter than any of these: broaden the stroke of some.
    stroke = int(random.integers(0, 9)) if random.random() < 0.5 else 0
    ImageDraw.Draw(image).text((60, 40), letter, 255, font, stroke_width=stroke)
    box = image.getbbox()
    if box is None:  # the face has no such letter
        return _scribble(random, _digits, _cv2)
    return _fitted(np.asarray(image.crop(box)), random, _cv2)


def _fitted(ink: Canvas, random: Random, cv2: Any) -> Canvas:
    """Place an ink of any size in the field, its proportions changed a little."""
    height, width = ink.shape
    scale = (_HIGH - _LOW) / max(height, width)
    stretch = np.exp(random.uniform(-0.25, 0.25, 2)) if random.random() < 0.4 else (1.0, 1.0)
    limit = _LARGE - 8
    size = [
        int(np.clip(n * scale * s, 6, limit)) for n, s in zip((width, height), stretch, strict=True)
    ]
    canvas = _canvas()
    left, top = (_LARGE - size[0]) // 2, (_LARGE - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(
        ink, size, interpolation=cv2.INTER_AREA
    )
    return canvas


def _written_letter(random: Random, _digits: Any, cv2: Any) -> Canvas:
    """A letter in one of OpenCV's stroke typefaces, whose lines a pen could draw."""
    letter = _WRITTEN[random.integers(len(_WRITTEN))]
    ink = np.zeros((260, 260), np.uint8)
    face = int(random.choice([0, 1, 2, 3, 4, 6, 7])) | (16 if random.random() < 0.3 else 0)
    cv2.putText(ink, letter, (60, 180), face, 5.0, 255, _thickness(random) + 4, cv2.LINE_AA)
    rows, columns = np.flatnonzero(ink.max(1)), np.flatnonzero(ink.max(0))
    return _fitted(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], random, cv2)


def _bar(random: Random, _digits: Any, cv2: Any) -> Canvas:
    """A fat printed I: a block with serifs, since without them it is a one of a broad pen."""
    canvas, width = _canvas(), int(random.integers(18, 44))
    cv2.rectangle(canvas, (80 - width // 2, _LOW), (80 + width // 2, _HIGH), 255, -1)
    reach, thick = width // 2 + int(random.integers(10, 26)), int(random.integers(6, 20))
    cv2.rectangle(canvas, (80 - reach, _LOW), (80 + reach, _LOW + thick), 255, -1)
    cv2.rectangle(canvas, (80 - reach, _HIGH - thick), (80 + reach, _HIGH), 255, -1)
    return canvas


def _curve(random: Random, knots: int) -> NDArray[np.int32]:
    """A smooth random path through the field: knots joined by a Catmull-Rom spline."""
    knot = random.uniform(_LOW, _HIGH, (knots + 2, 2))
    t = np.linspace(0, 1, 12)[:, None]
    parts = []
    for a, b, c, d in zip(knot, knot[1:], knot[2:], knot[3:], strict=False):
        parts.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2
                   + (3 * b - a - 3 * c + d) * t**3)
        )  # fmt: skip
    return np.concatenate(parts).astype(np.int32)


def _scribble(random: Random, _digits: Any, cv2: Any) -> Canvas:
    canvas = _canvas()
    path = _curve(random, int(random.integers(7, 22)))
    cv2.polylines(canvas, [path], False, 255, _thickness(random), cv2.LINE_AA)
    return canvas


def _strokes(random: Random, _digits: Any, cv2: Any) -> Canvas:
    """Three to seven straight strokes anyhow."""
    canvas, thick = _canvas(), _thickness(random)
    for _ in range(random.integers(3, 8)):
        a, b = _points(random, 2).tolist()
        cv2.line(canvas, a, b, 255, thick, cv2.LINE_AA)
    return canvas


def _shape(random: Random, _digits: Any, cv2: Any) -> Canvas:
    """Stars, arrows, crosses, ticks, boxes, spirals: what people draw to try a recogniser."""
    canvas, thick = _canvas(), _thickness(random)
    outline = _OUTLINES[random.integers(len(_OUTLINES))](random)
    points = ((outline * 48 + 80) * 1.0).astype(np.int32)
    if random.random() < 0.25:
        cv2.fillPoly(canvas, [points], 255, cv2.LINE_AA)
    else:
        cv2.polylines(canvas, [points], False, 255, thick, cv2.LINE_AA)
    return canvas


def _polygon(corners: int, skip: int = 1) -> Callable[[Random], NDArray[np.float64]]:
    def outline(random: Random) -> NDArray[np.float64]:
        angle = np.arange(corners + 1) * 2 * np.pi * skip / corners + random.uniform(0, 6.3)
        return np.stack((np.cos(angle), np.sin(angle)), 1)

    return outline


def _path(*points: tuple[float, float]) -> Callable[[Random], NDArray[np.float64]]:
    def outline(random: Random) -> NDArray[np.float64]:
        return np.array(points) * random.uniform(0.7, 1.0, 2) + random.normal(
            0, 0.04, (len(points), 2)
        )

    return outline


def _spiral(random: Random) -> NDArray[np.float64]:
    turns = random.uniform(2.2, 4)
    angle = np.linspace(0, 2 * np.pi * turns, 90)
    grown: NDArray[np.float64] = angle / angle[-1]
    return np.stack((np.cos(angle), np.sin(angle)), 1) * grown[:, None]


_OUTLINES: tuple[Callable[[Random], NDArray[np.float64]], ...] = (
    _polygon(3), _polygon(4), _polygon(5), _polygon(5, 2), _polygon(6), _spiral,
    _path((-1, 0), (1, 0), (0.5, -0.5), (1, 0), (0.5, 0.5)),
    _path((-1, 0.1), (-0.3, 0.8), (1, -0.9)),
    _path((-1, -1), (1, 1), (0, 0), (1, -1), (-1, 1)),
    _path((-1, 0), (1, 0), (0, 0), (0, -1), (0, 1)),
    _path((0, 1), (-1, -0.2), (-0.5, -0.9), (0, -0.3), (0.5, -0.9), (1, -0.2), (0, 1)),
    _path((-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1), (0, -1.3), (1, -1)),
    _path((-1, 0), (-0.6, -0.8), (-0.2, 0.8), (0.2, -0.8), (0.6, 0.8), (1, 0)),
)  # fmt: skip


def _silhouette(random: Random, _digits: Any, cv2: Any) -> Canvas:
    """A filled body, often mirrored, with its own light and pattern: things, clothes, blots."""
    canvas = _canvas()
    count = int(random.integers(3, 9))
    down = np.sort(random.uniform(_LOW, _HIGH, count))
    half = random.uniform(10, 52, count)
    other = half if random.random() < 0.7 else random.uniform(5, 52, count)
    outline = np.concatenate(
        (np.stack((80 - half, down), 1), np.stack((80 + other, down), 1)[::-1])
    ).astype(np.int32)
    cv2.fillPoly(canvas, [outline], 255, cv2.LINE_AA)
    if random.random() < 0.35:  # a gap between two legs, or two straps
        low, width = int(random.integers(50, 110)), int(random.integers(3, 16))
        canvas[low if random.random() < 0.5 else 0 :, 80 - width : 80 + width][: _LARGE // 2] = 0
    pattern = 1.0 - random.uniform(0, 0.8) * _texture(random, cv2)
    turned = canvas if random.random() < 0.7 else np.rot90(canvas)
    return (turned * pattern).astype(np.uint8)


def _texture(random: Random, cv2: Any) -> NDArray[np.float64]:
    """A random pattern in [0, 1]: smooth light, stripes or grain."""
    cells = int(random.choice([2, 4, 8, 20, 40]))
    coarse = random.random((cells, cells if random.random() < 0.6 else 1))
    grown: NDArray[np.float64] = cv2.resize(
        coarse, (_LARGE, _LARGE), interpolation=cv2.INTER_LINEAR
    )
    return grown


def _blot(random: Random, _digits: Any, cv2: Any) -> Canvas:
    """Blots of filtered noise, with hard or soft edges."""
    cells = int(random.integers(3, 24))
    field = cv2.resize(
        random.random((cells, cells)), (_LARGE, _LARGE), interpolation=cv2.INTER_CUBIC
    )
    slope = random.uniform(1.5, 30)
    ink = np.clip((field - np.quantile(field, random.uniform(0.3, 0.85))) * slope, 0, 1)
    window = np.zeros((_LARGE, _LARGE))
    axes = tuple(random.integers(28, 56, 2).tolist())
    cv2.ellipse(window, (80, 80), axes, 0, 0, 360, 1, -1)
    blot: Canvas = (255 * ink * window).astype(np.uint8)
    return blot


def _noise(random: Random, _digits: Any, cv2: Any) -> Canvas:
    """Grain over the whole field, as a blank page shows when it is stretched to full range."""
    cells = int(random.choice([14, 26, 40]))
    grain = random.random((cells, cells)) ** random.uniform(0.5, 6)
    canvas = _canvas()
    canvas[_LOW:_HIGH, _LOW:_HIGH] = cv2.resize(
        255 * grain, (_HIGH - _LOW, _HIGH - _LOW), interpolation=cv2.INTER_AREA
    )
    return canvas


def _hatching(random: Random, _digits: Any, cv2: Any) -> Canvas:
    """Parallel lines, one way or crossed: squared paper taken for ink."""
    canvas, thick = _canvas(), int(random.integers(2, 9))
    step = int(random.integers(12, 40))
    for at in range(_LOW, _HIGH + 1, step):
        cv2.line(canvas, (at, _LOW), (at, _HIGH), 255, thick, cv2.LINE_AA)
        if random.random() < 0.5:
            cv2.line(canvas, (_LOW, at), (_HIGH, at), 255, thick, cv2.LINE_AA)
    return canvas if random.random() < 0.5 else canvas.T.copy()


def _two_digits(random: Random, digits: Canvas, cv2: Any) -> Canvas:
    """Two or three digits in one box, beside or above each other."""
    chosen = digits[random.integers(len(digits), size=int(random.choice([2, 2, 2, 3])))]
    overlap = int(random.integers(2, 13))
    ink = np.zeros((28, 28 + (28 - overlap) * (len(chosen) - 1)), np.uint8)
    for index, digit in enumerate(chosen):
        left = (28 - overlap) * index
        part = ink[:, left : left + 28]
        np.maximum(part, digit, out=part)
    if random.random() < 0.15:
        ink = np.rot90(ink).copy()
    rows, columns = np.flatnonzero(ink.max(1)), np.flatnonzero(ink.max(0))
    return _fitted(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], random, cv2)


def _negative(random: Random, digits: Canvas, _cv2: Any) -> Canvas:
    """A digit cut out of a full block, as when light and dark were mistaken."""
    digit = digits[random.integers(len(digits))]
    canvas = _canvas()
    canvas[24:136, 24:136] = np.kron(255 - digit, np.ones((4, 4), np.uint8))
    return canvas


def _face(random: Random, _digits: Any, cv2: Any) -> Canvas:
    """A circle with things in it: a face, a clock, a button."""
    canvas, thick = _canvas(), int(random.integers(3, 11))
    cv2.ellipse(
        canvas,
        (80, 80),
        tuple(random.integers(38, 54, 2).tolist()),
        0,
        0,
        360,
        255,
        thick,
        cv2.LINE_AA,
    )
    for x in (62, 98):
        cv2.circle(
            canvas,
            (x, int(random.integers(56, 74))),
            int(random.integers(3, 8)),
            255,
            -1,
            cv2.LINE_AA,
        )
    if random.random() < 0.8:
        cv2.ellipse(
            canvas, (80, 86), (22, int(random.integers(6, 20))), 0, 0, 180, 255, thick, cv2.LINE_AA
        )
    return canvas


def _dots(random: Random, _digits: Any, cv2: Any) -> Canvas:
    canvas = _canvas()
    for centre in _points(random, int(random.integers(2, 14))).tolist():
        cv2.circle(canvas, centre, int(random.integers(3, 14)), 255, -1, cv2.LINE_AA)
    return canvas


def _block(random: Random, _digits: Any, cv2: Any) -> Canvas:
    """A full or framed rectangle or disc: a dark picture, a stain, a box with nothing in it."""
    canvas = _canvas()
    low, high = random.integers(_LOW, 70, 2), random.integers(90, _HIGH, 2)
    if (high - low)[1] > 2.5 * (high - low)[0]:  # high and narrow: a one of a broad pen
        low, high = low[::-1], high[::-1]
    thick = -1 if random.random() < 0.6 else int(random.integers(3, 12))
    if random.random() < 0.7:
        cv2.rectangle(canvas, low.tolist(), high.tolist(), 255, thick)
    else:
        cv2.circle(canvas, (80, 80), int(random.integers(10, 50)), 255, -1, cv2.LINE_AA)
    return (canvas * (1 - 0.5 * _texture(random, cv2) * random.random())).astype(np.uint8)


KINDS: dict[str, Callable[[Random, Canvas, Any], Canvas]] = {
    "printed letter": _printed_letter,
    "written letter": _written_letter,
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
