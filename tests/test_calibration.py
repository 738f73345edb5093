import numpy as np
import pytest

from digitnet.training.calibration import (
    ENOUGH_FOR_A_GROUP,
    calibrated,
    fit_limits,
    fit_temperature,
    fit_threshold,
    groups_to_keep,
)


def test_images_that_are_all_read_right_make_nobody_certain():
    """Two hundred hits earn the trust that one in two hundred may still be a miss."""
    labels = np.arange(200) % 10
    logits = np.where(np.arange(10) == labels[:, None], 12.0, 0.0)
    scaled = logits / fit_temperature(logits, labels)
    confidence = np.exp(scaled.max(axis=1)) / np.exp(scaled).sum(axis=1)
    assert 0.99 < confidence.mean() < 0.999


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (20_000, 10))
    probabilities = np.exp(logits / temperature)
    probabilities /= probabilities.sum(1, keepdims=True)
    labels = (probabilities.cumsum(1) > random.random((20_000, 1))).argmax(1)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_one_digit_in_a_hundred_lies_above_the_threshold():
    scores = np.random.default_rng(0).normal(size=10_000)
    assert (scores > fit_threshold(scores)).mean() == pytest.approx(0.01, abs=1e-3)


def test_of_no_group_more_than_one_in_a_hundred_lies_above_the_threshold():
    random = np.random.default_rng(0)
    scores = np.concatenate([random.normal(mean, 1, 1000) for mean in (0, 3, 1)])
    groups = np.repeat([0, 1, 2], 1000)
    above = scores > fit_threshold(scores, groups)
    assert above[1000:2000].mean() == pytest.approx(0.01, abs=1e-3)
    assert not above[:1000].any()


def test_classes_are_groups_of_their_own_where_there_are_enough_of_each():
    many = np.repeat(np.arange(10), ENOUGH_FOR_A_GROUP)
    few = np.arange(30) % 10
    groups = groups_to_keep([many, few, many])
    assert len(np.unique(groups)) == 10 + 1 + 10
    assert (groups[1000:1030] == 10).all()
    assert not set(groups[:1000]) & set(groups[1030:])


def test_each_class_is_measured_from_a_limit_of_its_own():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 2000)
    scores = random.normal(np.array([0.0, 5.0, -2.0])[labels], 1).astype(np.float32)
    logits = np.where(np.arange(3) == labels[:, None], 20.0, 0.0).astype(np.float32)
    found = calibrated(logits, scores, labels, labels)
    assert sum(found.limits) == pytest.approx(0, abs=1e-6)
    assert np.diff(found.limits) == pytest.approx([5, -7], abs=0.5)
    above = scores - np.array(found.limits)[labels] > found.ood_threshold
    for label in range(3):
        assert above[labels == label].mean() == pytest.approx(0.01, abs=2e-3)


def test_there_are_no_limits_where_a_class_has_no_group_of_its_own():
    labels = np.arange(400) % 4
    scores = np.arange(400.0)
    assert fit_limits(scores, labels, np.zeros(400, np.int64), 4) == ()
    assert fit_limits(scores, labels, labels, 5) == ()
    assert len(fit_limits(scores, labels, labels, 4)) == 4
