"""What makes a network's numbers honest: a temperature for its confidence, a threshold to refuse.

Guarantees: both are found on validation images and nothing else; neither changes which digit wins.

The temperature is that of Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural
networks" (ICML 2017): logits are divided by the one number that makes the labels most likely. Few
images that are all read right would call for boundless confidence; so one more miss and one more
hit than were seen are reckoned with, as J. Platt does ("Probabilistic outputs for support vector
machines", 1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Share of real digits that the threshold gives up, to refuse as much else as it can.
REJECTED_DIGITS = 0.01
_COLDEST, _HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Calibration:
    """Two numbers that travel with an exported network."""

    temperature: float = 1.0
    """Logits are divided by it before softmax; above 1 the network was too sure of itself."""
    ood_threshold: float = float("inf")
    """Ink whose ood_score is larger is taken for no digit."""


def fit_temperature(logits: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
    """Return the temperature, from 0.05 to 20, at which the labels are most likely.

    Each counts for (N + 1) / (N + 2), and the likeliest other class for the rest.

    Args:
        logits: (N, classes).
        labels: int64 (N,).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    rows, share = np.arange(len(labels)), 1 / (len(labels) + 2)

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        own = scaled[rows, labels].copy()
        scaled[rows, labels] = -np.inf
        return float(-((1 - share) * own + share * scaled.max(axis=1)).mean())

    found = minimize_scalar(loss, bounds=np.log((_COLDEST, _HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def fit_threshold(ood_scores: NDArray[np.floating[Any]]) -> float:
    """Return the ood_score that one in a hundred of these digits, (N,), exceeds."""
    return float(np.quantile(ood_scores, 1 - REJECTED_DIGITS))
