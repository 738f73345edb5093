"""From a picture to the signs on it: the pages that the network sees of it.

Guarantees:

- A picture of any size and proportions becomes a page of about 37,000 pixels; the network does the
  rest, and this module only chooses which part of the picture it sees at which size.
- A picture on a striped ground, of which nothing is clear, is looked at on one ground; a small one
  of which little is clear is looked at cleaned, too.
- Where what is found is tiny or crowded, or nothing is, the picture is looked at again, enlarged.
  Only signs too small for the first look count then: parts of what it knew to be a table's lines
  look like a 1 from near.
- Boxes are in pixels of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digitnet.reading.cleaning import cleaned
from digitnet.reading.light import greys_of_edge, in_even_light, on_one_ground
from digitnet.reading.model_file import LEAST_PAGE, ModelFile
from digitnet.reading.prediction import INK_SIDE, Box, Ink

# Pixels of a page, as many as those that the network learned from have.
PAGE_AREA = 192 * 192
# The longer side of a page, at most, unless the shorter one became too short; the pixels of a page
# then, at most; how far a picture may be enlarged.
LONGEST, MOST_AREA, ENLARGED = 448, 4 * PAGE_AREA, 5.0
# Signs of a median side below the first, in pixels of the page, are looked at again so that it
# becomes the second, in parts of about the size of a page, as many as so many pages hold. So is a
# page of so many signs, of which the network may have left some out.
TINY, CLEAR, MOST_PARTS = 22.0, 40.0, 48
CROWD = 56
# Looks at parts, at most: where signs ran together in the first, their size was not known.
_LOOKS = 2
# Signs of drawn pictures up to so many pixels a side often touch their edge, where strokes are
# taken for cut off; they get room on each side, as a share of their longer side. A picture is drawn
# if so much of its edge has one grey.
SMALL, ROOM, EVEN = 40, 0.1, 0.3
# If no sign is surer than this, the whole picture is looked at again, twice as large, for signs
# that were too small before.
UNSURE, CLOSER = 0.3, 2.0
# What is fainter than this is not ink of a thing.
_FAINTEST = 0.06
# What is seen around signs that are looked at again, in units of their side.
_MARGIN = 1.0
# A sign counts if its centre lies this much of a sign's side beyond the part that it was found in;
# signs nearer to each other than the second, of the larger's side, are one.
_BEYOND, _ONE_SIGN = 0.25, 0.3
# Parts are looked at if they become so many times as large as before; and each shows so much beyond
# what counts of it, in sides of a sign.
_CLOSER_BY, _REACH = 1.2, 1.5
# Each pixel of a page that is smaller than this, beside what it shows, is the mean of what it
# covers; larger ones are interpolated.
_SMALLER = 0.5
# Much larger pictures are first made smaller by a whole factor, in half the time, to so many times
# the page: with as much left to do, Pillow's documentation says, nobody sees the difference.
_GAP = 3.0
# Signs stranger than the threshold are not clear at all, and those that are so far within it all
# the same.
_CLEAREST = 12.0
# A picture whose signs are together less clear than this is looked at without its stripes, where it
# has any; and what is seen then must be so clear. A small one less clear than the last is looked at
# cleaned, too, and the clearer look counts.
_UNCLEAR, _CLEARLY, _DOUBTLESS = 1.0, 4.0, 6.0
_OUTPUTS = ("box", "presence", "digit_share", "probabilities", "ood_score", "image")

_Grey = NDArray[np.uint8]
_Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Signs:
    """Signs found on a picture, surest first unless a part was looked at again; arrays of K rows.

    Attributes:
        boxes: float32 (K, 4), left, top, right and bottom in pixels of the picture.
        presence: float32 (K,), 0 to 1, how sure it is that a sign is there.
        digit_share: float32 (K,), 0 to 1, how far the finder takes it for a digit and not for
            another sign.
        probabilities: float32 (K, classes).
        ood_score: float32 (K,), larger is stranger.
        images: float32 (K, 28, 28), what the network saw.
    """

    boxes: NDArray[np.float32]
    presence: NDArray[np.float32]
    digit_share: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    ood_score: NDArray[np.float32]
    images: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.presence)

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Signs:
        """Return some of them."""
        return Signs(*(getattr(self, field.name)[which] for field in fields(self)))

    @property
    def sides(self) -> NDArray[np.float64]:
        """The longer side of each, in pixels of the picture."""
        return np.asarray((self.boxes[:, 2:] - self.boxes[:, :2]).max(1, initial=0), np.float64)


def find_signs(model: ModelFile, picture: _Grey, zoom: float = 1.0) -> Signs:
    """Return the signs on a picture, uint8 (H, W), dark on light or light on dark.

    Args:
        model: the model file.
        picture: as above.
        zoom: how much larger than usual the page is that the network sees.

    Raises:
        IntegrityError: the model file cannot be run.
    """
    signs = _in_frame(model, picture, zoom)
    clear = _clearness(signs, model)
    level = on_one_ground(picture) if clear < _UNCLEAR else None
    if level is not None:
        others = _in_frame(model, level, zoom)
        if _clearness(others, model) >= _CLEARLY:
            return others
    if clear >= _DOUBTLESS or max(picture.shape) > SMALL:
        return signs
    clean = cleaned(picture)
    others = signs if clean is None else _in_frame(model, clean, zoom)
    return others if _clearness(others, model) > clear else signs


def _in_frame(model: ModelFile, picture: _Grey, zoom: float) -> Signs:
    """Return the signs on a picture, which may touch its edge."""
    margin, counts = 0, greys_of_edge(picture)
    if max(picture.shape) <= SMALL and counts.max() >= EVEN * counts.sum():
        margin = max(1, round(ROOM * max(picture.shape)))
    roomy = np.pad(picture, margin, constant_values=counts.argmax()) if margin else picture
    signs = _find_signs(model, roomy, zoom)
    height, width = picture.shape
    boxes = (signs.boxes - np.float32(margin)).clip(0, np.array([width, height] * 2, np.float32))
    return replace(signs, boxes=boxes)


def _find_signs(model: ModelFile, picture: _Grey, zoom: float) -> Signs:
    height, width = picture.shape
    whole, scale = (0.0, 0.0, float(width), float(height)), page_scale(height, width) * zoom
    signs = _look(model, picture, whole, scale)
    closer = min(scale * CLOSER, ENLARGED, _largest_scale(height, width))
    if signs.presence.max(initial=0) < UNSURE and closer > scale:
        again = _look(model, picture, whole, closer)
        again = again.chosen(again.sides < TINY / scale)
        if again.presence.max(initial=0) > signs.presence.max(initial=0):
            signs, scale = again, closer
    parts = 1
    for _ in range(_LOOKS):
        side = float(np.median(signs.sides)) if len(signs) else 0.0
        crowded = len(signs) >= CROWD * parts
        if not len(signs) or (side * scale >= TINY and not crowded):
            break
        region = whole if crowded else _around(signs, side, whole)
        area = (region[2] - region[0]) * (region[3] - region[1])
        closer = min(CLEAR / side, float(np.sqrt(MOST_PARTS * PAGE_AREA / area)), ENLARGED)
        if closer <= _CLOSER_BY * scale:
            break
        signs, parts = _look_in_parts(model, picture, region, closer)
        scale = closer
    return signs


def ink_map(model: ModelFile, picture: _Grey) -> NDArray[np.float32]:
    """Return what the finder takes for ink of signs and for clutter, float32 (2, h, w), 0 to 1.

    It is as large as the page of the first look, which is the whole picture made smaller or larger.
    """
    height, width = picture.shape
    scale = page_scale(height, width)
    page = page_of(picture, (0.0, 0.0, float(width), float(height)), scale)
    (strokes,) = model.of_page(("strokes",), page)
    return strokes[:, : max(1, round(height * scale)), : max(1, round(width * scale))]


def whole_ink(picture: _Grey) -> Ink:
    """Return all that is in a picture, uint8 (H, W), as ink: how far it is from its edge's grey.

    For what is no writing: things on an even ground.
    """
    ground = int(greys_of_edge(picture).argmax())
    ink = np.abs(picture.astype(np.float32) - ground) / max(ground, 255 - ground)
    rows, columns = (np.flatnonzero(ink.max(axis) >= _FAINTEST) for axis in (1, 0))
    if not len(rows):
        return Ink.blank()
    box = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Ink(_at_most(ink[box.slices].astype(np.float32)), box)


def _at_most(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ink of at most ``INK_SIDE`` pixels a side."""
    factor = -(-max(ink.shape) // INK_SIDE)
    if factor == 1:
        return ink
    return np.asarray(Image.fromarray(ink).reduce(factor), np.float32)


def page_scale(height: int, width: int) -> float:
    """Return how many pixels of the page one pixel of a picture becomes, along each axis."""
    scale = min(ENLARGED, float(np.sqrt(PAGE_AREA / (height * width))))
    longest = max(LONGEST / max(height, width), LEAST_PAGE / min(height, width) / 2)
    return min(scale, longest, _largest_scale(height, width))


def _largest_scale(height: int, width: int) -> float:
    """Return the scale at which a page as narrow as may be has ``MOST_AREA`` pixels."""
    return MOST_AREA / LEAST_PAGE / max(height, width)


def page_of(picture: _Grey, region: _Box, scale: float) -> NDArray[np.float32]:
    """Return a part of a picture as a page, float32 (1, 1, H, W), grey, 0 to 255."""
    left, top, right, bottom = region
    size = [max(1, round(side * scale)) for side in (right - left, bottom - top)]
    resampling = Image.Resampling.BOX if scale < _SMALLER else Image.Resampling.BILINEAR
    image, factor = Image.fromarray(picture), int(1 / (_GAP * scale))
    if factor > 1:
        image = image.reduce(factor)
        region = left / factor, top / factor, right / factor, bottom / factor
    page = np.asarray(image.resize((size[0], size[1]), resampling, region), np.float32)
    if min(page.shape) < LEAST_PAGE:
        missing = [(0, max(0, LEAST_PAGE - side)) for side in page.shape]
        page = np.pad(page, missing, mode="edge")
    return page[None, None]


def _look(model: ModelFile, picture: _Grey, region: _Box, scale: float) -> Signs:
    """Return the signs in a part of a picture, in even light if they are clearer so."""
    page = page_of(picture, region, scale)
    signs = _signs_on(model, page)
    evened = in_even_light(page[0, 0])
    if evened is not None:
        others = _signs_on(model, evened[None, None])
        if _clearness(others, model) > _clearness(signs, model):
            signs = others
    # Rounding made the page a fraction of a pixel longer or shorter than the part is.
    width, height = region[2] - region[0], region[3] - region[1]
    steps = width / max(1, round(width * scale)), height / max(1, round(height * scale))
    boxes = (signs.boxes * (steps * 2) + region[:2] * 2).astype(np.float32)
    # A sign of which next to no ink is left has no box.
    left, top, right, bottom = boxes.T
    return replace(signs, boxes=boxes).chosen((right > left) & (bottom > top))


def _signs_on(model: ModelFile, page: NDArray[np.float32]) -> Signs:
    """Return the signs on a page, with boxes in its pixels."""
    boxes, presence, share, probabilities, scores, images = model.of_page(_OUTPUTS, page)
    return Signs(boxes, presence, share, probabilities, scores, images[:, 0])


def _clearness(signs: Signs, model: ModelFile) -> float:
    """Return how many clear digits there are, each as clear as it is there and not strange."""
    familiar = (model.ood_threshold - signs.ood_score).clip(0, _CLEAREST)
    return float((signs.presence * familiar).sum())


def _look_in_parts(
    model: ModelFile, picture: _Grey, region: _Box, scale: float
) -> tuple[Signs, int]:
    """Return the signs in a part of a picture that is larger than a page, and how many pages.

    Each page shows more than the part of it that counts, so that no sign is cut; two may see the
    same centre at places that differ a little.
    """
    reach, beyond = _REACH * CLEAR / scale, _BEYOND * CLEAR / scale
    found = []
    for rows in _cut(region[1], region[3], scale):
        for columns in _cut(region[0], region[2], scale):
            seen = (
                max(region[0], float(np.floor(columns[0] - reach))),
                max(region[1], float(np.floor(rows[0] - reach))),
                min(region[2], float(np.ceil(columns[1] + reach))),
                min(region[3], float(np.ceil(rows[1] + reach))),
            )
            signs = _look(model, picture, seen, scale)
            x, y = ((signs.boxes[:, :2] + signs.boxes[:, 2:]) / 2).T
            across = (columns[0] - beyond <= x) & (x < columns[1] + beyond)
            down = (rows[0] - beyond <= y) & (y < rows[1] + beyond)
            found.append(signs.chosen(across & down))
    names = [field.name for field in fields(Signs)]
    together = Signs(*(np.concatenate([getattr(each, name) for each in found]) for name in names))
    return _unrepeated(together), len(found)


def _unrepeated(signs: Signs) -> Signs:
    """Return signs without those that repeat a surer one."""
    signs = signs.chosen(np.argsort(-signs.presence, kind="stable"))
    middle = (signs.boxes[:, :2] + signs.boxes[:, 2:]) / 2
    apart = np.abs(middle[:, None] - middle).max(2)
    near = apart < _ONE_SIGN * np.maximum.outer(signs.sides, signs.sides)
    # Of two that are near, the one that comes later.
    return signs.chosen(~np.tril(near, -1).any(1))


def _cut(start: float, end: float, scale: float) -> list[tuple[float, float]]:
    """Return a length in equal parts, each about as long as a page is, at that scale."""
    count = max(1, round((end - start) * scale / PAGE_AREA**0.5))
    edges = np.linspace(start, end, count + 1)
    # What lies on the last edge counts too.
    edges[-1] += 1
    return [(float(a), float(b)) for a, b in pairwise(edges)]


def _around(signs: Signs, side: float, whole: _Box) -> _Box:
    """Return the part of the picture that holds all signs, and some paper around them."""
    first = signs.boxes[:, :2].min(0) - _MARGIN * side
    last = signs.boxes[:, 2:].max(0) + _MARGIN * side
    left, top = (max(0.0, float(np.floor(at))) for at in first)
    right, bottom = (min(end, float(np.ceil(at))) for end, at in zip(whole[2:], last, strict=True))
    return left, top, right, bottom
