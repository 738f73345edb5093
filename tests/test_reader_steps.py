"""The steps of the reader in JavaScript beside those in Python: the same bytes, the same lines."""

import base64
import io
import json
import os
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import reader_constants
from digitnet.reading import finding, grey, line_reading, line_texts
from digitnet.reading.cleaning import cleaned
from digitnet.reading.light import in_even_light, on_one_ground
from digitnet.reading.line_strips import strip_of
from digitnet.reading.line_texts import FoundLine, SignChances
from digitnet.reading.lines import in_lines
from digitnet.reading.model_file import checked
from digitnet.reading.pictures import load
from digitnet.reading.strokes import as_picture, from_strokes
from digitnet.reading.writing import Writing
from digitnet.serving.layers_graph import with_last_layer
from digitnet.serving.lessons import HOW_TAUGHT
from made_up_signs import signs, sure
from serving import recognizer

ROOT = Path(__file__).parent.parent
STATIC = ROOT / "src" / "digitnet" / "static"
READER = STATIC / "reader"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(
    NODE is None and not os.environ.get("DIGITNET_CI"), reason="node is not installed"
)

Grey = NDArray[np.uint8]


def in_javascript(calls: list[tuple[str, str, list[Any]]]) -> list[Any]:
    """Return what functions of the reader answer: module, name and arguments of each."""
    assert NODE, "node is not installed"
    wanted = [{"module": m, "name": n, "arguments": _closed(given)} for m, n, given in calls]
    done = subprocess.run(
        [NODE, str(Path(__file__).with_name("reader_node.mjs"))],
        input=json.dumps(wanted).encode(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert not done.returncode, done.stderr.decode()
    answers: list[Any] = json.loads(done.stdout)
    return answers


def _closed(value: Any) -> Any:
    if isinstance(value, (bytes, np.ndarray)):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {key: _closed(each) for key, each in value.items()}
    return [_closed(each) for each in value] if isinstance(value, (list, tuple)) else value


def picture_of(pixels: Grey) -> dict[str, Any]:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    height, width = pixels.shape[:2]
    return {"data": pixels.tobytes(), "width": width, "height": height, "channels": channels}


def pixels_of(picture: dict[str, Any]) -> Grey:
    flat = np.frombuffer(base64.b64decode(picture["data"]["bytes"]), np.uint8)
    shape = (picture["height"], picture["width"], picture["channels"])
    return flat.reshape(shape if shape[2] > 1 else shape[:2])


def noise(rng: np.random.Generator, *shape: int) -> Grey:
    return rng.integers(0, 256, shape, np.uint8)


def test_constants_are_those_of_python() -> None:
    assert (READER / "constants.js").read_text(encoding="utf-8") == reader_constants.source(), (
        "run: python tools/reader_constants.py"
    )


def test_every_shared_constant_is_used_in_the_browser() -> None:
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in STATIC.glob("*/*.js")
        if path.name != "constants.js"
    )
    for name, _, constants in reader_constants.SHARED:
        unused = [
            constant
            for constant in (each.lstrip("_") for each in constants.split())
            if not re.search(rf"\b(C|{name})\.{constant}\b", text)
        ]
        assert unused == [], name


@needs_node
def test_pictures_are_resized_to_the_bit_as_pillow_does_it() -> None:
    rng = np.random.default_rng(1)
    calls, wanted = [], []
    for case in range(60):
        height, width = (int(side) for side in rng.integers(1, 160, 2))
        if case % 6 == 0:
            height *= 6  # much taller than wide: Pillow then begins with the other axis
        pixels = noise(rng, height, width)
        region = [0.0, 0.0, float(width), float(height)]
        if case % 2:
            left, top = rng.uniform(0, width / 2), rng.uniform(0, height / 2)
            region = [left, top, rng.uniform(left + 0.5, width), rng.uniform(top + 0.5, height)]
        if case % 5 == 0:
            region = [float(round(side)) for side in region]
            region[2:] = max(region[2], region[0] + 1), max(region[3], region[1] + 1)
        size = tuple(int(side) for side in rng.integers(1, 200, 2))
        if case % 10 == 0:
            size = (round(region[2] - region[0]), round(region[3] - region[1]))
        kind = "box" if case % 3 else "bilinear"
        calls.append(("resize.js", "resize", [picture_of(pixels), *size, kind, region]))
        method = Image.Resampling.BOX if kind == "box" else Image.Resampling.BILINEAR
        wanted.append(np.asarray(Image.fromarray(pixels).resize(size, method, tuple(region))))
    for answer, expected in zip(in_javascript(calls), wanted, strict=True):
        np.testing.assert_array_equal(pixels_of(answer), expected)


@needs_node
def test_pictures_are_reduced_sampled_and_blurred_to_the_bit_as_pillow_does_it() -> None:
    rng = np.random.default_rng(2)
    calls, wanted = [], []
    for factor in (2, 3, 4, 5, 6, 7, 8, 11, 16):
        pixels = noise(rng, *(int(side) for side in rng.integers(2, 60, 2)), 3)
        calls.append(("resize.js", "reduce", [picture_of(pixels), factor]))
        wanted.append(np.asarray(Image.fromarray(pixels).reduce(factor)))
        size = tuple(int(side) for side in rng.integers(1, 40, 2))
        calls.append(("resize.js", "nearest", [picture_of(pixels), *size]))
        wanted.append(np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)))
    blurs = [noise(rng, int(rng.integers(1, 50)), int(rng.integers(1, 50))) for _ in range(8)]
    for pixels in blurs:
        height, width = pixels.shape
        calls.append(("resize.js", "boxBlur", [pixels.tobytes(), width, height, 8]))
    answers = in_javascript(calls)
    for answer, expected in zip(answers, wanted, strict=False):
        np.testing.assert_array_equal(pixels_of(answer), expected)
    for answer, pixels in zip(answers[len(wanted) :], blurs, strict=True):
        expected = np.asarray(Image.fromarray(pixels).filter(ImageFilter.BoxBlur(8)))
        found = np.frombuffer(base64.b64decode(answer["bytes"]), np.uint8)
        np.testing.assert_array_equal(found.reshape(pixels.shape), expected)


