"""Pictures of every kind, whole, odd, broken and malicious, made by script."""

import io
import itertools
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, PngImagePlugin

ORIENTATION = 0x0112
# Where an upright picture has to be put for each EXIF orientation to bring it back.
STORED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda a: np.rot90(np.transpose(a), 2),
    8: lambda a: np.rot90(a, -1),
}


def digit(height: int = 36, width: int = 28) -> np.ndarray:
    """Return a 7 with soft edges, dark on white, of no symmetry: uint8 (height, width)."""
    y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
    bar = np.abs(y - 0.2) * height - 1.5 + 99 * ((x < 0.2) | (x > 0.8))
    stem = np.abs(x - 0.8 + 0.5 * (y - 0.2)) * width - 1.5 + 99 * ((y < 0.2) | (y > 0.85))
    ink = np.clip(1.5 - np.minimum(bar, stem), 0, 1)
    return np.rint(255 - 235 * ink).astype(np.uint8)


def encode(image: Image.Image, picture_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, picture_format, **options)
    return stream.getvalue()


def grey_png(pixels: np.ndarray | None = None, **options: object) -> bytes:
    return encode(Image.fromarray(digit() if pixels is None else pixels), "PNG", **options)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags.tobytes()


# ---- one digit in many encodings


def encodings() -> dict[str, tuple[bytes, int]]:
    """Return files of ``digit()``, each with how far its grey may be off."""
    pixels = digit()
    grey = Image.fromarray(pixels)
    rgb = grey.convert("RGB")
    files: dict[str, tuple[bytes, int]] = {}
    for name in ("PNG", "BMP", "TIFF", "GIF", "PPM"):
        files[f"{name} L"] = encode(grey, name), 0
        files[f"{name} RGB"] = encode(rgb, name), 0
    for options in ({}, {"progressive": True}, {"subsampling": 0}):
        files[f"JPEG L {options}"] = encode(grey, "JPEG", quality=95, **options), 12
        files[f"JPEG RGB {options}"] = encode(rgb, "JPEG", quality=95, **options), 12
    files["JPEG CMYK"] = encode(rgb.convert("CMYK"), "JPEG", quality=95), 12
    files["JPEG YCCK"] = _ycck(pixels), 12
    files["MPO"] = encode(rgb, "MPO", quality=95, save_all=True, append_images=[rgb.rotate(9)]), 12
    files["WEBP lossless"] = encode(rgb, "WEBP", lossless=True), 0
    files["WEBP lossy"] = encode(rgb, "WEBP", quality=95), 16
    files["TIFF CMYK"] = encode(rgb.convert("CMYK"), "TIFF"), 1
    files["TIFF LAB"] = encode(_lab(rgb), "TIFF"), 6
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_jpeg"):
        tolerance = 40 if compression == "tiff_jpeg" else 0
        files[f"TIFF {compression}"] = encode(grey, "TIFF", compression=compression), tolerance
    files |= {name: (content, tolerance) for name, content, tolerance in _deep(pixels)}
    files |= {name: (content, tolerance) for name, content, tolerance in _transparent(pixels)}
    files |= {name: (content, 0) for name, content in _animations(grey)}
    return files


def _ycck(pixels: np.ndarray) -> bytes:
    """Return what Photoshop writes: inverted, as luma, two neutral chromas and black."""
    neutral, none = np.full_like(pixels, 127), np.zeros_like(pixels)
    bands = [Image.fromarray(band) for band in (pixels, neutral, neutral, none)]
    content = encode(Image.merge("CMYK", bands), "JPEG", quality=95)
    adobe = content.index(b"Adobe")
    return content[: adobe + 11] + b"\2" + content[adobe + 12 :]


def _lab(rgb: Image.Image) -> Image.Image:
    from PIL import ImageCms

    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(rgb, srgb, lab, outputMode="LAB")
    image.info.clear()
    return image


