"""The fifteen corruptions of MNIST-C, made here from their definitions.

Mu and Gilmer, "MNIST-C: A robustness benchmark for computer vision" (2019, arXiv 1906.02337),
damage MNIST's test digits in fifteen ways and publish the files. This module follows the
definitions with its own code and its own random numbers; it does not reproduce the published
files. Where the paper leaves a detail open (directions, lines, the position of the stripe, the
detector's thresholds), the choice is ours; the docstrings give every parameter. Accuracy on these
images therefore compares with published MNIST-C figures only approximately.

Guarantees:

- Output has the shape, dtype and range of the input: uint8 (N, 28, 28).
- An image's corruption depends on its pixels, the kind, the seed and its index, and nothing else.

Noise, blur, brightness, fog and spatter come from Hendrycks and Dietterich, "Benchmarking neural
network robustness to common corruptions and perturbations" (ICLR 2019), at the severity (1 to 5)
that MNIST-C uses.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.errors import InputError, UsageError, unknown_name
from digitnet.synthesis.pens import as_float32

# One image: float32 (28, 28), 0 background to 1 full ink.
Image = NDArray[np.float32]

_SIZE = 28


def corrupt(images: NDArray[np.uint8], kind: str, seed: int) -> NDArray[np.uint8]:
    """Return corrupted copies of ``images``.

    Args:
        images: uint8 (N, 28, 28), light strokes on dark.
        kind: one of ``CORRUPTIONS``.
        seed: 0 or more; another seed is other noise, other lines and other directions.

    Returns:
        A new uint8 array of that shape.

    Raises:
        UsageError: there is no such kind, or the seed is negative.
        InputError: the images have another shape or type.
    """
    if kind not in _KINDS:
        raise unknown_name("corruption", kind, CORRUPTIONS)
    if seed < 0:
        raise UsageError(f"The seed of a corruption is {seed}; it must be 0 or more.")
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (_SIZE, _SIZE):
        raise InputError(
            f"The images are an array of {images.dtype} of shape {images.shape}; they must be "
            f"uint8 of shape (N, {_SIZE}, {_SIZE}), light on dark."
        )
    number = zlib.crc32(kind.encode())
    corrupted = np.empty_like(images)
    for index, image in enumerate(images):
        rng = np.random.default_rng([seed, number, index])
        changed = _KINDS[kind](image.astype(np.float32) / np.float32(255), rng)
        corrupted[index] = np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8)
    return corrupted


def _shot_noise(image: Image, rng: Generator) -> Image:
    """Poisson noise: a sensor that counts 3 photons at full light (severity 5 of 60 to 3)."""
    return (rng.poisson(image * 3) / 3).astype(np.float32)


def _impulse_noise(image: Image, rng: Generator) -> Image:
    """Salt and pepper: 17 % of the pixels become 0 or 1 (severity 4 of 3, 6, 9, 17, 27 %)."""
    chance = rng.random(image.shape)
    salt = rng.random(image.shape) < 0.5
    return np.where(chance < 0.17, salt, image).astype(np.float32)


def _glass_blur(image: Image, rng: Generator) -> Image:
    """Frosted glass: blur, pixels change places with near ones, blur (severity 1).

    The blur's standard deviation is 0.7; twice over, each pixel changes places with one that is at
    most 1 away in each direction.
    """
    shuffled = cv2.GaussianBlur(image, (0, 0), 0.7)
    for moves in rng.integers(-1, 2, (2, _SIZE, _SIZE, 2)).tolist():
        for row in range(1, _SIZE - 1):
            for column in range(1, _SIZE - 1):
                down, right = moves[row][column]
                here, there = (row, column), (row + down, column + right)
                shuffled[here], shuffled[there] = shuffled[there], shuffled[here]
    return as_float32(cv2.GaussianBlur(shuffled, (0, 0), 0.7))


def _motion_blur(image: Image, rng: Generator) -> Image:
    """Motion in a direction within 45 degrees of the horizontal (severity 1).

    The trace is one-sided, up to 20 pixels long, and fades like a Gaussian of 3 pixels.
    """
    steps = np.arange(21)
    weights = np.exp(-(steps**2) / (2 * 3.0**2))
    angle = math.radians(rng.uniform(-45, 45))
    blurred = np.zeros_like(image)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        shift = (step * math.cos(angle), step * math.sin(angle))
        blurred += np.float32(weight) * _moved(image, np.eye(2), shift)
    return blurred


def _shear(image: Image, rng: Generator) -> Image:
    """Shear along the rows by 0.4 (severity 2 of 0.2 to 1), to either side, about the centre."""
    return _moved(image, np.array([[1, 0.4 * _sign(rng)], [0, 1]]))


def _scale(image: Image, _rng: Generator) -> Image:
    """Shrink to 0.7 of the size (severity 3 of 0.9 to 0.5), about the centre."""
    return _moved(image, np.eye(2) * 0.7)


def _rotate(image: Image, rng: Generator) -> Image:
    """Turn by 0.4 radians (severity 2 of 0.2 to 1), to either side, about the centre."""
    cos, sin = math.cos(0.4), math.sin(0.4) * _sign(rng)
    return _moved(image, np.array([[cos, -sin], [sin, cos]]))


def _brightness(image: Image, _rng: Generator) -> Image:
    """Add 0.5 to every pixel, clipped at 1 (severity 5 of 0.1 to 0.5)."""
    return image + np.float32(0.5)


def _translate(image: Image, rng: Generator) -> Image:
    """Shift by 3 pixels in both directions, each to either side (severity 3 of 1 to 5)."""
    return _moved(image, np.eye(2), (3 * _sign(rng), 3 * _sign(rng)))


def _stripe(image: Image, _rng: Generator) -> Image:
    """Invert the 7 columns at the left and at the right: the middle stays as a dark stripe."""
    return np.hstack([1 - image[:, :7], image[:, 7:-7], 1 - image[:, -7:]])


def _fog(image: Image, rng: Generator) -> Image:
    """Add 3 times a plasma cloud (0 to 1), then darken until the ink is back at its level.

    The cloud's roughness falls by 1.4 from scale to scale (severity 5). It is the diamond-square
    surface of Fournier, Fussell and Carpenter, "Computer rendering of stochastic models"
    (Communications of the ACM 25, 1982).
    """
    peak = np.float32(image.max())
    foggy = image + np.float32(3) * _plasma(32, 1.4, rng)[:_SIZE, :_SIZE]
    return as_float32(foggy * (peak / (peak + 3)) if peak > 0 else foggy / 3)


def _plasma(size: int, decay: float, rng: Generator) -> Image:
    """Return a diamond-square surface (size, size), 0 to 1, that continues at opposite sides."""
    surface = np.zeros((size, size))
    step, rough = size, 1.0
    while step >= 2:
        half = step // 2
        corners = surface[::step, ::step]
        rows = corners + np.roll(corners, -1, 0)
        squares = (rows + np.roll(rows, -1, 1)) / 4 + rng.uniform(-rough, rough, rows.shape)
        surface[half::step, half::step] = squares
        beside = squares + np.roll(squares, 1, 0)
        across = corners + np.roll(corners, -1, 1)
        jitter = rng.uniform(-rough, rough, (2, *rows.shape))
        surface[::step, half::step] = (beside + across) / 4 + jitter[0]
        beside = squares + np.roll(squares, 1, 1)
        surface[half::step, ::step] = (beside + rows) / 4 + jitter[1]
        step, rough = half, rough / decay
    surface -= surface.min()
    return as_float32(surface / surface.max())


def _spatter(image: Image, rng: Generator) -> Image:
    """Splashes of mud: opaque spots of grey level 0.25 (severity 4).

    Normal noise of mean 0.65 and standard deviation 0.3 is smoothed by 1 pixel; where it exceeds
    0.65 there is mud, whose edges are softened by 1.5 pixels and cut where less than 0.8 is left.
    """
    liquid = cv2.GaussianBlur(rng.normal(0.65, 0.3, image.shape), (0, 0), 1.0)
    mud = cv2.GaussianBlur((liquid > 0.65).astype(np.float32), (0, 0), 1.5)
    mud = np.where(mud < 0.8, 0, mud)
    return as_float32(image * (1 - mud) + np.float32(0.25) * mud)


def _dotted_line(image: Image, rng: Generator) -> Image:
    """Draw a straight line from the left side to the right: dots 1 pixel long, gaps of 2."""
    left, right = rng.uniform(0, _SIZE - 1, 2)
    return _with_dots(image, np.array([(0, left), (_SIZE - 1, right)]), every=3)


def _zigzag(image: Image, rng: Generator) -> Image:
    """Draw an unbroken zigzag from the left side to the right.

    It turns 8 times, each time 2 to 4 pixels off a straight line, to the two sides in turn.
    """
    left, right = rng.uniform(5, _SIZE - 6, 2)
    path = np.linspace((0, left), (_SIZE - 1, right), 10)
    path[1:-1, 1] += rng.uniform(2, 4, 8) * np.resize([1.0, -1.0], 8) * _sign(rng)
    return _with_dots(image, path, every=1)


def _canny_edges(image: Image, _rng: Generator) -> Image:
    """Keep nothing but the edges found by Canny's detector, as white lines of one pixel.

    The image is smoothed by a Gaussian of 1 pixel; an edge's gradient (of Sobel's 3×3 filter, ink 0
    to 255) starts at 200 and is followed down to 100. Canny, "A computational approach to edge
    detection" (IEEE PAMI 8, 1986).
    """
    smooth = cv2.GaussianBlur(np.rint(image * 255).astype(np.uint8), (0, 0), 1.0)
    return as_float32(cv2.Canny(smooth, 100, 200, L2gradient=True)) / np.float32(255)


def _moved(image: Image, matrix: NDArray[np.float64], shift: tuple[float, float] = (0, 0)) -> Image:
    """Return the image under ``matrix`` about its centre, then ``shift`` (x, y); bilinear."""
    centre = np.full(2, (_SIZE - 1) / 2)
    offset = centre - matrix @ centre + shift
    # What comes from outside the image is 0.
    return as_float32(cv2.warpAffine(image, np.column_stack([matrix, offset]), (_SIZE, _SIZE)))


def _with_dots(image: Image, path: NDArray[np.float64], every: int) -> Image:
    """Return the image with a white line along ``path``, (M, 2) x and y: 1 pixel of ``every``."""
    # Four points a pixel: the line has no gaps however steep it is.
    length = np.r_[0, np.hypot(*np.diff(path, axis=0).T).cumsum()]
    at = np.linspace(0, length[-1], math.ceil(4 * length[-1]) + 1)
    columns = np.rint(np.interp(at, length, path[:, 0])).astype(int)
    rows = np.rint(np.interp(at, length, path[:, 1])).astype(int)
    dotted = image.copy()
    drawn = np.floor(at) % every == 0
    dotted[rows[drawn].clip(0, _SIZE - 1), columns[drawn]] = 1
    return dotted


def _sign(rng: Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


_KINDS: dict[str, Callable[[Image, Generator], Image]] = {
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "glass_blur": _glass_blur,
    "motion_blur": _motion_blur,
    "shear": _shear,
    "scale": _scale,
    "rotate": _rotate,
    "brightness": _brightness,
    "translate": _translate,
    "stripe": _stripe,
    "fog": _fog,
    "spatter": _spatter,
    "dotted_line": _dotted_line,
    "zigzag": _zigzag,
    "canny_edges": _canny_edges,
}

# In the order of the paper.
CORRUPTIONS: tuple[str, ...] = tuple(_KINDS)
