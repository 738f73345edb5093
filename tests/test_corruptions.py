import numpy as np
import pytest

from digitnet.errors import InputError, UsageError
from digitnet.synthesis.corruptions import CORRUPTIONS, corrupt

each_kind = pytest.mark.parametrize("kind", CORRUPTIONS)

# Kinds that draw no random numbers.
FIXED = {"scale", "brightness", "stripe", "canny_edges"}
# Least mean correlation of an image with its damaged self, and with its best shift by a few pixels.
SAME_PLACE = {
    "shot_noise": 0.8,
    "impulse_noise": 0.55,
    "glass_blur": 0.6,
    "motion_blur": 0.65,
    "brightness": 0.95,
    "fog": 0.25,
    "spatter": 0.85,
    "dotted_line": 0.85,
    "zigzag": 0.6,
}


@pytest.fixture(scope="module")
def digits(sample):
    return sample.test_images[:24]


def correlation(first, second):
    pairs = zip(first.reshape(len(first), -1), second.reshape(len(second), -1), strict=True)
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in pairs])


def box(image):
    """Return top, bottom, left, right of what is at least a quarter lit."""
    rows, columns = np.nonzero(image > 63)
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_the_fifteen_kinds_of_the_paper():
    assert CORRUPTIONS == (
        "shot_noise",
        "impulse_noise",
        "glass_blur",
        "motion_blur",
        "shear",
        "scale",
        "rotate",
        "brightness",
        "translate",
        "stripe",
        "fog",
        "spatter",
        "dotted_line",
        "zigzag",
        "canny_edges",
    )


@each_kind
def test_shape_type_and_the_input_stays(kind, digits):
    before = digits.copy()
    changed = corrupt(digits, kind, 0)
    assert changed.shape == digits.shape
    assert changed.dtype == np.uint8
    assert np.array_equal(digits, before)
    # Every image is changed.
    assert (changed != digits).any(axis=(1, 2)).all()


@each_kind
def test_only_seed_kind_and_index_decide(kind, digits):
    first = corrupt(digits, kind, 3)
    assert np.array_equal(first, corrupt(digits, kind, 3))
    # The first five are the same whatever follows them.
    assert np.array_equal(first[:5], corrupt(digits[:5], kind, 3))
    assert np.array_equal(first, corrupt(digits, kind, 4)) == (kind in FIXED)


@each_kind
def test_each_image_is_damaged_in_its_own_way(kind, digits):
    same = np.repeat(digits[:1], 8, axis=0)
    distinct = np.unique(corrupt(same, kind, 0), axis=0)
    # Shear and rotate have two sides, translate four.
    least = {"shear": 2, "rotate": 2, "translate": 3}.get(kind, 8)
    assert len(distinct) >= (1 if kind in FIXED else least)


@each_kind
@pytest.mark.parametrize("level", [0, 255])
def test_blank_and_full_images_are_no_trouble(kind, level):
    changed = corrupt(np.full((2, 28, 28), level, np.uint8), kind, 0)
    assert changed.shape == (2, 28, 28)


@each_kind
def test_no_images_give_no_images(kind):
    assert corrupt(np.zeros((0, 28, 28), np.uint8), kind, 0).shape == (0, 28, 28)


@pytest.mark.parametrize("kind", SAME_PLACE)
def test_the_digit_stays_recognisable_where_it_was(kind, digits):
    likeness = correlation(digits, corrupt(digits, kind, 0))
    assert likeness.mean() > SAME_PLACE[kind]
    # Its own digit is nearer than another one.
    others = correlation(np.roll(digits, 1, axis=0), corrupt(digits, kind, 0))
    assert (likeness > others).mean() > 0.9


def test_brightness_adds_half_and_clips(digits):
    bright = corrupt(digits, "brightness", 0).astype(float)
    assert np.abs(bright - np.minimum(digits + 127.5, 255)).max() <= 0.5


def test_translate_moves_by_three_pixels_both_ways(digits):
    moved = corrupt(digits, "translate", 0)
    shifts = set()
    for before, after in zip(digits, moved, strict=True):
        fits = [
            (down, across)
            for down in (-3, 3)
            for across in (-3, 3)
            if np.array_equal(
                np.roll(before, (down, across), (0, 1))[3:-3, 3:-3], after[3:-3, 3:-3]
            )
        ]
        assert len(fits) == 1
        shifts.update(fits)
    assert len(shifts) == 4


def test_scale_shrinks_about_the_centre(digits):
    for before, after in zip(digits, corrupt(digits, "scale", 0), strict=True):
        expected = (np.array(box(before)) - 13.5) * 0.7 + 13.5
        assert np.abs(np.array(box(after)) - expected).max() <= 1.3


def test_shear_keeps_rows_and_slants_columns():
    bar = np.zeros((8, 28, 28), np.uint8)
    bar[:, 4:24, 13:15] = 255
    changed = corrupt(bar, "shear", 0)
    slopes = []
    for image in changed:
        rows = np.arange(6, 22)
        middles = image[6:22].astype(float) @ np.arange(28) / image[6:22].sum(1)
        slopes.append(np.polyfit(rows, middles, 1)[0])
    assert np.allclose(np.abs(slopes), 0.4, atol=0.02)
    assert min(slopes) < 0 < max(slopes)


