import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from digitnet.errors import InputError
from digitnet.reading.ink.components import connected, groups
from digitnet.reading.ink.finder import find_ink as find
from digitnet.reading.ink.middle import only_middle
from digitnet.reading.ink.strokes import from_strokes
from digitnet.reading.prediction import INK_SIDE, Box

# Strokes in units of the digit's height: lists of points, one list for each stroke.
DIGITS = {
    0: [[(0.3, 0), (0.05, 0.25), (0.05, 0.75), (0.3, 1), (0.6, 0.75), (0.6, 0.25), (0.3, 0)]],
    1: [[(0.2, 0.2), (0.35, 0.0), (0.35, 1.0)]],
    4: [[(0.45, 0.0), (0.0, 0.6), (0.7, 0.6)], [(0.5, 0.3), (0.5, 1.0)]],
    7: [[(0.0, 0.0), (0.6, 0.0), (0.2, 1.0)]],
    5: [[(0.1, 0.0), (0.05, 0.45), (0.5, 0.5), (0.55, 0.85), (0.0, 1.0)], [(0.1, 0.0), (0.6, 0.0)]],
}


def mask_of(digit, size, shape, place, pen):
    """Return where the pen wrote, float32 (H, W) in [0, 1], soft-edged."""
    fine = 4
    canvas = np.zeros((shape[0] * fine, shape[1] * fine), np.uint8)
    for stroke in DIGITS[digit]:
        points = (np.array(stroke) * size + np.array(place)) * fine
        cv2.polylines(canvas, [points.astype(np.int32)], False, 255, round(pen * fine))
    small = cv2.resize(canvas, shape[::-1], interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def page(
    digit=7, *, size=100, shape=(240, 320), place=(100, 60), pen=9.0, paper=220.0, noise=2.0, seed=0
):
    """Return a photograph of a digit in dark ink: uint8 (H, W), and where the pen wrote."""
    written = mask_of(digit, size, shape, place, pen)
    rng = np.random.default_rng(seed)
    light = np.broadcast_to(np.asarray(paper, np.float32), shape)
    picture = light * (1 - 0.75 * written) + rng.normal(0, noise, shape)
    return np.clip(picture, 0, 255).astype(np.uint8), written


def box_of(written):
    rows, columns = np.flatnonzero(written.max(1) > 0.5), np.flatnonzero(written.max(0) > 0.5)
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def off(box, other):
    """Return the largest distance between the sides of two boxes."""
    assert box is not None
    return int(np.abs(np.subtract(box, other)).max())


def on_one_size(ink):
    rows, columns = np.flatnonzero(ink.max(1) > 0.3), np.flatnonzero(ink.max(0) > 0.3)
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return cv2.resize(cropped, (28, 28), interpolation=cv2.INTER_AREA)


def unlike(ink, other):
    """Return the mean difference of two inks, cropped to their digits."""
    return float(np.abs(on_one_size(ink) - on_one_size(other)).mean())


def assert_finds(picture, written, *, pixels=2, difference=0.06):
    ink = find(picture)
    assert off(ink.box, box_of(written)) <= pixels
    assert unlike(ink.pixels, written) <= difference
    return ink


def assert_sound(ink):
    assert ink.pixels.dtype == np.float32
    assert ink.pixels.ndim == 2
    assert min(ink.pixels.shape) >= 1
    assert max(ink.pixels.shape) <= INK_SIDE
    assert np.isfinite(ink.pixels).all()
    assert ink.pixels.min() >= 0
    assert ink.pixels.max() <= 1
    assert (ink.box is None) == (ink.pixels.max() == 0)


# What every picture may expect.


@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (2, 2), (3, 1)])
def test_pictures_of_a_few_pixels_are_pictures(shape):
    picture = np.zeros(shape, np.uint8)
    picture.flat[0] = 5
    assert_sound(find(picture))
    assert_sound(find(255 - picture))


