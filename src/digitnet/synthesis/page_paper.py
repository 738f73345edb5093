"""From the ink on a sheet to grey: paper, print on it, light, camera, screen, scanner.

Guarantees:

- ``develop`` returns uint8 of the sheet's shape and depends on its arguments alone; of the sheet it
  changes the ink of clutter only.
- A third of the pages are drawn on a screen: flat paper, nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis.page_sheet import Sheet
from digitnet.synthesis.page_strokes import chance, pick
from digitnet.synthesis.paper import (
    PrintedLines,
    Shadow,
    Tabletop,
    clouds,
    fibres,
    gradient,
    noise,
    paper_mask,
    print_lines,
    shade,
    table_top,
)
from digitnet.synthesis.pens import Float, as_float32
from digitnet.synthesis.scene_choices import log_uniform

Grey = NDArray[np.uint8]

LOOKS = ("screen", "scan", "photo", "board")
# How much clearer ink is than the unevenness of its paper.
_CLEARER = 3.0
_SHARES = (0.34, 0.16, 0.44, 0.06)


def develop(sheet: Sheet, pen: float, size: float, rng: Generator) -> Grey:
    """Return how a sheet looks.

    Args:
        sheet: what is written; clutter that two levels of grey do not show is taken out of its ink.
        pen: width of the strokes of digits, in pixels.
        size: of the digits, in pixels; lines and shadows are measured by it.
        rng: source of every choice.
    """
    look = LOOKS[pick(rng, _SHARES)]
    if look == "screen":
        return _screen(sheet, rng)
    if look == "scan":
        return _scan(sheet, pen, rng)
    return _photo(sheet, pen, size, rng, board=look == "board")


def _screen(sheet: Sheet, rng: Generator) -> Grey:
    """Flat paper and flat ink, of any polarity; perhaps hard edges."""
    ink = sheet.shade
    if chance(rng, 0.3):
        ink = as_float32(ink > 0.35)
        _lose_unseen(sheet, ink)
    paper = (255.0, 0.0, rng.uniform(150, 255), rng.uniform(0, 90))[
        pick(rng, (0.5, 0.25, 0.15, 0.1))
    ]
    far = (
        255 - paper
        if chance(rng, 0.6)
        else paper + math.copysign(rng.uniform(60, 160), 127 - paper)
    )
    return _to_grey(paper + ink * np.float32(np.clip(far, 0, 255) - paper))


def _lose_unseen(sheet: Sheet, ink: Float) -> None:
    """Take clutter out of the sheet's ink where no ink is seen nearby."""
    sheet.ink[1] *= cv2.dilate(ink, np.ones((3, 3), np.uint8))


def _scan(sheet: Sheet, pen: float, rng: Generator) -> Grey:
    """A flat-bed scanner: even light, a little blur, perhaps two levels only."""
    ink = sheet.shade
    paper, dark = rng.uniform(0.82, 1.0), rng.uniform(0, 0.45)
    page = paper + (_uneven(ink, rng) if chance(rng, 0.5) else ink) * np.float32(dark - paper)
    page = _blurred(page, min(rng.uniform(0.2, 0.9), 0.2 + 0.3 * pen))
    if chance(rng, 0.5):
        page += np.float32(rng.uniform(0.005, 0.03)) * noise(ink.shape, rng)
    if chance(rng, 0.35):
        least = 0.45 if pen > 2 else 0.7  # blur has made thin lines pale
        limit = dark + (paper - dark) * rng.uniform(least, 0.8)
        page = as_float32(page > limit)
        _lose_unseen(sheet, 1 - page)
    return _to_grey(page * 255)


def _photo(sheet: Sheet, pen: float, size: float, rng: Generator, *, board: bool) -> Grey:
    """Paper or a board under a lamp, seen by a camera."""
    ink, shape = sheet.shade, sheet.shape
    paper = np.full(
        shape, rng.uniform(0.08, 0.35) if board else rng.uniform(0.55, 0.97), np.float32
    )
    _texture(paper, rng, board=board)
    if not board:
        _print(paper, size, rng)
    tone = rng.uniform(0.6, 0.95) if board else _tone(rng, float(paper.mean()))
    _calm(paper, tone)
    if chance(rng, 0.9 if board else 0.5):
        ink = _uneven(ink, rng)
    page = paper + ink * (np.float32(tone) - paper)
    _light(page, size, sheet.boxes, rng)
    if not board and chance(rng, 0.14):
        page = _on_table(page, sheet, rng)
    return _camera(page, pen, rng)


