"""What the groups and sets are called where people read of them."""

from __future__ import annotations

from digitnet.experiments.robustness.built_in import (
    CORRUPTIONS_ALONE,
    CORRUPTIONS_FOUND,
    MNIST,
    NON_DIGITS,
    OTHER_HANDS,
    PHOTOGRAPHS,
)
from digitnet.experiments.robustness.own import OWN

GROUP_TITLES = {
    MNIST: "MNIST as pictures",
    OTHER_HANDS: "Other hands",
    OWN: "Your own sets",
    PHOTOGRAPHS: "Simulated photographs",
    CORRUPTIONS_ALONE: "Corruptions, straight into the network",
    CORRUPTIONS_FOUND: "Corruptions, as pictures",
    NON_DIGITS: "Not digits (area under the ROC curve against MNIST)",
}

_SET_TITLES = {
    "white_on_black": "white on black, 28 × 28",
    "black_on_white": "black on white, 28 × 28",
    "on_a_sheet": "in the middle of a sheet",
    "ten_times": "ten times as large",
    "in_a_corner": "in a corner of a page",
    "any_size_and_place": "any size, any place",
    "digits8x8": "scikit-learn's 8 × 8",
    "drawn": "drawn by a program",
}


def set_title(group: str, name: str) -> str:
    """Return how a set is called; the user's own sets as their files are."""
    if group in (OWN, NON_DIGITS):
        return _SET_TITLES.get(name, name)
    return _SET_TITLES.get(name, name.replace("_", " "))


def percent(share: float | None) -> str:
    """Return a share as a percentage, or nothing when there is none."""
    return "" if share is None else f"{100 * share:.2f}"
