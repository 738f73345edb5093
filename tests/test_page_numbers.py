"""Strips of synthetic lines: the same from the same seed, of one height, with what is in them."""

from __future__ import annotations

import numpy as np
import pytest

from digitnet.data.dataset import Dataset
from digitnet.network.recipes import recipe
from digitnet.reading.line_strips import HEIGHT, LEAST_WIDTH, MOST_WIDTH
from digitnet.synthesis.page_numbers import LineMaker, changed
from digitnet.synthesis.page_signs import OTHER
from digitnet.training.line_training import line_maker


@pytest.fixture(scope="module")
def maker(sample: Dataset) -> LineMaker:
    return line_maker(recipe("lines"), sample, training=True)


def test_a_seed_gives_the_same_strips_from_any_maker(maker: LineMaker, sample: Dataset) -> None:
    other = line_maker(recipe("lines"), sample, training=True)
    for seed in (5, 3, 5):
        for one, again in zip(maker.lines(seed), other.lines(seed), strict=True):
            assert np.array_equal(one[0], again[0])
            assert one[1] == again[1]


def test_strips_are_of_one_height_and_hold_what_has_room(maker: LineMaker) -> None:
    lengths, inks = [], []
    for seed in range(60):
        for strip, labels in maker.lines(seed):
            assert strip.dtype == np.uint8
            assert strip.shape[0] == HEIGHT
            assert LEAST_WIDTH <= strip.shape[1] <= MOST_WIDTH
            assert all(0 <= label <= OTHER for label in labels)
            lengths.append(len(labels))
            inks.append(strip.std())
    assert max(lengths) >= 8
    assert 3 < np.mean(lengths) < 7
    assert np.mean(np.array(inks) > 5) > 0.9


def test_what_one_sheet_shows_is_said_alike(maker: LineMaker) -> None:
    pairs = [maker.lines(seed) for seed in range(30)]
    twice = [pair for pair in pairs if len(pair) == 2]
    assert len(twice) > 20
    assert np.mean([one[1] == other[1] for one, other in twice]) > 0.8
    assert not any(np.array_equal(one[0], other[0]) for one, other in twice)


def test_a_changed_strip_keeps_its_height_and_is_another(maker: LineMaker) -> None:
    strip, _ = maker.lines(1)[0]
    for seed in range(20):
        one = changed(strip, np.random.default_rng(seed))
        assert one.shape[0] == HEIGHT
        assert LEAST_WIDTH <= one.shape[1] <= MOST_WIDTH
        assert np.array_equal(one, changed(strip, np.random.default_rng(seed)))
        assert not np.array_equal(one, strip)
