"""Anything that holds a picture, decoded upright to grey pixels: the only decoder of digitnet.

Guarantees:

- The result is what the eye sees: turned as its EXIF data say, transparent parts over white paper,
  16 bits scaled and never clipped, the first frame of an animation.
- Bytes, dimensions and the cost of decoding are checked before decoding; a named pipe, a device or
  a folder is told from a file without waiting on it.
- Every input gives a picture or an ``InputError`` that says what to do.
- No setting of Pillow is changed, and any number of threads may decode at once.

**Grey** is luma (ITU-R BT.601), but where the strongest of the three colour channels has at least
twice luma's local contrast (yellow or pale pens on white paper), it is that channel.

**Numbers.** Booleans are 0 or 255. Whole numbers of more than 8 bits are scaled by the smallest of
the depths 8, 10, 12, 14 and 16 bits that holds the largest of them: 8-bit values in a wide type
stay as they are, 12-bit sensors keep their contrast. Floats are in 0..1 when none is above 1, else
in 0..255.

**Size.** A picture is halved until its longest side is at most ``MAX_SIDE`` pixels; of a JPEG only
the smaller picture is ever decoded.

    content    the bytes of a source, and its name
    formats    what a file is, and whether reading it could take for ever
    decoding   from bytes, a Pillow image or an array to a picture
    grey       pixels of any kind to upright grey
"""

from digitnet.reading.pictures.content import MAX_BYTES, describe
from digitnet.reading.pictures.decoding import (
    MAX_PIXELS,
    MAX_SIDE,
    Picture,
    PictureSource,
    decode,
    load,
)
from digitnet.reading.pictures.formats import FORMATS

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "Picture",
    "PictureSource",
    "decode",
    "describe",
    "load",
]