@settings(max_examples=150)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_any_picture_gives_a_sound_ink(picture):
    before = picture.copy()
    ink = find(picture)
    assert_sound(ink)
    np.testing.assert_array_equal(picture, before)
    if ink.box:
        left, top, right, bottom = ink.box
        assert 0 <= left < right <= picture.shape[1]
        assert 0 <= top < bottom <= picture.shape[0]


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (1, 50), (50, 1), (1, 3000), (3000, 1), (2, 2), (500, 7)]
)
@pytest.mark.parametrize("kind", ["noise", "halves", "constant"])
def test_any_shape_gives_a_sound_ink(shape, kind):
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, shape, dtype=np.uint8)
    if kind == "halves":
        picture = np.where(np.arange(picture.size).reshape(shape) * 2 < picture.size, 0, 255)
    if kind == "constant":
        picture = np.full(shape, 130)
    assert_sound(find(picture.astype(np.uint8)))


@pytest.mark.parametrize("shape", [(300, 400), (1500, 900), (64, 64)])
def test_noise_gives_a_sound_ink(shape):
    assert_sound(find(np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)))


@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("shape", [(28, 28), (280, 280), (700, 900)])
def test_a_blank_picture_has_no_ink(value, shape):
    ink = find(np.full(shape, value, np.uint8))
    assert ink.box is None
    assert not ink.pixels.any()


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((28, 28, 3), np.uint8),
        np.zeros((28, 28), np.float32),
        np.zeros((0, 5), np.uint8),
        np.zeros(28, np.uint8),
    ],
)
def test_what_is_not_a_picture_is_refused(picture):
    with pytest.raises(InputError, match="must hold uint8"):
        find(picture)


# Pictures that are ink already.


