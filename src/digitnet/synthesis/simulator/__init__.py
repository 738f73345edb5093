"""Photographs of handwritten digits, simulated: labelled pictures as users send them.

Guarantees:

- A picture depends on its image, the condition, the seed and its index, and on nothing else: the
  n-th of a thousand is the n-th of ten.
- Every picture is a whole PNG or JPEG file that a person can read, if the digit is one that the
  condition can show (``can_show``).
- A ``rotated_exif`` picture is a JPEG whose pixels are turned and whose EXIF tag turns them back.

An MNIST digit is redrawn as a pen of some width would write it (`pen`), set on a page (`paper`,
`scenes`) under a condition's own light (`conditions`), and photographed (`camera`). Simulated
pictures measure the errors that they simulate; they do not replace real photographs.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError, UsageError, unknown_name
from digitnet.synthesis.simulator.conditions import SCENES, WITH_ANOTHER_PEN
from digitnet.synthesis.simulator.pen import can_be_redrawn
from digitnet.synthesis.simulator.scenes import take

# The ten reading errors that MNIST programs are known for, then mixtures and plain pages.
CONDITIONS: tuple[str, ...] = tuple(SCENES)

__all__ = ["CONDITIONS", "can_show", "simulate", "simulate_many"]


def simulate(image: NDArray[np.uint8], condition: str, seed: int, index: int = 0) -> bytes:
    """Return a photograph of ``image`` as a file.

    Args:
        image: uint8 (28, 28), a digit in light strokes on dark.
        condition: one of ``CONDITIONS``.
        seed: 0 or more; another seed is another page, pen, light and camera.
        index: 0 or more; which of the seed's pictures.

    Returns:
        The bytes of a PNG or JPEG file, colour or grey.

    Raises:
        UsageError: there is no such condition, or the seed or the index is negative.
        InputError: the image has another shape or type.
    """
    if condition not in SCENES:
        raise unknown_name("condition", condition, CONDITIONS)
    if seed < 0 or index < 0:
        raise UsageError(f"Seed {seed} and index {index} must be 0 or more.")
    image = np.asarray(image)
    if image.shape != (28, 28) or image.dtype != np.uint8:
        raise InputError(
            f"A digit to photograph is uint8 of shape (28, 28), light on dark; "
            f"this array is {image.dtype} of shape {image.shape}."
        )
    rng = np.random.default_rng([seed, zlib.crc32(condition.encode()), index])
    drawing, scene = SCENES[condition](image, rng)
    return take(drawing, scene, rng)


def simulate_many(images: NDArray[np.uint8], condition: str, seed: int) -> Iterator[bytes]:
    """Yield the photograph of each of ``images`` (uint8 (N, 28, 28)), in order.

    Picture i is ``simulate(images[i], condition, seed, i)``; see there for the errors.
    """
    for index, image in enumerate(images):
        yield simulate(image, condition, seed, index)


def can_show(image: NDArray[np.uint8], condition: str) -> bool:
    """Tell whether ``condition`` shows the digit of ``image`` (uint8 (28, 28)).

    A bold digit whose loop ink has filled cannot be drawn with a finer pen, nor a broader one: its
    lines are not known. ``thin`` and ``thick`` show four of five of MNIST's digits, the others all.
    """
    return condition not in WITH_ANOTHER_PEN or can_be_redrawn(image)
