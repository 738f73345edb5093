import base64
import contextlib
import gzip
import io
import os
import resource
import socket
import subprocess
import sys
import time
import urllib.parse
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import GifImagePlugin, Image, ImageFile, PngImagePlugin

import bad_pictures
from bad_pictures import STORED, digit, encode, exif, grey_png
from digitnet.errors import InputError
from digitnet.reading import picture_bytes
from digitnet.reading.picture_bytes import describe
from digitnet.reading.pictures import MAX_PIXELS, MAX_SIDE, Picture, decode, load

DIGIT = digit()
PNG = grey_png()
ENCODINGS = bad_pictures.encodings()
FOREIGN = bad_pictures.foreign()
BOMBS = bad_pictures.bombs()


def off(pixels, expected=DIGIT):
    """Return by how much pixels differ, at most."""
    assert pixels.shape == expected.shape
    return np.abs(pixels.astype(int) - expected).max()


def outcome(source):
    """Return the picture or the error, and allow nothing else."""
    try:
        pixels = decode(source)
    except InputError as error:
        return error
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 2
    assert pixels.flags.c_contiguous
    return pixels


# ---- one digit, many ways


def test_there_are_at_least_forty_encodings():
    assert len(ENCODINGS) >= 40


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_digit_is_the_same_picture_however_it_is_encoded(name):
    file, tolerance = ENCODINGS[name]
    picture = load(file)
    assert isinstance(picture, Picture)
    assert picture.scale == 1.0
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable
    assert off(picture.pixels) <= tolerance


def sources(tmp_path):
    path = tmp_path / "digit.png"
    path.write_bytes(PNG)
    later = io.BytesIO(b"header" + PNG)
    later.seek(6)
    yield from (path, str(path), PNG, bytearray(PNG), memoryview(PNG), io.BytesIO(PNG), later)
    yield from (path.open("rb"), path.open("rb", buffering=0), Image.open(path), DIGIT)


def test_every_kind_of_source_gives_the_same_picture(tmp_path):
    for source in sources(tmp_path):
        with source if hasattr(source, "close") else contextlib.nullcontext():
            assert off(decode(source)) == 0, source


def test_a_dash_is_the_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PNG)))
    assert off(decode("-")) == 0


def test_no_standard_input_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="no standard input"):
        decode("-")


def test_the_content_decides_and_not_the_name_of_the_file(tmp_path):
    for name in ("digit.jpg", "digit.txt", "digit", "ümläut ½.png", os.fsdecode(b"\xff\xfe.png")):
        path = tmp_path / name
        path.write_bytes(PNG)
        assert off(decode(path)) == 0
        assert off(decode(str(path))) == 0
    (tmp_path / "folder").mkdir()
    assert off(decode(tmp_path / "folder" / ".." / "digit")) == 0
    (tmp_path / "link").symlink_to(tmp_path / "digit")
    assert off(decode(tmp_path / "link")) == 0


# ---- EXIF


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_a_turned_picture_is_set_upright(orientation, picture_format):
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](DIGIT)))
    options = {"lossless": True} if picture_format == "WEBP" else {"quality": 95}
    file = encode(stored, picture_format, exif=exif(orientation), **options)
    assert off(decode(file)) <= (12 if picture_format == "JPEG" else 0)
    # A Pillow image, decoded or not yet, is treated as its file is.
    opened = Image.open(io.BytesIO(file))
    assert off(decode(opened), decode(file)) == 0
    assert off(decode(opened), decode(file)) == 0


@pytest.mark.parametrize("orientation", [6, 8])
def test_a_large_photo_is_set_upright(orientation):
    stored = np.full((800, 2400), 255, np.uint8)
    stored[:100, :300] = 0
    picture = load(encode(Image.fromarray(stored), "JPEG", exif=exif(orientation)))
    assert picture.pixels.shape == (1200, 400)
    assert picture.scale == 2
    corner = (0, -1) if orientation == 6 else (-1, 0)
    assert picture.pixels[corner] == 0


@pytest.mark.parametrize("orientation", [0, 9, 1000])
def test_an_unknown_orientation_is_upright(orientation):
    assert off(decode(grey_png(exif=exif(orientation)))) == 0


GARBAGE = [
    b"Exif\0\0",
    b"Exif\0\0garbage in here",
    b"Exif\0\0II*\0\xff\xff\xff\xff",
    exif(6)[:-9],
    exif(6)[:12] + b"\xff" * 12,
    b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xfe" * 300,
]


