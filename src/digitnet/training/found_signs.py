"""Signs as a finder hands them over, for a reader to learn from: soft, cut, touched by others.

Guarantees:

- Pages are made of what the given maker has; the seed decides which, apart from those of a finder's
  own training and validation.
- A sign is labelled with the digit that was drawn there; with ``OTHER`` if it is another sign,
  clutter, or two at once. What could be either is left out: half a digit, an upright rule that
  looks like a 1, what the frame cuts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.network.canonical import Canonical
from digitnet.network.finder import Finder, find
from digitnet.synthesis.page_scenes import Page, PageMaker
from digitnet.synthesis.page_signs import OTHER
from digitnet.training.elsewhere import Elsewhere
from digitnet.training.page_batches import page_seed

# Added to a seed: other pages than those that a finder learns from or is validated on.
_FIRST_SEED = 2**33
# What is less sure to be there nobody reads.
_SURE = 0.25
# Pages without any sign before it is clear that there will be none.
_PATIENCE = 300
# A sign was found if so much of its ink was, and if so much of what was found is its own; nothing
# was if less than the last part of it is any sign's.
_WHOLE, _OWN, _STRAY = 0.75, 0.75, 0.2
# Two signs were taken for one if so much of both was found.
_HELD = 0.6
# What counts as ink of what was found. What was drawn is as much broader, in pixels, on each side.
_INK, _BROADER = 0.3, 2
# Clutter looks like a 1 if it is a line, as thin beside its length, that is steeper than so much.
_THIN, _STEEP = 0.3, 0.8


def found_signs(
    finder: Finder, maker: PageMaker, count: int, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return what a finder finds on synthetic pages.

    Args:
        finder: in evaluation mode.
        maker: of the pages, which are drawn by a process of their own.
        count: how many signs.
        seed: of the pages.

    Returns:
        Canonical images uint8 (count, 28, 28), and labels int64 (count,), 0 to 9 or ``OTHER``.

    Raises:
        InputError: it finds nothing on hundreds of pages.
    """
    images = np.zeros((count, 28, 28), np.uint8)
    labels = np.zeros(count, np.int64)
    pages: Elsewhere[Page] = Elsewhere(_pages, maker, seed + _FIRST_SEED)
    done = number = 0
    try:
        while done < count:
            if number == _PATIENCE and not done:
                raise InputError(f"The finder found no sign on {_PATIENCE} pages; train it longer.")
            seen, meant = look(finder, pages.next())
            fresh = min(len(meant), count - done)
            images[done : done + fresh], labels[done : done + fresh] = seen[:fresh], meant[:fresh]
            done, number = done + fresh, number + 1
    finally:
        pages.close()
    return images, labels


@torch.inference_mode()
def look(finder: Finder, page: Page) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the signs that are found on one page, as of ``found_signs``."""
    found = find(finder(torch.from_numpy(page.grey).float()[None, None]))
    sure = found.presence >= _SURE
    inks = found.inks[sure]
    labels = labels_of((inks[:, 0] > _INK).numpy(), page)
    clear = labels >= 0
    images = Canonical()(inks[torch.from_numpy(clear)])[:, 0]
    return (images * 255).round().to(torch.uint8).numpy(), labels[clear]


def labels_of(inks: NDArray[np.bool_], page: Page) -> NDArray[np.int64]:
    """Return what each found ink is, int64 (K,), and -1 where that is not clear.

    Args:
        inks: (K, H, W), where there is ink.
        page: what was drawn.
    """
    count, owner = len(page.labels), page.owner + 1
    square = np.ones((2 * _BROADER + 1,) * 2, np.uint8)
    near = np.where(owner > 0, owner, cv2.dilate(owner, square))
    area = np.bincount(owner.ravel(), minlength=count + 1)[1:]
    labels = np.full(len(inks), -1, np.int64)
    for place, ink in enumerate(inks):
        own = np.bincount(near[ink], minlength=count + 1)[1:] / max(int(ink.sum()), 1)
        held = np.bincount(owner[ink], minlength=count + 1)[1:] / np.maximum(area, 1)
        if own.sum() < _STRAY:
            labels[place] = -1 if _may_be_a_digit(ink) else OTHER
        elif (held > _HELD).sum() > 1:
            labels[place] = OTHER
        elif own.max() > _OWN and held[own.argmax()] > _WHOLE:
            labels[place] = page.labels[own.argmax()]
    return labels


def _may_be_a_digit(ink: NDArray[np.bool_]) -> bool:
    """Return whether clutter looks like a 1, may be a digit that the frame cuts, or is nothing."""
    if ink.sum() < 3:
        return True
    cut = ink[0].any() or ink[-1].any() or ink[:, 0].any() or ink[:, -1].any()
    points = np.argwhere(ink)
    height, width = np.ptp(points, axis=0)
    # Variances across and along it; that of a line without any breadth may be a little below 0.
    across, along = np.linalg.eigvalsh(np.cov(points.T))
    return bool(cut or (across < _THIN**2 * along and height > _STEEP * width))


def _pages(maker: PageMaker, seed: int) -> Iterator[Page]:
    """Yield pages without end."""
    for index in itertools.count():
        yield maker.page(page_seed(seed, index))
