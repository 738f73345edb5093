"""Figures of networks that read other things than ten digits."""

import numpy as np
import pytest

from digitnet.showing import charts, galleries
from digitnet.training.runs import Predictions

CLOTHES = ("T-shirt/top", "Trouser", "a $5$ bag", "Ankle boot")
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def made_up(names, each=3):
    """Return images and predictions: of each class one is read as the next."""
    label = np.repeat(np.arange(len(names)), each)
    predicted = label.copy()
    predicted[::each] = (label[::each] + 1) % len(names)
    chance = np.linspace(0.2, 0.9, len(label))
    rows = np.arange(len(label))
    images = np.random.default_rng(0).integers(0, 256, (len(label), 28, 28), dtype=np.uint8)
    return images, Predictions(rows, label, predicted, 1 - chance, chance)


@pytest.mark.parametrize("names", [CLOTHES, LETTERS], ids=["clothes", "letters"])
def test_galleries_give_names_inside_the_sheet(names):
    images, predictions = made_up(names)
    drawn = (
        galleries.misses_gallery(images, predictions, class_names=names),
        galleries.correct_gallery(images, predictions, per_class=2, class_names=names),
        galleries.examples(images, predictions.label, 3, class_names=names),
    )
    for figure in drawn:
        figure.canvas.draw()
        whole = figure.bbox.padded(1)
        for ax in figure.axes:
            for text in ax.texts:
                box = text.get_window_extent()
                assert whole.contains(box.x0, box.y0), text
                assert whole.contains(box.x1, box.y1), text
    first = drawn[0]
    assert any(" → " in words and names[1][:8] in words for words in texts(first))
    assert not {str(n) for n in range(len(names))} & set(texts(drawn[1]))


def test_bands_of_columns_do_not_overlap():
    images, predictions = made_up(LETTERS)
    figure = galleries.correct_gallery(images, predictions, per_class=2, class_names=LETTERS)
    figure.canvas.draw()
    heads = [t.get_window_extent() for ax in figure.axes for t in ax.texts if t.get_text() == "A"]
    tails = [t.get_window_extent() for ax in figure.axes for t in ax.texts if t.get_text() == "K"]
    assert heads[0].y0 > tails[0].y1
    assert heads[0].x0 == pytest.approx(tails[0].x0, abs=3)


def test_a_large_matrix_leaves_out_zeros_and_grows():
    matrix = np.eye(47, dtype=int) * 9
    matrix[3, 4] = 2
    names = [f"class {n}" for n in range(47)]
    (ax,) = charts.confusion_matrix(matrix, names).axes
    assert ax.get_xlabel() == "Predicted class"
    assert len(ax.texts) == 48
    (small,) = charts.confusion_matrix(np.eye(10, dtype=int), [str(n) for n in range(10)]).axes
    assert small.get_ylabel() == "True digit"
    assert len(small.texts) == 100
    assert ax.figure.get_figheight() > 2 * small.figure.get_figheight()
    assert not ax.get_xticklabels()[0].get_parse_math()