@pytest.mark.parametrize("action", ["ignore", "error"])
@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("picture_format", ["JPEG", "PNG"])
def test_garbage_for_exif_costs_neither_the_picture_nor_a_warning(garbage, picture_format, action):
    file = encode(Image.fromarray(DIGIT), picture_format, quality=95, exif=garbage)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        filters = list(warnings.filters)
        assert off(decode(file)) <= 12
        assert warnings.filters == filters


# ---- grey


def on_paper(ink, paper=(255, 255, 255), side=120):
    image = np.full((side, side, 3), paper, np.uint8)
    image[40:80, 55:62] = ink
    return image


PENS = {
    "yellow": (255, 255, 0),
    "orange": (255, 165, 0),
    "cyan": (0, 255, 255),
    "light green": (150, 255, 150),
    "pale yellow": (255, 250, 190),
}


@pytest.mark.parametrize("pen", PENS)
def test_a_pale_pen_is_as_clear_as_its_clearest_colour(pen):
    pixels = decode(on_paper(PENS[pen]))
    assert np.ptp(pixels) == 255 - min(PENS[pen])
    assert pixels[60, 58] < pixels[0, 0]


@pytest.mark.parametrize("ink", [(0, 0, 0), (20, 30, 90), (255, 0, 0), (90, 90, 90)])
@pytest.mark.parametrize("paper", [(255, 255, 255), (250, 235, 200), (90, 140, 200)])
def test_other_pens_are_seen_by_luma(ink, paper):
    image = on_paper(ink, paper)
    luma = image @ [0.299, 0.587, 0.114]
    if np.ptp(image.reshape(-1, 3), axis=0).max() < 2 * np.ptp(luma):
        assert np.abs(decode(image) - luma).max() <= 1


def test_a_yellow_pen_is_found_in_uneven_light_beside_a_dark_table():
    light = np.linspace(1, 0.6, 400)[:, np.newaxis, np.newaxis]
    image = on_paper((255, 240, 30), side=400) * light
    image[:, 380:] = 60
    pixels = decode(image.astype(np.uint8))
    assert pixels[60, 58] < pixels[60, 100] - 150


def test_noise_on_blank_paper_has_no_colour():
    noise = np.random.default_rng(0).normal(200, 4, (300, 300, 3)).clip(0, 255).astype(np.uint8)
    luma = noise @ [0.299, 0.587, 0.114]
    assert np.abs(decode(noise) - luma).max() <= 1


def test_white_ink_on_nothing_is_seen_on_black():
    alpha = 255 - DIGIT
    white = np.full_like(DIGIT, 255)
    drawn = np.dstack([white, white, white, alpha])
    assert off(decode(drawn), alpha) <= 1
    assert off(decode(encode(Image.fromarray(drawn), "PNG")), alpha) <= 1


def test_nothing_at_all_is_white_paper():
    assert (decode(np.zeros((5, 6, 4), np.uint8)) == 255).all()
    assert (decode(np.full((5, 6, 4), (255, 255, 255, 0), np.uint8)) == 255).all()


MODES = ["1", "L", "P", "LA", "PA", "RGB", "RGBA", "RGBa", "La", "RGBX", "CMYK", "YCbCr", "HSV"]