def _deep(pixels: np.ndarray) -> Iterator[tuple[str, bytes, int]]:
    sixteen = pixels.astype(np.uint16) * 257
    yield "PNG I;16", encode(Image.fromarray(sixteen), "PNG"), 0
    yield "TIFF I;16", encode(Image.fromarray(sixteen), "TIFF"), 0
    # Pillow writes no big-endian TIFF of its own.
    yield "TIFF I;16B", _big_endian_tiff(sixteen), 0
    yield "PPM 16 bit", encode(Image.fromarray(sixteen), "PPM"), 0
    yield "PNG I;16 of 8-bit values", encode(Image.fromarray(pixels.astype(np.uint16)), "PNG"), 0
    twelve = np.rint(pixels * (4095 / 255)).astype(np.uint16)
    yield "PNG I;16 of 12-bit values", encode(Image.fromarray(twelve), "PNG"), 1
    yield "TIFF I", encode(Image.fromarray(sixteen.astype(np.int32)), "TIFF"), 0
    yield "TIFF F in 0..1", encode(Image.fromarray(pixels / np.float32(255)), "TIFF"), 0
    yield "TIFF F in 0..255", encode(Image.fromarray(pixels.astype(np.float32)), "TIFF"), 0
    yield "PFM", encode(Image.fromarray(pixels / np.float32(255)), "PPM"), 0
    yield "PNG RGB of 16 bit", _png(pixels, depth=16, colour=2), 0
    yield "PNG LA of 16 bit", _png(pixels, depth=16, colour=4), 0
    text = " ".join(map(str, pixels.ravel()))
    height, width = pixels.shape
    yield "PPM text", f"P2 # a comment\n{width} {height}\n255\n{text}\n".encode(), 0


def _transparent(pixels: np.ndarray) -> Iterator[tuple[str, bytes, int]]:
    alpha = 255 - pixels
    black = np.zeros_like(pixels)
    white = np.full_like(pixels, 255)
    rgba = np.dstack([black, black, black, alpha])
    yield "PNG RGBA", encode(Image.fromarray(rgba), "PNG"), 1
    yield "WEBP RGBA", encode(Image.fromarray(rgba), "WEBP", lossless=True), 1
    yield "TIFF RGBA", encode(Image.fromarray(rgba), "TIFF"), 1
    yield "PNG LA", encode(Image.fromarray(rgba).convert("LA"), "PNG"), 1
    # Nothing is to be seen of the colour of what is wholly transparent.
    hidden = np.dstack([pixels, pixels, pixels, np.where(pixels < 255, white, black)])
    hidden[pixels == 255, :3] = 0
    yield "PNG RGBA on transparent black", encode(Image.fromarray(hidden), "PNG"), 0
    palette = Image.fromarray(pixels).convert("P")
    yield "PNG P", encode(palette, "PNG"), 0
    # The paper's colour, white, is declared transparent, and is white still.
    yield "PNG P with transparency", encode(palette, "PNG", transparency=255), 0
    yield "GIF P with transparency", encode(palette, "GIF", transparency=255), 0
    graded = Image.fromarray(black).convert("P")
    graded.putdata(list(alpha.ravel()))
    graded.putpalette([0, 0, 0] * 256)
    yield "PNG P with graded alpha", encode(graded, "PNG", transparency=bytes(range(256))), 1
    yield "PNG L with a key", encode(Image.fromarray(pixels), "PNG", transparency=255), 0
    key = np.where(pixels == 255, np.uint16(0), pixels.astype(np.uint16) * 257)
    yield "PNG I;16 with a key", encode(Image.fromarray(key), "PNG", transparency=0), 0


def _animations(grey: Image.Image) -> Iterator[tuple[str, bytes]]:
    others = [Image.new("L", grey.size, shade) for shade in (0, 128)]
    options = {"save_all": True, "append_images": others}
    yield "GIF animated", encode(grey, "GIF", **options)
    yield "APNG", encode(grey, "PNG", **options)
    yield "TIFF of pages", encode(grey, "TIFF", **options)
    frames = [image.convert("RGB") for image in others]
    options = {"save_all": True, "append_images": frames, "lossless": True}
    yield "WEBP animated", encode(grey.convert("RGB"), "WEBP", **options)


def _big_endian_tiff(values: np.ndarray) -> bytes:
    height, width = values.shape
    tags = [(256, width), (257, height), (258, 16), (259, 1), (262, 1), (277, 1), (278, height)]
    start = 8 + 2 + 12 * (len(tags) + 2) + 4
    tags += [(273, start), (279, values.size * 2)]
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in sorted(tags))
    head = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)
    return head + values.astype(">u2").tobytes()