def _calm(paper: Float, tone: float) -> None:
    """Make what the paper shows paler than the ink: what nobody could read teaches nothing."""
    middle, uneven = float(paper.mean()), float(paper.std())
    allowed = abs(middle - tone) / _CLEARER
    if uneven > allowed:
        paper -= np.float32(middle)
        paper *= np.float32(allowed / uneven)
        paper += np.float32(middle)


def _tone(rng: Generator, paper: float) -> float:
    """Return how dark the ink is: mostly dark, sometimes faint."""
    if chance(rng, 0.7):
        return rng.uniform(0.03, 0.4) * paper
    return rng.uniform(0.4, 0.82) * paper


def _texture(paper: Float, rng: Generator, *, board: bool) -> None:
    if chance(rng, 0.7):
        paper *= 1 + np.float32(rng.uniform(0.004, 0.02)) * fibres(paper.shape, rng)
    if chance(rng, 0.9 if board else 0.3):
        depth = rng.uniform(0.05, 0.25) if board else rng.uniform(0.01, 0.06)
        paper *= 1 + np.float32(depth) * clouds(paper.shape, log_uniform(rng, 8, 90), rng)


def _print(paper: Float, size: float, rng: Generator) -> None:
    """Ruled or squared lines, or the waves of security print."""
    kind = pick(rng, (0.55, 0.16, 0.14, 0.15))
    if kind in (1, 2):
        squared = kind == 1
        pitch = max(size / (rng.uniform(1.5, 5) if squared else rng.uniform(0.7, 2.5)), 6)
        lines = PrintedLines(
            pitch=pitch,
            width=max(rng.uniform(0.02, 0.07) * pitch, 0.5),
            strength=rng.uniform(0.2, 0.9),
            colour=(rng.uniform(0.5, 0.9),) * 3,
            squared=squared,
            tilt=rng.normal(0, 3),
            phase=(rng.uniform(0, paper.shape[1]), rng.uniform(0, paper.shape[0])),
        )
        for covered, colour in print_lines(paper.shape, lines):
            paper *= 1 - np.float32(lines.strength * (1 - colour[0])) * covered
    elif kind == 3:
        for _ in range(int(rng.integers(1, 3))):
            paper *= 1 - np.float32(rng.uniform(0.05, 0.3)) * _waves(paper.shape, rng)


def _waves(shape: tuple[int, int], rng: Generator) -> Float:
    """Return how much of each pixel the curved lines of security print cover."""
    x = np.arange(shape[1], dtype=np.float32)[None, :]
    y = np.arange(shape[0], dtype=np.float32)[:, None]
    angle, pitch = rng.uniform(-0.6, 0.6), log_uniform(rng, 3, 14)
    along, across = (
        x * math.cos(angle) + y * math.sin(angle),
        y * math.cos(angle) - x * math.sin(angle),
    )
    height = rng.uniform(0, 1.5) * pitch
    turns = (
        across + height * np.sin(along * np.float32(2 * math.pi / log_uniform(rng, 12, 120)))
    ) / pitch
    return as_float32(0.5 + 0.5 * np.cos(turns * np.float32(2 * math.pi))) ** 2


def _light(
    page: Float, size: float, boxes: Sequence[tuple[int, int, int, int]], rng: Generator
) -> None:
    if chance(rng, 0.8):
        fall = rng.uniform(0.02, 0.3) if chance(rng, 0.8) else rng.uniform(0.3, 0.6)
        page *= gradient(page.shape, rng.uniform(0, 360), fall, rng.uniform(0, 0.15))
    if chance(rng, 0.45):
        height, width = page.shape
        hand = chance(rng, 0.4)
        x, y = rng.random(2) * (width, height)
        if boxes and chance(rng, 0.75):  # where something is written
            left, top, right, bottom = boxes[int(rng.integers(len(boxes)))]
            x, y = rng.uniform((left, top), (right, bottom))
        unit = 0.055 * min(height, width)
        page *= shade(
            page.shape,
            Shadow(
                through=(float(x), float(y)),
                direction=rng.uniform(0, 360),
                light=rng.uniform(0.35, 0.8),
                softness=log_uniform(rng, 2, 12 + 0.3 * size),
                bend=rng.uniform(-0.3, 0.3) / max(height, width),
                fingers=tuple((unit * rng.uniform(0.8, 1.4, 4)).tolist()) if hand else (),
            ),
        )


