"""From pixels of any kind to upright grey: depth, transparency, colour, orientation.

The rules are in the docstring of ``digitnet.reading.pictures``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from digitnet.errors import InputError

# One channel must beat luma by this factor, and reach this contrast (of 255), to replace it.
_CLEARLY_MORE = 2.0
_MIN_CONTRAST = 32
# Colour is judged on a picture of about this many pixels a side, with its noise averaged away.
_JUDGED_SIDE = 128
# A picture whose grey values span less than this is taken for blank.
_BLANK_RANGE = 16

_DEPTHS = (8, 10, 12, 14, 16)
# Floats whose largest is between 1 and this may have been scaled by anything; taken as 0..255 they
# would show nothing.
_LEAST_OF_BYTES = 6
# How far beyond 0 and 1 the floats of a resized picture may be.
_FLOAT_SLACK = 1e-3


def plain(image: Image.Image, name: str) -> Image.Image:
    """Return an image of mode L, RGB or RGBA."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        grey = Image.fromarray(to_bytes(values, name))
        key = image.info.get("transparency")
        if not isinstance(key, int):
            return grey
        opacity = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
        return Image.merge("RGBA", (grey, grey, grey, opacity))
    if image.mode == "La":  # the only mode that Pillow converts it to
        image = image.convert("LA")
    mode = "L" if image.mode in ("1", "L") else "RGB"
    if image.has_transparency_data:
        mode = "RGBA"
    # Pillow would copy an image that is in that mode already.
    return image if image.mode == mode else image.convert(mode)


def to_bytes(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return numbers of any kind as 0..255."""
    if values.dtype.kind not in "biuf":
        raise InputError(
            f"{name} holds values of the type {values.dtype}. "
            "Allowed: booleans, whole numbers and floats."
        )
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    low, high = values.min(), values.max()
    if values.dtype.kind == "f":
        return _floats_to_bytes(values, float(low), float(high), name)
    if low < 0 or high > 65535:
        raise InputError(
            f"{name} holds whole numbers from {low} to {high}. Allowed: 0 to 255 or 0 to 65535; "
            "scale them first."
        )
    top = next(2**depth - 1 for depth in _DEPTHS if high < 2**depth)
    table = np.rint(np.arange(top + 1) * (255 / top)).astype(np.uint8)
    scaled: NDArray[np.uint8] = table[values]
    return scaled


def _floats_to_bytes(values: NDArray[Any], low: float, high: float, name: str) -> NDArray[np.uint8]:
    # NaN makes both extremes NaN.
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{name} holds NaN or infinity. Replace them first.")
    if low >= -_FLOAT_SLACK and high <= 1 + _FLOAT_SLACK:
        factor = 255.0
    elif low >= 0 and _LEAST_OF_BYTES <= high <= 255:
        factor = 1.0
    else:
        raise InputError(
            f"{name} holds floats from {low:.4g} to {high:.4g}. "
            "Allowed: 0 to 1 or 0 to 255; scale them first."
        )
    scaled = values * factor
    # In place: these may be the values of a hundred megapixels.
    np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled)
    return scaled.astype(np.uint8)


def to_grey(plain: Image.Image) -> Image.Image:
    """Return an image of mode L from one of mode L, RGB or RGBA."""
    if plain.mode == "L":
        return plain
    if plain.mode == "RGB":
        return _best_channel(plain)
    grey = _over(plain, "white")
    if np.ptp(np.asarray(grey)) < _BLANK_RANGE:
        # White ink on nothing, drawn for a dark page: on white paper it would vanish.
        on_black = _over(plain, "black")
        grey = grey if np.ptp(np.asarray(on_black)) < _BLANK_RANGE else on_black
    return grey


def _over(image: Image.Image, paper: str) -> Image.Image:
    sheet = Image.new("RGB", image.size, paper)
    sheet.paste(image, mask=image.getchannel("A"))
    return _best_channel(sheet)


def _best_channel(image: Image.Image) -> Image.Image:
    """Return luma, or the colour channel that shows clearly more (mode RGB to mode L)."""
    small = _small(image)
    luma, channels = small.convert("L"), small.split()
    # The local contrasts of two channels differ by at most the span of their difference.
    levels = np.asarray(luma).astype(np.int16)
    spans = [np.ptp(np.asarray(channel) - levels) for channel in channels]
    if max(spans) >= _MIN_CONTRAST * (1 - 1 / _CLEARLY_MORE):
        contrasts = [_local_contrast(channel) for channel in channels]
        best = max(contrasts)
        if best >= max(_MIN_CONTRAST, _CLEARLY_MORE * _local_contrast(luma)):
            return image.getchannel(contrasts.index(best))
    return image.convert("L")


def _small(image: Image.Image) -> Image.Image:
    """Return ``image`` at about ``_JUDGED_SIDE``, its noise averaged away."""
    # Averaging all pixels of a large picture would cost more than everything else.
    stride = max(image.size) // (4 * _JUDGED_SIDE) + 1
    if stride > 1:
        width, height = (max(side // stride, 1) for side in image.size)
        image = image.resize((width, height), Image.Resampling.NEAREST)
    factor = -(-max(image.size) // _JUDGED_SIDE)
    return image.reduce(factor) if factor > 1 else image


def _local_contrast(channel: Image.Image) -> int:
    """Return the largest difference of a pixel of mode L from its surroundings.

    The difference from a blurred copy ignores uneven light and halves the edges of large objects.
    """
    blurred = channel.filter(ImageFilter.BoxBlur(_JUDGED_SIDE // 16))
    return int(np.asarray(ImageChops.difference(channel, blurred)).max())


def upright(grey: Image.Image, orientation: int) -> Image.Image:
    """Undo an orientation as EXIF 2.32 (CIPA DC-008), tag 274, defines it."""
    turns = Image.Transpose
    undo = (
        *(turns.FLIP_LEFT_RIGHT, turns.ROTATE_180, turns.FLIP_TOP_BOTTOM, turns.TRANSPOSE),
        *(turns.ROTATE_270, turns.TRANSVERSE, turns.ROTATE_90),
    )
    return grey.transpose(undo[orientation - 2]) if 2 <= orientation <= 8 else grey
