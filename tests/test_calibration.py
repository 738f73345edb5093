import numpy as np
import pytest

from digitnet.training.calibration import fit_temperature, fit_threshold


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
