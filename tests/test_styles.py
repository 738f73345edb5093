import numpy as np
import pytest

from digitnet.synthesis.styles import restyle


@pytest.fixture(scope="module")
def names(sample):
    return np.array(sample.class_names)[sample.train_labels]


@pytest.fixture(scope="module")
def restyled(sample, names):
    """Every image of the sample that can be in another style."""
    return restyle(sample.train_images, names, 1.0, 0)


def test_only_some_digits_change_as_often_as_promised(sample, names, restyled):
    changed = (restyled != sample.train_images).any((1, 2))
    assert set(names[changed]) == {"0", "1", "5", "7", "9"}
    for name, share in (("1", 1.0), ("7", 1.0), ("0", 1.0), ("9", 1.0), ("5", 0.33)):
        assert abs(changed[names == name].mean() - share) < 0.1


def test_classes_that_are_not_called_as_digits_keep_their_images(sample):
    letters = np.array(list("ABCDEFGHIJ"))[sample.train_labels]
    assert (restyle(sample.train_images, letters, 1.0, 0) == sample.train_images).all()


def test_digits_are_known_by_name_whatever_the_number_of_their_class(sample):
    images, labels = sample.train_images[:300], sample.train_labels[:300]
    mixed = np.array(["A", "7", "B", "C", "D", "E", "F", "1", "G", "H"])[labels]
    changed = (restyle(images, mixed, 1.0, 0) != images).any((1, 2))
    assert (changed == np.isin(labels, (1, 7))).all()


def test_ones_and_sevens_only_gain_ink(sample, names, restyled):
    those = np.isin(names, ("1", "7"))
    assert (restyled[those] >= sample.train_images[those]).all()


def test_some_zeros_gain_a_slash_and_some_lose_a_gap(sample, names, restyled):
    zeros = names == "0"
    change = (restyled[zeros].astype(int) - sample.train_images[zeros]).sum((1, 2))
    assert (change > 0).any()
    assert (change < 0).any()


def test_half_of_the_zeros_become_even_rings(sample, names, restyled):
    zeros = sample.train_images[names == "0"]
    drawn = restyled[names == "0"].astype(int)
    # A ring is its own mirror image; hardly a zero of MNIST is.
    even = abs(drawn - drawn[:, ::-1]).mean((1, 2)) < 8
    assert (abs(zeros.astype(int) - zeros[:, ::-1]).mean((1, 2)) > 8).mean() > 0.9
    assert 0.4 < even.mean() < 0.6
    assert (drawn[even, 12:16, 12:16] == 0).all()


def test_what_is_drawn_anew_is_a_whole_digit(names, restyled):
    assert (restyled[np.isin(names, ("5", "9"))].max((1, 2)) > 200).all()


def test_the_share_is_kept(sample, names):
    images = sample.train_images
    changed = (restyle(images, names, 0.3, 0) != images).any((1, 2))
    assert 0.2 < changed[names == "7"].mean() < 0.4
    assert not (restyle(images, names, 0.0, 0) != images).any()


def test_the_seed_decides_and_the_images_are_left_alone(sample, names):
    images = sample.train_images[:500].copy()
    first, again = (restyle(images, names[:500], 0.5, 7) for _ in range(2))
    assert (first == again).all()
    assert (first != restyle(images, names[:500], 0.5, 8)).any()
    assert (images == sample.train_images[:500]).all()


def test_a_seven_gets_a_bar_through_its_stem(sample, names, restyled):
    sevens = names == "7"
    gained = (restyled[sevens].astype(int) - sample.train_images[sevens]).sum((0, 2))
    assert 11 < (gained * np.arange(28)).sum() / gained.sum() < 18


def test_blank_images_do_not_stop_it():
    blank = np.zeros((3, 28, 28), np.uint8)
    assert not restyle(blank, np.array(["0", "1", "7"]), 1.0, 0).any()