def test_an_image_keeps_its_grey_values(sample):
    for image in sample.test_images[:200]:
        ink = find(image)
        expected = image / np.float32(image.max())
        rows, columns = np.nonzero(expected > 0.3)
        inside = ink.pixels[ink.pixels.max(1) > 0.3][:, ink.pixels.max(0) > 0.3]
        part = expected[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        part = part[part.max(1) > 0.3][:, part.max(0) > 0.3]
        # A speck of MNIST's own may be gone.
        if inside.shape == part.shape:
            assert np.abs(inside - part).mean() < 0.02
        assert ink.pixels.sum() > 0.93 * expected.sum()


def test_an_image_on_white_is_its_negative(sample):
    for image in sample.test_images[:100]:
        np.testing.assert_array_equal(find(image).pixels, find(255 - image).pixels)


def test_bold_strokes_that_fill_the_frame_are_the_ink():
    image = np.zeros((16, 16), np.uint8)
    image[:, 4:] = 255
    image[6:10, 8:12] = 0
    image[3:5, 12:] = 0
    image[0, :8] = 0
    image[-1, :9] = 0
    ink = find(image)
    assert ink.pixels.sum() == pytest.approx((image > 0).sum())


@pytest.mark.parametrize(("ink", "ground"), [(0, 255), (255, 0), (200, 230), (90, 60)])
def test_a_drawing_has_the_box_it_was_drawn_in(ink, ground):
    written = mask_of(4, 150, (280, 280), (60, 70), 18)
    picture = (ground + (ink - float(ground)) * written).round().astype(np.uint8)
    assert_finds(picture, written, pixels=1, difference=0.02)


# Photographs.


@pytest.mark.parametrize("digit", DIGITS)
@pytest.mark.parametrize("place", [(12, 12), (100, 60), (240, 125)])
def test_a_digit_is_found_anywhere(digit, place):
    assert_finds(*page(digit, place=place))


@pytest.mark.parametrize(
    ("size", "pen", "shape"),
    [
        (14, 2.0, (240, 320)),
        (14, 2.0, (480, 640)),
        (30, 3.0, (60, 60)),
        (200, 4.0, (240, 320)),
        (200, 40.0, (260, 320)),
        (900, 90.0, (1200, 1600)),
        (60, 7.0, (1200, 1600)),
    ],
)
def test_a_digit_of_any_size_is_found(size, pen, shape):
    place = ((shape[1] - 0.6 * size) / 2, (shape[0] - size) / 2)
    picture, written = page(7, size=size, pen=pen, shape=shape, place=place)
    step = max(1, size // INK_SIDE + 1)
    assert_finds(picture, written, pixels=2 * step, difference=0.12)


def test_moving_the_digit_moves_the_box_and_nothing_else():
    first, _ = page(5, place=(60, 50), noise=0, paper=201.3)
    second, _ = page(5, place=(150, 90), noise=0, paper=201.3)
    here, there = find(first), find(second)
    assert here.box
    assert there.box
    assert (there.box.left - here.box.left, there.box.top - here.box.top) == (90, 40)
    np.testing.assert_allclose(here.pixels, there.pixels, atol=0.02)


def test_bright_ink_is_as_good_as_dark():
    picture, written = page(5)
    ink = assert_finds(255 - picture, written)
    assert unlike(ink.pixels, find(picture).pixels) < 0.05


def test_chalk_with_a_hole_is_bright_ink():
    # Broad chalk lets a small window take the board inside the loop for a dark stroke.
    board = np.full((240, 320), 45.0)
    cv2.ellipse(board, (110, 120), (24, 40), 0, 0, 360, 225, 34)
    grain = np.random.default_rng(1).normal(0, 1, board.shape)
    picture = np.clip(board + grain * np.where(board > 100, 25, 4), 0, 255).astype(np.uint8)
    found = find(picture)
    assert off(found.box, Box(69, 63, 152, 178)) < 8
    assert found.pixels[found.pixels.shape[0] // 2, found.pixels.shape[1] // 2] < 0.2


def test_a_light_page_is_not_bright_ink():
    paper = np.full((240, 320), 215.0)
    paper[:, 295:] = 60
    paper[:8, :] = 255
    assert_finds(*page(7, size=40, pen=2.5, place=(140, 120), paper=paper))


def test_a_bold_digit_that_fills_the_frame_is_found():
    picture = np.full((180, 120), 190, np.uint8)
    for centre, axes in (((60, 48), (28, 28)), ((60, 128), (32, 32))):
        cv2.ellipse(picture, centre, axes, 0, 0, 360, 70, 28)
    noise = np.random.default_rng(0).normal(0, 3, picture.shape)
    found = find(np.clip(picture + noise, 0, 255).astype(np.uint8))
    assert off(found.box, Box(14, 6, 108, 176)) < 6
    assert (found.pixels > 0.5).mean() > 0.4


def test_more_paper_around_changes_little():
    picture, written = page(4)
    wide = np.pad(picture, 60, mode="reflect")
    assert_finds(wide, np.pad(written, 60))


@pytest.mark.parametrize("factor", [0.3, 0.6])
def test_less_light_changes_little(factor):
    picture, written = page(5)
    assert_finds((picture * factor).astype(np.uint8), written)


def test_light_from_one_side_is_not_ink():
    slope = np.linspace(90, 250, 320)[None, :] * np.linspace(1, 0.7, 240)[:, None]
    assert_finds(*page(5, paper=slope))


@pytest.mark.parametrize("softness", [1.0, 30.0])
@pytest.mark.parametrize("darkness", [0.4, 0.7])
def test_a_shadow_across_the_digit_is_not_ink(softness, darkness):
    y, x = np.mgrid[:240, :320]
    side = (x - 125) * 0.8 + (y - 110) * 0.6
    shade = 1 - darkness / (1 + np.exp(-np.clip(side / softness, -30, 30)))
    assert_finds(*page(7, paper=220 * shade), difference=0.08)


def test_the_shadow_of_a_finger_that_points_at_the_digit_is_not_ink():
    y, x = np.mgrid[:240, :320]
    finger = np.hypot(np.maximum(x - 140, 0), y - 90) < 24
    shade = 1 - 0.65 * cv2.GaussianBlur(finger.astype(np.float32), (0, 0), 2.0)
    shade[:, :60] = 1
    assert_finds(*page(7, paper=220 * shade))


def lines(pitch, breadth, lean, *, squared):
    """Return how much of each pixel of a 240 × 320 page the paper's lines cover."""
    y, x = np.mgrid[:240, :320].astype(np.float32)
    away = [np.abs((y + lean * x) % pitch - pitch / 2)]
    if squared:
        away.append(np.abs((x - lean * y) % pitch - pitch / 2))
    return np.clip(breadth / 2 + 0.5 - np.minimum.reduce(away), 0, 1)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("lean", [0.0, 0.04])
@pytest.mark.parametrize("strength", [0.2, 0.5])
def test_lines_of_the_paper_are_not_ink(squared, lean, strength):
    paper = 220 * (1 - strength * lines(24, 1.5, lean, squared=squared))
    assert_finds(*page(7, paper=paper), pixels=4, difference=0.1)


@pytest.mark.parametrize("lean", [0.0, 0.04])
@pytest.mark.parametrize("place", [(100, 60), (2, 60)])
def test_lines_inside_a_loop_are_not_ink(lean, place):
    """They leave the picture nowhere, so only the lines beside the digit give them away."""
    paper = 220 * (1 - 0.4 * lines(40, 3, lean, squared=True))
    picture, written = page(0, size=170, pen=16, place=place, paper=paper)
    ink = find(picture)
    assert off(ink.box, box_of(written)) <= 4
    height, width = ink.pixels.shape
    inside = ink.pixels[height // 3 : -height // 3, width // 3 : -width // 3]
    assert inside.size
    assert inside.max() == 0


def test_specks_are_not_ink():
    paper = np.full((240, 320), 220.0)
    for row, column in ((20, 20), (200, 300), (30, 290), (220, 40)):
        paper[row : row + 3, column : column + 3] = 40
    assert_finds(*page(7, paper=paper))


@pytest.mark.parametrize("side", ["left", "top", "corner"])
def test_a_table_at_the_frame_is_not_ink(side):
    paper = np.full((240, 320), 220.0)
    y, x = np.mgrid[:240, :320]
    table = {"left": x < 20 + 0.1 * y, "top": y < 30, "corner": (x < 25) | (y > 215)}[side]
    paper[table] = 50
    assert_finds(*page(7, paper=paper))


@pytest.mark.parametrize("turns", range(4))
def test_the_grain_of_a_table_is_not_ink(turns):
    # Streaks one behind another along one side, with more ink than the digit has.
    mask = np.zeros((200, 200), np.uint8)
    for start in range(4, 200, 24):
        mask[start : start + 20, 186:] = 255
    mask[90:130, 60:66] = 255
    labels, parts = connected(np.ascontiguousarray(np.rot90(mask, turns)))
    best = groups(parts, labels.shape)[0]
    assert best.area == 40 * 6


@pytest.mark.parametrize("turns", range(4))
def test_a_dark_corner_is_not_ink(turns):
    paper = np.full((240, 240), 220.0)
    paper[150:, :8] = 40
    thin = {"size": 50, "pen": 3.0, "place": (160, 30)}
    assert_finds(*page(7, shape=paper.shape, paper=np.rot90(paper, turns), **thin))


def test_broken_strokes_are_one_digit():
    written = mask_of(5, 120, (240, 320), (100, 60), 9)
    written[:, 130:137] = 0
    written[130:135] = 0
    picture = np.clip(220 * (1 - 0.75 * written), 0, 255).astype(np.uint8)
    assert_finds(picture, written)


@pytest.mark.parametrize("others", [0, 4])
def test_strokes_that_stand_apart_are_one_digit_where_nothing_else_is(others):
    # A five whose flag is off its bowl by a third of its height.
    picture = np.full((240, 320), 215, np.uint8)
    cv2.ellipse(picture, (150, 150), (30, 26), 0, -100, 150, 60, 8)
    cv2.line(picture, (165, 84), (205, 78), 60, 8)
    for place in range(others):
        cv2.line(picture, (20 + 70 * place, 210), (50 + 70 * place, 222), 60, 8)
    noise = np.random.default_rng(0).normal(0, 2, picture.shape)
    found = find(np.clip(picture + noise, 0, 255).astype(np.uint8))
    assert (found.box.top < 85) == (not others)


def test_a_neighbour_at_the_frame_is_not_part_of_it():
    paper = np.full((240, 320), 220.0)
    paper[60:160, 310:] = 60
    assert_finds(*page(7, place=(120, 60), paper=paper))


def test_faint_ink_in_noise_is_found():
    written = mask_of(5, 120, (240, 320), (100, 60), 9)
    noise = np.random.default_rng(3).normal(0, 3, written.shape)
    picture = np.clip(210 - 30 * written + noise, 0, 255).astype(np.uint8)
    assert_finds(picture, written, pixels=3, difference=0.12)


@pytest.mark.parametrize("quality", [15, 60])
def test_a_compressed_picture_is_read(quality):
    picture, written = page(5)
    packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    assert_finds(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), written, pixels=4, difference=0.1)


def test_a_blurred_digit_is_found_whole():
    picture, written = page(5, size=120, pen=12)
    assert_finds(cv2.GaussianBlur(picture, (0, 0), 4), written, pixels=5, difference=0.15)


# Pictures cut out of rows of writing.


def row_of(digit, *, neighbours=True, rule=True):
    """Return a cut out of a row: the digit in its middle, and what the edges cut off."""
    written = mask_of(digit, 60, (80, 80), (23, 10), 6)
    shown = written.copy()
    if neighbours:
        shown[20:60, :6] = shown[30:70, 76:] = 1
    if rule:
        shown[:, 68:71] = 1
    return np.clip(220 * (1 - 0.75 * shown), 0, 255).astype(np.uint8), written


@pytest.mark.parametrize("digit", DIGITS)
@pytest.mark.parametrize("rule", [False, True])
def test_what_is_beside_the_middle_of_a_crop_is_not_ink(digit, rule):
    picture, written = row_of(digit, rule=rule)
    ink = find(picture, crop=True)
    assert_sound(ink)
    assert off(ink.box, box_of(written)) <= 3
    assert unlike(ink.pixels, written) <= 0.06


@pytest.mark.parametrize("digit", DIGITS)
def test_a_crop_without_neighbours_keeps_its_ink(digit):
    picture, _ = row_of(digit, neighbours=False, rule=False)
    whole, cut = find(picture), find(picture, crop=True)
    np.testing.assert_array_equal(cut.pixels, whole.pixels)
    assert cut.box == whole.box


def test_hairlines_of_a_crop_are_ink():
    picture, written = row_of(7, neighbours=False, rule=False)
    faint = picture.copy()
    faint[10:40] = 220 - (220 - picture[10:40].astype(int)) * 2 // 5
    assert off(find(faint, crop=True).box, box_of(written)) <= 3


@settings(max_examples=100)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_the_middle_is_less_than_the_whole_but_never_nothing(picture):
    assert_sound(find(picture, crop=True))
    whole = find(picture)
    cut = only_middle(whole, *picture.shape)
    assert_sound(cut)
    assert (cut.pixels <= whole.pixels).all()
    assert (cut.box is None) == (whole.box is None)
    if cut.box:
        inner, outer = cut.box, whole.box
        assert all(a >= b for a, b in zip(inner[:2], outer[:2], strict=True))
        assert all(a <= b for a, b in zip(inner[2:], outer[2:], strict=True))


# Strokes.

FINITE = st.floats(-1e6, 1e6)
DRAWINGS = st.lists(st.lists(st.tuples(FINITE, FINITE), max_size=5), max_size=4)


@given(DRAWINGS)
@settings(max_examples=60)
def test_any_drawing_gives_a_sound_ink(strokes):
    ink = from_strokes(strokes)
    assert_sound_drawing(ink)
    assert (ink.pixels.max() > 0) == any(strokes)


def assert_sound_drawing(ink):
    assert ink.box is None
    assert ink.pixels.dtype == np.float32
    assert ink.pixels.min() >= 0
    assert ink.pixels.max() <= 1


@pytest.mark.parametrize("strokes", [[], [[]], [[], []]])
def test_no_points_are_a_blank(strokes):
    assert not from_strokes(strokes).pixels.any()


def test_a_drawing_looks_as_drawn():
    ink = from_strokes(DIGITS[7])
    assert unlike(ink.pixels, mask_of(7, 100, (240, 320), (100, 60), 9)) < 0.05


def test_a_drawing_is_the_same_anywhere_and_at_any_size():
    here = from_strokes(DIGITS[5]).pixels
    there = from_strokes(
        [[(x * 256 - 512, y * 256 + 1024) for x, y in s] for s in DIGITS[5]]
    ).pixels
    np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("strokes", [[[(3.0, 4.0)]], [[(3.0, 4.0)] * 3, [(3.0, 4.0)]]])
def test_a_point_is_a_round_dot(strokes):
    dot = from_strokes(strokes).pixels
    assert dot.max() == 1
    assert abs(np.ptp(np.nonzero(dot.max(0))) - np.ptp(np.nonzero(dot.max(1)))) <= 1
    np.testing.assert_allclose(dot.sum(0).max(), dot.sum(1).max(), rtol=0.1)


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        ([[(1.0, float("nan"))]], "Stroke 0 holds NaN"),
        ([[(1.0, 2.0)], [(float("inf"), 2.0)]], "Stroke 1 holds NaN or infinity"),
        ([[(1.0, 2.0, 3.0)]], "shape"),
        ([[1.0, 2.0]], "shape"),
        ([[(1.0, 2.0), (3.0,)]], "not a list of points"),
        ([["ab"]], "not a list of points"),
        ([5], "shape"),
        (5, "Expected a list of strokes.*got int"),
    ],
)
def test_what_is_not_a_drawing_is_refused(strokes, message):
    with pytest.raises(InputError, match=message):
        from_strokes(strokes)


# What is drawn around


def framed(digit, inset, breadth):
    """Return a drawn digit with a border: uint8 (200, 200)."""
    written = mask_of(digit, 110, (200, 200), (60, 45), 8.0)
    picture = np.rint(255 * (1 - written)).astype(np.uint8)
    return cv2.rectangle(picture, (inset, inset), (199 - inset, 199 - inset), 0, breadth), written


@pytest.mark.parametrize("breadth", [1, 3, 6])
@pytest.mark.parametrize("inset", [0, 6, 20])
@pytest.mark.parametrize("digit", DIGITS)
def test_a_border_around_a_drawing_is_not_ink(digit, inset, breadth):
    picture, written = framed(digit, inset, breadth)
    assert off(find(picture).box, box_of(written)) <= 1
    assert off(find(255 - picture).box, box_of(written)) <= 1


def test_a_rectangle_with_nothing_in_it_may_be_a_zero():
    picture = np.full((200, 140), 255, np.uint8)
    cv2.rectangle(picture, (6, 6), (133, 193), 0, 7)
    assert find(picture).box.width > 120


def test_an_angular_seven_that_fills_the_picture_is_not_a_border():
    picture = np.full((200, 140), 255, np.uint8)
    cv2.polylines(picture, [np.array([(5, 5), (134, 5), (134, 194)])], False, 0, 7)
    cv2.line(picture, (20, 120), (60, 120), 0, 7)
    assert find(picture).box.height > 180


# Bare paper


@pytest.mark.parametrize("fall", [0.1, 0.2, 0.35])
@pytest.mark.parametrize("angle", [0.0, 0.6, 2.0, 4.0])
def test_bare_paper_whose_light_falls_off_evenly_is_blank(fall, angle):
    y, x = np.mgrid[:480, :640]
    along = np.cos(angle) * x / 640 + np.sin(angle) * y / 480
    along = (along - along.min()) / np.ptp(along)
    assert find(np.rint(240 * (1 - fall * along)).astype(np.uint8)).box is None
