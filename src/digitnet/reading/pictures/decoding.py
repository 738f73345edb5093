"""From the bytes of a file, a Pillow image or an array to a picture."""

from __future__ import annotations

import contextlib
import importlib
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.reading.pictures import formats, grey
from digitnet.reading.pictures.content import describe, read

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageFile

PictureSource: TypeAlias = Union[str, Path, bytes, IO[bytes], "PIL.Image.Image", NDArray[Any]]

# Phones of 48 megapixels pass. A picture of this size takes up to half a gigabyte while it is
# decoded, a JPEG a tenth of that.
MAX_PIXELS = 50_000_000
# Twelve megapixels, 4032 × 3024, become 2016 × 1512 by JPEG's own halving.
MAX_SIDE = 2048
# Colours or opacity of which nothing is above 1 do not go with others above this.
_TWO_SCALES = 2

# What Pillow's readers raise on broken files.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
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
        source: a path; ``"-"`` for the standard input; the bytes of a file; a file open for
            reading bytes; a Pillow image (its current frame); or an array (H, W), (H, W, 1),
            (H, W, 3) in the order red, green, blue, or (H, W, 4) with opacity last, of booleans,
            whole numbers in 0..65535 or floats in 0..1 or 0..255. Files are of ``FORMATS``. Arrays
            that could mean two things are refused: whole numbers that are all 0 or 1, floats whose
            largest lies between 1 and 6, and opacity on another scale than the colours.

    Returns:
        A new picture; ``source`` is not changed, apart from what is read of an open file.

    Raises:
        InputError: there is no such file, it is no picture, it is damaged, too large, or the
            array is none of the above.
    """
    from PIL import Image

    name = describe(source)
    content: Any = source
    if not isinstance(source, (np.ndarray, Image.Image)):
        content = read(source, name)
    try:
        return _load(content, name)
    except Warning:
        # Somebody has made warnings errors, and Pillow remarks on odd metadata by warnings: the
        # answer must not hang on that. Filters belong to the whole process, so one at a time.
        with _quiet, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _load(content, name)


def _load(content: Any, name: str) -> Picture:
    """Return the picture that is in a file's bytes, a Pillow image or an array."""
    if isinstance(content, np.ndarray):
        image, drafted = _from_array(content, name), 1
    elif isinstance(content, bytes):
        image, drafted = _from_bytes(content, name)
    else:
        image, drafted = _from_image(content, name), 1
    kind = image.format or image.mode
    with _reading(name, kind):
        orientation = _orientation(image)
        image = grey.plain(image, name)
        factor = _halvings(image.size)
        image = grey.to_grey(image.reduce(factor) if factor > 1 else image)
        pixels = np.array(grey.upright(image, orientation), order="C")
    return Picture(pixels, float(drafted * factor))


# ---- a Pillow image from each kind of source


def _from_bytes(content: bytes, name: str) -> tuple[PIL.Image.Image, int]:
    """Return the decoded image, and by how much it was made smaller while it was decoded."""
    picture_format = formats.sniff(content, name)
    formats.check_blocks(content, picture_format, name)
    with _reading(name, picture_format):
        image = _plugin(picture_format)(io.BytesIO(content))
        _check_size(image.size, name)
        _check_tiles(image, name)
        decoder = image.tile[0][0] if image.tile else ""
        formats.check_decoder(content, decoder, image.width * image.height, name)
        drafted = _draft(image)
        image.load()
    return image, drafted


def _plugin(picture_format: str) -> type[PIL.ImageFile.ImageFile]:
    """Return the class that reads a format, and that one only.

    Asking it and not ``Image.open`` keeps every other reader out of the way, reads the first
    picture of an MPO (two JPEGs in a file, from phones) as the JPEG that it is, and leaves the
    decision on size to us.
    """
    stem = {"WEBP": "WebP"}.get(picture_format, picture_format.capitalize())
    module = importlib.import_module(f"PIL.{stem}ImagePlugin")
    plugin: type[PIL.ImageFile.ImageFile] = getattr(module, f"{stem}ImageFile")
    return plugin


def _draft(image: PIL.ImageFile.ImageFile) -> int:
    """Let a JPEG decode itself smaller, and return by how much."""
    factor = _halvings(image.size)
    if factor == 1 or image.format != "JPEG":
        return 1
    width, height = image.size
    image.draft(None, (max(width // factor, 1), max(height // factor, 1)))
    return round(max(width, height) / max(image.size))


def _from_image(image: PIL.Image.Image, name: str) -> PIL.Image.Image:
    _check_size(image.size, name)
    with _reading(name, image.format or image.mode):
        image.load()
    return image


def _from_array(array: NDArray[Any], name: str) -> PIL.Image.Image:
    from PIL import Image

    shape = array.shape
    if array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and shape[2] in (3, 4)):
        raise InputError(_shape_message(shape))
    _check_size((shape[1], shape[0]), name)
    if array.dtype.kind in "iu" and array.max() == 1 and array.min() == 0:
        raise InputError(
            "The array holds only the whole numbers 0 and 1. Pass it as booleans or as floats, "
            "or multiply it by 255."
        )
    if array.ndim == 3 and array.shape[2] == 4:
        _check_opacity(array)
    return Image.fromarray(np.ascontiguousarray(grey.to_bytes(array, "The array")))


def _check_opacity(array: NDArray[Any]) -> None:
    """Refuse opacity on another scale than the colours: all would be clear, or all black."""
    if array.dtype.kind not in "iuf":
        return
    colour, opacity = float(array[:, :, :3].max()), float(array[:, :, 3].max())
    one, other = sorted((colour, opacity))
    if 0 < one <= 1 and other > _TWO_SCALES:
        raise InputError(
            f"The array's colours go up to {colour:g} and its opacity up to {opacity:g}. Both must "
            "be in 0 to 1 or both in 0 to 255; scale one of them."
        )


def _shape_message(shape: tuple[int, ...]) -> str:
    hint = ""
    if len(shape) == 3 and shape[0] in (3, 4):
        hint = " Its channels seem to come first; pass array.transpose(1, 2, 0)."
    elif len(shape) >= 3:
        hint = " Of several pictures pass one at a time, array[0]."
    return (
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


def _check_tiles(image: PIL.ImageFile.ImageFile, name: str) -> None:
    """Refuse a TIFF whose tiles, which are decoded whole, are much larger than the picture."""
    tags = getattr(image, "tag_v2", {})
    tile = [tags.get(tag, 1) for tag in (322, 323)]  # TileWidth, TileLength
    if all(isinstance(side, int) for side in tile):
        _check_size((tile[0], tile[1]), f"A tile of {name}")


@contextlib.contextmanager
def _reading(name: str, kind: str) -> Iterator[None]:
    """Turn what Pillow raises on a broken file into an ``InputError``."""
    from PIL import Image

    try:
        yield
    except MemoryError as error:
        raise InputError(
            f"{name} needs more memory to decode than there is. Save it smaller."
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name} has too many pixels; a picture may have {MAX_PIXELS:,}. Save it smaller."
        ) from error
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise formats.damaged(name, kind, reason.rstrip(".")) from error


def _orientation(image: PIL.Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or the data are garbage."""
    try:
        value = image.getexif().get(0x0112, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) else 1


def _halvings(size: tuple[int, int]) -> int:
    """Return the smallest power of two that brings both sides down to ``MAX_SIDE``."""
    factor = 1
    while max(size) > MAX_SIDE * factor:
        factor *= 2
    return factor
