"""Greek letters as the strokes of a pen: what people write beside digits and nobody reads as one.

Guarantees: none of these letters may fairly be read as a digit (ζ, θ, φ, ψ and their like are left
out); each is drawn anew with its corners moved, by the given generator only; y runs down.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis.page_strokes import rounded

Strokes = list[NDArray[np.float64]]
_Corners = tuple[tuple[float, float], ...]

# Standard deviation of each corner's place, as a fraction of the letter's height.
_JITTER = 0.045
# Of the logarithm of its width: an alpha may be half as wide again as another.
_WIDER = 0.2

# Of each letter its strokes: the corners that a smooth path cuts off, or that lines run to.
_SMOOTH: dict[str, tuple[_Corners, ...]] = {
    "alpha": (
        ((1.0, 0.0), (0.8, 0.5), (0.4, 1.0), (0.0, 0.85), (0.0, 0.2), (0.4, 0.0), (0.7, 0.4),
         (0.85, 0.85), (1.05, 1.0)),
    ),
    "wide alpha": (
        ((1.25, 0.05), (0.9, 0.45), (0.55, 0.95), (0.1, 1.0), (0.0, 0.55), (0.25, 0.05),
         (0.6, 0.1), (0.8, 0.6), (1.0, 0.95), (1.3, 0.8)),
    ),
    "beta": (
        ((0.0, 1.4), (0.08, 0.6), (0.1, 0.1), (0.4, -0.15), (0.75, 0.05), (0.65, 0.4),
         (0.25, 0.45)),
        ((0.25, 0.45), (0.75, 0.42), (0.9, 0.8), (0.6, 1.08), (0.1, 0.9)),
    ),
    "gamma": (
        ((0.0, 0.15), (0.2, -0.05), (0.4, 0.4), (0.45, 0.9), (0.35, 1.3), (0.22, 1.0), (0.45, 0.5),
         (0.8, 0.0)),
    ),
    "epsilon": (
        ((0.75, 0.15), (0.4, -0.1), (0.0, 0.1), (0.1, 0.42), (0.5, 0.47)),
        ((0.5, 0.47), (0.0, 0.5), (0.0, 0.95), (0.4, 1.05), (0.8, 0.85)),
    ),
    "eta": (
        ((0.0, 0.15), (0.15, -0.05), (0.2, 0.4), (0.2, 1.0)),
        ((0.2, 0.45), (0.4, 0.0), (0.75, 0.0), (0.7, 0.6), (0.68, 1.4)),
    ),
    "lambda": (((0.0, 0.05), (0.25, -0.05), (0.45, 0.5), (0.9, 1.0)), ((0.47, 0.45), (0.0, 1.0))),
    "mu": (
        ((0.1, 1.4), (0.1, 0.6), (0.12, 0.0)),
        ((0.12, 0.0), (0.1, 0.95), (0.5, 1.05), (0.7, 0.5), (0.7, 0.0)),
        ((0.7, 0.4), (0.68, 0.95), (0.95, 0.95)),
    ),
    "pi": (
        ((0.0, 0.2), (0.1, -0.05), (0.5, 0.03), (1.0, 0.0)),
        ((0.33, 0.02), (0.3, 0.6), (0.1, 1.0)),
        ((0.7, 0.02), (0.65, 0.9), (0.95, 0.95)),
    ),
    "sigma": (
        ((1.1, 0.0), (0.4, 0.0), (0.0, 0.25), (0.0, 0.9), (0.4, 1.1), (0.85, 0.8), (0.75, 0.3),
         (0.4, 0.02)),
    ),
    "chi": (
        ((0.0, 0.1), (0.2, -0.1), (0.6, 0.9), (0.8, 1.4), (1.0, 1.2)),
        ((0.9, 0.0), (0.0, 1.3)),
    ),
    "omega": (
        ((0.2, 0.0), (-0.05, 0.4), (0.05, 1.0), (0.45, 0.95), (0.5, 0.4)),
        ((0.5, 0.4), (0.55, 0.95), (0.95, 1.0), (1.1, 0.4), (0.85, 0.0)),
    ),
    "Omega": (
        ((0.0, 1.0), (0.4, 1.0), (0.0, 0.6), (0.1, 0.0), (0.9, 0.0), (1.0, 0.6), (0.65, 1.0),
         (1.0, 1.0)),
    ),
}  # fmt: skip
_STRAIGHT: dict[str, tuple[_Corners, ...]] = {
    "Gamma": (((0.0, 1.0), (0.0, 0.0), (0.7, 0.0)),),
    "Delta": (((0.5, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.0)),),
    "Xi": (((0.0, 0.0), (0.8, 0.0)), ((0.12, 0.5), (0.7, 0.5)), ((0.0, 1.0), (0.8, 1.0))),
    "Pi": (((0.0, 1.0), (0.0, 0.0), (0.8, 0.0), (0.8, 1.0)),),
    "Sigma": (((0.85, 0.1), (0.8, 0.0), (0.0, 0.0), (0.5, 0.5), (0.0, 1.0), (0.85, 1.0)),),
}
_LETTERS = (*_SMOOTH.values(), *_STRAIGHT.values())


def greek_letter(rng: Generator) -> Strokes:
    """Return the strokes of a letter, about 1 high, each float64 (M, 2)."""
    index = int(rng.integers(len(_LETTERS)))
    size = np.exp(rng.normal(0, _WIDER)), 1.0
    drawn = []
    for corners in _LETTERS[index]:
        path = (np.array(corners) + rng.normal(0, _JITTER, (len(corners), 2))) * size
        drawn.append(rounded(path) if index < len(_SMOOTH) else path)
    return drawn