def test_rotate_turns_by_23_degrees_to_either_side():
    bar = np.zeros((8, 28, 28), np.uint8)
    bar[:, 4:24, 13:15] = 255
    slopes = []
    for image in corrupt(bar, "rotate", 0):
        rows, columns = np.nonzero(image > 100)
        slopes.append(np.polyfit(rows, columns, 1)[0])
    assert np.allclose(np.abs(slopes), np.tan(0.4), atol=0.06)
    assert min(slopes) < 0 < max(slopes)


def test_stripe_inverts_the_sides_and_leaves_the_middle(digits):
    striped = corrupt(digits, "stripe", 0)
    assert np.array_equal(striped[:, :, 7:21], digits[:, :, 7:21])
    assert np.array_equal(striped[:, :, :7], 255 - digits[:, :, :7])
    assert np.array_equal(striped[:, :, 21:], 255 - digits[:, :, 21:])


def test_shot_noise_counts_photons():
    grey = np.full((40, 28, 28), 128, np.uint8)
    noisy = corrupt(grey, "shot_noise", 0)
    assert set(np.unique(noisy)) <= {0, 85, 170, 255}
    rate = 3 * 128 / 255
    assert (noisy == 0).mean() == pytest.approx(np.exp(-rate), rel=0.05)
    assert (noisy == 85).mean() == pytest.approx(rate * np.exp(-rate), rel=0.05)


def test_impulse_noise_is_as_much_salt_as_pepper():
    noisy = corrupt(np.full((40, 28, 28), 100, np.uint8), "impulse_noise", 0)
    assert (noisy == 0).mean() == pytest.approx(0.085, abs=0.005)
    assert (noisy == 255).mean() == pytest.approx(0.085, abs=0.005)


@pytest.mark.parametrize("kind", ["glass_blur", "motion_blur"])
def test_blurs_spread_ink_and_lose_none(kind):
    spot = np.zeros((20, 28, 28), np.uint8)
    spot[:, 9:13, 7:11] = 255
    blurred = corrupt(spot, kind, 0).astype(float)
    assert np.allclose(blurred.sum((1, 2)), spot[0].sum(), rtol=0.03)
    assert (blurred.max((1, 2)) < 255).all()


def test_motion_blur_is_sideways():
    spot = np.zeros((60, 28, 28), np.uint8)
    spot[:, 13:15, 4:6] = 255
    angles = []
    for image in corrupt(spot, "motion_blur", 0).astype(float):
        x = (image.sum(0) @ np.arange(28)) / image.sum() - 4.5
        y = (image.sum(1) @ np.arange(28)) / image.sum() - 13.5
        angles.append(np.degrees(np.arctan2(y, x)))
    assert -46 < min(angles) < -30
    assert 30 < max(angles) < 46


def test_fog_fills_the_image_and_leaves_little_contrast(digits):
    foggy = corrupt(digits, "fog", 0)
    assert (foggy.mean((1, 2)) > 60).all()
    assert foggy.max() <= digits.max()


@pytest.mark.parametrize(("kind", "fewest", "most"), [("dotted_line", 10, 27), ("zigzag", 28, 80)])
def test_lines_cross_the_whole_image(kind, fewest, most):
    lines = corrupt(np.zeros((30, 28, 28), np.uint8), kind, 0)
    assert set(np.unique(lines)) == {0, 255}
    count = (lines > 0).sum((1, 2))
    assert count.min() >= fewest
    assert count.max() <= most
    columns = (lines > 0).any(axis=1)
    assert columns[:, :3].any(axis=1).all()
    assert columns[:, -3:].any(axis=1).all()
    # A zigzag has no gaps, a dotted line has.
    assert (columns.sum(axis=1) == 28).all() == (kind == "zigzag")


def test_canny_edges_are_thin_outlines(digits):
    edges = corrupt(digits, "canny_edges", 0)
    assert set(np.unique(edges)) == {0, 255}
    for image, edge in zip(digits, edges, strict=True):
        top, bottom, left, right = box(image)
        rows, columns = np.nonzero(edge)
        assert len(rows) > 20
        assert abs(rows.min() - top) <= 2
        assert abs(rows.max() - bottom) <= 2
        assert abs(columns.min() - left) <= 2
        assert abs(columns.max() - right) <= 2


def test_spatter_leaves_most_of_the_image(digits):
    mud = corrupt(np.zeros((40, 28, 28), np.uint8), "spatter", 0)
    assert 0.03 < (mud > 0).mean() < 0.5
    assert mud.max() <= 64


@pytest.mark.parametrize(("kind", "near"), [("fogg", "fog"), ("Zig_Zag", "zigzag")])
def test_an_unknown_kind_names_the_nearest(kind, near, digits):
    with pytest.raises(UsageError, match=f"Did you mean '{near}'"):
        corrupt(digits, kind, 0)


def test_a_negative_seed_is_refused(digits):
    with pytest.raises(UsageError, match="-1"):
        corrupt(digits, "fog", -1)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((28, 28), np.uint8),
        np.zeros((2, 27, 28), np.uint8),
        np.zeros((2, 28, 28), np.float32),
    ],
    ids=["one image", "another size", "floats"],
)
def test_other_arrays_are_refused(images):
    with pytest.raises(InputError, match=r"uint8 of shape \(N, 28, 28\)"):
        corrupt(images, "fog", 0)
