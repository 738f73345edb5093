"""What kind of file a picture is, by its first bytes, and whether decoding it could take forever.

Guarantees:

- The content decides, never a file name or a MIME type.
- Anything but a picture of an allowed format raises an ``InputError`` that names what it is and
  says what to do with it.
- What a malicious file can make a decoder do is bounded here where the decoder itself sets no
  bound: Pillow walks through blocks of metadata, and reads some formats, in Python.

Nothing here decodes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from digitnet.errors import InputError

# The names of pictures in a folder end in one of these; a file that is named itself may end as it
# likes. AVIF is not read, but gets a sentence that says so.
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".heic", ".heif", ".avif"),
)
SHOWN_SUFFIXES = "PNG, JPEG, WebP, BMP, TIFF, GIF or PPM"

# PPM stands for the whole family of PBM, PGM, PPM and PFM; HEIC is how iPhones store photos.
_SIGNATURES = (
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("JPEG", rb"\xff\xd8\xff"),
    ("WEBP", rb"RIFF....WEBP"),
    ("BMP", rb"BM"),
    ("TIFF", rb"II[*+]\0|MM\0[*+]"),
    ("GIF", rb"GIF8[79]a"),
    ("PPM", rb"P[1-6f][\s#]"),
    ("HEIC", rb"....ftyp(hei[cfmsx]|hev[cmsx]|mif1|msf1)"),
)

_AS_PICTURE = "Save or export it as JPEG or PNG."
_DECODE = "Decode it first (base64.b64decode) and pass the bytes, or make it a data URL."
# What people pass by mistake: its pattern, its name in a sentence, what to do.
_OTHER_KINDS = (
    (rb"....ftypavi[fs]", "an AVIF picture", _AS_PICTURE),
    (rb"....ftyp", "a video", "Save one frame as JPEG or PNG."),
    (rb"\0\0\0\x0cJXL |\xff\x0a", "a JPEG XL picture", _AS_PICTURE),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture", _AS_PICTURE),
    (rb"\0\0[\x01\x02]\0|icns", "an icon (ICO, CUR or ICNS)", _AS_PICTURE),
    (rb"8BPS", "a Photoshop document", _AS_PICTURE),
    (rb"DDS ", "a DDS texture", _AS_PICTURE),
    (rb"P7\s", "a PAM picture", _AS_PICTURE),
    (rb"SIMPLE  =", "a FITS file", _AS_PICTURE),
    (rb"STARTFONT", "a BDF font", _AS_PICTURE),
    (rb".{0,1000}%PDF-", "a PDF document", "Export the page as JPEG or PNG."),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript document", "Export the page as JPEG or PNG."),
    (rb"(?i)(\xef\xbb\xbf)?[^\0]{0,1000}<svg[\s>]", "an SVG drawing", "Export it as PNG."),
    (
        rb"(?i)(\xef\xbb\xbf)?\s*(<!doctype html|<html|<head|<!--)",
        "a web page (HTML)",
        "Open the address in a browser and save the picture itself.",
    ),
    (rb"PK\x03\x04", "a ZIP archive or an Office document", "Take the picture out of it."),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|\x28\xb5\x2f\xfd|Rar!", "an archive", "Unpack it first."),
    (rb"\x93NUMPY", "a NumPy file", "Load it with numpy.load and pass the array."),
    (rb"\0\0\x08[\x01-\x03]", "an IDX file of a data set", "Pass one of its images as an array."),
    (rb"\s*(iVBORw0KGgo|/9j/|R0lGOD|UklGR|Qk0)", "text in base64", _DECODE),
)

# Far above what any camera, scanner or drawing program writes, and read in some milliseconds.
_MAX_BLOCKS = {"PNG": 20_000, "JPEG": 2_000, "GIF": 2_000}
# Formats that Pillow decodes byte by byte in Python take this much at about 0.1 µs a byte.
_MAX_SLOW_BYTES = 3_000_000
_SLOW_DECODERS = ("ppm", "ppm_plain", "bmp_rle")
_MAX_COMMENTS = 100
# A progressive JPEG goes over all its pixels once per scan, at about 1 ns a pixel. Ten scans are
# usual; the largest pictures may have twenty.
_MAX_SCANNED_PIXELS = 1_000_000_000
# A PNM header has no fixed length, and its comments are read byte by byte.
_PNM_HEADER = re.compile(rb"P[1-6f](\s|#[^\r\n]*[\r\n])+([-+.eE\d]+(\s|#[^\r\n]*[\r\n])+){2,3}")
_PNM_HEADER_BYTES = 4096


def sniff(content: bytes, name: str) -> str:
    """Return the name of the format: "PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM" or "HEIC".

    Args:
        content: a whole file.
        name: how an error names it.

    Raises:
        InputError: it is empty, or not a picture of an allowed format.
    """
    if not content:
        raise InputError(f"{name} is empty (0 bytes). Save or send the picture again.")
    start = content[:2048]
    for picture_format, pattern in _SIGNATURES:
        if re.match(pattern, start, re.DOTALL):
            return picture_format
    for pattern, what, remedy in _OTHER_KINDS:
        if re.match(pattern, start, re.DOTALL):
            raise InputError(f"{name} is {what}, which digitnet does not read. {remedy}")
    raise InputError(
        f"{name} is not a picture of a known format (it starts with the bytes "
        f"'{start[:8].hex(' ')}'). Allowed: {SHOWN_SUFFIXES}."
    )


def check_blocks(content: bytes, picture_format: str, name: str) -> None:
    """Refuse, before any decoder sees it, a file with very many blocks of metadata.

    Raises:
        InputError: it has more of them than any real picture.
    """
    if picture_format == "PPM" and not _PNM_HEADER.match(content[:_PNM_HEADER_BYTES]):
        raise damaged(name, "PPM", "its header is broken or far too long")
    walk = _WALKS.get(picture_format)
    if walk is None:
        return
    limit = _MAX_BLOCKS[picture_format]
    kinds = list(itertools.islice(walk(content), limit + 1))
    # The standard allows one colour profile; each may unpack to a megabyte.
    if len(kinds) > limit or kinds.count(b"iCCP") > 1:
        reason = f"it holds more than {limit:,} blocks, or repeats one that may occur once"
        raise damaged(name, picture_format, reason)


def check_decoder(content: bytes, decoder: str, pixels: int, name: str) -> None:
    """Refuse, before its pixels are decoded, a file that would take many seconds.

    Args:
        content: the whole file.
        decoder: Pillow's name for the decoder that it needs.
        pixels: width times height.
        name: how an error names it.

    Raises:
        InputError: it would take too long.
    """
    # The marker of a scan, and the high byte of its length, which is 0; in pixels FF is never DA.
    if decoder == "jpeg" and content.count(b"\xff\xda\0") * pixels > _MAX_SCANNED_PIXELS:
        raise InputError(
            f"{name} is a JPEG with too many scans for its {pixels:,} pixels. "
            "Save it again as a plain (baseline) JPEG or as PNG."
        )
    # Comments may occur anywhere among numbers written as text, and removing one costs a copy.
    chatty = decoder == "ppm_plain" and content.count(b"#") > _MAX_COMMENTS
    large = max(len(content), pixels) > _MAX_SLOW_BYTES
    if decoder in _SLOW_DECODERS and (chatty or large):
        raise InputError(
            f"{name} is written in a slow kind of {'BMP' if decoder == 'bmp_rle' else 'PPM'}, "
            f"which may have {_MAX_SLOW_BYTES:,} bytes, as many pixels and {_MAX_COMMENTS} "
            "comments. Save it as PNG."
        )


def damaged(name: str, picture_format: str, reason: str) -> InputError:
    """Return the error for a file that breaks the rules of its format."""
    return InputError(
        f"{name} is a damaged or incomplete {picture_format} picture: {reason}. "
        "Save or send it again."
    )


def _png_chunks(content: bytes) -> Iterator[bytes]:
    position = 8
    while position + 8 <= len(content):
        yield content[position + 4 : position + 8]
        position += 12 + int.from_bytes(content[position : position + 4])


def _jpeg_segments(content: bytes) -> Iterator[bytes]:
    """Yield the markers up to the first scan; a stray byte counts as one too."""
    position = 2
    while position + 4 <= len(content):
        marker = content[position : position + 2]
        yield marker
        if marker == b"\xff\xda":
            return
        known = marker[0] == 0xFF and 0xC0 <= marker[1] < 0xFF
        length = int.from_bytes(content[position + 2 : position + 4])
        position += 2 + length if known else 1


def _gif_blocks(content: bytes) -> Iterator[bytes]:
    """Yield the blocks, and the pieces that they consist of, up to the first picture."""
    flags = content[10] if len(content) > 10 else 0
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while position < len(content) and content[position] == 0x21:
        yield content[position : position + 2]
        position += 2
        while position < len(content) and content[position]:
            yield b"piece"
            position += 1 + content[position]
        position += 1


_WALKS = {"PNG": _png_chunks, "JPEG": _jpeg_segments, "GIF": _gif_blocks}