@needs_node
@pytest.mark.parametrize("kind", ["colours", "pale pen", "clear", "white on nothing"])
def test_grey_is_that_of_python(kind: str) -> None:
    rng = np.random.default_rng(3)
    calls, wanted = [], []
    for factor in (1, 2, 4):
        for sides in ((40, 37), (150, 90), (700, 33)):
            pixels = np.full((*sides, 4), 255, np.uint8)
            ink = rng.random(sides) < 0.2
            if kind == "colours":
                pixels[..., :3] = noise(rng, *sides, 3)
            elif kind == "pale pen":
                pixels[ink, 2] = 40  # yellow: luma hardly sees it
                pixels[..., :3] -= rng.integers(0, 6, (*sides, 3), np.uint8)
            elif kind == "clear":
                pixels[:] = noise(rng, *sides, 4)
            else:
                pixels[..., 3] = ink * 200
            calls.append(("grey.js", "toGrey", [picture_of(pixels), factor]))
            opaque = kind in ("colours", "pale pen")
            image = Image.fromarray(pixels[..., :3].copy() if opaque else pixels)
            small = image.reduce(factor) if factor > 1 else image
            wanted.append(np.asarray(grey.to_grey(small)))
    for answer, expected in zip(in_javascript(calls), wanted, strict=True):
        np.testing.assert_array_equal(pixels_of(answer), expected)


def files() -> dict[str, bytes]:
    """Return PNG files of every kind of pixel that Pillow writes, and others."""
    rng = np.random.default_rng(4)
    colours = Image.fromarray(noise(rng, 23, 31, 4))
    made: dict[str, Image.Image] = {
        "grey": colours.convert("L"),
        "one bit": colours.convert("1"),
        "palette": colours.convert("RGB").quantize(7),
        "grey and opacity": colours.convert("LA"),
        "colours": colours.convert("RGB"),
        "colours and opacity": colours,
        "16 bits": Image.fromarray(rng.integers(0, 65536, (23, 31)).astype(np.uint16)),
        "12 bits in 16": Image.fromarray(rng.integers(0, 4096, (23, 31)).astype(np.uint16)),
        "8 bits in 16": Image.fromarray(rng.integers(0, 256, (23, 31)).astype(np.uint16)),
        "large": Image.fromarray(noise(rng, 40, 2100)),
    }
    encoded = {name: _png(image) for name, image in made.items()}
    encoded["clear colour of a palette"] = _png(made["palette"], transparency=3)
    encoded["clear grey"] = _png(made["grey"], transparency=int(made["grey"].getpixel((3, 3)) or 0))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        encoded[f"orientation {orientation}"] = _png(made["grey"], exif=exif)
    encoded["interlaced"] = interlaced(np.asarray(made["colours"]))
    # What is clear is compared in its own way at each depth.
    for depth in (1, 2, 4):
        lines = noise(rng, 9, 4 * depth)
        clear = struct.pack(">H", lines[0, 0] >> (8 - depth))
        encoded[f"clear grey of {depth} bits"] = png_of(lines, 32, depth, 0, clear)
    lines = noise(rng, 9, 6 * 32)
    lines[:, 7::30] = 5
    # The low byte of what is clear against the pixel's high one, and not against all of it.
    shown = lines[0, :6:2].tobytes()
    for value in (lines[0, :6].tobytes(), struct.pack(">HHH", *shown), bytes(6)):
        encoded[f"clear colour of 16 bits {value.hex()}"] = png_of(lines, 32, 16, 2, value)
    return encoded


