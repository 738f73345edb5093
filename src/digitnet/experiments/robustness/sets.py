"""What a set of the bench is: pictures made when they are asked for, and what they show.

Guarantees:

- Picture i of a set is the same whenever it is asked for, and needs none of the others.
- A plan names its set without making anything, so that choosing among sets costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Source: TypeAlias = bytes | Path | NDArray[np.uint8]
"""A picture: the content of a file, a file, or grey pixels, uint8 (H, W)."""

Route: TypeAlias = Literal["picture", "image"]
"""How a set is read: as a picture, with ink found in it, or as an image that is ink already."""


class Pictures(Protocol):
    """Pictures by number: a list, or something that makes them when asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Source: ...


@dataclass(frozen=True)
class Drawn:
    """Pictures that are made each time they are asked for.

    Args:
        count: how many there are.
        draw: makes the picture of a number; the same number always gives the same picture.
    """

    count: int
    draw: Callable[[int], Source]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> Source:
        return self.draw(index)


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the pictures of a set: of one origin, split or kind."""

    name: str
    chosen: NDArray[np.bool_]
    """(N,), which they are."""


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures, and what they show.

    Args:
        pictures: N of them; uint8 (28, 28) each where the route is "image".
        labels: int64 (N,), 0–9; None when the pictures are of no digits.
        parts: are measured on their own too.
        route: how they are read.
    """

    pictures: Pictures
    labels: NDArray[np.int64] | None
    parts: tuple[Part, ...] = ()
    route: Route = "picture"


@dataclass(frozen=True)
class Plan:
    """A set to come.

    Args:
        group: what it belongs to; part of how it is chosen and where it is shown.
        name: its name within the group.
        make: makes it.
    """

    group: str
    name: str
    make: Callable[[], PictureSet]


def parts_by(names: NDArray[np.str_]) -> tuple[Part, ...]:
    """Return one part for each different name, in order of the alphabet.

    Args:
        names: (N,), the name of each picture.
    """
    return tuple(Part(str(name), names == name) for name in np.unique(names))
