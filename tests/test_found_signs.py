"""What a reader learns of a finder's work: the labels of what was found."""

import numpy as np
import pytest

from digitnet.data.pen_signs import load_hands, split_writers
from digitnet.errors import InputError
from digitnet.network.finder import Finder
from digitnet.synthesis.page_scenes import Page, PageMaker
from digitnet.training.checkpoint import load_finder
from digitnet.training.found_signs import OTHER, found_signs, labels_of

SIZE = 40


def page_of(*signs: tuple[int, tuple[slice, slice]]) -> Page:
    """Return a page with blocks of ink as signs."""
    ink = np.zeros((2, SIZE, SIZE), np.float32)
    owner = np.full((SIZE, SIZE), -1, np.int16)
    for number, (_, place) in enumerate(signs):
        ink[0][place], owner[place] = 1, number
    labels = np.array([label for label, _ in signs], np.int64)
    boxes = np.zeros((len(signs), 4), np.float32)
    return Page(np.zeros((SIZE, SIZE), np.uint8), ink, owner, labels, boxes, ())


def found(*places: tuple[slice, slice]) -> np.ndarray:
    inks = np.zeros((len(places), SIZE, SIZE), np.bool_)
    for ink, place in zip(inks, places, strict=True):
        ink[place] = True
    return inks


LEFT, RIGHT, BOTH = np.s_[5:25, 3:13], np.s_[5:25, 18:28], np.s_[5:25, 3:28]
UPPER, BELOW, STEM, EDGE = np.s_[5:14, 3:13], np.s_[30:36, 2:38], np.s_[2:38, 34:37], np.s_[30:, :]


@pytest.mark.parametrize(
    ("place", "label"),
    [
        *((LEFT, 7), (RIGHT, OTHER), (BOTH, OTHER), (UPPER, -1)),
        *((BELOW, OTHER), (STEM, -1), (EDGE, -1)),
    ],
    ids=["digit", "letter", "two", "half a digit", "clutter", "like a 1", "cut by the frame"],
)
def test_what_was_found_is_labelled_by_what_was_drawn_there(place, label) -> None:
    page = page_of((7, LEFT), (OTHER, RIGHT))
    assert labels_of(found(place), page).tolist() == [label]


def test_on_a_page_without_signs_everything_found_is_none() -> None:
    assert labels_of(found(BELOW, LEFT), page_of()).tolist() == [OTHER, OTHER]
    assert labels_of(found(), page_of((3, LEFT))).tolist() == []


def test_a_finder_that_finds_nothing_is_told(sample, monkeypatch) -> None:
    monkeypatch.setattr("digitnet.training.found_signs._PATIENCE", 3)
    maker = PageMaker(sample.train_images, sample.train_labels, load_hands(), np.arange(2000))
    with pytest.raises(InputError, match="no sign on 3 pages"):
        found_signs(Finder().eval(), maker, 5, seed=0)


def test_found_signs_look_like_what_they_are_called_and_follow_from_the_seed(sample) -> None:
    hands = load_hands()
    maker = PageMaker(sample.train_images, sample.train_labels, hands, split_writers(hands)[0])
    images, labels = found_signs(load_finder(), maker, 60, seed=3)
    assert images.shape == (60, 28, 28)
    assert images.dtype == np.uint8
    assert set(labels.tolist()) <= set(range(11))
    assert (images.max((1, 2)) > 200).all()
    again = found_signs(load_finder(), maker, 60, seed=3)
    assert (images == again[0]).all()
    assert (labels == again[1]).all()
