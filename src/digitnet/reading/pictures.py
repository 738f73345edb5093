"""Anything that holds a picture, decoded to upright grey pixels: the only decoder of digitnet.

Guarantees:

- The result is what the eye sees: turned as its EXIF data say, transparent parts over white paper,
  16 bits scaled and never clipped, the first frame of an animation.
- Bytes, dimensions and the cost of decoding are checked before decoding.
- Every input gives a picture or an ``InputError`` that says what to do; no C library writes its
  own remarks to standard error.
- No setting of Pillow is changed, and any number of threads may decode at once.

**Grey** is luma (ITU-R BT.601), unless the strongest of the three colour channels has at least
twice luma's local contrast (yellow or pale pens on white paper); then it is that channel.

**Numbers.** Booleans become 0 or 255. Integers of more than 8 bits are scaled by the smallest of
the depths 8, 10, 12, 14 and 16 bits that holds the largest of them: 8-bit values in a wide type
stay as they are, 12-bit sensors keep their contrast. Floats are taken as 0..1 when none is above 1,
else as 0..255.

**Size.** A picture is halved until its longer side is at most ``MAX_SIDE`` pixels; of a JPEG only
the smaller picture is ever decoded.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import pkgutil
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, _imaging

from digitnet.errors import InputError
from digitnet.reading import grey, picture_formats
from digitnet.reading.picture_bytes import describe, read

PictureSource: TypeAlias = str | Path | bytes | IO[bytes] | Image.Image | NDArray[Any] | list[Any]

# Phones of 48 megapixels pass. A picture of this size takes up to half a gigabyte while it is
# decoded, a JPEG a tenth of that.
MAX_PIXELS = 50_000_000
# Twelve megapixels, 4032 × 3024, become 2016 × 1512 by JPEG's own halving.
MAX_SIDE = 2048
# If one of colours and opacity is at most 1 and the other above this, their scales differ.
_TWO_SCALES = 2

# What Pillow's readers raise on broken files.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, EOFError),
    *(ArithmeticError, RuntimeError, struct.error, zlib.error),
)
_quiet = threading.Lock()


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: uint8 (H, W), grey, 0 = black, C-contiguous and writable.
        scale: how many pixels of the original one pixel of this spans, across and down: a power
            of two, 1.0 when nothing was halved.
    """

    pixels: NDArray[np.uint8]
    scale: float


def decode(source: PictureSource) -> NDArray[np.uint8]:
    """Return the grey pixels of a picture: ``load(source).pixels``."""
    return load(source).pixels


def load(source: PictureSource) -> Picture:
    """Return a picture, upright and grey.

    Args:
        source: a path; ``"-"`` for the standard input; a data URL; the bytes of a file; a file open
            for reading bytes; a Pillow image (its current frame); or an array, a tensor of PyTorch
            or nested lists of the shape (H, W), (H, W, 1), (H, W, 3) in the order red, green, blue,
            or (H, W, 4) with opacity last, of booleans, integers in 0..65535 or floats in 0..1 or
            0..255. Leading axes of size 1 are dropped. Files are PNG, JPEG, WebP, BMP, TIFF, GIF,
            PNM or, with the package pillow-heif, HEIC. Arrays that could mean two things are
            refused: integers that are all 0 or 1, floats whose largest lies between 1 and 6, and
            opacity on another scale than the colours.

    Returns:
        A new picture; ``source`` is not changed, except that an open file is read.

    Raises:
        InputError: there is no such file, it is not a picture, damaged or too large, or the array
            is none of the above.
    """
    name = describe(source)
    content: Any = source
    if isinstance(source, (list, tuple)) or hasattr(source, "__array__"):
        content = as_array(source, "The array")
    elif not isinstance(source, Image.Image):
        content = read(source, name)
    try:
        return _load(content, name)
    except Warning:
        # Somebody has turned warnings into errors, and Pillow warns about odd metadata: the answer
        # must not depend on that. Filters belong to the whole process, so one at a time.
        with _quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _load(content, name)


