import dataclasses
import json
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from digitnet.errors import DigitnetError, InputError
from digitnet.training.evaluation import (
    DISPUTED_MNIST_TEST,
    RELIABILITY_BINS,
    ClassMetrics,
    Metrics,
    calibration_error,
    measure,
    predictions,
    reliability,
    softmax,
)
from digitnet.training.statistics import wilson_interval

NAMES = tuple("0123456789")


def logits_of(predicted, confidence, classes=10):
    """Return logits that choose ``predicted`` with ``confidence``, the rest spread evenly."""
    predicted, confidence = np.broadcast_arrays(predicted, confidence)
    rest = (1 - confidence) / (classes - 1)
    probabilities = np.repeat(rest[:, None], classes, axis=1)
    probabilities[np.arange(len(predicted)), predicted] = confidence
    return np.log(probabilities).astype(np.float32)


@st.composite
def answers(draw):
    count, classes = draw(st.integers(1, 30)), draw(st.integers(2, 10))
    logits = draw(hnp.arrays(np.float32, (count, classes), elements=st.floats(-50, 50, width=32)))
    labels = draw(hnp.arrays(np.int64, count, elements=st.integers(0, classes - 1)))
    return logits, labels, NAMES[:classes]


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.floats(-10_000, 10_000, width=32),
    )
)
def test_probabilities_sum_to_one_and_keep_the_order(logits):
    probabilities = softmax(logits)
    assert probabilities.dtype == np.float64
    assert probabilities.shape == logits.shape
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    best = np.take_along_axis(probabilities, logits.argmax(1)[:, None], axis=1)[:, 0]
    np.testing.assert_array_equal(best, probabilities.max(axis=1))


def test_probabilities_of_extreme_logits():
    logits = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, 0]], np.float32)
    expected = [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0]]
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-12)


def test_probabilities_are_those_of_torch():
    logits = np.random.default_rng(0).normal(0, 5, (50, 10)).astype(np.float32)
    expected = torch.softmax(torch.from_numpy(logits).double(), 1).numpy()
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-12)
    np.testing.assert_allclose(softmax(logits + 7), expected, rtol=1e-5)


def test_a_case_worked_by_hand():
    # Three classes, five images, all answered with confidence 0.7; class 2 is never answered.
    labels = np.array([0, 0, 1, 1, 2])
    found = measure(logits_of([0, 1, 1, 1, 0], 0.7, classes=3), labels, ("a", "b", "c"))
    assert (found.images, found.misses, found.accuracy) == (5, 2, 0.6)
    assert found.loss == pytest.approx(-(3 * math.log(0.7) + 2 * math.log(0.15)) / 5, rel=1e-6)
    assert found.confusion_matrix == ((1, 1, 0), (0, 2, 0), (1, 0, 0))
    assert found.per_class == (
        ClassMetrics("a", precision=0.5, recall=0.5, f1=0.5, support=2),
        ClassMetrics(
            "b", precision=pytest.approx(2 / 3), recall=1, f1=pytest.approx(0.8), support=2
        ),
        ClassMetrics("c", precision=0, recall=0, f1=0, support=1),
    )
    assert found.interval == wilson_interval(3, 5)
    assert found.expected_calibration_error == pytest.approx(0.1, rel=1e-5)
    filled = [b for b in found.reliability if b.count]
    assert len(filled) == 1
    assert (filled[0].low, filled[0].high) == pytest.approx((10 / 15, 11 / 15))
    assert filled[0].count == 5
    assert filled[0].confidence == pytest.approx(0.7)
    assert filled[0].accuracy == 0.6
    assert found.undisputed is None


@settings(max_examples=60)
@given(answers())
def test_all_figures_tell_one_story(answer):
    logits, labels, names = answer
    found = measure(logits, labels, names)
    matrix = np.array(found.confusion_matrix)
    right = logits.argmax(1) == labels
    assert found.images == len(labels) == matrix.sum()
    assert found.misses == (~right).sum() == matrix.sum() - np.trace(matrix)
    assert found.accuracy == pytest.approx(1 - found.misses / found.images)
    loss = F.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels))
    assert found.loss == pytest.approx(loss.item(), rel=1e-9, abs=1e-9)
    assert found.interval[0] <= found.accuracy <= found.interval[1]
    assert tuple(c.name for c in found.per_class) == names
    for index, row in enumerate(found.per_class):
        own, chosen = matrix[index].sum(), matrix[:, index].sum()
        assert row.support == own
        assert row.recall == pytest.approx(matrix[index, index] / own if own else 0)
        assert row.precision == pytest.approx(matrix[index, index] / chosen if chosen else 0)
        both = row.precision + row.recall
        assert row.f1 == pytest.approx(2 * row.precision * row.recall / both if both else 0)
    assert len(found.reliability) == RELIABILITY_BINS == 15
    assert sum(b.count for b in found.reliability) == found.images
    assert 0 <= found.expected_calibration_error <= 1
    for b in found.reliability:
        if b.count:
            assert b.low - 1e-9 <= b.confidence <= b.high + 1e-9
        else:
            assert b.confidence is b.accuracy is None


