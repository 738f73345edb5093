"""Explanations in numbers: true to the answer that they explain."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import exported
from digitnet.data.dataset import Dataset
from digitnet.reading.explanation import nearest, occlusion
from digitnet.reading.recognizer import Recognizer
from digitnet.showing.explanation_page import training_digits


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(exported.model_file())
    return Recognizer(path, threads=1)


# ---- what an answer depends on


class OneSpot:
    """Reads a 3 by one pixel: the brighter it is, the surer."""

    def __init__(self, spot: tuple[int, int], sign: int = 1) -> None:
        self.spot, self.sign, self.inks = spot, sign, 0

    def predict_inks(self, inks: Any) -> list[Any]:
        self.inks += len(inks)
        return [self._answer(one[self.spot]) for one in inks]

    def _answer(self, value: float) -> Any:
        probabilities = np.zeros(10, np.float32)
        probabilities[3] = 0.5 + self.sign * 0.4 * value
        return SimpleNamespace(probabilities=probabilities)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("spot", [(14, 10), (0, 0), (27, 27)])
def test_covering_what_matters_shows_and_nothing_else(sign: int, spot: tuple[int, int]) -> None:
    image = np.full((28, 28), 255, np.uint8)
    importance = occlusion(OneSpot(spot, sign), image, 3)  # type: ignore[arg-type]
    assert importance.shape == (28, 28)
    assert importance.dtype == np.float32
    assert importance[spot] == pytest.approx(sign * 0.4, abs=1e-6)
    assert np.abs(importance).max() == np.abs(importance[spot])
    rows, columns = np.nonzero(importance)
    assert np.abs(rows - spot[0]).max() < 5
    assert np.abs(columns - spot[1]).max() < 5
    assert (sign * importance >= 0).all()


def test_paper_is_not_covered() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[14, 10] = 255
    reader = OneSpot((14, 10))
    occlusion(reader, image, 3)  # type: ignore[arg-type]
    assert reader.inks < 12


# ---- training digits


def test_a_training_digit_is_its_own_nearest(recognizer: Recognizer, sample: Dataset) -> None:
    for place in (0, 4321):
        ink = sample.train_images[place]
        found = nearest(recognizer, recognizer.features([ink])[0], training_digits)
        assert len(found) == 6
        distances = [each.distance for each in found]
        assert distances == sorted(distances)
        assert distances[0] == pytest.approx(0, abs=1e-3)
        np.testing.assert_array_equal(found[0].image, ink)
        assert found[0].label == sample.train_labels[place]


def test_training_digits_are_read_once(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = recognizer.features([np.ones((20, 5), np.float32)])[0]
    before = nearest(recognizer, features, training_digits)

    def forbidden(*_: Any) -> Any:
        raise AssertionError("read again")

    monkeypatch.setattr(Recognizer, "features", forbidden)
    again = nearest(recognizer, features, training_digits)
    assert [each.distance for each in again] == [each.distance for each in before]
