"""Fit ``reading.writing.POWERS``, which make the confidence of a text true, and print them.

The texts are those of simulated pages: digits of MNIST's validation images and of UNIPEN's
validation writers, whom no network has learned from.

python tools/fit_confidence.py --pages 2000
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from digitnet import Recognizer
from digitnet.data.catalogue import load_dataset
from digitnet.network.recipes import recipe
from digitnet.reading.writing import POWERS
from digitnet.training.finder_training import page_maker

_LEAST = 1e-9
# How much a power costs that is not that of the product itself; holds those that no text tests.
_PRIOR = 1e-3
_BINS = 15
# Of the pages: apart from those that a finder is validated on.
_FIRST_SEED = 2**40

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


def read_pages(count: int) -> tuple[_Floats, NDArray[np.bool_]]:
    """Return doubts (N, 6) and outcomes (N,) of about ``count`` simulated pages with text."""
    maker = page_maker(recipe("finder"), load_dataset("mnist"), training=False)
    recognizer = Recognizer(threads=1)
    doubts, exact = [], []
    for seed in range(_FIRST_SEED, _FIRST_SEED + count):
        kind = seed % 4
        page = maker.number(seed, touching=kind == 1) if kind < 2 else maker.page(seed)
        if not page.lines:
            continue
        writing = recognizer.writing_of(page.grey)
        doubts.append(writing.doubts())
        exact.append(writing.reading().text == page.text)
    return np.array(doubts), np.array(exact)


def main() -> None:
    """Fit the powers and print what they change."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pages", type=int, default=2000)
    doubts, exact = read_pages(parser.parse_args().pages)
    # What is fitted is told of one half, and measured on the other.
    half = np.arange(len(exact)) % 2 == 0
    fitted = fit_powers(doubts[half], exact[half])
    print(f"{len(exact):,} texts, {exact.mean():.4f} of them right")
    for name, powers in (("now", POWERS), ("fitted", fitted)):
        chances, right = confidences(doubts[~half], powers), exact[~half]
        surest = np.argsort(-chances, kind="stable")[: round(0.9 * len(chances))]
        print(
            f"{name}: POWERS = {powers}; calibration error {calibration_error(chances, right):.4f},"
            f" the 90 % surest right {right[surest].mean():.4f}"
        )


if __name__ == "__main__":
    main()
