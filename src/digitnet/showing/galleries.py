"""Pictures in rows: the data, its distortions, what was read correctly and what was not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.showing import sheet
from digitnet.showing.theme import BODY, INK, LIGHT, SMALL, TITLE
from digitnet.text import are_digits, percent, shortened
from digitnet.training.runs import Predictions

_LETTER = 0.085  # inches, of a name
# Letters of a name that are shown: before a row, above a column, of a miss.
_LONGEST_ROW_NAME, _LONGEST_HEAD, _LONGEST_NAME = 14, 8, 12
_SHORT = 2  # letters, of a name that can be written large
_COLUMN = 0.62  # inches, at least, of a class
_MISS, _LONG_MISS = 1.55, 3.1  # inches, of a miss with its words; where names are long
_MISS_TILE = 0.72  # inches; the words of a miss stand to its right


def misses_gallery(
    images: sheet.Images,
    predictions: Predictions,
    limit: int = 40,
    *,
    disputed: Collection[int] = (),
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw the images that were misread, worst first.

    Worst is the highest probability of the wrong class; among equals, the lowest of the true one.
    Each shows its index, true and predicted class, and the probability of both.

    Args:
        images: uint8 in 0–255 or floating point in [0, 1], (N, 28, 28), the whole split.
        predictions: of that split; ``predictions.index`` points into ``images``.
        limit: at most so many are drawn, 1 or more.
        disputed: indices whose label is known to be doubtful; they are marked.
        class_names: one a class; their numbers when None.

    Raises:
        InputError: an index beyond the last image, or images that are not (N, H, W).
        UsageError: ``limit`` is less than 1.
    """
    sheet.check_at_least_one("limit", limit)
    misses = worst_misses(predictions)
    shown = misses[:limit]
    if not misses:
        note = f"all {len(predictions.label):,} pictures were read correctly"
        return _only_words("No misses", note)
    named = predictions.label[shown], predictions.predicted[shown]
    names = {int(each): _name(class_names, each) for each in np.unique(named)}
    short = all(map(_is_short, names.values()))
    across = int(sheet.inside() / (_MISS if short else _LONG_MISS))
    rows, columns = np.divmod(np.arange(len(shown)), across)
    left = sheet.MARGIN + sheet.inside() / across * columns
    top = sheet.HEADER + 0.05 + (_MISS_TILE + 0.14) * rows
    figure, ax = sheet.new_sheet(float(top.max()) + _MISS_TILE + sheet.MARGIN)
    marks = [int(predictions.index[row]) in disputed for row in shown]
    title = f"The worst {limit} of {len(misses)} misses"
    if len(shown) == len(misses):
        title = "The only miss" if len(misses) == 1 else f"All {len(misses)} misses"
    note = "truth → answer, and the probability of both"
    sheet.write_header(ax, title, note + ("   ◆ label disputed" if any(marks) else ""))
    ink = _pictures_of(images, predictions.index[shown])
    sheet.draw_tiles(ax, ink, left, top, _MISS_TILE, colours=INK)
    for row, x, y, mark in zip(shown, left, top, marks, strict=True):
        _write_miss(ax, predictions, row, (float(x), float(y)), names, disputed=mark)
    return figure


def worst_misses(predictions: Predictions) -> list[int]:
    """Return the rows of all misses, the surest wrong answers first."""
    missed = np.flatnonzero(predictions.label != predictions.predicted)
    keys = (
        predictions.index[missed],
        predictions.probability_label[missed],
        -predictions.probability_predicted[missed],
    )
    order: list[int] = missed[np.lexsort(keys)].tolist()
    return order


