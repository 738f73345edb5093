"""Fit how ``reading.line_reading`` weighs signs and columns, and how sure it is; print both.

The texts are those of simulated pages: digits of MNIST's validation images and of UNIPEN's
validation writers, whom no network has learned from.

python tools/fit_lines.py --pages 2000
"""

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from digitnet import Recognizer
from digitnet.data.catalogue import load_dataset
from digitnet.network.recipes import recipe
from digitnet.reading.line_file import load_line_file
from digitnet.reading.line_reading import (
    BY_COLUMNS,
    BY_SIGNS,
    DOUBTS,
    MISSED,
    WHERE_CLOSE,
    Evidence,
    evidence_of,
)
from digitnet.reading.line_strips import strip_of
from digitnet.reading.line_texts import SignChances
from digitnet.training.finder_training import page_maker

# Of the pages: apart from those that a finder is validated on.
_FIRST_SEED = 2**41
_LEAST, _PRIOR = 1e-6, 1e-4
_BINS = 15

_Floats = NDArray[np.float64]


class Heard(NamedTuple):
    """A line: what it may say, what speaks for it, and what it says."""

    said: Evidence
    closeness: float
    truth: str | None
    """None where lines were not found as they are."""

    @property
    def evidence(self) -> _Floats:
        """(N, 3), what the three weights are the factors of."""
        columns, signs = self.said.scores.T
        return np.stack([columns, signs, signs * self.closeness], axis=1)


def calibration_error(chances: _Floats, exact: NDArray[np.bool_]) -> float:
    """Return the expected calibration error, over bins that hold equally many texts."""
    parts = np.array_split(np.argsort(chances, kind="stable"), min(_BINS, len(chances)))
    gaps = [len(p) * abs(chances[p].mean() - exact[p].mean()) for p in parts if len(p)]
    return float(sum(gaps) / len(chances))


def hear_pages(count: int) -> list[tuple[list[Heard], str]]:
    """Return the lines and the text of about ``count`` simulated pages."""
    maker = page_maker(recipe("finder"), load_dataset("mnist"), training=False)
    recognizer, columns = Recognizer(threads=1), load_line_file().columns
    pages = []
    for seed in range(_FIRST_SEED, _FIRST_SEED + count):
        kind = seed % 4
        page = maker.number(seed, touching=kind == 1) if kind < 2 else maker.page(seed)
        if not page.lines:
            continue
        found = recognizer.writing_of(page.grey).found_lines()
        truths = page.text.split("\n")
        lines = []
        for place, line in enumerate(found):
            strip = strip_of(page.grey, line.boxes[line.there])
            if strip is not None:
                said = evidence_of(line, SignChances(line, MISSED), columns(strip.pixels))
                truth = truths[place] if len(truths) == len(found) else None
                lines.append(Heard(said, line.closeness, truth))
        if len(lines) == len(found) and lines:
            pages.append((lines, page.text))
    return pages


def fit_weights(lines: list[Heard]) -> _Floats:
    """Return the weights, (3,), that make what lines say likeliest among what they may say."""
    known = [
        (line.evidence, line.said.texts.index(line.truth))
        for line in lines
        if line.truth in line.said.texts
    ]

    def loss(weights: _Floats) -> float:
        scores = [(evidence @ weights, right) for evidence, right in known]
        gaps = [np.logaddexp.reduce(each) - each[right] for each, right in scores]
        return float(np.mean(gaps)) + _PRIOR * float(weights @ weights)

    return np.asarray(minimize(loss, np.array([0.6, 0.6, 0.0]), method="L-BFGS-B").x)


def decided(pages: list[tuple[list[Heard], str]], weights: _Floats) -> tuple[_Floats, _Floats]:
    """Return what is doubtful of each page, (N, 4), and whether it is read exactly, (N,)."""
    doubts, exact = [], []
    for lines, text in pages:
        chosen, total = [], np.zeros(len(DOUBTS))
        for line in lines:
            shares = line.evidence @ weights
            shares = shares - np.logaddexp.reduce(shares)
            best = int(shares.argmax())
            chosen.append(line.said.texts[best])
            total = total + line.said.doubts(shares)[best]
        doubts.append(total)
        exact.append("\n".join(chosen) == text)
    return np.array(doubts), np.array(exact, float)


def fit_doubts(doubts: _Floats, exact: _Floats) -> _Floats:
    """Return the factors, none negative, that make the texts' outcomes likeliest."""

    def loss(factors: _Floats) -> float:
        chances = np.exp(-doubts @ factors).clip(_LEAST, 1 - _LEAST)
        likelihood = np.where(exact, np.log(chances), np.log1p(-chances)).mean()
        return float(-likelihood + _PRIOR * np.square(factors).sum())

    start, bounds = np.full(len(DOUBTS), 0.1), [(0, 10)] * len(DOUBTS)
    return np.asarray(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)


def main() -> None:
    """Fit both and print what they change."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pages", type=int, default=2000)
    pages = hear_pages(parser.parse_args().pages)
    # What is fitted is told of one half, and measured on the other.
    here, there = pages[::2], pages[1::2]
    weights = fit_weights([line for lines, _ in here for line in lines])
    factors = fit_doubts(*decided(here, weights))
    now = np.array([BY_COLUMNS, BY_SIGNS, WHERE_CLOSE])
    for name, chosen, powers in (("now", now, np.array(DOUBTS)), ("fitted", weights, factors)):
        doubts, exact = decided(there, chosen)
        chances = np.exp(-doubts @ powers)
        surest = exact[np.argsort(-chances, kind="stable")[: math.ceil(0.9 * len(chances))]]
        print(
            f"{name}: weights {chosen.round(4).tolist()}, DOUBTS {powers.round(4).tolist()}; of "
            f"{len(exact):,} pages {exact.mean():.4f} exactly, calibration error "
            f"{calibration_error(chances, exact > 0):.4f}, the 90 % surest {surest.mean():.4f}"
        )


if __name__ == "__main__":
    main()
