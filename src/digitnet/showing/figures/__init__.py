"""Drawing what a network learnt: curves, matrices, galleries, filters and a plan of its layers.

Guarantees:

- Only matplotlib's object API: nothing is registered in pyplot, nothing is shown, no state is kept.
- A chart of one panel takes an optional ``ax`` and returns the ``Axes`` it drew on; whatever needs
  more room takes an optional ``figure``, sets its size, and returns it.
- Every figure is 6.4 inches wide, its type is 9 points or larger, and its colours can be told
  apart without colour vision. ``theme(dark=True)`` draws the same for a dark page.
- ``png_bytes`` gives the same bytes for the same figure: no date, no version inside.

Digits are drawn as ink on paper: dark strokes on a light page, light strokes on a dark one. What
the network sees is the same either way, strokes of 1 on a ground of 0.
"""

from digitnet.showing.figures.calibration import reliability_diagram
from digitnet.showing.figures.confusion import confusion_matrix
from digitnet.showing.figures.curves import accuracy_curves, learning_curves, loss_curves
from digitnet.showing.figures.galleries import (
    augmentation_preview,
    correct_gallery,
    examples,
    misses_gallery,
)
from digitnet.showing.figures.layers import feature_maps, filters
from digitnet.showing.figures.plan import network_diagram
from digitnet.showing.figures.theme import DARK, LIGHT, Palette, png_bytes, save_png, theme

__all__ = [
    "DARK",
    "LIGHT",
    "Palette",
    "accuracy_curves",
    "augmentation_preview",
    "confusion_matrix",
    "correct_gallery",
    "examples",
    "feature_maps",
    "filters",
    "learning_curves",
    "loss_curves",
    "misses_gallery",
    "network_diagram",
    "png_bytes",
    "reliability_diagram",
    "save_png",
    "theme",
]
