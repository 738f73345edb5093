import functools
import io
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from digitnet.errors import InputError, UsageError
from digitnet.synthesis.pens import put_ink
from digitnet.synthesis.photographs import CONDITIONS, SCENES, can_show, simulate
from digitnet.synthesis.scenes import paint

each_condition = pytest.mark.parametrize("condition", CONDITIONS)
COUNT = 12


@pytest.fixture(scope="module")
def digits(sample):
    return sample.test_images[:COUNT]


@pytest.fixture(scope="module")
def setting(digits):
    """Return a function: condition → its digits as fields and scenes, one for each image."""

    @functools.cache
    def make(condition):
        generators = (np.random.default_rng([7, index]) for index in range(COUNT))
        return [
            SCENES[condition](image, rng) for image, rng in zip(digits, generators, strict=True)
        ]

    return make


def opened(content):
    """Return the picture upright, as a viewer shows it: uint8 (H, W, 3)."""
    return np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))


def levels(drawing, scene):
    """Return the mean brightness of the digit's ink and of the paper beside it."""
    picture = paint(drawing, scene, np.random.default_rng(0)).astype(float)
    grey = picture if picture.ndim == 2 else picture.mean(axis=2)
    window, ink = put_ink(drawing, scene.shape, scene.centre, scene.side, scene.tilt)
    seen = grey[window]
    beside = cv2.dilate(ink, np.ones((9, 9))) == 0
    return seen[ink > 0.8 * ink.max()].mean(), seen[beside].mean()


def test_the_reading_errors_and_the_mixtures():
    assert CONDITIONS == (
        "corner",
        "tiny",
        "huge",
        "thin",
        "thick",
        "inverted",
        "faint",
        "rotated_exif",
        "shadow",
        "squared",
        "photo",
        "ruled",
        "pencil",
        "clean_page",
    )


@each_condition
def test_every_picture_is_a_whole_file(condition, digits):
    for index, image in enumerate(digits[:3]):
        content = simulate(image, condition, 0, index)
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.format in {"PNG", "JPEG"}
            picture.load()
            assert 60 <= min(picture.size) <= max(picture.size) <= 800


@each_condition
def test_seed_index_and_image_decide(condition, digits):
    one = simulate(digits[0], condition, 1, 5)
    assert one == simulate(digits[0], condition, 1, 5)
    others = [
        simulate(digits[0], condition, 2, 5),
        simulate(digits[0], condition, 1, 6),
        simulate(digits[1], condition, 1, 5),
    ]
    assert len({one, *others}) == 4


@each_condition
def test_the_digit_is_whole_and_differs_from_the_paper(condition, setting):
    for drawing, scene in setting(condition):
        window, ink = put_ink(drawing, scene.shape, scene.centre, scene.side, scene.tilt)
        page = np.zeros(scene.shape, np.float32)
        page[window] = ink
        edges = np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])
        assert edges.max() < 0.5
        dark, light = levels(drawing, scene)
        assert abs(light - dark) > 0.09 * max(light, dark)


@each_condition
def test_the_box_is_where_the_scene_says(condition, setting):
    for drawing, scene in setting(condition):
        window, ink = put_ink(drawing, scene.shape, scene.centre, scene.side, 0)
        rows, columns = np.nonzero(ink > 0.25 * ink.max())
        # The box is known to a quarter of a pixel of the image, the strokes to one on the page.
        slack = 1.5 + 0.25 * scene.side / drawing.side
        high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert max(high, wide) == pytest.approx(scene.side, abs=slack)
        x = columns.min() + wide / 2 + window[1].start
        y = rows.min() + high / 2 + window[0].start
        assert x == pytest.approx(scene.centre[0], abs=slack)
        assert y == pytest.approx(scene.centre[1], abs=slack)


def test_corner_digits_are_small_and_at_the_edge(setting):
    for drawing, scene in setting("corner"):
        height, width = scene.shape
        assert 0.15 <= scene.side / min(scene.shape) <= 0.25
        x, y = scene.centre
        # From the digit's box to the nearest side of the page.
        gap_x = min(x, width - x) - drawing.width / drawing.side * scene.side / 2
        gap_y = min(y, height - y) - drawing.height / drawing.side * scene.side / 2
        assert min(gap_x, gap_y) <= 0.07 * min(scene.shape)


def test_tiny_digits_are_10_to_16_pixels(setting):
    for _, scene in setting("tiny"):
        assert 10 <= scene.side <= 16
        assert 200 <= max(scene.shape) <= 400


def test_huge_digits_fill_the_frame(setting):
    for _, scene in setting("huge"):
        assert 0.9 <= scene.side / max(scene.shape) <= 0.98


def test_thin_and_thick_pens(setting):
    thin_pens = [drawing.stroke / drawing.side for drawing, _ in setting("thin")]
    assert 0.02 < min(thin_pens) < max(thin_pens) < 0.06
    thick_pens = [drawing.stroke / drawing.side for drawing, _ in setting("thick")]
    assert 0.2 < np.median(thick_pens) < 0.28
    assert max(thick_pens) < 0.3


