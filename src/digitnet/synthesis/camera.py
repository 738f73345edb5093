"""From a page to the bytes that a user sends: blur, noise, JPEG or PNG, EXIF orientation.

Guarantees:

- A file whose pixels are stored turned carries the EXIF orientation that turns them back.
- The same page, settings and generator give the same bytes on one version of OpenCV.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from digitnet.synthesis.paper import noise
from digitnet.synthesis.pens import Float, as_float32

# Orientation (EXIF 2.3, tag 0x0112) of pixels stored after this many quarter turns anticlockwise:
# 1 is upright, 6 says "turn clockwise to view", 3 "turn upside down", 8 "turn anticlockwise".
_ORIENTATIONS = (1, 6, 3, 8)


@dataclass(frozen=True)
class Camera:
    """How the page is photographed.

    Attributes:
        blur: standard deviation of the defocus, in pixels.
        motion: length of the camera's shake, in pixels; below 1.5 there is none.
        direction: of the shake, in degrees.
        noise: standard deviation of the sensor's noise at full light, which is 1.
        quality: of the JPEG, 1 to 100; None stores a PNG, which is lossless.
        turns: quarter turns anticlockwise before a JPEG is stored, whose EXIF tag undoes them.
    """

    blur: float = 0.0
    motion: float = 0.0
    direction: float = 0.0
    noise: float = 0.0
    quality: int | None = None
    turns: int = 0


def smear(coverage: Float, camera: Camera) -> Float:
    """Return ``coverage``, a map of ink, lines or paper, after shake and defocus.

    Only these maps have edges. Smearing them instead of the whole picture looks the same, because
    light varies slowly, and is much faster.
    """
    if camera.motion >= 1.5:
        coverage = as_float32(cv2.filter2D(coverage, -1, _shake(camera)))
    if camera.blur > 0.2:
        coverage = as_float32(cv2.GaussianBlur(coverage, (0, 0), camera.blur))
    return coverage


def expose(channels: list[Float], camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the pixels that the camera stores.

    Args:
        channels: blue, green, red (or grey alone), float32 (H, W), 0 dark to 1 bright.
        camera: for its noise; the channels are smeared already.
        rng: source of the noise.

    Returns:
        uint8 (H, W, 3), or (H, W) for one channel.
    """
    grain = np.zeros(channels[0].shape, np.float32)
    if camera.noise:
        # A sensor's noise grows with the root of the light.
        light = np.sqrt(np.clip(channels[len(channels) // 2], 0.05, 1))
        grain = noise((light.shape[0], light.shape[1]), rng) * light
        grain *= np.float32(255 * camera.noise)
    taken = [cv2.addWeighted(c, 255, grain, 1, 0, dtype=cv2.CV_8U) for c in channels]
    return np.asarray(cv2.merge(taken) if len(taken) > 1 else taken[0], np.uint8)


def _shake(camera: Camera) -> Float:
    """Return the kernel of a straight, even movement."""
    radius = int(camera.motion / 2) + 1
    angle = np.radians(camera.direction)
    steps = np.linspace(-camera.motion / 2, camera.motion / 2, 8 * radius + 1)
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    rows = np.rint(radius + steps * np.sin(angle)).astype(int)
    columns = np.rint(radius + steps * np.cos(angle)).astype(int)
    np.add.at(kernel, (rows, columns), np.float32(1 / len(steps)))
    return kernel


def encode(pixels: NDArray[np.uint8], camera: Camera) -> bytes:
    """Return the file: a JPEG, or a PNG where ``camera.quality`` is None."""
    pixels = np.ascontiguousarray(np.rot90(pixels, camera.turns))
    if camera.quality is None:
        _, content = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return content.tobytes()
    _, content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, camera.quality])
    return _tagged(content.tobytes(), _ORIENTATIONS[camera.turns % 4])


def _tagged(jpeg: bytes, orientation: int) -> bytes:
    """Return the JPEG with an APP1 segment that holds this orientation, for 1 unchanged."""
    if orientation == 1:
        return jpeg
    # TIFF header, then a directory of one entry: tag, type "short", one value, no next directory.
    directory = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + b"MM\0\x2a" + struct.pack(">I", 8) + directory
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]
