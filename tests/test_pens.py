import numpy as np
import pytest
import torch

from digitnet.synthesis.pens import STEPS_PER_PIXEL, draw_with_pen, stroke_distances


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