def correct_gallery(
    images: sheet.Images,
    predictions: Predictions,
    per_class: int = 5,
    *,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw images that were read correctly, a column a class, from the surest to the least sure.

    The rows are evenly spaced ranks of confidence, so the choice is the same every time and shows
    the whole range. A class never read correctly leaves its column empty. More than ten classes go
    into several bands of columns, on a phone more than five.

    Args:
        images: uint8 in 0–255 or floating point in [0, 1], (N, 28, 28), the whole split.
        predictions: of that split; ``predictions.index`` points into ``images``.
        per_class: rows, 1 or more.
        class_names: one a class; their numbers when None.

    Raises:
        InputError: an index beyond the last image, or images that are not (N, H, W).
        UsageError: ``per_class`` is less than 1.
    """
    sheet.check_at_least_one("per_class", per_class)
    classes = np.unique(predictions.label)
    chosen = [surest_to_least(predictions, int(label), per_class) for label in classes]
    shown = np.concatenate([*chosen, np.zeros(0, dtype=np.int64)])
    if not shown.size:
        return _only_words("Recognised: nothing", "no picture was read correctly")
    across = int(sheet.inside() / _COLUMN)
    pitch = sheet.inside() / across
    tile, row_height = pitch - 0.06, pitch + 0.17
    band_height = 0.24 + per_class * row_height
    band, column = np.divmod(np.arange(len(classes)), across)
    x, y = sheet.MARGIN + pitch * column, sheet.HEADER + band_height * band
    figure, ax = sheet.new_sheet(float(y.max()) + band_height)
    thing = "digit" if class_names is None or are_digits(class_names) else "class"
    note = f"below each {thing}: the probability the network gave to it"
    sheet.write_header(ax, "Recognised: from the surest to the least sure", note)
    names = [shortened(_name(class_names, each), _LONGEST_HEAD) for each in classes]
    size, down = (TITLE, 0.02) if all(map(_is_short, names)) else (SMALL, 0.07)
    for name, right, top in zip(names, x + tile / 2, y + down, strict=True):
        sheet.write(ax, right, top, name, size=size, weight="bold", ha="center")
    counts = [len(rows) for rows in chosen]
    left = np.repeat(x, counts)
    ranks = np.concatenate([np.arange(count) for count in counts])
    tops = np.repeat(y, counts) + 0.24 + row_height * ranks
    sheet.draw_tiles(
        ax, _pictures_of(images, predictions.index[shown]), left, tops, tile, colours=INK
    )
    sheet.write_below(ax, map(percent, predictions.probability_predicted[shown]), left, tops, tile)
    return figure


def surest_to_least(predictions: Predictions, label: int, count: int) -> NDArray[np.int64]:
    """Return rows of ``predictions`` right about ``label``, at even ranks of confidence."""
    right = np.flatnonzero((predictions.label == label) & (predictions.predicted == label))
    ranked = right[np.argsort(-predictions.probability_predicted[right], kind="stable")]
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(np.int64)
    return ranked[places]


def examples(
    images: sheet.Images,
    labels: NDArray[np.int64],
    per_class: int = 10,
    *,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw the first few images of each class, a row for each: what the data looks like.

    Args:
        images: uint8 in 0–255 or floating point in [0, 1], (N, 28, 28).
        labels: int64 (N,).
        per_class: columns, 1 or more.
        class_names: one a class; their numbers when None.

    Raises:
        InputError: images that are not (N, H, W), or not as many as the labels, or none.
        UsageError: ``per_class`` is less than 1.
    """
    sheet.check_at_least_one("per_class", per_class)
    if len(images) != len(labels) or not len(labels):
        raise InputError(
            f"There are {len(images)} images and {len(labels)} labels; there must be as many of "
            "both, at least one. Pass images and labels of the same split."
        )
    classes = np.unique(labels)
    chosen = [np.flatnonzero(labels == each)[:per_class] for each in classes]
    names = [shortened(_name(class_names, each), _LONGEST_ROW_NAME) for each in classes]
    aside = max(0.35, _LETTER * max(map(len, names)) + 0.15)  # inches, for the names
    pitch = (sheet.inside() - aside) / max(per_class, 8)
    left = sheet.MARGIN + aside + pitch * np.concatenate([np.arange(len(each)) for each in chosen])
    top = sheet.MARGIN + pitch * np.repeat(np.arange(len(classes)), [len(each) for each in chosen])
    figure, ax = sheet.new_sheet(2 * sheet.MARGIN + pitch * len(classes))
    sheet.draw_tiles(
        ax, sheet.as_ink(images[np.concatenate(chosen)]), left, top, pitch - 0.06, colours=INK
    )
    size = TITLE if max(map(len, names)) == 1 else BODY
    for row, name in enumerate(names):
        y = sheet.MARGIN + pitch * row + (pitch - 0.06) / 2
        sheet.write(
            ax, sheet.MARGIN + 0.05, y, name, size=size, weight="bold", va="center_baseline"
        )
    return figure


def augmentation_preview(originals: sheet.Images, augmented: sheet.Images) -> Figure:
    """Draw digits, one a row, each followed by its distorted copies.

    Args:
        originals: uint8 in 0–255 or floating point in [0, 1], (K, 28, 28).
        augmented: the same, (K, M, 28, 28): M copies of each.

    Raises:
        InputError: other shapes, or copies of a different number of digits.
    """
    first, copies = sheet.as_ink(originals), sheet.as_ink(augmented, dimensions=4)
    if len(first) != len(copies) or not copies.size:
        raise InputError(
            f"There are {len(first)} originals and {copies.shape[1]} copies of {len(copies)} "
            "digits; every original needs its copies, at least one."
        )
    count, across = copies.shape[:2]
    aside, head = 0.15, 0.38  # inches, between the original and its copies; above
    pitch = (sheet.inside() - aside) / max(across + 1, 7)
    tiles = np.concatenate([first[:, None], copies], axis=1).reshape(-1, *first.shape[1:])
    rows, columns = np.divmod(np.arange(len(tiles)), across + 1)
    figure, ax = sheet.new_sheet(head + pitch * count + sheet.MARGIN / 2)
    left = sheet.MARGIN + pitch * columns + np.where(columns > 0, aside, 0.0)
    sheet.draw_tiles(ax, tiles, left, head + pitch * rows, pitch - 0.06, colours=INK)
    sheet.write(ax, sheet.MARGIN, 0.12, "original", weight="bold")
    words = "distorted copies" if across > 1 else "copy"
    sheet.write(ax, sheet.MARGIN + pitch + aside, 0.12, words, weight="bold")
    return figure


def _only_words(title: str, note: str) -> Figure:
    """Draw the gallery of no pictures."""
    figure, ax = sheet.new_sheet(sheet.HEADER + sheet.MARGIN / 2)
    sheet.write_header(ax, title, note)
    return figure


def _write_miss(
    ax: Axes,
    predictions: Predictions,
    row: int,
    corner: tuple[float, float],
    names: dict[int, str],
    *,
    disputed: bool,
) -> None:
    """Write what was answered, and how surely, to the right of the picture at ``corner``."""
    label, answer = (
        shortened(names[int(each)], _LONGEST_NAME)
        for each in (predictions.label[row], predictions.predicted[row])
    )
    x, y = corner[0] + _MISS_TILE + 0.06, corner[1]
    size = 12 if _is_short(label) and _is_short(answer) else BODY
    sheet.write(ax, x, y - 0.01, f"{label} → {answer}", size=size, weight="bold")
    of_label = percent(float(predictions.probability_label[row]))
    of_answer = percent(float(predictions.probability_predicted[row]))
    sheet.write(ax, x, y + 0.23, f"{label}: {of_label}", size=SMALL, color=LIGHT.blue)
    sheet.write(ax, x, y + 0.4, f"{answer}: {of_answer}", size=SMALL, color=LIGHT.orange)
    words = f"#{predictions.index[row]}" + (" ◆" if disputed else "")
    sheet.write(ax, x, y + 0.58, words, size=SMALL, quiet=True)
    if disputed:
        look: dict[str, Any] = {"fill": False, "linewidth": 2, "edgecolor": LIGHT.orange}
        ax.add_patch(Rectangle(corner, _MISS_TILE, _MISS_TILE, **look))


def _name(class_names: Sequence[str] | None, number: int) -> str:
    return f"{number}" if class_names is None else class_names[int(number)]


def _is_short(name: str) -> bool:
    return len(name) <= _SHORT


def _pictures_of(images: sheet.Images, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the ink of the images at ``index``."""
    outside = index[(index < 0) | (index >= len(images))]
    if outside.size:
        raise InputError(
            f"The predictions name image {outside[0]}, but the images go from 0 to "
            f"{len(images) - 1}. Pass the images of the split that was predicted."
        )
    return sheet.as_ink(images[index])