@settings(max_examples=30)
@given(answers(), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(answer, rng):
    logits, labels, names = answer
    order = np.array(rng.sample(range(len(labels)), len(labels)))
    first, second = measure(logits, labels, names), measure(logits[order], labels[order], names)
    assert first.confusion_matrix == second.confusion_matrix
    assert first.loss == pytest.approx(second.loss)
    assert first.expected_calibration_error == pytest.approx(second.expected_calibration_error)


@settings(max_examples=40)
@given(answers(), st.booleans())
def test_metrics_survive_json(answer, disputed):
    logits, labels, names = answer
    found = measure(logits, labels, names, [0] if disputed and len(labels) > 1 else ())
    text = json.dumps(found.as_dict(), allow_nan=False)
    assert Metrics.from_dict(json.loads(text)) == found
    assert Metrics.from_dict(found.as_dict()) == found


def test_a_confident_miss_costs_much_but_not_infinity():
    # The probability of the label rounds to zero; its logarithm must not.
    found = measure(np.array([[1e4, -1e4]], np.float32), np.array([1]), ("a", "b"))
    assert found.loss == 20_000
    assert found.expected_calibration_error == 1


def test_calibrated_confidence_has_no_error_and_overconfidence_its_own():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.1, 1, 100_000)
    right = rng.random(100_000) < confidence
    assert calibration_error(reliability(confidence, right)) < 0.01
    # Says 90 %, is right in 60 %.
    same = np.full(1000, 0.9)
    assert calibration_error(reliability(same, np.arange(1000) < 600)) == pytest.approx(0.3)
    # Bins do not cancel: half 20 points too sure, half 20 points too modest.
    mixed = np.repeat([0.9, 0.6], 500)
    right = np.concatenate([np.arange(500) < 350, np.arange(500) < 400])
    assert calibration_error(reliability(mixed, right)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("confidence", "bin_index"),
    [(0.0, 0), (1e-12, 0), (0.1, 0), (0.100001, 1), (0.5, 4), (0.9, 8), (0.95, 9), (1.0, 9)],
)
def test_a_bin_is_open_below_and_closed_above(confidence, bin_index):
    found = reliability(np.array([confidence]), np.array([True]), bins=10)
    assert [b.count for b in found] == [int(i == bin_index) for i in range(10)]


@given(st.integers(1, 30))
def test_every_edge_belongs_to_the_bin_below(bins):
    edges = np.linspace(0, 1, bins + 1)
    found = reliability(edges, np.ones(bins + 1, bool), bins=bins)
    assert [b.count for b in found] == [2, *[1] * (bins - 1)]
    assert [b.high for b in found[:-1]] == [b.low for b in found[1:]]
    assert (found[0].low, found[-1].high) == (0, 1)


def test_undisputed_leaves_images_out():
    labels = np.array([0, 1, 2, 3, 4])
    logits = logits_of([0, 0, 2, 3, 0], 0.8)
    found = measure(logits, labels, NAMES, disputed=(4, 0)).undisputed
    assert found.removed == (0, 4)
    assert (found.images, found.misses) == (3, 1)
    assert found.accuracy == pytest.approx(2 / 3)
    whole = measure(logits, labels, NAMES)
    assert whole == dataclasses.replace(
        measure(logits, labels, NAMES, disputed=(4, 0)), undisputed=None
    )


def test_the_disputed_images_are_those_of_the_study():
    # cleanlab/label-errors, mnist_mturk.json: fewer than three votes for the given label.
    study = """947 1621 1901 2130 2462 2597 2654 3520 3558 5937 6651 6783 8527 9679 9729"""
    assert sorted(DISPUTED_MNIST_TEST) == [int(n) for n in re.findall(r"\d+", study)]
    # First those whose label is clearly wrong, as the comment says.
    assert sorted(DISPUTED_MNIST_TEST[:7]) == [947, 2462, 2597, 2654, 3558, 5937, 6651]


def test_predictions_say_what_the_network_says():
    labels = np.array([3, 1, 9])
    found = predictions(logits_of([3, 2, 9], [0.9, 0.6, 0.5]), labels)
    np.testing.assert_array_equal(found.index, [0, 1, 2])
    np.testing.assert_array_equal(found.label, labels)
    np.testing.assert_array_equal(found.predicted, [3, 2, 9])
    np.testing.assert_allclose(found.probability_label, [0.9, 0.4 / 9, 0.5], rtol=1e-5)
    np.testing.assert_allclose(found.probability_predicted, [0.9, 0.6, 0.5], rtol=1e-5)
    for name in ("index", "label", "predicted"):
        assert getattr(found, name).dtype == np.int64
    for name in ("probability_label", "probability_predicted"):
        assert getattr(found, name).dtype == np.float64


GOOD = measure(logits_of([0, 1], 0.8), np.array([0, 0]), NAMES, disputed=[1]).as_dict()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {name: value for name, value in GOOD.items() if name != "loss"},
        {name: value for name, value in GOOD.items() if name != "undisputed"},
        {**GOOD, "extra": 1},
        {**GOOD, "per_class": 3},
        {**GOOD, "per_class": [{"name": "0"}]},
        {**GOOD, "per_class": [3]},
        {**GOOD, "interval": None},
        {**GOOD, "confusion_matrix": [3]},
        {**GOOD, "reliability": [{}]},
        {**GOOD, "undisputed": {"images": 3}},
        {**GOOD, "undisputed": [1]},
        [],
        None,
    ],
)
def test_values_that_are_no_metrics_are_refused(values):
    with pytest.raises(InputError, match="not the metrics of a run"):
        Metrics.from_dict(values)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((0, 10), np.float32), np.zeros(0, np.int64)),
        (np.zeros((3, 10), np.float32), np.zeros(2, np.int64)),
        (np.full((1, 10), np.nan, np.float32), np.array([0])),
        (np.full((1, 10), np.inf, np.float32), np.array([0])),
        (np.zeros((1, 9), np.float32), np.array([0])),
    ],
    ids=["none", "lengths", "nan", "inf", "classes"],
)
def test_what_cannot_be_measured_is_refused(logits, labels):
    # NaN would silently be read as the first class.
    with pytest.raises(DigitnetError):
        measure(logits, labels, NAMES)
