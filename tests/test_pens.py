import cv2
import numpy as np
import pytest
import torch

from digitnet.synthesis.pens import (
    STEPS_PER_PIXEL,
    can_be_redrawn,
    draw,
    draw_with_pen,
    put_ink,
    stroke_distances,
    thin,
)


@pytest.fixture(scope="module")
def distances(sample):
    return torch.from_numpy(stroke_distances(sample.train_images[:60]))


def test_a_broad_bar_has_its_middle_line_in_its_middle():
    bar = np.zeros((1, 28, 28), np.uint8)
    bar[0, 4:24, 11:17] = 255
    row = stroke_distances(bar)[0, 14].astype(float) / STEPS_PER_PIXEL
    assert abs(row.argmin() - 13.5) <= 0.5
    assert row[11] == pytest.approx(2.5, abs=0.6)
    assert row[16] == pytest.approx(2.5, abs=0.6)


def test_a_blank_has_no_line_near():
    assert (stroke_distances(np.zeros((2, 28, 28), np.uint8)) == 255).all()


@pytest.mark.parametrize("width", [0.8, 2.0, 4.0])
def test_the_ink_grows_with_the_pen(distances, width):
    fine = draw_with_pen(distances, torch.full((60,), width))
    broad = draw_with_pen(distances, torch.full((60,), width + 0.5))
    assert fine.shape == (60, 1, 28, 28)
    assert fine.min() >= 0
    assert broad.max() <= 1
    assert (broad >= fine).all()
    assert (broad.sum((1, 2, 3)) > fine.sum((1, 2, 3))).all()


def test_a_straight_line_gets_the_width_asked_for():
    bar = np.zeros((1, 28, 28), np.uint8)
    bar[0, 4:24, 10:18] = 255
    drawn = draw_with_pen(torch.from_numpy(stroke_distances(bar)), torch.tensor([3.0]))
    assert drawn[0, 0, 14].sum().item() == pytest.approx(3.0, abs=0.7)


def test_redrawn_digits_lie_on_the_original_strokes(sample, distances):
    drawn = draw_with_pen(distances, torch.full((60,), 1.5)).flatten(1)
    ink = torch.from_numpy(sample.train_images[:60]).flatten(1).float() / 255
    on_stroke = (drawn * (ink > 0.1)).sum(1) / drawn.sum(1)
    assert on_stroke.median() > 0.95


# One digit for a picture of any size


@pytest.fixture(scope="module")
def digits(sample):
    return sample.test_images[:12]


def loops(ink):
    """Return how many pieces of paper the ink encloses."""
    paper = np.pad((ink < 0.5).astype(np.uint8), 1, constant_values=1)
    return cv2.connectedComponents(paper, connectivity=4)[0] - 2


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
    for image in sample.test_images[:30]:
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


def test_most_digits_can_be_redrawn(sample):
    able = [can_be_redrawn(image) for image in sample.test_images[:100]]
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
        images = sample.test_images[sample.test_labels == digit][:10]
        kept = []
        for image in images:
            fine, thick = (
                put_ink(draw(image, stroke, always=True), (300, 300), (150, 150), 260, 0)[1]
                for stroke in (0.03, 0.25)
            )
            if loops(fine) == expected:
                kept.append(loops(thick) == expected)
        assert len(kept) >= 6
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