@pytest.mark.parametrize("mode", [*MODES, "I", "F", "I;16"])
def test_a_pillow_image_of_any_mode_is_read_and_left_alone(mode):
    pixels = np.where(DIGIT < 128, 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    via = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA", "HSV": "RGB", "I;16": "I"}.get(mode, mode)
    image = image.convert(via).convert(mode)
    before = image.mode, image.size, image.tobytes()
    assert off(decode(image), pixels) <= 1
    assert (image.mode, image.size, image.tobytes()) == before


def test_a_large_pillow_image_is_not_made_smaller_itself():
    image = Image.open(io.BytesIO(encode(Image.new("L", (3000, 100)), "JPEG")))
    assert load(image).scale == 2
    assert image.size == (3000, 100)


def test_the_frame_that_a_pillow_image_is_at_is_read():
    image = Image.open(io.BytesIO(ENCODINGS["GIF animated"][0]))
    image.seek(1)
    assert (decode(image) == 0).all()


def test_a_pillow_image_that_cannot_be_decoded_is_an_error():
    lazy = Image.open(io.BytesIO(PNG[:120]))
    with pytest.raises(InputError, match="damaged or incomplete"):
        decode(lazy)
    closed = Image.open(io.BytesIO(PNG))
    closed.close()
    with pytest.raises(InputError, match="was closed before its pixels were read"):
        decode(closed)
    with Image.open(io.BytesIO(PNG)) as left:
        pass
    with pytest.raises(InputError, match="was closed before its pixels were read"):
        decode(left)
    with Image.open(io.BytesIO(PNG)) as loaded:
        loaded.load()
    assert off(decode(loaded)) == 0


# ---- arrays

COLUMN = DIGIT[:, :, np.newaxis]
ARRAYS = {
    "uint8": DIGIT,
    "one channel": COLUMN,
    "RGB": np.repeat(COLUMN, 3, axis=2),
    "RGBA": np.concatenate([np.repeat(COLUMN, 3, axis=2), np.full_like(COLUMN, 255)], axis=2),
    "bool": DIGIT > 127,
    "int64": DIGIT.astype(np.int64),
    "uint16 of 8 bits": DIGIT.astype(np.uint16),
    "uint16": DIGIT.astype(np.uint16) * 257,
    "big-endian": DIGIT.astype(">u2") * 257,
    "uint16 RGB": np.repeat(COLUMN, 3, axis=2).astype(np.uint16) * 257,
    "float64 in 0..1": DIGIT / 255,
    "float16 in 0..1": (DIGIT / 255).astype(np.float16),
    "float32 in 0..255": DIGIT.astype(np.float32),
    "float RGB": np.repeat(COLUMN, 3, axis=2) / 255,
    "overshooting floats": (DIGIT / 255 - 0.5) * 1.001 + 0.5,
    "not contiguous": np.repeat(np.repeat(DIGIT, 2, 0), 2, 1)[::2, ::2],
    "mirrored": DIGIT[:, ::-1][:, ::-1],
    "Fortran order": np.asfortranarray(DIGIT),
    "leading axis": DIGIT[np.newaxis],
    "leading axes": DIGIT[np.newaxis, np.newaxis] / 255,
    "batch of one RGB": np.repeat(COLUMN, 3, axis=2)[np.newaxis],
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name):
    array = ARRAYS[name]
    before = array.copy()
    pixels = decode(array)
    expected = np.where(DIGIT > 127, 255, 0) if name == "bool" else DIGIT
    assert off(pixels, expected) == 0
    assert pixels.flags.c_contiguous
    pixels[:] = 7
    assert (array == before).all()


@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
def test_whole_numbers_are_scaled_by_the_depth_that_holds_them_and_keep_their_order(depth):
    values = np.arange(2**depth, dtype=np.uint16).reshape(-1, 256 if depth > 8 else 16)
    pixels = decode(values).ravel().astype(int)
    assert pixels[0] == 0
    assert pixels[-1] == 255
    assert (np.diff(pixels) >= 0).all()
    assert len(set(pixels)) == 256


BAD_ARRAYS = {
    "()": (np.zeros((), np.uint8), "shape"),
    "(28,)": (np.zeros(28), "shape"),
    "(0, 28)": (np.zeros((0, 28)), "no pixels"),
    "(28, 28, 0)": (np.zeros((28, 28, 0)), "shape"),
    "(28, 28, 2)": (np.zeros((28, 28, 2)), r"shape \(28, 28, 2\)"),
    "(28, 28, 5)": (np.zeros((28, 28, 5)), r"Allowed: \(height, width\)"),
    "(3, 28, 28)": (np.zeros((3, 28, 28)), "transpose"),
    "(9, 28, 28)": (np.zeros((9, 28, 28)), "one at a time"),
    "(1, 2, 28, 28)": (np.zeros((1, 2, 28, 28)), "one at a time"),
    "NaN": (np.full((5, 5), np.nan), "NaN"),
    "one NaN": (np.where(np.eye(5), np.nan, 0.5), "NaN"),
    "infinity": (np.where(np.eye(5), np.inf, 0.5), "infinity"),
    "negative float": (np.linspace(-1, 1, 25).reshape(5, 5), "from -1 to 1.*0 to 1 or 0 to 255"),
    "float of 1.5": (np.linspace(0, 1.5, 25).reshape(5, 5), "from 0 to 1.5"),
    "float of 3": (np.linspace(0, 3, 25).reshape(5, 5), "from 0 to 3"),
    "colours to 1, opacity to 255": (np.full((5, 5, 4), (0.0, 0.5, 1.0, 255.0)), "up to 255"),
    "colours to 255, opacity to 65535": (
        np.full((5, 5, 4), (0, 9, 255, 65535), np.uint16),
        "65535",
    ),
    "colours to 65535, opacity to 255": (
        np.full((5, 5, 4), (0, 9, 65535, 255), np.uint16),
        "65535",
    ),
    "colours to 255, opacity to 1": (np.full((5, 5, 4), (0, 9, 255, 1), np.uint8), "up to 1"),
    "float of 300": (np.linspace(0, 300, 25).reshape(5, 5), "0 to 255"),
    "negative int": (np.arange(-5, 20).reshape(5, 5), "from -5 to 19"),
    "int of 70,000": (np.arange(25).reshape(5, 5) * 70_000, "0 to 65535"),
    "0 and 1": (np.eye(5, dtype=np.uint8), "only the whole numbers 0 and 1.*255"),
    "object": (np.full((5, 5), None), "type object"),
    "text": (np.full((5, 5), "7"), "type <U1"),
    "complex": (np.zeros((5, 5), complex), "type complex128"),
    "structured": (np.zeros((5, 5), [("r", "u1")]), "type"),
    "date": (np.zeros((5, 5), "M8[s]"), "type"),
    "huge": (np.broadcast_to(np.uint8(0), (MAX_PIXELS, 2)), "pixels; a picture may have"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_other_arrays_are_refused_with_what_is_allowed(name):
    array, message = BAD_ARRAYS[name]
    with pytest.raises(InputError, match=message):
        decode(array)


@pytest.mark.parametrize("opacity", [0, 255])
def test_black_strokes_of_any_opacity_are_a_picture(opacity):
    decode(np.full((5, 5, 4), (0, 0, 0, opacity), np.uint8))


def test_blank_arrays_are_pictures():
    for value in (0, 1, 128, 255):
        assert (decode(np.full((4, 5), value, np.uint8)) == value).all()


@pytest.mark.parametrize(
    "source",
    [None, 7, object(), {}, 3.5],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_a_picture_at_all_is_refused(source):
    with pytest.raises(InputError, match="Allowed: a path"):
        decode(source)


# ---- size

SIZES = [(1, 1), (2048, 3), (2049, 3), (4097, 5), (1, 10_000), (10_000, 1), (2050, 2049)]


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "array"])
@pytest.mark.parametrize("size", SIZES)
def test_a_large_picture_is_halved_until_it_fits(size, picture_format):
    image = Image.new("L", size, 99)
    plain = picture_format == "array"
    picture = load(np.asarray(image) if plain else encode(image.convert("RGB"), picture_format))
    height, width = picture.pixels.shape
    assert max(height, width) <= MAX_SIDE
    assert (width, height) == tuple(-(-side // int(picture.scale)) for side in size)
    assert picture.scale in (1.0, 2.0, 4.0, 8.0)
    assert picture.scale == 1 or max(size) * 2 > MAX_SIDE * picture.scale
    assert off(picture.pixels, np.full((height, width), 99)) <= 2


def test_a_photo_made_smaller_shows_the_same_in_every_format():
    y, x = np.mgrid[:600, :2400]
    photo = np.where((x - 900) ** 2 + (y - 300) ** 2 < 150**2, 40, 150 + x // 30).astype(np.uint8)
    expected = load(photo)
    for file in (encode(Image.fromarray(photo), name) for name in ("JPEG", "PNG", "TIFF")):
        picture = load(file)
        assert picture.scale == expected.scale == 2
        assert np.abs(picture.pixels.astype(int) - expected.pixels).mean() < 1


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_white_ink_on_a_clear_ground_is_seen(kind):
    ink = np.zeros((40, 40), kind)
    ink[10:30, 18:22] = np.iinfo(kind).max
    stream = io.BytesIO()
    Image.fromarray(ink).save(stream, "PNG", transparency=0)
    assert np.ptp(decode(stream.getvalue())) == 255


def test_transparent_edges_keep_their_shade_when_halved():
    drawn = np.zeros((60, 2400, 4), np.uint8)
    drawn[:, 1::2] = (0, 0, 0, 255)
    # Every second column black on nothing: a middle grey, whatever the colour of the nothing.
    drawn[:, ::2, :3] = 200
    assert off(decode(drawn), np.full((30, 1200), 127)) <= 1


def test_no_more_than_the_allowed_bytes_are_read(monkeypatch, tmp_path):
    path = tmp_path / "digit.png"
    path.write_bytes(PNG)
    monkeypatch.setattr(picture_bytes, "MAX_BYTES", len(PNG))
    for source in sources(tmp_path):
        with source if hasattr(source, "close") else contextlib.nullcontext():
            assert off(decode(source)) == 0
    monkeypatch.setattr(picture_bytes, "MAX_BYTES", len(PNG) - 1)
    for source in (path, PNG, io.BytesIO(PNG)):
        with pytest.raises(InputError, match=f"more than {len(PNG) - 1} bytes"):
            decode(source)


# ---- broken and malicious files


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_a_picture_is_named_with_what_to_do(name, tmp_path):
    file, message = FOREIGN[name]
    path = tmp_path / "seven.png"
    path.write_bytes(file)
    for source, says in ((file, "<bytes>"), (path, "seven.png")):
        with pytest.raises(InputError, match=message) as caught:
            decode(source)
        assert says in str(caught.value)
        assert str(caught.value).endswith(".")


def test_a_cut_file_is_an_error():
    for name, file in bad_pictures.truncated():
        error = outcome(file)
        assert isinstance(error, InputError), name
        assert "incomplete" in str(error) or "empty" in str(error), name


def test_a_png_that_lacks_only_its_end_is_whole():
    assert off(decode(PNG[:-12])) == 0


def test_a_wrong_checksum_is_an_error():
    body = PNG.index(b"IHDR")
    for place in (body + 20, body + 6):
        file = bytearray(PNG)
        file[place] ^= 1
        assert isinstance(outcome(bytes(file)), InputError)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_once(name):
    file, message = BOMBS[name]
    start = time.process_time()
    with pytest.raises(InputError, match=message):
        decode(file)
    # Far less; a busy machine is no failure.
    assert time.process_time() - start < 1


def test_bombs_take_no_memory():
    script = (
        "import resource, bad_pictures, digitnet.reading.pictures as p\n"
        "files = [file for file, _ in bad_pictures.bombs().values()]\n"
        "p.decode(bad_pictures.grey_png())\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for file in files:\n"
        "    try: p.decode(file)\n"
        "    except p.InputError: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    folder = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, check=True
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(run.stdout) * unit < 100_000_000


def test_an_honest_progressive_photo_is_read():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 1200), np.uint8))
    assert decode(encode(image, "JPEG", progressive=True)).shape == (900, 1200)


def test_many_honest_blocks_are_read():
    frames = [Image.new("L", (8, 8), shade) for shade in range(200)]
    for name in ("PNG", "GIF", "TIFF"):
        file = encode(frames[0], name, save_all=True, append_images=frames[1:])
        assert (decode(file) == 0).all()
    assert off(decode(bad_pictures.with_text("x" * 900_000))) == 0
    comment = encode(Image.fromarray(DIGIT), "GIF", comment=b"x" * 60_000)
    assert off(decode(comment)) == 0


def test_damage_gives_a_picture_or_an_error_and_nothing_on_stderr(capfd):
    for file in bad_pictures.flipped(seed=0, count=400):
        outcome(file)
    assert capfd.readouterr().err == ""


STARTS = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\1\0\0WEBP", b"BM", b"II*\0", b"MM\0*"]


@given(
    st.sampled_from([*STARTS, b"GIF89a", b"P2 ", b"P4 ", b"P5\n2 2\n255\n", b"Pf\n", b""]),
    st.binary(max_size=200),
)
def test_any_bytes_give_a_picture_or_an_error(start, rest):
    outcome(start + rest)


def test_float_files_must_hold_numbers():
    for value in (np.nan, np.inf, -3, 1000):
        values = np.full((4, 4), value, np.float32)
        values[0, 0] = 0
        with pytest.raises(InputError, match="holds"):
            decode(encode(Image.fromarray(values), "TIFF"))


# ---- paths and open files


@pytest.fixture
def strange(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(PNG)
    (tmp_path / "folder").mkdir()
    return tmp_path


STRANGE = {
    "pipe": "named pipe.*'-'",
    "loop": "link leads back",
    "dead": "Cannot read .*dead: No such file.*spelling",
    "folder": "is a folder.*one picture in it",
    "missing.png": "Cannot read .*missing.png: No such file.*spelling",
    "file/inside": "a file, not a folder",
    "nul\0.png": "cannot be the name of a file",
    "lone\ud800.png": "cannot be the name of a file",
    "x" * 5000: "too long",
    "/dev/zero": "a device",
    "/dev/null": "a device",
    "": "folder|No such file",
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_paths_are_errors_at_once(name, strange):
    start = time.monotonic()
    for source in (strange / name, str(strange / name)) if name else (Path(), ""):
        with pytest.raises(InputError, match=STRANGE[name]) as caught:
            decode(source)
        assert len(str(caught.value)) < 400
        assert str(caught.value).isprintable()
    # Waiting for a writer, or reading on, would take for ever.
    assert time.monotonic() - start < 20


def test_a_socket_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(InputError, match=r"socket is .* not a file"):
            decode("socket")


def test_an_unreadable_file_is_an_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    # The administrator may read every file.
    monkeypatch.setattr(os, "open", refuse)
    (tmp_path / "digit.png").write_bytes(PNG)
    with pytest.raises(InputError, match=r"Cannot read .*digit\.png: Permission denied"):
        decode(tmp_path / "digit.png")


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_is_left_open(strange):
    before = open_descriptors()
    for name in ("pipe", "folder", "file", "missing"):
        outcome(strange / name)
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", "damaged or incomplete PNG"),
        ("  DATA:image/png;base64, iVBO Rw0K\nGgo", "damaged or incomplete PNG"),
        ("data:image/png;base64,iVBO!", "not valid base64"),
        ("data:image/png;base64", "<data URL> is empty"),
        ("data:,seven", "<data URL> is not a picture"),
        ("https://example.org/7.png", "web address.*Download"),
        ("iVBORw0KGgoAAAANSUhEUgAA" * 300, "too long"),
    ],
)
def test_a_text_is_a_path_and_not_a_picture(text, message):
    with pytest.raises(InputError, match=message):
        decode(text)


class Stream:
    name = 3

    def __init__(self, part):
        self.part = part

    def read(self, size):
        return self.part


def test_open_files_that_give_no_bytes_are_errors(tmp_path):
    path = tmp_path / "digit.png"
    path.write_bytes(PNG)
    closed = io.BytesIO(PNG)
    closed.close()
    cases = [
        (io.StringIO("7"), "not bytes"),
        (Stream(None), "NoneType, not bytes"),
        (Stream(7), "int, not bytes"),
        (closed, "closed"),
    ]
    for stream, message in cases:
        with pytest.raises(InputError, match=message):
            decode(stream)
    with path.open("ab") as stream, pytest.raises(InputError, match="Cannot read"):
        decode(stream)


def test_an_endless_stream_is_left_after_the_most_that_is_allowed(monkeypatch):
    monkeypatch.setattr(picture_bytes, "MAX_BYTES", 3_000_000)
    with Path("/dev/zero").open("rb") as stream, pytest.raises(InputError, match="3,000,000 bytes"):
        decode(stream)
    with pytest.raises(InputError, match="3,000,000 bytes"):
        decode(Stream(bytes(999)))


def test_a_stream_of_small_parts_is_read_to_its_end():
    stream = io.BytesIO(PNG)
    part = Stream(b"")
    part.read = lambda size: stream.read(7)
    assert off(decode(part)) == 0


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("photo.jpg", "photo.jpg"),
        (Path("a/photo.jpg"), "a/photo.jpg"),
        ("-", "<stdin>"),
        (b"", "<bytes>"),
        (bytearray(), "<bytes>"),
        (DIGIT, "<array>"),
        (io.BytesIO(), "<BytesIO>"),
        (Image.new("L", (1, 1)), "<Image>"),
        (Stream(b""), "<Stream>"),
        ([], "<list>"),
        ("a\nb\x1b[31m", r"a\nb\x1b[31m"),
        ("", "''"),
    ],
)
def test_names(source, name):
    assert describe(source) == name


def test_names_are_short_and_printable():
    assert describe("x" * 1000 + "/photo.jpg").endswith("/photo.jpg")
    assert len(describe("x" * 1000)) <= 80
    assert describe(os.fsdecode(b"\xff.png")).isprintable()


def test_an_open_file_is_named_by_its_path(tmp_path):
    path = tmp_path / "seven.png"
    path.write_bytes(b"seven")
    with path.open("rb") as stream, pytest.raises(InputError, match=r"seven\.png is not a picture"):
        decode(stream)


# ---- the rest of the process


def settings():
    return (
        ImageFile.LOAD_TRUNCATED_IMAGES,
        Image.MAX_IMAGE_PIXELS,
        PngImagePlugin.MAX_TEXT_CHUNK,
        GifImagePlugin.LOADING_STRATEGY,
        list(warnings.filters),
        resource.getrlimit(resource.RLIMIT_AS),
    )


def test_no_setting_of_the_process_is_changed():
    before = settings()
    for file, _ in [*ENCODINGS.values(), *FOREIGN.values(), *BOMBS.values()]:
        outcome(file)
    assert settings() == before


def test_pillow_s_own_limit_does_not_warn(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert off(decode(PNG)) == 0


def test_many_threads_decode_at_once():
    files = [file for file, _ in ENCODINGS.values()]
    files += [encode(Image.fromarray(DIGIT), "JPEG", exif=garbage) for garbage in GARBAGE]
    expected = [outcome(file) for file in files]
    before = settings()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(outcome, files * 4))
    for result, alone in zip(results, expected * 4, strict=True):
        assert np.array_equal(result, alone) or str(result) == str(alone)
    assert settings() == before


def test_a_file_that_was_read_to_its_end_is_refused():
    stream = io.BytesIO()
    Image.new("L", (9, 9)).save(stream, "PNG")
    with pytest.raises(InputError, match=r"nothing left to read.*seek\(0\)"):
        decode(stream)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([[0, 1], [1, 0]], "only the whole numbers 0 and 1"),
        ([[0, 1], [1]], "rows of one length"),
        ((1, 2), r"shape \(2,\).*predict_many"),
        ([], r"shape \(0,\)"),
        (["a.png", "b.png"], "predict_many"),
        ([["a", "b"]], "type <U1"),
    ],
)
def test_lists_that_are_not_a_picture_are_refused(values, says):
    with pytest.raises(InputError, match=says):
        decode(values)


