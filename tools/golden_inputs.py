"""Three hundred and some inputs of every kind, made by digitnet itself, for golden vectors.

All are drawn from what the package ships: UNIPEN's strokes by writers who train nothing, and
MNIST's sample. A seed gives the same inputs each time.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from digitnet.data.catalogue import load_dataset
from digitnet.data.pen_signs import load_hands, split_writers
from digitnet.synthesis.hands import draw
from digitnet.synthesis.page_marks import scribble
from digitnet.synthesis.page_scenes import PageMaker

SEED = 20
# How many of each kind; what is in a picture takes turns.
FILES, PAGES, INKS, STROKES = 196, 14, 50, 70

Grey = NDArray[np.uint8]
Strokes = list[list[list[float]]]


@dataclass(frozen=True, eq=False)
class GoldenInput:
    """One input.

    Attributes:
        name: of its file, or of the drawing.
        kind: "file", "ink" or "strokes".
        about: what it shows and how it is written down.
        content: the bytes of a file; uint8 or float32 (H, W); or strokes.
    """

    name: str
    kind: str
    about: str
    content: Any


def golden_inputs() -> list[GoldenInput]:
    """Return all inputs, always the same."""
    rng = np.random.default_rng(SEED)
    return [*_files(_Signs(rng), rng), *_pages(), *_inks(_Signs(rng), rng), *_drawings(rng)]


class _Signs:
    """Signs by writers who train nothing."""

    def __init__(self, rng: Generator) -> None:
        self._rng, self.hands = rng, load_hands()
        _, val = split_writers(self.hands)
        self._digits = val[self.hands.is_digit[val]]
        self._letters = val[~self.hands.is_digit[val]]

    def strokes(self, *, letter: bool = False) -> list[NDArray[np.float64]]:
        pool = self._letters if letter else self._digits
        return self.hands.strokes(int(self._rng.choice(pool)))

    def ink(self, side: float, *, letter: bool = False) -> NDArray[np.float32]:
        """Return a sign drawn with any pen."""
        pen = max(1.2, side * float(self._rng.uniform(0.05, 0.13)))
        return draw(self.strokes(letter=letter), side, pen)


# ---- pictures


def _files(signs: _Signs, rng: Generator) -> Iterator[GoldenInput]:
    shown = (*_SHOWN,) * (FILES // len(_SHOWN) + 1)
    for number, (what, make) in enumerate(shown[:FILES]):
        how, encode = _ENCODINGS[number % len(_ENCODINGS)]
        content, suffix = encode(make(signs, rng), rng)
        yield GoldenInput(f"{number:03}.{suffix}", "file", f"{what}; {how}", content)


def _placed(inks: list[NDArray[np.float32]], places: list[tuple[int, int]], shape: Any) -> Any:
    """Return how much of each pixel ink covers, float32 (H, W)."""
    page = np.zeros(shape, np.float32)
    for ink, (top, left) in zip(inks, places, strict=True):
        height, width = (
            min(ink.shape[0], shape[0] - top),
            min(ink.shape[1], shape[1] - left),
        )
        part = page[top : top + height, left : left + width]
        np.maximum(part, ink[:height, :width], out=part)
    return page


def _one(low: int, high: int) -> Callable[[_Signs, Generator], Any]:
    """Return what draws one digit on a page of so many pixels a side."""

    def made(signs: _Signs, rng: Generator, *, letter: bool = False) -> Any:
        height, width = (int(side) for side in np.exp(rng.uniform(np.log(low), np.log(high), 2)))
        side = float(rng.uniform(0.35, 0.8)) * min(height, width)
        ink = signs.ink(side, letter=letter)
        room = max(0, height - ink.shape[0]), max(0, width - ink.shape[1])
        top, left = (int(rng.integers(0, each + 1)) for each in room)
        return _placed([ink], [(top, left)], (height, width))

    return made


def _letter(signs: _Signs, rng: Generator) -> Any:
    side = float(rng.uniform(40, 120))
    ink = signs.ink(side, letter=True)
    return np.pad(ink, int(side / 3))


def _row(signs: _Signs, rng: Generator, count: int | None = None) -> Any:
    count = count or int(rng.integers(2, 8))
    side = float(rng.uniform(24, 70))
    inks = [signs.ink(side) for _ in range(count)]
    step, top = 0.0, int(side * 0.5)
    places = []
    for ink in inks:
        places.append((top + int(rng.uniform(0, side / 6)), int(side * 0.5 + step)))
        step += ink.shape[1] + side * float(rng.uniform(0.15, 0.4))
    return _placed(inks, places, (int(2.3 * side), int(step + side)))


def _lines(signs: _Signs, rng: Generator) -> Any:
    rows = [_row(signs, rng, int(rng.integers(3, 6))) for _ in range(int(rng.integers(2, 4)))]
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]))) for row in rows])


def _lying(signs: _Signs, rng: Generator) -> Any:
    return np.rot90(_row(signs, rng, 5), int(rng.integers(1, 4))).copy()


def _scribble(_: _Signs, rng: Generator) -> Any:
    ink = draw([np.asarray(path, np.float64) for path in scribble(rng)], 90.0, 4.0)
    return np.pad(ink, 30)


def _blank(_: _Signs, rng: Generator) -> Any:
    height, width = (int(side) for side in rng.integers(20, 300, 2))
    return np.zeros((height, width), np.float32)


_SHOWN: tuple[tuple[str, Callable[[_Signs, Generator], Any]], ...] = (
    ("one digit, 60 to 300 pixels", _one(60, 300)),
    ("a row", _row),
    ("one digit, 20 to 48 pixels", _one(20, 48)),
    ("a row", _row),
    ("one digit, 300 to 900 pixels", _one(300, 900)),
    ("several lines", _lines),
    ("one digit, 60 to 300 pixels", _one(60, 300)),
    ("a letter", _letter),
    ("a row", _row),
    ("a row that lies", _lying),
    ("one digit, 60 to 300 pixels", _one(60, 300)),
    ("a scribble", _scribble),
    ("nothing", _blank),
)


# ---- how pictures are written down: from cover, 0 to 1, to a file


def _mixed(ink: Any, paper: tuple[int, ...], pen: tuple[int, ...]) -> Grey:
    """Return paper and pen in colours, uint8 (H, W, channels)."""
    cover = ink[..., None]
    mixed = np.asarray(paper) * (1 - cover) + np.asarray(pen) * cover
    return np.asarray(np.rint(mixed), np.uint8)


def _saved(pixels: Any, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, file_format, **options)
    return stream.getvalue()


def _grey(ink: Any, rng: Generator) -> tuple[bytes, str]:
    low, high = sorted(int(tone) for tone in rng.integers(0, 256, 2))
    low, high = min(low, 90), max(high, 150)
    tones = (high, low) if rng.random() < 0.7 else (low, high)
    return _saved(_mixed(ink, tones[:1], tones[1:])[..., 0], "PNG", optimize=True), "png"


def _colour(ink: Any, rng: Generator) -> tuple[bytes, str]:
    paper = (*(int(tone) for tone in rng.integers(200, 256, 3)),)
    pen = [(200, 30, 40), (20, 60, 170), (255, 235, 60), (30, 120, 60)][int(rng.integers(4))]
    return _saved(_mixed(ink, paper, pen), "PNG", optimize=True), "png"


def _palette(ink: Any, rng: Generator) -> tuple[bytes, str]:
    image = Image.fromarray(_mixed(ink, (250, 248, 240), (30, 40, 90)))
    return _saved(image.quantize(int(rng.integers(2, 17))), "PNG", optimize=True), "png"


def _clear_palette(ink: Any, _: Generator) -> tuple[bytes, str]:
    image = Image.fromarray(_mixed(ink, (255, 255, 255), (30, 30, 30))).quantize(8)
    paper = image.getpixel((0, 0))
    return _saved(image, "PNG", transparency=paper), "png"


def _bits(ink: Any, _: Generator) -> tuple[bytes, str]:
    return _saved(Image.fromarray(ink < 0.5), "PNG"), "png"


def _clear(ink: Any, rng: Generator) -> tuple[bytes, str]:
    """A pen on nothing: black, blue, or white for a dark page."""
    pen = [(0, 0, 0), (25, 50, 160), (255, 255, 255)][int(rng.integers(3))]
    pixels = np.empty((*ink.shape, 4), np.uint8)
    pixels[..., :3] = pen
    pixels[..., 3] = np.rint(ink * 255)
    return _saved(pixels, "PNG", optimize=True), "png"


def _clear_grey(ink: Any, _: Generator) -> tuple[bytes, str]:
    pixels = np.stack([np.full_like(ink, 20), ink * 230], axis=2).astype(np.uint8)
    return _saved(Image.fromarray(pixels, "LA"), "PNG", optimize=True), "png"


def _deep(ink: Any, rng: Generator) -> tuple[bytes, str]:
    top = int(2 ** rng.choice([10, 12, 14, 16]) - 1)
    values = np.rint((0.95 - 0.8 * ink) * top).astype(np.uint16)
    return _saved(values, "PNG"), "png"


def _turned(ink: Any, rng: Generator) -> tuple[bytes, str]:
    """A picture whose EXIF data say how to turn it."""
    exif = Image.Exif()
    exif[0x0112] = orientation = int(rng.integers(2, 9))
    pixels = _mixed(ink, (240, 240, 240), (40, 40, 60))
    # What undoes each orientation undone: the sixth and the eighth undo each other.
    turns = Image.Transpose
    undo = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_90,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_270,
    }
    image = Image.fromarray(pixels).transpose(undo[orientation])
    if rng.random() < 0.3:
        return _saved(image, "PNG", exif=exif, optimize=True), "png"
    return _saved(image, "JPEG", exif=exif, quality=90), "jpg"


def _jpeg(ink: Any, rng: Generator) -> tuple[bytes, str]:
    paper = (*(int(tone) for tone in rng.integers(190, 256, 3)),)
    pixels = _mixed(ink, paper, (40, 40, 80))
    quality, finer = int(rng.integers(70, 96)), int(rng.choice([0, 2]))
    return _saved(pixels, "JPEG", quality=quality, subsampling=finer), "jpg"


def _grey_jpeg(ink: Any, rng: Generator) -> tuple[bytes, str]:
    pixels = _mixed(ink, (235,), (60,))[..., 0]
    return _saved(pixels, "JPEG", quality=int(rng.integers(75, 96))), "jpg"


def _other(ink: Any, rng: Generator) -> tuple[bytes, str]:
    pixels = _mixed(ink, (245, 245, 245), (30, 30, 30))
    if rng.random() < 0.5:
        return _saved(pixels, "WEBP", lossless=True), "webp"
    return _saved(Image.fromarray(pixels).quantize(8), "GIF"), "gif"


_ENCODINGS: tuple[tuple[str, Callable[[Any, Generator], tuple[bytes, str]]], ...] = (
    ("PNG, grey", _grey),
    ("PNG, colours", _colour),
    ("JPEG, colours", _jpeg),
    ("PNG, palette", _palette),
    ("PNG, colours and opacity", _clear),
    ("PNG, grey", _grey),
    ("PNG, 16 bits", _deep),
    ("JPEG, grey", _grey_jpeg),
    ("PNG, colours", _colour),
    ("turned by EXIF", _turned),
    ("PNG, grey and opacity", _clear_grey),
    ("PNG, clear palette", _clear_palette),
    ("JPEG, colours", _jpeg),
    ("PNG, one bit", _bits),
    ("WebP or GIF", _other),
)


def _pages() -> Iterator[GoldenInput]:
    """Yield simulated photos and scans of pages."""
    sample, hands = load_dataset("sample"), load_hands()
    _, val = split_writers(hands)
    maker = PageMaker(sample.train_images, sample.train_labels, hands, val)
    for number in range(PAGES):
        content = _saved(maker.page(number).grey, "JPEG", quality=75)
        yield GoldenInput(f"page{number:02}.jpg", "file", "a simulated page; JPEG, grey", content)


# ---- inks and strokes


def _inks(signs: _Signs, rng: Generator) -> Iterator[GoldenInput]:
    images = load_dataset("sample").test_images
    for number in range(INKS):
        if number % 2:
            about, ink = "MNIST's test image", images[int(rng.integers(len(images)))]
        else:
            letter, side = number % 10 == 8, float(rng.uniform(20, 110))
            drawn = signs.ink(side, letter=letter)
            about, ink = "a drawn sign", np.rint(drawn * 255).astype(np.uint8)
        yield GoldenInput(f"ink{number:02}", "ink", about, ink)


def _drawings(rng: Generator) -> Iterator[GoldenInput]:
    signs = _Signs(rng)
    for number in range(STROKES):
        about, make = _DRAWN[number % len(_DRAWN)]
        yield GoldenInput(f"strokes{number:02}", "strokes", about, make(signs, rng))


def _rounded(paths: list[Any], scale: float, left: float = 0.0, top: float = 0.0) -> Strokes:
    return [
        [[round(float(x) * scale + left, 1), round(float(y) * scale + top, 1)] for x, y in path]
        for path in paths
    ]


def _digit_strokes(signs: _Signs, rng: Generator) -> Strokes:
    return _rounded(signs.strokes(), float(rng.uniform(30, 300)), *rng.uniform(0, 200, 2))


def _pressed(signs: _Signs, rng: Generator) -> Strokes:
    """Strokes with the pressure of the pen."""
    strokes = _digit_strokes(signs, rng)
    return [
        [[*point, round(float(rng.uniform(0.2, 0.9)), 2)] for point in path] for path in strokes
    ]


def _number(signs: _Signs, rng: Generator, count: int | None = None, top: float = 40) -> Strokes:
    strokes, left, side = [], float(rng.uniform(10, 60)), float(rng.uniform(60, 110))
    for _ in range(count or int(rng.integers(3, 7))):
        paths = signs.strokes()
        strokes += _rounded(paths, side, left, top + float(rng.uniform(0, 10)))
        left += side * (float(np.concatenate(paths)[:, 0].max()) + float(rng.uniform(0.2, 0.4)))
    return strokes


def _two_lines(signs: _Signs, rng: Generator) -> Strokes:
    return _number(signs, rng, 3) + _number(signs, rng, 4, 220.0)


def _odd(signs: _Signs, rng: Generator) -> Strokes:
    """What is hardly a drawing: a dot, nothing, a letter, a scribble, a flat line."""
    return [
        [[[50.0, 60.0]]],
        [],
        _rounded(signs.strokes(letter=True), 100.0),
        _rounded(scribble(rng), 120.0),
        [[[10.0, 20.0], [210.0, 20.0]]],
    ][int(rng.integers(5))]


_DRAWN: tuple[tuple[str, Callable[[_Signs, Generator], Strokes]], ...] = (
    ("a digit", _digit_strokes),
    ("a number", _number),
    ("a digit, with pressure", _pressed),
    ("a number", _number),
    ("two lines", _two_lines),
    ("a number", _number),
    ("hardly a drawing", _odd),
)