# ---- PNG by hand


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """Return a PNG of these (deflated) rows, with extra chunks before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = header + b"".join(extra) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _png(pixels: np.ndarray, depth: int, colour: int) -> bytes:
    values = pixels.astype(">u2") * 257
    bands = {2: [values] * 3, 4: [values, np.full_like(values, 65535)]}[colour]
    rows = b"".join(b"\0" + row.tobytes() for row in np.stack(bands, axis=-1).astype(">u2"))
    return png(pixels.shape[1], pixels.shape[0], depth, colour, zlib.compress(rows))


# ---- broken and malicious files; each must be refused, or be a picture


def foreign() -> dict[str, tuple[bytes, str]]:
    """Return files of other kinds, each with a word that its error must hold."""
    return {
        "empty": (b"", "empty"),
        "one byte": (b"\x89", "known format"),
        "text": (b"seven\n", "known format"),
        "zeros": (bytes(5000), "known format"),
        "AVIF": (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF.*JPEG or PNG"),
        "MP4": (b"\0\0\0\x18ftypisom\0\0\0\0", "video.*frame"),
        "SVG": (b'<?xml version="1.0"?>\n<!-- x -->\n<svg width="9">', "SVG.*PNG"),
        "PDF": (b"%PDF-1.7\n", "PDF.*Export"),
        "late PDF": (b"\n\n%PDF-1.7\n", "PDF"),
        "PostScript": (b"%!PS-Adobe-3.0", "PostScript"),
        "ICO": (encode(Image.new("RGB", (16, 16)), "ICO"), "icon.*JPEG or PNG"),
        "ICNS": (b"icns\0\0\0\0", "icon"),
        "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        "JPEG XL": (b"\xff\x0a\0", "JPEG XL"),
        "PSD": (b"8BPS\0\1", "Photoshop"),
        "DDS": (b"DDS \x7c", "DDS"),
        "PAM": (b"P7\nWIDTH 1\n", "PAM"),
        "FITS": (b"SIMPLE  =                    T", "FITS"),
        "BDF": (b"STARTFONT 2.1\n", "font"),
        "GD": (b"\xff\xfe\0\1\0\1\1" + bytes(99), "known format"),
        "HTML": (b"\n<!DOCTYPE html><html>", "web page"),
        "ZIP": (b"PK\3\4" + bytes(30), "ZIP"),
        "gzip": (b"\x1f\x8b\x08\0", "archive.*Unpack"),
        "npy": (b"\x93NUMPY\1\0v\0{'descr': '|O'", "numpy.load"),
        "IDX": (b"\0\0\x08\3\0\0\0\1", "IDX"),
        "base64": (b"iVBORw0KGgoAAAANSUhEUg", "base64"),
        "base64 in lines": (b"\n\n/9j/4AAQSkZJ", "base64"),
        "pickle": (b"\x80\4\x95", "known format"),
        "script": (b"#!/bin/sh\n", "known format"),
    }


def bombs() -> dict[str, tuple[bytes, str]]:
    """Return small files that would cost a naive reader memory or minutes."""
    empty = zlib.compress(b"\0\0")
    text = chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(20_000_000), 9))
    international = chunk(b"iTXt", b"key\0\1\0\0\0" + zlib.compress(bytes(20_000_000), 9))
    profile = chunk(b"iCCP", b"key\0\0" + zlib.compress(bytes(900_000), 9))
    return {
        "PNG 50k × 50k": (png(50_000, 50_000, 8, 0, zlib.compress(bytes(10**6))), "50,000 × 50,00"),
        "PNG 2³¹ × 2³¹": (png(2**31 - 1, 2**31 - 1, 8, 6, empty), "pixels|damaged"),
        "PNG zTXt": (png(1, 1, 8, 0, empty, text), "damaged"),
        "PNG iTXt": (png(1, 1, 8, 0, empty, international), "damaged"),
        "PNG of profiles": (png(1, 1, 8, 0, empty, *[profile] * 50), "blocks"),
        "PNG of chunks": (png(1, 1, 8, 0, empty, chunk(b"teSt", b"") * 100_000), "blocks"),
        "PNG of empty IDAT": (png(1, 1, 8, 0, empty, chunk(b"IDAT", b"") * 100_000), "blocks"),
        "JPEG of scans": (scans(), "scans"),
        "JPEG of comments": (_jpeg_comments(100_000), "blocks"),
        "JPEG of stray bytes": (b"\xff\xd8\xff" + b"\x00" * 5_000_000, "blocks"),
        "GIF of comments": (_gif_comments(b"\x21\xfe\x01a\0" * 200_000), "blocks"),
        "GIF of a long comment": (_gif_comments(b"\x21\xfe" + b"\x01a" * 200_000), "blocks"),
        "GIF 65535 × 65535": (
            b"GIF89a" + b"\xff" * 4 + bytes(3) + b"," + bytes(4) + b"\xff" * 4 + b"\0\2",
            "pixels",
        ),
        "BMP 65535 × 65535": (_bmp(65_535, 65_535, 24, 0, b""), "65,535 × 65,535"),
        "BMP of short runs": (_bmp(2_000, 2_000, 8, 1, b"\1\0" * 4_000_000), "slow"),
        "BMP of line ends": (_bmp(40_000_000, 1, 8, 1, bytes(1000)), "slow"),
        "PGM of text": (b"P2 4000 4000 255 " + b"0 " * 4_000_000, "slow"),
        "PGM of 254 levels": (b"P5 4000 1000 254 " + bytes(4_000_000), "slow"),
        "PGM of comments": (b"P2 1000 1000 255 " + b"#\n" * 1_000_000, "slow"),
        "PGM of one comment": (b"P5 #" + b"x" * 10_000_000 + b"\n1 1 255 \0", "header"),
        "PGM of blanks": (b"P5 " + b" " * 10_000_000 + b"1 1 255 \0", "header"),
        "PGM 10¹⁰ × 10": (b"P5 9999999999 10 255 " + bytes(9), "pixels|damaged"),
        "PGM of no size": (b"P5 0 0 255 ", "damaged|no pixels"),
        "TIFF tile": (_tiff(10, 10, tile=60_000), "pixels"),
        "TIFF 10⁵ × 10⁵": (_tiff(100_000, 100_000), "pixels"),
        "WEBP 16383 × 16383": (_webp(16_383, 16_383), "pixels|damaged"),
        "WEBP canvas": (_webp_canvas(), "pixels"),
    }


def _jpeg_comments(count: int) -> bytes:
    whole = encode(Image.fromarray(digit()), "JPEG")
    return whole[:2] + b"\xff\xfe\0\2" * count + whole[2:]


def scans(side: int = 2000, count: int = 2000) -> bytes:
    """Return a progressive JPEG whose last scan comes again and again."""
    whole = encode(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * count + whole[-2:]


def _gif_comments(blocks: bytes) -> bytes:
    return b"GIF89a\1\0\1\0\0\0\0" + blocks + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;"


def _bmp(width: int, height: int, bits: int, compression: int, rows: bytes) -> bytes:
    palette = bytes(1024) if bits == 8 else b""
    start = 54 + len(palette)
    head = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return head + info + palette + rows


def _tiff(width: int, height: int, tile: int = 0) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 277: 1}
    body = zlib.compress(bytes(100_000))
    start = 8 + 2 + 12 * (len(tags) + (4 if tile else 3)) + 4
    places = {322: tile, 323: tile, 324: start, 325: len(body)}
    tags |= places if tile else {273: start, 278: height, 279: len(body)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + body


def _riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _webp(width: int, height: int) -> bytes:
    """Return a lossless WebP that says it is this large and holds nothing."""
    bits = (width - 1) | (height - 1) << 14
    body = b"\x2f" + struct.pack("<I", bits) + bytes(99)
    return _riff(b"VP8L" + struct.pack("<I", len(body)) + body)


def _webp_canvas() -> bytes:
    """Return a WebP whose small picture lies on a huge canvas."""
    small = encode(Image.new("RGBA", (8, 8), (0, 0, 0, 9)), "WEBP", lossless=True)[12:]
    frame = bytes(6) + struct.pack("<I", 7)[:3] * 2 + struct.pack("<I", 9)[:3] + b"\0" + small
    size = struct.pack("<I", 16_383)[:3]
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\x12\0\0\0" + size * 2
    animation = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return _riff(canvas + animation + b"ANMF" + struct.pack("<I", len(frame)) + frame)


def truncated() -> Iterator[tuple[str, bytes]]:
    """Yield files cut at every tenth, each small enough to need all of its bytes."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)
    image = Image.fromarray(noise)
    for name in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"):
        whole = encode(image, name)
        for tenth in range(10):
            yield f"{name} {tenth}0 %", whole[: len(whole) * tenth // 10]


def flipped(seed: int, count: int) -> Iterator[bytes]:
    """Yield pictures in which some bytes are others."""
    rng = np.random.default_rng(seed)
    files = [content for content, _ in encodings().values()]
    for content in itertools.islice(itertools.cycle(files), count):
        damaged = bytearray(content)
        # Headers come first and are where most goes wrong.
        for _ in range(int(rng.integers(1, 6))):
            reach = len(damaged) if rng.random() < 0.5 else min(200, len(damaged))
            damaged[int(rng.integers(reach))] = int(rng.integers(256))
        yield bytes(damaged)


def with_text(text: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", text)
    return grey_png(pnginfo=info)