def test_nested_lists_and_tensors_are_arrays():
    tensor = torch.from_numpy(DIGIT / np.float32(255)).requires_grad_()
    for source in (DIGIT.tolist(), (DIGIT / 255).tolist(), tensor, torch.from_numpy(DIGIT)):
        assert off(decode(source)) == 0
    with pytest.raises(InputError, match="numbers, in rows"):
        decode(torch.zeros(3, 3, dtype=torch.bfloat16))


def test_a_data_url_is_the_picture_in_it():
    packed = base64.b64encode(PNG).decode()
    broken = "\n".join(packed[start : start + 60] for start in range(0, len(packed), 60))
    for url in (
        f"data:image/png;base64,{packed}",
        f" DATA:;base64,{broken.rstrip('=')}\n",
        f"data:image/png,{urllib.parse.quote_from_bytes(PNG)}",
    ):
        assert off(decode(url)) == 0
        assert off(decode(url.encode())) == 0
    assert describe(f"data:image/png;base64,{packed}") == "<data URL>"


def heic():
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    image = np.repeat(np.kron(DIGIT, np.ones((4, 4), np.uint8))[:, :, np.newaxis], 3, axis=2)
    pillow_heif.from_pillow(Image.fromarray(image)).save(stream, quality=95)
    return stream.getvalue()


def test_a_stream_that_breaks_off_is_an_input_error():
    content = gzip.compress(PNG)
    for broken in (content[:-20], b"\x1f\x8b" + bytes(30)):
        with pytest.raises(InputError, match="Cannot read"):
            decode(gzip.GzipFile(fileobj=io.BytesIO(broken)))


def test_a_heic_photo_is_read_with_pillow_heif():
    picture = decode(heic())
    assert off(picture, np.kron(DIGIT, np.ones((4, 4), np.uint8))) <= 40
    assert isinstance(outcome(heic()[:-500]), InputError)


def test_without_pillow_heif_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r"HEIC photo.*pip install pillow-heif.*JPEG or PNG"):
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


def test_libtiff_is_silent_only_while_a_tiff_is_decoded(capfd):
    broken = ENCODINGS["TIFF tiff_lzw"][0]
    broken = broken.replace(broken[8:40], bytes(32))
    with ThreadPoolExecutor(4) as pool:
        assert all(isinstance(one, InputError) for one in pool.map(outcome, [broken] * 40))
    assert capfd.readouterr().err == ""
    with pytest.raises(OSError, match="decoder error"), Image.open(io.BytesIO(broken)) as image:
        image.load()
    assert capfd.readouterr().err