def test_inverted_is_light_on_dark(setting):
    for drawing, scene in setting("inverted"):
        ink, page = levels(drawing, scene)
        assert page < 80
        assert ink > page + 80


def test_faint_ink_is_little_darker_than_the_paper(setting):
    for drawing, scene in setting("faint"):
        ink, page = levels(drawing, scene)
        assert 0.09 < 1 - ink / page < 0.28


def test_shadow_edge_crosses_the_digit(setting):
    for drawing, scene in setting("shadow"):
        lit = paint(drawing, scene, np.random.default_rng(0)).mean(axis=2)
        assert 0.4 <= scene.shadow.light <= 0.7
        x, y = scene.shadow.through
        assert abs(x - scene.centre[0]) < scene.side / 2
        assert abs(y - scene.centre[1]) < scene.side / 2
        # Light and shade: paper of both kinds is on the page.
        assert np.quantile(lit, 0.02) < 0.75 * np.quantile(lit, 0.98)


def test_squares_are_a_half_to_a_fifth_of_the_digit_and_paler(setting):
    for _, scene in setting("squared"):
        assert 2 <= scene.side / scene.lines.pitch <= 5
        assert scene.lines.squared
        line = np.mean(scene.lines.colour)
        assert np.mean(scene.pen) < line < np.mean(scene.paper)


def test_lines_are_where_their_pitch_says(setting):
    for drawing, scene in setting("ruled")[:5]:
        grey = paint(drawing, scene, np.random.default_rng(0)).mean(axis=2)
        lines = scene.lines
        # Along a line through the phase, paper is darker than half a pitch beside it.
        x = np.arange(scene.shape[1]) + 0.5
        slope = np.tan(np.radians(lines.tilt))
        on, beside = [], []
        for shift, found in ((0, on), (0.5, beside)):
            y = lines.phase[1] + shift * lines.pitch + (x - lines.phase[0]) * slope
            inside = (y >= 0) & (y < scene.shape[0])
            found.extend(grey[y[inside].astype(int), x[inside].astype(int)])
        if on and beside:
            assert np.median(on) < np.median(beside)


def test_a_rotated_photo_is_upright_again_by_its_tag(digits):
    tags = set()
    for index, image in enumerate(digits):
        content = simulate(image, "rotated_exif", 0, index)
        with Image.open(io.BytesIO(content)) as picture:
            tags.add(picture.getexif()[0x0112])
        upright = opened(content)
        # The same photograph, never turned.
        turned = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert turned.shape == upright.shape
        assert np.abs(turned[..., ::-1].astype(int) - upright).max() <= 3
        raw = cv2.imdecode(
            np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
        # Vignette and lamp aside, the stored pixels are another picture.
        assert raw.shape != turned.shape or np.abs(raw.astype(int) - turned).max() > 30
    assert tags == {3, 6, 8}


def test_upright_means_as_painted(digits):
    rng = np.random.default_rng([0, zlib.crc32(b"rotated_exif"), 2])
    drawing, scene = SCENES["rotated_exif"](digits[2], rng)
    painted = paint(drawing, scene, rng)[..., ::-1]
    upright = opened(simulate(digits[2], "rotated_exif", 0, 2))
    assert upright.shape == painted.shape
    assert np.abs(upright.astype(int) - painted).mean() < 6


@each_condition
def test_a_blank_image_gives_an_empty_page(condition):
    assert opened(simulate(np.zeros((28, 28), np.uint8), condition, 0)).ndim == 3


@pytest.fixture
def bold_three(sample):
    """A 3 whose bar reaches out of its broad strokes by less than half their width."""
    assert sample.test_labels[39] == 3
    return sample.test_images[39]


def test_only_conditions_about_the_pen_cannot_show_every_digit(bold_three):
    unable = {name for name in CONDITIONS if not can_show(bold_three, name)}
    assert unable == {"thin", "thick"}


def test_an_unknown_condition_names_the_nearest(digits):
    with pytest.raises(UsageError, match="Did you mean 'shadow'"):
        simulate(digits[0], "shadows", 0)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1)])
def test_negative_seeds_are_refused(seed, index, digits):
    with pytest.raises(UsageError, match="0 or more"):
        simulate(digits[0], "photo", seed, index)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((27, 28), np.uint8),
        np.zeros((1, 28, 28), np.uint8),
        np.zeros((28, 28), np.float32),
    ],
    ids=["another size", "a batch", "floats"],
)
def test_other_arrays_are_refused(image):
    with pytest.raises(InputError, match=r"uint8 of shape \(28, 28\)"):
        simulate(image, "photo", 0)


def test_neither_simulator_nor_corruptions_need_torch():
    code = "import sys, digitnet.synthesis.photographs, digitnet.synthesis.corruptions; print('torch' in sys.modules)"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