def _on_table(page: Float, sheet: Sheet, rng: Generator) -> Float:
    """Return the page with a table showing at one or two edges, as far as no sign is there.

    What lies under the table is taken out of the sheet's clutter.
    """
    (height, width), free = page.shape, sheet.free_margins()
    lean = rng.normal(0, 0.03)
    gaps = np.full(4, -0.5)
    sides = rng.permutation(4)[: 1 + int(rng.integers(2))]
    # The lean brings an edge half of it nearer to the signs, more along the longer side.
    slack = abs(lean) * 0.5 * max(height / width, width / height)
    gaps[sides] = np.minimum(rng.uniform(0.01, 0.25), 0.95 * np.array(free) - slack)[sides]
    left, top, right, bottom = gaps
    corners = tuple(
        (float(x * width - lean * (y - 0.5) * height), float(y * height + lean * (x - 0.5) * width))
        for x, y in ((left, top), (1 - right, top), (1 - right, 1 - bottom), (left, 1 - bottom))
    )
    table = Tabletop(corners, (0.0, 0.0, 0.0), rng.uniform(0.03, 0.15))
    mask = paper_mask(page.shape, table)
    sheet.ink[1] *= mask
    under = np.float32(rng.uniform(0.05, 0.6)) * table_top(page.shape, table, mask, rng)
    return as_float32(page * mask + under * (1 - mask))


def _uneven(ink: Float, rng: Generator) -> Float:
    """Return ink of uneven pressure: pencil grain, or strokes that fade."""
    if chance(rng, 0.5):
        grain = clouds(ink.shape, log_uniform(rng, 4, 40), rng)
        return as_float32(
            ink * np.clip(1 - np.float32(rng.uniform(0.05, 0.3)) * (1 + grain), 0.35, 1)
        )
    grain = fibres(ink.shape, rng)
    return as_float32(
        ink * np.clip(1 - np.float32(rng.uniform(0.05, 0.35)) * np.abs(grain), 0.35, 1)
    )


def _camera(page: Float, pen: float, rng: Generator) -> Grey:
    page = _blurred(page, min(log_uniform(rng, 0.25, 2.5), 0.35 + 0.35 * pen))
    if chance(rng, 0.06):
        page = _shaken(page, min(rng.uniform(2, 9), 1 + 1.5 * pen), rng.uniform(0, math.pi))
    if chance(rng, 0.1):  # as cameras sharpen, with halos
        page += np.float32(rng.uniform(0.3, 1.5)) * (page - _blurred(page, rng.uniform(0.7, 2)))
    low, high = float(page.min()), float(page.max())
    stretch = rng.uniform(0.75, 1.0) / max(high, 0.2) if chance(rng, 0.7) else 1.0
    page *= np.float32(stretch)
    contrast = (high - low) * stretch
    level = min(log_uniform(rng, 0.003, 0.06), 0.1 * contrast + 0.002)
    if chance(rng, 0.85):
        grain = noise(page.shape, rng)
        page += np.float32(level) * (_blurred(grain, 0.8) * 2 if chance(rng, 0.3) else grain)
    grey = _to_grey(page * 255)
    if chance(rng, 0.5):
        quality = int(rng.integers(30, 96))
        _, packed = cv2.imencode(".jpg", grey, (cv2.IMWRITE_JPEG_QUALITY, quality))
        grey = np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)
    return grey if chance(rng, 0.95) else np.asarray(255 - grey, np.uint8)


def _shaken(page: Float, reach: float, angle: float) -> Float:
    """Return the page as a hand blurs it that moves ``reach`` pixels."""
    half = math.ceil(reach / 2)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    way = (reach / 2 * np.array([math.cos(angle), math.sin(angle)]) * 16).round().astype(int)
    middle = np.array([half, half]) * 16
    cv2.line(kernel, middle - way, middle + way, 255, 1, cv2.LINE_AA, 4)
    return as_float32(cv2.filter2D(page, -1, as_float32(kernel) / max(int(kernel.sum()), 1)))


def _blurred(page: Float, sigma: float) -> Float:
    return page if sigma < 0.3 else as_float32(cv2.GaussianBlur(page, (0, 0), sigma))


def _to_grey(page: Float) -> Grey:
    return np.clip(np.rint(page), 0, 255).astype(np.uint8)
