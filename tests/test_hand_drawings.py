import contextlib
from unittest import mock

import numpy as np
import pytest
import torch

from digitnet.data.pen_signs import DIGIT_LIKE, Hands, load_hands, split_writers
from digitnet.network.canonical import Canonical
from digitnet.network.cnn import to_float
from digitnet.synthesis import hand_drawings
from digitnet.synthesis.hand_drawings import draw_digits, draw_signs, validation_digits


@pytest.fixture(scope="module")
def digits():
    return draw_digits(600, 0)


@pytest.fixture(scope="module")
def signs():
    return draw_signs(300, 0)


def test_digits_of_every_class_lie_whole_in_the_middle(digits):
    inks, labels = digits
    assert inks.shape == (600, 40, 40)
    assert inks.dtype == np.uint8
    assert np.bincount(labels, minlength=10).min() > 20
    assert (inks.max((1, 2)) > 60).all()
    edge = np.ones((40, 40), bool)
    edge[1:-1, 1:-1] = False
    assert not inks[:, edge].any()


def test_pens_are_fine_and_broad(digits):
    covered = (digits[0] > 127).sum((1, 2))
    assert np.quantile(covered, 0.9) > 4 * max(np.quantile(covered, 0.2), 1)


def test_signs_are_never_blank(signs):
    assert signs.shape == (300, 40, 40)
    assert (signs.max((1, 2)) > 40).all()


def test_the_seed_decides(digits, signs):
    assert np.array_equal(draw_digits(600, 0)[0], digits[0])
    assert not np.array_equal(draw_digits(600, 1)[0], digits[0])
    assert np.array_equal(draw_signs(300, 0), signs)


@contextlib.contextmanager
def recorded():
    """Give the list of what is drawn inside the block."""
    drawn, original = [], Hands.strokes

    def strokes(self, index):
        drawn.append(index)
        return original(self, index)

    with mock.patch.object(Hands, "strokes", strokes):
        yield drawn


def test_training_draws_from_training_writers_and_from_no_letter_like_a_digit():
    hands = load_hands()
    train, _ = split_writers(hands)
    with recorded() as drawn:
        draw_digits(200, 1)
        assert hands.is_digit[drawn].all()
        draw_signs(200, 1)
    assert set(drawn) <= set(train.tolist())
    assert not set(hands.label[drawn].tolist()) & DIGIT_LIKE


def test_every_digit_of_the_writers_set_aside_is_validated_on():
    hand_drawings._validation_digits.cache_clear()
    with recorded() as drawn:
        images, labels = validation_digits()
    assert images.shape[1:] == (28, 28)
    hands = load_hands()
    _, val = split_writers(hands)
    expected = val[hands.is_digit[val]]
    assert sorted(drawn) == sorted(np.repeat(expected, 2).tolist())
    assert np.array_equal(labels, hands.label[drawn].astype(int))
    images[:] = 0
    assert validation_digits()[0].any(), "who changes them changes a copy"


def test_validation_images_are_canonical():
    images, _ = validation_digits()
    some = to_float(torch.from_numpy(images[::40]))
    assert (Canonical()(some) - some).abs().mean() < 0.015


def test_pieces_are_not_upright():
    rng = np.random.default_rng(0)
    hands = load_hands()
    pool = hand_drawings._pool(hands, np.flatnonzero(hands.label == "2"))
    for _ in range(50):
        [piece] = hand_drawings._piece(pool, rng)
        assert np.ptp(piece[:, 0]) > np.ptp(piece[:, 1])
