"""From an ink map to digits: connected parts, and the groups of parts that make one digit each.

Guarantees:

- Parts of one broken digit end up in one group; specks, and what leans in from the frame, do not.
- Groups come best first: large, near the middle, not cut off by the frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Labels = NDArray[np.uint16]
Shape = tuple[int, ...]

# At most this many parts are examined, the largest first: noise has thousands.
_MOST_PARTS = 48
# A part with less ink than this fraction of its digit's is a speck.
_SPECK = 0.01
# How far a part may be from its digit, as a fraction of the digit's longer side: on paper, in a
# drawing, and when it touches the frame, where it mostly belongs to a neighbour. A part with less
# ink than the last fraction of the digit's must be nearer.
_REACH, _REACH_DRAWN, _REACH_AT_FRAME, _FULL_PART = 0.2, 0.5, 0.03, 0.2
# Strokes have at least this fraction of the largest one's ink; on paper they may be as far apart as
# in a drawing when there are at most so many, and at most this fraction of other ink.
_STROKE, _MOST_STROKES, _LITTLE = 0.1, 3, 0.05
# The ink of a part this far from the middle (1 is the frame) counts half.
_HALF_WAY = 0.8
# The ink of a part that touches the frame without filling it counts this much.
_CUT_OFF = 0.3
# The ink of a group that touches the frame counts this much when it runs across this fraction of
# the picture, or across the last fraction within a band at one side: the grain of a table, a fold.
_RUNS_THROUGH, _THROUGH, _BESIDE = 0.1, 0.96, 0.75
# What lies along the frame: a part on this fraction of all four sides, or one that is this narrow,
# as a fraction of the picture, on this much of the shorter side; less when it is in a corner.
_RUN_AROUND, _BAND, _RUN_ALONG, _RUN_FROM_CORNER = 0.3, 0.3, 0.5, 0.3


@dataclass(frozen=True)
class Part:
    """One connected piece of ink.

    Args:
        label: its number in the label map.
        left, top, right, bottom: its box, right and bottom exclusive.
        area: its pixels.
        sides: how many sides of the frame it touches.
    """

    label: int
    left: int
    top: int
    right: int
    bottom: int
    area: int
    sides: int

    @property
    def width(self) -> int:
        """Width of its box, in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height of its box, in pixels."""
        return self.bottom - self.top


@dataclass
class Group:
    """Parts that make one digit."""

    parts: list[Part] = field(default_factory=list)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """left, top, right, bottom of all parts."""
        return (
            min(part.left for part in self.parts),
            min(part.top for part in self.parts),
            max(part.right for part in self.parts),
            max(part.bottom for part in self.parts),
        )

    @property
    def area(self) -> int:
        """The pixels of all parts."""
        return sum(part.area for part in self.parts)

    @property
    def sides(self) -> int:
        """How many sides of the frame the part that touches most of them touches."""
        return max(part.sides for part in self.parts)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A digit found in a picture that may have been reduced.

    Args:
        darkness: uint8 (h, w), how far each pixel is from paper.
        member: uint8 (h, w), 255 on the digit and 0 elsewhere.
        group: the digit's parts.
        core: the darkness of full ink.
    """

    darkness: NDArray[np.uint8]
    member: Mask
    group: Group
    core: int


def connected(mask: Mask) -> tuple[Labels, list[Part]]:
    """Return the label map of ``mask``, uint8 (H, W), and its parts, the largest first."""
    labels = np.zeros(mask.shape, np.uint16)
    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return labels, []
    # 16-bit labels are three times as fast as 32-bit ones; a reduced picture has fewer parts.
    inside = mask[y : y + height, x : x + width]
    _, labels[y : y + height, x : x + width], stats, _ = cv2.connectedComponentsWithStats(
        inside, ltype=cv2.CV_16U
    )
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = np.argsort(-areas, kind="stable")[:_MOST_PARTS] + 1
    return labels, [_part(int(label), stats[label], (x, y), mask.shape) for label in largest]


def _part(label: int, stats: NDArray[np.int32], start: tuple[int, int], shape: Shape) -> Part:
    left, top, across, down, area = (int(value) for value in stats)
    left, top = left + start[0], top + start[1]
    right, bottom = left + across, top + down
    sides = (left == 0) + (top == 0) + (right == shape[1]) + (bottom == shape[0])
    return Part(label, left, top, right, bottom, area, sides)


def without_edges(parts: list[Part], labels: Labels) -> list[Part]:
    """Return ``parts`` without those that lie along the frame: a table's edge, a dark corner."""
    if not any(part.sides for part in parts):
        return parts
    frame = np.concatenate((labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]))
    runs = np.bincount(frame)
    return [
        part
        for part in parts
        if not (part.sides and _lies_along(part, int(runs[part.label]), labels.shape))
    ]


