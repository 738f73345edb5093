"""Fit ``reading.writing.POWERS``, which make the confidence of a text true, and print them.

The file holds ``doubts``, float (N, 6), of ``Writing.doubts`` for N pictures that were used for
nothing else, and ``exact``, (N,), whether the text of each was right.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from digitnet.reading.writing import POWERS

_LEAST = 1e-9
# How much a power costs that is not that of the product itself; holds those that no text tests.
_PRIOR = 1e-3
_BINS = 15

_Floats = NDArray[np.float64]


def fit_powers(doubts: _Floats, exact: NDArray[np.bool_]) -> tuple[float, ...]:
    """Return the powers, none negative, that make the texts' outcomes likeliest.

    Args:
        doubts: (N, 6).
        exact: (N,), whether a text was right.
    """
    plain = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])

    def loss(powers: _Floats) -> float:
        chances = confidences(doubts, powers).clip(_LEAST, 1 - _LEAST)
        likelihood = np.where(exact, np.log(chances), np.log1p(-chances)).mean()
        return float(-likelihood + _PRIOR * np.square(powers - plain).sum())

    found = minimize(loss, plain * 0.7 + 0.01, method="L-BFGS-B", bounds=[(0, 10)] * len(plain))
    return tuple(float(power) for power in found.x.round(4))


def confidences(doubts: _Floats, powers: _Floats | tuple[float, ...]) -> _Floats:
    """Return the confidence of each text."""
    return np.asarray(np.exp(-doubts @ np.asarray(powers)), np.float64)


def calibration_error(chances: _Floats, exact: NDArray[np.bool_]) -> float:
    """Return the expected calibration error, over bins that hold equally many texts."""
    parts = np.array_split(np.argsort(chances, kind="stable"), min(_BINS, len(chances)))
    gaps = [len(p) * abs(chances[p].mean() - exact[p].mean()) for p in parts if len(p)]
    return float(sum(gaps) / len(chances))


def main() -> None:
    """Fit the powers to a file and print what they change."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    with np.load(parser.parse_args().file) as stored:
        doubts, exact = stored["doubts"].astype(np.float64), stored["exact"].astype(bool)
    for name, powers in (("now", POWERS), ("fitted", fit_powers(doubts, exact))):
        chances = confidences(doubts, powers)
        surest = np.argsort(-chances, kind="stable")[: round(0.9 * len(chances))]
        print(
            f"{name}: POWERS = {powers}; calibration error {calibration_error(chances, exact):.4f},"
            f" the 90 % surest right {exact[surest].mean():.4f}"
        )


if __name__ == "__main__":
    main()
