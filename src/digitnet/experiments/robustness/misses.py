"""Pictures of what was misread: each as it was given, and as the network saw it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from digitnet.experiments.robustness.measure import Measured
from digitnet.experiments.robustness.readers import DigitnetReader
from digitnet.experiments.robustness.words import GROUP_TITLES, set_title
from digitnet.reading.pictures import decode
from digitnet.showing.sheet import (
    HEADER,
    MARGIN,
    draw_tiles,
    new_sheet,
    write,
    write_header,
)
from digitnet.showing.theme import SMALL, WIDTH, ink_colours, palette_of, save_png, theme

SHOWN = 40
_ACROSS = 4
_TILE = 0.7  # inches; two of them, then the next
_DOWN = 0.98
_SIDE = 112  # pixels of a tile, four times an image


def write_misses(measured: Measured, reader: DigitnetReader, folder: Path) -> Path | None:
    """Write a sheet of the misses of a set of digits, surest first.

    Args:
        measured: the set.
        reader: the reader whose misses they are, to ask again what it saw.
        folder: where ``GROUP-NAME.png`` goes.

    Returns:
        The file; None when nothing was misread or there is nothing to read.

    Raises:
        StorageError: the folder cannot be written.
    """
    if measured.made.labels is None:
        return None
    wrong = np.flatnonzero(measured.ours.digit != measured.made.labels)
    if not wrong.size:
        return None
    file = folder / f"{measured.plan.group}-{measured.plan.name}.png"
    with theme():
        save_png(_sheet(measured, reader, wrong), file)
    return file


def _sheet(measured: Measured, reader: DigitnetReader, wrong: NDArray[np.int64]) -> Figure:
    shown = wrong[np.argsort(-measured.ours.confidence[wrong], kind="stable")][:SHOWN]
    pictures = [measured.made.pictures[int(index)] for index in shown]
    seen = reader.predict(pictures, measured.made.route)
    rows = -(-len(shown) // _ACROSS)
    figure, ax = new_sheet(HEADER + rows * _DOWN + MARGIN, None)
    plan = measured.plan
    write_header(
        ax,
        f"{GROUP_TITLES[plan.group]}: {set_title(plan.group, plan.name)}",
        f"{len(wrong):,} of {len(measured.made.pictures):,} misread, the surest first"
        "; index: truth → answer, confidence",
    )
    place = np.arange(len(shown))
    left = MARGIN + (WIDTH - 2 * MARGIN) / _ACROSS * (place % _ACROSS)
    top = HEADER + _DOWN * (place // _ACROSS)
    given = np.stack([_tile(decode(picture)) for picture in pictures])
    images = np.stack([_tile(each.image) for each in seen])
    draw_tiles(ax, given, left, top, _TILE, colours=_grey())
    draw_tiles(ax, images, left + _TILE + 0.03, top, _TILE, colours=ink_colours(palette_of(figure)))
    for index, x, y in zip(shown, left, top, strict=True):
        answer, truth = measured.ours.digit[index], measured.made.labels
        assert truth is not None
        told = "nothing" if answer < 0 else str(answer)
        words = f"{index}: {truth[index]} → {told}, {measured.ours.confidence[index]:.0%}"
        write(ax, float(x), float(y) + _TILE + 0.03, words, size=SMALL)
    return figure


def _tile(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a picture as large as fits a square, float32 in [0, 1]; NaN where nothing is."""
    factor = _SIDE / max(picture.shape)
    height, width = (max(1, round(side * factor)) for side in picture.shape)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    fitted = cv2.resize(picture, (width, height), interpolation=method)
    tile = np.full((_SIDE, _SIDE), np.nan, np.float32)
    top, left = (_SIDE - height) // 2, (_SIDE - width) // 2
    tile[top : top + height, left : left + width] = fitted / np.float32(255)
    return tile


def _grey() -> Colormap:
    from matplotlib import colormaps

    return colormaps["gray"].with_extremes(bad=(0, 0, 0, 0))