def png_of(lines: Grey, width: int, depth: int, kind: int, clear: bytes) -> bytes:
    """Return lines of samples as a PNG with a clear colour."""
    header = struct.pack(">IIBBBBB", width, len(lines), depth, kind, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + line.tobytes() for line in lines))
    return chunks((b"IHDR", header), (b"tRNS", clear), (b"IDAT", content), (b"IEND", b""))


def _png(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def interlaced(pixels: Grey) -> bytes:
    """Return colours as a PNG of seven passes (Adam7), which Pillow reads and does not write."""
    starts = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    lines = b"".join(
        b"\0" + row.tobytes()
        for x, y, across, down in (*starts, (0, 1, 1, 2))
        for row in pixels[y::down, x::across]
    )
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return chunks((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))


def chunks(*parts: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of such chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


@needs_node
def test_png_files_become_the_pixels_that_they_become_in_python() -> None:
    named = files()
    answers = in_javascript([("pictures.js", "loadBytes", [content]) for content in named.values()])
    for (name, content), answer in zip(named.items(), answers, strict=True):
        expected = load(content)
        assert answer.get("scale") == expected.scale, f"{name}: {answer}"
        np.testing.assert_array_equal(pixels_of(answer["picture"]), expected.pixels, name)


@needs_node
def test_broken_exif_data_mean_no_orientation() -> None:
    rng = np.random.default_rng(8)
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(rng, 9, 9)).save(stream, "WEBP", exif=exif)
    whole = stream.getvalue()
    broken = [whole, *(whole[: int(cut)] for cut in rng.integers(0, len(whole), 20))]
    for _ in range(100):
        bytes_ = np.frombuffer(whole, np.uint8).copy()
        bytes_[rng.integers(8, len(whole), 4)] = noise(rng, 4)
        broken.append(bytes_.tobytes())
    broken += [b"RIFF\x08\0\0\0WEBP" + noise(rng, 40).tobytes() for _ in range(20)]
    found = in_javascript([("exif.js", "exifOfWebp", [each]) for each in broken])
    parts = [base64.b64decode(part["bytes"]) if part else None for part in found]
    answers = in_javascript([("exif.js", "orientationOf", [part]) for part in parts])
    assert [answer for answer in answers if not isinstance(answer, int)] == []
    assert answers[0] == 6


@needs_node
def test_boxes_are_put_in_the_lines_of_python() -> None:
    rng = np.random.default_rng(5)
    cases = []
    for case in range(80):
        count = int(rng.integers(0, 25))
        rows = rng.integers(0, 4, count)
        x, slope = rng.uniform(0, 600, count), rng.uniform(-0.3, 0.3) if case % 2 else 0.0
        y = rows * 60 + slope * x + rng.normal(0, 5, count)
        width, height = rng.uniform(4, 30, count), rng.uniform(10, 40, count)
        boxes = np.stack([x, y, x + width, y + height], axis=1).astype(np.float32)
        cases.append(boxes.reshape(-1, 4))
    answers = in_javascript([("lines.js", "inLines", [boxes.tolist()]) for boxes in cases])
    for boxes, answer in zip(cases, answers, strict=True):
        assert tuple(map(tuple, answer)) == in_lines(boxes)


@needs_node
def test_pages_are_those_of_python() -> None:
    rng = np.random.default_rng(6)
    calls, wanted = [], []
    for _ in range(40):
        height, width = (int(side) for side in np.exp(rng.uniform(0, np.log(900), 2)))
        pixels = noise(rng, max(height, 1), max(width, 1))
        scale = finding.page_scale(*pixels.shape)
        whole = (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
        calls.append(("finding.js", "pageOf", [picture_of(pixels), list(whole), scale]))
        wanted.append((scale, finding.page_of(pixels, whole, scale)[0, 0]))
        calls.append(("finding.js", "pageScale", list(pixels.shape)))
    answers = in_javascript(calls)
    for (scale, page), answer, found in zip(wanted, answers[::2], answers[1::2], strict=True):
        assert found == scale
        np.testing.assert_array_equal(np.reshape(answer["data"], page.shape), page)


@needs_node
def test_light_is_evened_to_the_bit_as_in_python() -> None:
    rng = np.random.default_rng(12)
    calls, wanted = [], []
    for case in range(16):
        height, width = (int(side) for side in rng.integers(32, 120, 2))
        page = rng.integers(120, 250, (height, width)).astype(np.float32)
        if case % 4:
            page[:, : width // 3] = (0.4 * page[:, : width // 3]).round()
        given = {"data": page.ravel().tolist(), "width": width, "height": height}
        calls.append(("light.js", "inEvenLight", [given]))
        wanted.append(in_even_light(page))
    assert None in wanted
    for answer, page in zip(in_javascript(calls), wanted, strict=True):
        if page is None:
            assert answer is None
        else:
            np.testing.assert_array_equal(np.reshape(answer["data"], page.shape), page)


@needs_node
def test_a_striped_ground_becomes_one_as_in_python() -> None:
    rng = np.random.default_rng(13)
    pictures = []
    for case in range(24):
        sides = rng.integers(8, 90, 2)
        # Rows and columns too, which are a picture's first and last at once.
        sides[0] = sides[0] if case % 5 else 1
        picture = noise(rng, *map(int, sides)) // 8
        ends = np.sort(rng.integers(0, picture.shape[1] + 1, 2 * (case % 4 > 0)))
        for first, last in zip(ends[::2], ends[1::2], strict=False):
            picture[:, first:last] = 255 - picture[:, first:last]
        pictures.append(np.ascontiguousarray(picture.T if case % 3 else picture))
    wanted = [on_one_ground(picture) for picture in pictures]
    calls = [("light.js", "onOneGround", [picture_of(picture)]) for picture in pictures]
    assert 4 < sum(each is None for each in wanted) < 20, "some of both"
    for answer, picture in zip(in_javascript(calls), wanted, strict=True):
        assert (answer is None) == (picture is None)
        if picture is not None:
            np.testing.assert_array_equal(pixels_of(answer), picture)


@needs_node
def test_small_pictures_are_cleaned_as_in_python() -> None:
    rng = np.random.default_rng(14)
    pictures = []
    for case in range(24):
        height, width = (int(side) for side in rng.integers(1, 41, 2))
        picture = noise(rng, height, width)
        if case % 4 == 1:
            picture = np.where(picture > 180, 255, 10).astype(np.uint8)
        elif case % 4:
            picture = np.where(picture > 220, picture, 0 if case % 4 == 2 else picture // 4)
            picture[picture > 240] = 255
        pictures.append(np.ascontiguousarray(picture))
    pictures += [255 - picture for picture in pictures]
    calls = [("cleaning.js", "cleaned", [picture_of(picture)]) for picture in pictures]
    wanted = [cleaned(picture) for picture in pictures]
    assert 2 < sum(each is None for each in wanted) < 24, "some of both"
    for answer, clean in zip(in_javascript(calls), wanted, strict=True):
        assert (answer is None) == (clean is None)
        if clean is not None:
            np.testing.assert_array_equal(pixels_of(answer), clean)


@needs_node
def test_signs_that_may_be_there_stand_in_the_same_lines_as_in_python() -> None:
    rng = np.random.default_rng(15)
    calls, wanted, dropped = [], [], 0
    for case in range(24):
        boxes = row_of_boxes(rng, int(rng.integers(3, 10)))
        shrunk = rng.uniform(0.1, 1, len(boxes)) ** (case % 3)
        boxes[:, :2] = boxes[:, 2:] - shrunk[:, None] * (boxes[:, 2:] - boxes[:, :2])
        presence = rng.choice([0.02, 0.55, 0.7, 0.97, 0.99], len(boxes))
        found = signs(*(("3", there, 0.9) for there in presence), boxes=boxes.astype(np.float32))
        plain = [
            {
                "box": found.boxes[place].tolist(),
                "presence": float(found.presence[place]),
                "digitShare": float(found.digit_share[place]),
                "probabilities": found.probabilities[place].tolist(),
                "oodScore": float(found.ood_score[place]),
            }
            for place in range(len(found))
        ]
        model = {"threshold": 0.5, "classNames": list("0123456789")}
        calls.append(("writing.js", "Writing.foundLines", [[plain, model]]))
        lines = Writing(found, 0.5, tuple("0123456789")).found_lines()
        dropped += int((presence > 0.5).sum()) - sum(len(line.boxes) for line in lines)
        wanted.append([line.boxes.tolist() for line in lines])
    assert dropped > 5
    assert [[line["boxes"] for line in lines] for lines in in_javascript(calls)] == wanted


def row_of_boxes(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Return boxes of signs in a row that slopes, and may reach beyond a picture's edges."""
    side = rng.uniform(6, 40)
    x = rng.uniform(0, 30) + np.arange(count) * side * rng.uniform(0.7, 1.5)
    y = rng.uniform(0, 60) + rng.uniform(-0.4, 0.4) * x * (rng.random() < 0.8)
    size = side * rng.uniform([[0.2], [0.6]], [[0.9], [1.1]], (2, count))
    return np.stack([x, y, x + size[0], y + size[1]], axis=1).astype(np.float32)


@needs_node
def test_strips_are_those_of_python() -> None:
    rng = np.random.default_rng(9)
    calls, wanted = [], []
    for _ in range(60):
        pixels = noise(rng, int(rng.integers(20, 160)), int(rng.integers(60, 500)))
        boxes = row_of_boxes(rng, int(rng.integers(1, 20)))
        boxes[:, ::2] = boxes[:, ::2].clip(0, pixels.shape[1])
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, pixels.shape[0])
        calls.append(("line_strips.js", "stripOf", [picture_of(pixels), boxes.tolist()]))
        wanted.append(strip_of(pixels, boxes))
    assert None in wanted
    for answer, strip in zip(in_javascript(calls), wanted, strict=True):
        if strip is None:
            assert answer is None
            continue
        found = np.frombuffer(base64.b64decode(answer["pixels"]["bytes"]), np.uint8)
        np.testing.assert_array_equal(found.reshape(-1, answer["width"]), strip.pixels)
        places = [answer[name] for name in ("left", "right", "level", "slope", "high")]
        assert places == list(strip[1:])


def columns_of(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return columns, some of which say surely that nothing begins there."""
    logits = rng.normal(0, 3, (count, 12))
    logits[:, line_texts.BLANK] += 30 * (rng.random(count) < 0.3)
    return logits - np.logaddexp.reduce(logits, axis=1)[:, None]


def line_of(rng: np.random.Generator, count: int) -> FoundLine:
    classes = rng.dirichlet(np.full(10, 0.2), count).clip(1e-6, 1 - 1e-6)
    presence = rng.random(count).astype(np.float32).astype(np.float64)
    presence[0] = 0.9
    boxes = row_of_boxes(rng, count)
    return FoundLine(np.arange(count), boxes, presence, rng.random(count), classes)


@needs_node
def test_lines_say_what_they_say_in_python() -> None:
    rng = np.random.default_rng(10)
    calls, lines, names = [], [], ("boxes", "presence", "likeness", "classes")
    for _ in range(40):
        columns, line = columns_of(rng, int(rng.integers(8, 40))), line_of(rng, 5)
        text = "".join(rng.choice(list(line_texts.SIGNS), int(rng.integers(1, 7))))
        lines.append((columns, line, text))
        seen, found = columns.tolist(), {name: getattr(line, name).tolist() for name in names}
        calls += [
            ("line_texts.js", "likeliestTexts", [seen]),
            ("line_texts.js", "ofColumns", [seen, text]),
            ("line_texts.js", "placesOf", [seen, text]),
            ("line_texts.js", "SignChances.of", [[found, -4], text]),
            ("line_texts.js", "SignChances.aligned", [[found, -4], text]),
            ("line_reading.js", "optionsOf", [found, seen]),
        ]
    answers = iter(in_javascript(calls))
    for columns, line, text in lines:
        texts, chance, places, by_signs, aligned, options = (next(answers) for _ in range(6))
        expected = line_texts.likeliest_texts(columns)
        assert [each for each, _ in texts] == list(expected)
        np.testing.assert_allclose([score for _, score in texts], list(expected.values()), 1e-9)
        impossible = line_texts.of_columns(columns, text) == -np.inf
        assert (chance is None) == impossible
        if not impossible:
            assert chance == pytest.approx(line_texts.of_columns(columns, text), rel=1e-9)
            assert places == line_texts.places_of(columns, text)
        chances = SignChances(line, -4)
        assert by_signs == pytest.approx(chances.of(text), rel=1e-9)
        assert aligned == chances.aligned(text)
        heard = line_reading.evidence_of(line, SignChances(line, line_reading.MISSED), columns)
        shares = heard.scores @ line_reading.weights(line)
        shares -= np.logaddexp.reduce(shares)
        doubts = heard.doubts(shares) @ line_reading.DOUBTS
        order = np.argsort(-shares, kind="stable")
        assert [each["text"] for each in options] == [heard.texts[at] for at in order]
        np.testing.assert_allclose([each["share"] for each in options], shares[order], 1e-9, 1e-12)
        np.testing.assert_allclose([each["doubt"] for each in options], doubts[order], 1e-9)


@needs_node
def test_what_stands_out_is_that_of_python() -> None:
    rng = np.random.default_rng(11)
    calls, wanted = [], []
    for _ in range(30):
        pixels = noise(rng, *(int(side) for side in rng.integers(3, 400, 2)))
        box = (rng.random(4) * 1.2 - 0.1) * np.tile(pixels.shape[::-1], 2)
        corners = (*np.minimum(box[:2], box[2:]).tolist(), *np.maximum(box[:2], box[2:]).tolist())
        calls.append(("line_reading.js", "roughInk", [picture_of(pixels), list(corners)]))
        wanted.append(line_reading.rough_ink(pixels, corners).pixels)
    for answer, expected in zip(in_javascript(calls), wanted, strict=True):
        shape = (answer["height"], answer["width"])
        np.testing.assert_array_equal(np.reshape(np.float32(answer["data"]), shape), expected)


@needs_node
def test_strokes_are_drawn_to_the_bit_as_python_draws_them() -> None:
    rng = np.random.default_rng(7)
    drawings: list[Any] = [[], [[]], [[[3, 4]]], [[[5, 5], [5, 5]]], [[[0, 0], [1e-310, 0]]]]
    drawings += [[[[4e307, -4e307], [-4e307, 4e307]]], [[[0, 0], [300, 0]]], [[[0, 0], [0, 9]]]]
    for _ in range(30):
        size = float(np.exp(rng.uniform(-3, 8)))
        lengths = rng.integers(1, 9, int(rng.integers(1, 7)))
        points = 2 + int(rng.integers(0, 2))
        drawings.append(
            [(rng.random((int(n), points)) * [size, size, 1][:points]).tolist() for n in lengths]
        )
    pens = [
        None if case % 3 else float(np.exp(rng.uniform(-3, 4))) for case in range(len(drawings))
    ]
    calls = [("strokes.js", "fromStrokes", [drawing]) for drawing in drawings]
    calls += [
        ("strokes.js", "asPicture", [drawing, pen])
        for drawing, pen in zip(drawings, pens, strict=True)
    ]
    answers = in_javascript(calls)
    for drawing, answer in zip(drawings, answers, strict=False):
        ink = from_strokes(drawing).pixels
        np.testing.assert_array_equal(np.float32(answer["data"]).reshape(ink.shape), ink)
    for drawing, pen, answer in zip(drawings, pens, answers[len(drawings) :], strict=True):
        expected = as_picture(drawing, pen)
        np.testing.assert_array_equal(pixels_of(answer["picture"]), expected.pixels)
        found = [answer[name] for name in ("scale", "left", "top")]
        assert found == [expected.scale, expected.left, expected.top]


@needs_node
def test_boxes_of_drawings_are_those_of_python() -> None:
    rng = np.random.default_rng(5)
    calls, wanted = [], []
    for _ in range(40):
        height = int(rng.integers(20, 300))
        drawing = [[[20 * k, 0], [20 * k, height]] for k in range(int(rng.integers(2, 30)))]
        picture = as_picture(drawing)
        boxes = rng.integers(0, 90, (24, 4)).astype(np.float32)
        boxes[:, 2:] += boxes[:, :2] + 1
        reading = Writing(signs(*sure("1" * 24), boxes=boxes), 0.5, tuple("0123456789")).reading()
        where = {name: getattr(picture, name) for name in ("scale", "left", "top")}
        calls.append(("strokes.js", "placed", [reading.as_dict(), where]))
        wanted.append(picture.placed(reading).as_dict())
    for answer, expected in zip(in_javascript(calls), wanted, strict=True):
        for line, other in zip(answer["lines"], expected["lines"], strict=True):
            for one, digit in zip(line["digits"], other["digits"], strict=True):
                assert one["box"] == digit["box"]


TURNED = """
import { upright } from "%s";

const answers = [];
for (const [count, quarter, confidence, across] of JSON.parse(process.argv[1])) {
  // Upright where the corner is white; digits are read surely there, and nowhere else.
  const [width, height] = quarter %% 2 ? [200, 300] : [300, 200];
  const data = new Uint8Array(width * height);
  data[[0, height * width - width, height * width - 1, width - 1][quarter]] = 255;
  let looks = 0;
  const look = (picture) => ({
    writing: async () => {
      looks++;
      const sure = picture.data[0] === 255 ? confidence : 0.3;
      const digits = Array.from({ length: count }, () => ({ is_digit: true, confidence: sure }));
      const whole = sure ** count;
      const reason = whole < 0.5 ? "uncertain" : null;
      const lines = across ? [{ digits }] : digits.map((digit) => ({ digits: [digit] }));
      return { reading: () => ({ lines, confidence: whole, reason }) };
    },
  });
  const read = async (found) => (await found.writing(1)).reading();
  const found = await upright(look, read, { data, width, height, channels: 1 });
  answers.push([found.quarter, looks]);
}
process.stdout.write(JSON.stringify(answers));
"""


@needs_node
def test_pages_are_turned_as_in_python_and_plain_ones_looked_at_no_other_way() -> None:
    assert NODE
    # Digits, how the page lies, how sure they are, whether they stand in a row; then by how much it
    # is turned, and looks.
    cases = {
        (25, 0, 0.95, True): (0, 1),
        (25, 2, 0.95, True): (2, 4),
        (25, 1, 0.95, True): (1, 5),
        (15, 0, 0.95, True): (0, 4),
        (4, 2, 0.97, True): (2, 6),
        (4, 1, 0.97, True): (1, 6),
        (4, 2, 0.97, False): (2, 6),
        (4, 1, 0.97, False): (0, 4),
    }
    program = TURNED % (READER / "turning.js").as_uri()
    command = [NODE, "--input-type=module", "-e", program, json.dumps([*cases])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not done.returncode, done.stderr
    assert json.loads(done.stdout) == [[*each] for each in cases.values()]


@needs_node
def test_what_is_no_drawing_is_refused_in_a_sentence() -> None:
    wrong = ["ab", [[1, 2]], [[[1, 2], [3]]], [[[1, None]]], [[[1, 2, 1.5]]], 3, [[[1, 2, 3, 4]]]]
    for answer in in_javascript([("strokes.js", "asPicture", [each]) for each in wrong]):
        assert answer["error"] == "InputError", answer
        assert answer["message"].endswith(".")
    (answer,) = in_javascript([("strokes.js", "asPicture", [[[[1, 2]]], -1])])
    assert "positive" in answer["message"]
    long = [[[0, 0]]] * 3 + [[[k % 2, 1 - k % 2] for k in range(30_000)]]
    for answer in in_javascript(
        [("strokes.js", name, [long]) for name in ("fromStrokes", "asPicture")]
    ):
        assert "to and fro" in answer["message"]


@needs_node
def test_a_model_taught_in_the_browser_says_what_one_of_the_service_does() -> None:
    content = recognizer().content
    weight, bias = (np.zeros(shape, np.float32) for shape in ((11, 128), 11))
    about = {"taught": HOW_TAUGHT, "taught_from": recognizer().sha256}
    whole = with_last_layer(content, weight, bias, about)
    entries = in_javascript([("../page/engines.js", "metadata", [row]) for row in about.items()])
    added = b"".join(base64.b64decode(each["bytes"]) for each in entries)
    assert whole == with_last_layer(content, weight, bias, {}) + added
    assert checked("The taught model", whole).metadata.items() >= about.items()
