"""How good a finder is: what it finds on pages, beside what is there.

Guarantees:

- The pages are always the same: drawn with a seed of their own from test images, and from pen
  strokes of writers who are set aside.
- A sign is found where each edge of its box is right, to three tenths of its longer side: what is
  found of a sign decides how it is read. Each is found once; whatever else is found is too much.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from digitnet.data.dataset import Dataset
from digitnet.data.pen_signs import load_hands, split_writers
from digitnet.errors import InputError
from digitnet.network.canonical import Canonical
from digitnet.network.finder import Finder, find
from digitnet.synthesis.page_scenes import LAYOUTS, Page, PageMaker
from digitnet.training.statistics import wilson_interval

# Pages to test on, and their seed, apart from those of training and of validation.
TEST_PAGES, _TEST_SEED = 400, 2**34
# How far an edge may be off, in units of the sign's longer side.
_TOLERANCE = 0.3
# The longer side of signs, in pixels: where one range ends and the next one begins.
_SIZES = (12, 20, 40, 80)


@dataclass(frozen=True, eq=False)
class Look:
    """What a finder finds on a page, beside what is there: F signs and K."""

    boxes: NDArray[np.float32]
    """(F, 4): left, top, right and bottom of what was found, in pixels."""
    is_digit: NDArray[np.bool_]
    """(F,): whether each is taken for a digit, not for another sign."""
    strokes: NDArray[np.float32]
    """(2, H, W), 0 to 1: ink of signs, and clutter."""
    match: NDArray[np.intp]
    """(K,): which of what was found each true sign is; -1 is missed."""
    as_other: NDArray[np.bool_]
    """(K,): a digit that is taken for another sign, or the other way round."""

    @property
    def extra(self) -> int:
        """How many signs were found where there is none."""
        return len(self.boxes) - int((self.match >= 0).sum())

    @property
    def is_exact(self) -> bool:
        """Whether exactly what is there was found, each sign as what it is."""
        return not (self.extra or (self.match < 0).any() or self.as_other.any())


@dataclass(frozen=True, kw_only=True)
class Signs:
    """How signs of one kind were found."""

    name: str
    signs: int
    found: int
    """In their place and as what they are."""
    as_other: int
    """Digits taken for other signs, and other signs for digits."""
    missed: int


@dataclass(frozen=True, kw_only=True)
class Pages(Signs):
    """How the signs on pages of one kind were found."""

    pages: int
    exact: int
    """Pages on which exactly what is there was found."""
    extra: int
    """Signs found where there is none."""


@dataclass(frozen=True)
class FinderMetrics:
    """The quality of a finder on test pages."""

    total: Pages
    interval: tuple[float, float]
    """95 % Wilson interval of the share of exact pages."""
    layouts: tuple[Pages, ...]
    """By what the page shows."""
    sizes: tuple[Signs, ...]
    """By the longer side of the sign."""
    inexact: tuple[int, ...]
    """The numbers of the pages that are not exact; see ``evaluation_page``."""

    @property
    def exact(self) -> float:
        """Share of pages on which exactly what is there was found."""
        return self.total.exact / self.total.pages

    @property
    def found(self) -> float:
        """Share of signs that were found in their place and as what they are."""
        return self.total.found / self.total.signs

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from ``as_dict``, also after a trip through JSON.

        Raises:
            InputError: the values are not those of a finder's metrics.
        """
        try:
            return cls(
                total=Pages(**values["total"]),
                interval=tuple(values["interval"]),
                layouts=tuple(Pages(**row) for row in values["layouts"]),
                sizes=tuple(Signs(**row) for row in values["sizes"]),
                inexact=tuple(values["inexact"]),
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"These are not the metrics of a finder: {error}.") from error


def evaluation_maker(dataset: Dataset) -> PageMaker:
    """Return what draws test pages: of test images, and of writers who are set aside."""
    hands = load_hands()
    return PageMaker(dataset.test_images, dataset.test_labels, hands, split_writers(hands)[1])


def evaluation_page(maker: PageMaker, number: int) -> tuple[str, Page]:
    """Return what a test page shows, a name in ``LAYOUTS``, and the page."""
    shares = np.array([share for _, share in LAYOUTS.values()])
    random = np.random.default_rng((_TEST_SEED, number))
    layout = str(random.choice(list(LAYOUTS), p=shares / shares.sum()))
    return layout, maker.page(_TEST_SEED + number, layout=layout)