def _lies_along(part: Part, run: int, shape: Shape) -> bool:
    """Return whether a part that touches the frame in ``run`` pixels follows it."""
    height, width = shape
    breadth = min(part.width / width, part.height / height)
    if run > _RUN_AROUND * 2 * (height + width):
        return True
    least = _RUN_FROM_CORNER if part.sides > 1 else _RUN_ALONG
    return breadth < _BAND and run >= least * min(height, width)


def groups(parts: list[Part], shape: Shape, *, drawn: bool = False) -> list[Group]:
    """Return the groups that ``parts`` make in a picture, the best first.

    Args:
        parts: at least one.
        shape: the picture's height and width.
        drawn: whether the picture holds nothing but what somebody drew: then nothing is cut off by
            the frame, and parts may be farther apart.
    """
    if drawn:
        parts = [replace(part, sides=0) for part in parts]
    reach = _REACH_DRAWN if drawn else _REACH
    found = [Group([part]) for part in sorted(parts, key=lambda part: -_worth(part, shape))]
    while _join_two(found, reach):
        pass
    if not drawn:
        found = _with_strokes_joined(found)
    for group in found:
        least = _SPECK * group.area
        group.parts = [part for part in group.parts if part.area >= least]
    return sorted(found, key=lambda group: -_worth_together(group, shape))


def marked(labels: Labels, group: Group) -> Mask:
    """Return 255 where ``labels`` has a part of ``group`` and 0 elsewhere."""
    left, top, right, bottom = group.box
    inside = labels[top:bottom, left:right]
    values = np.zeros(int(inside.max()) + 1, np.uint8)
    values[[part.label for part in group.parts]] = 255
    mask = np.zeros(labels.shape, np.uint8)
    mask[top:bottom, left:right] = values[inside]
    return mask


def _join_two(found: list[Group], reach: float) -> bool:
    """Join a group to an earlier one that it belongs to; return False when there is none."""
    for index, group in enumerate(found):
        for home in found[:index]:
            if _belong_together(home, group, reach):
                home.parts.extend(group.parts)
                del found[index]
                return True
    return False


def _with_strokes_joined(found: list[Group]) -> list[Group]:
    """Return ``found`` with separate strokes joined, if there is little else on the paper.

    A five's flag is often well away from its bowl. What is left of rules and neighbours has many
    sizes, or leans in from the frame.
    """
    largest = max(group.area for group in found)
    strokes = [group for group in found if group.area >= _STROKE * largest]
    rest = [group for group in found if group.area < _STROKE * largest]
    alone = sum(group.area for group in rest) <= _LITTLE * sum(group.area for group in strokes)
    if alone and len(strokes) <= _MOST_STROKES and not any(group.sides for group in strokes):
        while _join_two(strokes, _REACH_DRAWN):
            pass
    return strokes + rest


def _belong_together(home: Group, other: Group, reach: float) -> bool:
    """Return whether ``other`` is near enough to ``home`` to be of the same digit.

    The less ink it has, the nearer it must be: remains of a page's lines are everywhere.
    """
    left, top, right, bottom = home.box
    side = max(right - left, bottom - top)
    if other.sides and not home.sides:
        reach = _REACH_AT_FRAME
    reach *= min(1.0, other.area / (_FULL_PART * home.area))
    farthest = max(1.5, reach * side)
    return any(_gap(part, member) <= farthest for part in other.parts for member in home.parts)


def _gap(one: Part, other: Part) -> float:
    """Return the distance between two parts' boxes, in pixels; 0 when they overlap."""
    across = max(0, one.left - other.right, other.left - one.right)
    down = max(0, one.top - other.bottom, other.top - one.bottom)
    return math.hypot(across, down)


def _worth_together(group: Group, shape: Shape) -> float:
    """Return the ink of a group, discounted like that of its parts and if it runs through."""
    worth = sum(_worth(part, shape) for part in group.parts)
    return worth * _RUNS_THROUGH if group.sides and _runs_through(group, shape) else worth


def _runs_through(group: Group, shape: Shape) -> bool:
    """Return whether a group runs from side to side of the frame, or nearly so beside it."""
    left, top, right, bottom = group.box
    height, width = shape
    across, down = (right - left) / width, (bottom - top) / height
    if max(across, down) >= _THROUGH:
        return True
    beside_top = bottom <= _BAND * height or top >= (1 - _BAND) * height
    beside_left = right <= _BAND * width or left >= (1 - _BAND) * width
    return (beside_top and across >= _BESIDE) or (beside_left and down >= _BESIDE)


def _worth(part: Part, shape: Shape) -> float:
    """Return the ink of a part, discounted far from the middle and where the frame cuts it."""
    height, width = shape
    across = (part.left + part.right) / width - 1
    down = (part.top + part.bottom) / height - 1
    off = math.hypot(across, down) / _HALF_WAY
    worth = part.area / (1 + off * off)
    fills = part.width * 2 > width or part.height * 2 > height
    return worth if fills or not part.sides else worth * _CUT_OFF
