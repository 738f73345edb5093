import io
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from digitnet.errors import InputError, UsageError
from digitnet.synthesis.pens import can_be_redrawn, draw, put_ink, thin
from digitnet.synthesis.photographs import CONDITIONS, SCENES, can_show, simulate, simulate_many
from digitnet.synthesis.scenes import paint

each_condition = pytest.mark.parametrize("condition", CONDITIONS)
COUNT = 24


@pytest.fixture(scope="module")
def digits(sample):
    return sample.test_images[:COUNT]


@pytest.fixture(scope="module")
def setting(digits):
    """Return a function: condition → its drawings and scenes, one for each digit."""

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


def loops(ink):
    """Return how many pieces of paper the ink encloses."""
    paper = np.pad((ink < 0.5).astype(np.uint8), 1, constant_values=1)
    return cv2.connectedComponents(paper, connectivity=4)[0] - 2


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
    for content in simulate_many(digits[:6], condition, seed=0):
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


def test_many_are_the_same_as_one_by_one(digits):
    pictures = list(simulate_many(digits[:5], "photo", 3))
    assert pictures == [simulate(digits[i], "photo", 3, i) for i in range(5)]
    assert list(simulate_many(digits[:2], "photo", 3)) == pictures[:2]


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


@pytest.mark.parametrize("stroke", [None, 0.04, 0.1])
def test_a_drawing_looks_like_its_image(stroke, digits):
    likeness = []
    for image in digits:
        drawing = draw(image, stroke, always=True)
        # Back in the place and size that MNIST gives it; seen from afar, pens do not differ.
        rows, columns = np.nonzero(image > 107)
        side = max(np.ptp(rows), np.ptp(columns)) + 1
        centre = ((columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2)
        window, ink = put_ink(drawing, (28, 28), centre, side, 0)
        page = np.zeros((28, 28), np.float32)
        page[window] = ink
        first, second = (
            cv2.GaussianBlur(a, (0, 0), 1.5).ravel() for a in (page, image.astype(np.float32))
        )
        likeness.append(np.corrcoef(first, second)[0, 1])
    # A thick 0 becomes a fine one of the same size: its line runs where the outline was.
    assert min(likeness) > (0.97 if stroke is None else 0.5)
    assert np.median(likeness) > (0.98 if stroke is None else 0.85)


def test_a_pen_is_as_wide_as_asked_for():
    bar = np.zeros((28, 28), np.uint8)
    bar[4:24, 12:15] = 255
    for stroke, slack in ((0.03, 0.35), (0.05, 0.12), (0.1, 0.1), (0.25, 0.05)):
        drawing = draw(bar, stroke)
        _, ink = put_ink(drawing, (400, 400), (200, 200), 300, 0)
        widths = (ink > 0.5).sum(axis=1)
        assert np.median(widths[widths > 0]) == pytest.approx(300 * stroke, rel=slack)


def test_the_finest_pen_does_not_skip(sample):
    for image in sample.test_images[:60]:
        drawing = draw(image, 1 / 40, always=True)
        _, ink = put_ink(drawing, (400, 400), (200, 200), 300, 0)
        pieces = [
            cv2.connectedComponents(mask.astype(np.uint8))[0]
            for mask in (ink > 0.5, draw(image).field > 0)
        ]
        assert pieces[0] == pieces[1]


def test_a_filled_loop_stays_a_blot_under_a_fine_pen():
    six = np.zeros((28, 28), np.uint8)
    cv2.line(six, (15, 4), (10, 18), 255, 2, cv2.LINE_AA)
    cv2.circle(six, (13, 19), 4, 255, -1, cv2.LINE_AA)
    _, ink = put_ink(draw(six, 0.04, always=True), (300, 300), (150, 150), 260, 0)
    inside = cv2.distanceTransform((ink > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    assert inside.max() > 0.1 * 260
    # The stem is as fine as asked for.
    assert 4 <= (ink[: len(ink) // 3] > 0.5).sum(axis=1).max() <= 18


@pytest.fixture
def bold_three(sample):
    """A 3 whose bar reaches out of its broad strokes by less than half their width."""
    assert sample.test_labels[39] == 3
    return sample.test_images[39]


def test_what_a_pen_cannot_redraw_stays_as_it_was_written(bold_three):
    three, plain = bold_three, np.zeros((28, 28), np.uint8)
    cv2.line(plain, (14, 4), (12, 23), 255, 2, cv2.LINE_AA)
    assert not can_be_redrawn(three)
    assert (draw(three, 0.04).field == draw(three).field).all()
    assert can_be_redrawn(plain)
    assert draw(plain, 0.04).stroke == draw(plain, 0.04, always=True).stroke
    assert can_be_redrawn(np.zeros((28, 28), np.uint8))


def test_only_conditions_about_the_pen_cannot_show_every_digit(bold_three):
    unable = {name for name in CONDITIONS if not can_show(bold_three, name)}
    assert unable == {"thin", "thick"}


def test_most_digits_can_be_redrawn(sample):
    able = [can_be_redrawn(image) for image in sample.test_images[:200]]
    assert 0.7 < np.mean(able) < 0.95


def test_a_thick_pen_does_not_fill_the_angle_of_a_four():
    four = np.zeros((28, 28), np.uint8)
    lines = [((9, 4), (8, 13)), ((8, 13), (17, 13)), ((16, 4), (16, 24))]
    for a, b in lines:
        cv2.line(four, a, b, 255, 1, cv2.LINE_AA)
    drawn = draw(four, 0.27, always=True)
    assert drawn.stroke / drawn.side < 0.27
    height = cv2.distanceTransform((drawn.field > 0).astype(np.uint8), cv2.DIST_L2, 5) / 4
    assert height.max() < 1.8 * drawn.stroke / 2


def test_a_thick_pen_keeps_the_loops(sample):
    for digit, expected in ((0, 1), (8, 2)):
        images = sample.test_images[sample.test_labels == digit][:15]
        kept = []
        for image in images:
            fine, thick = (
                put_ink(draw(image, stroke, always=True), (300, 300), (150, 150), 260, 0)[1]
                for stroke in (0.03, 0.25)
            )
            if loops(fine) == expected:
                kept.append(loops(thick) == expected)
        assert len(kept) >= 8
        assert np.mean(kept) > 0.9


def test_outlines_are_smooth_and_crisp():
    y, x = np.mgrid[:28, :28] - 13.5
    ring = (np.clip(2 - np.abs(np.hypot(x, y) - 8), 0, 1) * 255).astype(np.uint8)
    _, ink = put_ink(draw(ring), (600, 600), (300, 300), 500, 0)
    y, x = np.nonzero(cv2.morphologyEx((ink > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, None))
    radius = np.hypot(x - x.mean(), y - y.mean())
    outer = radius[radius > 200]
    # Blocks of 28×28 pixels would be off by half a block of 25 pixels.
    assert np.ptp(outer) < 8
    assert ((ink > 0.02) & (ink < 0.98)).mean() < 0.03


def test_ink_grows_with_the_square_of_the_size(digits):
    for image in digits[:8]:
        drawing = draw(image, 0.05)
        ink = [put_ink(drawing, (400, 400), (200.3, 199.6), side, 7)[1].sum() for side in (12, 240)]
        assert ink[0] * 400 == pytest.approx(ink[1], rel=0.1)


def test_tilting_turns_clockwise_about_the_box():
    bar = np.zeros((28, 28), np.uint8)
    bar[4:24, 12:15] = 255
    window, ink = put_ink(draw(bar, 0.1), (300, 300), (150, 150), 200, 30)
    rows, columns = np.nonzero(ink > 0.5)
    slope = np.polyfit(rows, columns, 1)[0]
    # Clockwise on a page with y down: the top goes right.
    assert slope == pytest.approx(-np.tan(np.radians(30)), abs=0.03)
    assert columns.mean() + window[1].start == pytest.approx(149.5, abs=2)


def test_thinning_leaves_connected_lines_of_one_pixel(digits):
    for image in digits:
        mask = (cv2.resize(image, (112, 112), interpolation=cv2.INTER_CUBIC) > 127).astype(np.uint8)
        axis = thin(mask > 0).astype(np.uint8)
        assert axis.max() == 1
        assert not (axis & ~mask & 1).any()
        assert cv2.connectedComponents(axis)[0] == cv2.connectedComponents(mask)[0]
        assert loops(axis) >= loops(mask)
        # No 3×3 block is full.
        assert cv2.erode(axis, np.ones((3, 3), np.uint8), borderValue=0).sum() == 0


def test_thinning_nothing_is_nothing():
    assert thin(np.zeros((9, 7), np.bool_)).sum() == 0


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
