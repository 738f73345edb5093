"""The sets of the bench: they repeat, and their n-th picture stands on its own."""

import cv2
import numpy as np
import pytest

from digitnet.data.pen_signs import load_hands
from digitnet.experiments import picture_sets
from digitnet.experiments.picture_sets import (
    PLACINGS,
    _few_of_each_writer,
    built_in_sets,
    place,
    set_title,
)
from digitnet.reading.pictures import decode
from digitnet.synthesis.nondigits import draw_non_digits
from digitnet.synthesis.pens import can_be_redrawn

NOTHING = np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.int64)


@pytest.fixture(scope="module")
def sets(sample):
    return built_in_sets(sample.test_images[:6], sample.test_labels[:6], 3, limit=6)


def test_groups_are_those_announced_and_names_are_unique_within_one(sets):
    assert {each.group for each in sets} | {"own"} == set(picture_sets.GROUP_TITLES)
    assert len({(each.group, each.name) for each in sets}) == len(sets)
    kinds = [each.name for each in sets if each.group == "corruptions"]
    assert len(kinds) == 15
    assert kinds == [each.name for each in sets if each.group == "corruptions_found"]


def test_sets_have_titles_and_those_of_the_user_are_called_as_files_are():
    assert set_title("photographs", "clean_page") == "clean page"
    assert set_title("mnist", "ten_times") == "ten times as large"
    assert set_title("own", "my_digits") == "my_digits"


@pytest.mark.parametrize("name", PLACINGS)
def test_a_placed_picture_is_a_png_that_depends_on_its_own_index_only(name, sample):
    image = sample.test_images[0]
    content = place(image, name, 0, 7)
    assert content.startswith(b"\x89PNG")
    assert content == place(image.copy(), name, 0, 7)
    random = name in ("in_a_corner", "any_size_and_place")
    assert (len({place(image, name, seed, 7) for seed in range(8)}) > 1) == random


def test_placings_show_the_same_digit(sample):
    image = sample.test_images[1]
    shown = {name: decode(place(image, name, 0, 0)) for name in PLACINGS}
    np.testing.assert_array_equal(shown["white_on_black"], image)
    np.testing.assert_array_equal(shown["black_on_white"], 255 - image)
    assert shown["ten_times"].shape == (280, 280)
    assert shown["any_size_and_place"].shape == (280, 280)
    for name in ("on_a_sheet", "in_a_corner", "any_size_and_place"):
        same = cv2.resize(inked(255 - shown[name]), (20, 20), interpolation=cv2.INTER_AREA)
        wanted = cv2.resize(inked(image), (20, 20), interpolation=cv2.INTER_LINEAR)
        assert np.corrcoef(same.ravel(), wanted.ravel())[0, 1] > 0.85, name


def inked(picture):
    rows, columns = (np.flatnonzero((picture > 100).any(axis)) for axis in (1, 0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_any_size_and_place_covers_sizes_and_places():
    block = np.full((28, 28), 255, np.uint8)
    boxes = []
    for index in range(60):
        dark = decode(place(block, "any_size_and_place", 0, index)) == 0
        rows = np.flatnonzero(dark.any(1))
        boxes.append((rows[0], np.ptp(rows) + 1))
    tops, sides = np.array(boxes).T
    assert sides.min() < 50 < 180 < sides.max() <= picture_sets.LARGEST
    assert tops.min() < 30
    assert np.ptp(tops) > 120


@pytest.mark.parametrize("group", sorted(set(picture_sets.GROUP_TITLES) - {"own"}))
def test_a_set_repeats_and_has_what_it_says(group, sets):
    named = next(each for each in sets if each.group == group)
    first, second = named.make(), named.make()
    assert first.count == second.count > 0
    np.testing.assert_array_equal(first.picture(2), second.picture(2))
    if group == "numbers":
        assert first.labels is None
        assert len(first.texts) == first.count == 6
        assert all(3 <= len(text) <= 10 and text.isdigit() for text in first.texts)
    elif group == "non_digits":
        assert first.labels is None
        assert sum(chosen.sum() for _, chosen in first.parts) == first.count
    else:
        assert first.labels.dtype == np.int64
        assert first.labels.shape == (first.count,)
    assert first.straight == (group == "corruptions")


def test_the_nth_picture_does_not_depend_on_how_many_there_are(sets, sample):
    fewer = built_in_sets(sample.test_images[:4], sample.test_labels[:4], seed=3)
    for few, many in zip(fewer, sets, strict=True):
        if few.group in ("mnist", "photographs"):
            assert few.make().picture(2) == many.make().picture(2)


def test_photographs_with_another_pen_are_of_digits_that_it_can_draw(sets, sample):
    able = [can_be_redrawn(image) for image in sample.test_images[:6]]
    expected = sample.test_labels[:6][able]
    assert len(expected) > 0
    for each in sets:
        if each.name in ("thin", "thick"):
            np.testing.assert_array_equal(each.make().labels, expected)


def test_the_drawn_non_digits_are_none_that_networks_are_trained_on(sample):
    trained, _ = draw_non_digits(150, 0, sample.train_images)
    known = {drawing.tobytes() for drawing in trained}
    sets = built_in_sets(sample.test_images[:150], sample.test_labels[:150], seed=0)
    drawn = next(each for each in sets if each.name == "drawn").make()
    # Blocks and bars have few forms, so some meet again by chance.
    assert sum(drawn.picture(i).tobytes() in known for i in range(150)) < 8


def test_hands_are_of_writers_who_train_nothing_and_pens_are_of_all_widths():
    sets = {each.name: each for each in built_in_sets(*NOTHING, seed=0)}
    digits, letters = sets["any_pen"].make(), sets["letters"].make()
    assert digits.count > 1000
    assert np.bincount(digits.labels, minlength=10).min() > 50
    assert {name for name, chosen in digits.parts if chosen.sum() > 100} == {
        *("pens below 3 %", "pens of 3 to 6 %", "pens above 6 %"),
    }
    assert letters.labels is None
    assert {name for name, _ in letters.parts} == {"letter", "symbol"}
    shown = digits.picture(0)
    assert shown.dtype == np.uint8
    assert int(shown.max()) - int(shown.min()) > 50


def test_one_writer_does_not_decide():
    hands = load_hands()
    rows = _few_of_each_writer(hands, np.flatnonzero(hands.is_digit), 0)
    _, counts = np.unique(hands.writer[rows], return_counts=True)
    assert counts.max() == picture_sets.SIGNS_OF_A_WRITER