def measure_finder(finder: Finder, dataset: Dataset) -> FinderMetrics:
    """Find the signs on all test pages.

    Args:
        finder: in evaluation mode.
        dataset: its test images are on the pages.
    """
    maker = evaluation_maker(dataset)
    layouts: list[str] = []
    looks: list[Look] = []
    sides: list[NDArray[np.float32]] = []
    for number in range(TEST_PAGES):
        layout, page = evaluation_page(maker, number)
        layouts.append(layout)
        looks.append(look_at(finder, page))
        sides.append(_sides(page))
    exact = [look.is_exact for look in looks]
    named: dict[str, list[Look]] = {name: [] for name in LAYOUTS}
    for layout, look in zip(layouts, looks, strict=True):
        named[layout].append(look)
    return FinderMetrics(
        total=_pages("all", looks),
        interval=wilson_interval(sum(exact), len(exact)),
        layouts=tuple(_pages(name, some) for name, some in named.items() if some),
        sizes=_by_size(looks, np.concatenate(sides)),
        inexact=tuple(number for number, right in enumerate(exact) if not right),
    )


@torch.inference_mode()
def look_at(finder: Finder, page: Page) -> Look:
    """Return what a finder, in evaluation mode, finds on a page."""
    found = find(finder(torch.from_numpy(page.grey).float()[None, None]))
    # As reading does: what is likelier there than not.
    likely = found.presence >= 0.5
    boxes = Canonical().and_boxes(found.inks[likely])[1].numpy()
    is_digit = (found.digit_share[likely] > 0.5).numpy()
    match = _match(boxes, page)
    as_other = _are_of_other_kind(match, is_digit, page)
    return Look(boxes, is_digit, found.strokes.numpy(), match, as_other)


def _are_of_other_kind(
    match: NDArray[np.intp], is_digit: NDArray[np.bool_], page: Page
) -> NDArray[np.bool_]:
    """Return which signs, (K,), were found and taken for digits, but are none, or vice versa."""
    wrong = match >= 0
    wrong[wrong] = is_digit[match[wrong]] != (page.labels[wrong] < 10)
    return wrong


def _match(boxes: NDArray[np.float32], page: Page) -> NDArray[np.intp]:
    """Return which box (F, 4) is that of each sign on a page, the closest pairs first."""
    match = np.full(len(page.labels), -1)
    off = np.abs(boxes[:, None] - page.boxes).max(2) / _sides(page)
    for _ in range(min(off.shape)):
        found, sign = np.unravel_index(off.argmin(), off.shape)
        if not off[found, sign] < _TOLERANCE:
            break
        match[sign] = found
        off[found], off[:, sign] = np.inf, np.inf
    return match


def _sides(page: Page) -> NDArray[np.float32]:
    """Return the longer side of each sign, (K,)."""
    sides: NDArray[np.float32] = (page.boxes[:, 2:] - page.boxes[:, :2]).max(1).clip(min=1)
    return sides


def _pages(name: str, looks: Sequence[Look]) -> Pages:
    return Pages(
        **vars(_signs(name, *_of_signs(looks))),
        pages=len(looks),
        exact=sum(look.is_exact for look in looks),
        extra=sum(look.extra for look in looks),
    )


def _of_signs(looks: Sequence[Look]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return ``match`` and ``as_other`` of all signs."""
    matches, others = ([getattr(look, part) for look in looks] for part in ("match", "as_other"))
    return np.concatenate(matches), np.concatenate(others)


def _signs(name: str, match: NDArray[np.intp], as_other: NDArray[np.bool_]) -> Signs:
    missed, other = int((match < 0).sum()), int(as_other.sum())
    found = len(match) - missed - other
    return Signs(name=name, signs=len(match), found=found, as_other=other, missed=missed)


def _by_size(looks: Sequence[Look], sides: NDArray[np.float32]) -> tuple[Signs, ...]:
    match, as_other = _of_signs(looks)
    which = np.digitize(sides, _SIZES)
    edges = [0, *_SIZES]
    names = [f"{low} to {high} pixels" for low, high in zip(edges, _SIZES, strict=False)]
    names = [f"below {_SIZES[0]} pixels", *names[1:], f"{_SIZES[-1]} pixels and more"]
    rows = [_signs(name, match[which == i], as_other[which == i]) for i, name in enumerate(names)]
    return tuple(row for row in rows if row.signs)
