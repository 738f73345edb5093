"""What counts as found on a page."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from digitnet.data.dataset import Dataset
from digitnet.errors import InputError
from digitnet.network.finder import Finder
from digitnet.synthesis.page_scenes import LAYOUTS, Page
from digitnet.training import finder_evaluation
from digitnet.training.finder_evaluation import (
    FinderMetrics,
    Look,
    evaluation_maker,
    evaluation_page,
    measure_finder,
)
from tiny_finder import TEST_PAGES, few_pages

BOXES = np.array([[10, 10, 30, 50], [40, 10, 60, 50]], np.float32)


def page(*labels: int) -> Page:
    size = (64, 80)
    return Page(
        np.zeros(size, np.uint8),
        np.zeros((2, *size), np.float32),
        np.full(size, -1, np.int16),
        np.array(labels),
        BOXES[: len(labels)],
        (),
    )


def look(page: Page, boxes: np.ndarray, is_digit: list[bool]) -> Look:
    match = finder_evaluation._match(boxes, page)
    kinds = np.array(is_digit, np.bool_)
    other = finder_evaluation._are_of_other_kind(match, kinds, page)
    return Look(boxes, kinds, page.ink, match, other)


def test_a_box_that_is_off_by_less_than_three_tenths_of_the_longer_side_is_right() -> None:
    assert look(page(1, 2), BOXES[::-1] + 11, [True, True]).is_exact
    moved = np.array([[0, 0, 13, 0], [0, 0, 0, 0]], np.float32)
    off = look(page(1, 2), BOXES + moved, [True, True])
    assert off.match.tolist() == [-1, 1]
    assert off.extra == 1
    assert not off.is_exact


def test_a_sign_of_the_other_kind_is_found_as_such() -> None:
    seen = look(page(1, 10), BOXES, [True, True])
    assert seen.as_other.tolist() == [False, True]
    assert not seen.extra
    assert not seen.is_exact
    assert look(page(1, 10), BOXES, [True, False]).is_exact


def test_one_box_is_one_sign_and_the_nearest_counts() -> None:
    twice = look(page(1), np.concatenate([BOXES[:1] + 3, BOXES[:1]]), [True, True])
    assert twice.match.tolist() == [1]
    assert twice.extra == 1


def test_nothing_on_an_empty_page_is_exact() -> None:
    assert look(page(), np.zeros((0, 4), np.float32), []).is_exact
    assert look(page(), BOXES, [True, True]).extra == 2
    assert not look(page(1), np.zeros((0, 4), np.float32), []).is_exact


def test_pages_to_test_on_are_always_the_same_and_of_every_kind(sample: Dataset) -> None:
    maker, again = evaluation_maker(sample), evaluation_maker(sample)
    kinds = set()
    for number in range(60):
        layout, drawn = evaluation_page(maker, number)
        kinds.add(layout)
        if number % 20 == 0:
            assert np.array_equal(drawn.grey, evaluation_page(again, number)[1].grey)
    assert kinds <= LAYOUTS.keys()
    assert len(kinds) > len(LAYOUTS) / 2


@pytest.fixture(scope="module")
def metrics(sample: Dataset) -> FinderMetrics:
    torch.manual_seed(0)
    with few_pages():
        return measure_finder(Finder().eval(), sample)


def test_every_sign_is_counted_once(metrics: FinderMetrics) -> None:
    total = metrics.total
    assert total.pages == TEST_PAGES == sum(row.pages for row in metrics.layouts)
    for rows in (metrics.layouts, metrics.sizes):
        assert sum(row.signs for row in rows) == total.signs > 0
        assert sum(row.found for row in rows) == total.found
    for row in (total, *metrics.layouts, *metrics.sizes):
        assert row.found + row.as_other + row.missed == row.signs
    assert total.exact + len(metrics.inexact) == total.pages
    assert metrics.interval[0] <= metrics.exact <= metrics.interval[1]


def test_metrics_survive_json(metrics: FinderMetrics) -> None:
    assert FinderMetrics.from_dict(json.loads(json.dumps(metrics.as_dict()))) == metrics
    with pytest.raises(InputError, match="not the metrics of a finder"):
        FinderMetrics.from_dict({"accuracy": 1.0})