def as_array(values: object, name: str) -> NDArray[Any]:
    """Return an array, a tensor or nested lists as an array, ``name`` being its name in an error.

    Raises:
        InputError: it cannot be one.
    """
    if callable(getattr(values, "detach", None)):  # a tensor, perhaps on a GPU, with a gradient
        values = values.detach().cpu()  # type: ignore[attr-defined]
    try:
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{name} cannot be made from this {type(values).__name__}; it must hold numbers, in "
            "rows of one length."
        ) from error


def _load(content: Any, name: str) -> Picture:
    """Return the picture that is in a file's bytes, a Pillow image or an array."""
    if isinstance(content, np.ndarray):
        image, drafted = _from_array(content, name), 1
    elif isinstance(content, bytes):
        image, drafted = _from_bytes(content, name)
    else:
        image, drafted = _from_image(content, name), 1
    with _reading(name, image.format or image.mode):
        orientation = _orientation(image)
        image = grey.plain(image, name)
        factor = _halvings(image.size)
        image = grey.to_grey(image.reduce(factor) if factor > 1 else image)
        pixels = np.array(grey.upright(image, orientation), order="C")
    return Picture(pixels, float(drafted * factor))


# ---- a Pillow image from each kind of source


def _from_bytes(content: bytes, name: str) -> tuple[Image.Image, int]:
    """Return the decoded image, and by how much it was made smaller while it was decoded."""
    picture_format = picture_formats.sniff(content, name)
    picture_formats.check_blocks(content, picture_format, name)
    reader = _reader(picture_format, name)
    silence = _silence if picture_format == "TIFF" else contextlib.nullcontext()
    with _reading(name, picture_format), silence:
        image = reader(io.BytesIO(content))
        _check_size(image.size, name)
        _check_tiles(image, name)
        decoder = image.tile[0][0] if image.tile else ""
        width, height = image.size
        picture_formats.check_decoder(content, decoder, width * height, name)
        factor = _halvings(image.size)
        # Only a JPEG can decode itself smaller; for the others this does nothing.
        image.draft(None, (max(width // factor, 1), max(height // factor, 1)))
        image.load()
    return image, round(max(width, height) / max(image.size))


def _reader(picture_format: str, name: str) -> type[ImageFile.ImageFile]:
    """Return the class that reads a format, and only that one.

    Asking it and not ``Image.open`` keeps every other reader out of the way, reads the first
    picture of an MPO (two JPEGs in a file, from phones) as the JPEG that it is, and leaves the
    decision on size to us.
    """
    stem = {"WEBP": "WebP", "HEIC": "Heif"}.get(picture_format, picture_format.capitalize())
    module = "pillow_heif" if picture_format == "HEIC" else f"PIL.{stem}ImagePlugin"
    try:
        reader: type[ImageFile.ImageFile] = pkgutil.resolve_name(f"{module}:{stem}ImageFile")
    except ModuleNotFoundError as error:
        raise InputError(
            f"{name} is a HEIC photo, which digitnet reads when pillow-heif is installed: "
            "pip install pillow-heif. Or save or export it as JPEG or PNG."
        ) from error
    return reader


def _from_image(image: Image.Image, name: str) -> Image.Image:
    _check_size(image.size, name)
    # Pillow says nothing of it, and fails in several ways.
    if isinstance(image, ImageFile.ImageFile) and image.tile and image.fp is None:
        raise InputError(
            f"{name} was closed before its pixels were read. Pass it while it is open, or its path."
        )
    with _reading(name, image.format or image.mode), _silence:
        image.load()
    return image


def _from_array(array: NDArray[Any], name: str) -> Image.Image:
    shape = array.shape
    if array.ndim == 1 and array.size and array.dtype.kind in "OSU":
        raise InputError(
            f"{name} holds no numbers but, for instance, {array[0]!r:.60}. If it is a list of "
            "pictures, pass it to predict_many or read_many."
        )
    while array.ndim > 2 and len(array) == 1 and not _has_channels(array):
        array = array[0]
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not _has_channels(array):
        raise _wrong_shape(shape)
    _check_size((array.shape[1], array.shape[0]), name)
    if array.dtype.kind in "iu" and array.max() == 1 and array.min() == 0:
        raise InputError(
            "The array holds only the whole numbers 0 and 1. Pass it as booleans or as floats, "
            "or multiply it by 255."
        )
    pixels = grey.to_bytes(array, "The array")
    if array.ndim == 3 and array.shape[2] == 4:
        _check_opacity(array)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _has_channels(array: NDArray[Any]) -> bool:
    return array.ndim == 3 and array.shape[2] in (1, 3, 4)


def _check_opacity(array: NDArray[Any]) -> None:
    """Refuse opacity on another scale than the colours: all would be clear, or all black."""
    colour, opacity = float(array[:, :, :3].max()), float(array[:, :, 3].max())
    one, other = sorted((colour, opacity))
    whole = array.dtype.kind in "iu"
    if (0 < one <= 1 and other > _TWO_SCALES) or (whole and 0 < one <= 255 < other):
        raise InputError(
            f"The array's colours go up to {colour:g} and its opacity up to {opacity:g}. Both must "
            "be in 0 to 1, in 0 to 255 or in 0 to 65535; scale one of them."
        )


def _wrong_shape(shape: tuple[int, ...]) -> InputError:
    hint = ""
    if len(shape) == 3 and shape[0] in (3, 4):
        hint = " If its channels come first, pass array.transpose(1, 2, 0)."
    elif len(shape) != 2:
        hint = " Pass several pictures to predict_many or read_many, or one at a time."
    return InputError(
        f"The array has the shape {shape}. Allowed: (height, width), (height, width, 1), "
        f"(height, width, 3) and (height, width, 4).{hint}"
    )


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise InputError(f"{name} has no pixels ({width} × {height}).")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name} has {width:,} × {height:,} pixels; a picture may have {MAX_PIXELS:,}. "
            "Save it smaller."
        )


def _check_tiles(image: ImageFile.ImageFile, name: str) -> None:
    """Refuse a TIFF whose tiles, which are decoded whole, are much larger than the picture."""
    tags = getattr(image, "tag_v2", {})
    tile = [tags.get(tag, 1) for tag in (322, 323)]  # TileWidth, TileLength
    if all(isinstance(side, int) for side in tile):
        _check_size((tile[0], tile[1]), f"A tile of {name}")


class _SilentLibtiff:
    """A block in which the C library of TIFF writes nothing about broken files to standard error.

    Its message handler belongs to the whole process, so it is put back as soon as no thread is in
    the block. Where Pillow has the library built in and hides it (Windows), nothing changes.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._handler = threading.Lock(), 0, None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._handler = self._exchange(None)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._exchange(self._handler)

    @staticmethod
    def _exchange(handler: Any) -> Any:
        """Set the handler and return the one before."""
        try:
            exchange = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
        except (OSError, AttributeError):
            return None
        exchange.argtypes, exchange.restype = [ctypes.c_void_p], ctypes.c_void_p
        return exchange(handler)


_silence = _SilentLibtiff()


@contextlib.contextmanager
def _reading(name: str, kind: str) -> Iterator[None]:
    """Turn what Pillow raises on a broken file into an ``InputError``."""
    try:
        yield
    except (MemoryError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{name} has too many pixels to decode in the memory that there is. Save it smaller."
        ) from error
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise picture_formats.damaged(name, kind, reason.rstrip(".")) from error


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or the data are garbage."""
    try:
        value = image.getexif().get(0x0112, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) else 1


def _halvings(size: tuple[int, int]) -> int:
    """Return the smallest power of two that brings both sides down to ``MAX_SIDE``."""
    return 1 << ((max(size) - 1) // MAX_SIDE).bit_length()
