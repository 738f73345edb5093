import numpy as np

from digitnet.synthesis.styles import restyle


def test_only_some_digits_change_as_often_as_promised(sample):
    images, labels = sample.train_images, sample.train_labels
    changed = (restyle(images, labels, 1.0, 0) != images).any((1, 2))
    assert set(np.unique(labels[changed])) == {0, 1, 5, 7, 9}
    for label, share in ((1, 1.0), (7, 1.0), (0, 1.0), (9, 1.0), (5, 0.33)):
        assert abs(changed[labels == label].mean() - share) < 0.1


def test_ones_and_sevens_only_gain_ink(sample):
    images, labels = sample.train_images, sample.train_labels
    those = np.isin(labels, (1, 7))
    assert (restyle(images, labels, 1.0, 0)[those] >= images[those]).all()


def test_some_zeros_gain_a_slash_and_some_lose_a_gap(sample):
    zeros = sample.train_images[sample.train_labels == 0][:200]
    change = (restyle(zeros, np.zeros(200), 1.0, 0).astype(int) - zeros).sum((1, 2))
    assert (change > 0).any()
    assert (change < 0).any()


def test_half_of_the_zeros_become_even_rings(sample):
    zeros = sample.train_images[sample.train_labels == 0][:200]
    restyled = restyle(zeros, np.zeros(200), 1.0, 0).astype(int)
    # A ring is its own mirror image; hardly a zero of MNIST is.
    even = abs(restyled - restyled[:, ::-1]).mean((1, 2)) < 8
    assert (abs(zeros.astype(int) - zeros[:, ::-1]).mean((1, 2)) > 8).mean() > 0.9
    assert 0.4 < even.mean() < 0.6
    assert (restyled[even, 12:16, 12:16] == 0).all()


def test_what_is_drawn_anew_is_a_whole_digit(sample):
    images, labels = sample.train_images, sample.train_labels
    those = np.isin(labels, (5, 9))
    restyled = restyle(images, labels, 1.0, 0)[those]
    assert (restyled.max((1, 2)) > 200).all()


def test_the_share_is_kept(sample):
    images, labels = sample.train_images, sample.train_labels
    changed = (restyle(images, labels, 0.3, 0) != images).any((1, 2))
    assert 0.2 < changed[labels == 7].mean() < 0.4
    assert not (restyle(images, labels, 0.0, 0) != images).any()


def test_the_seed_decides_and_the_images_are_left_alone(sample):
    images, labels = sample.train_images[:500].copy(), sample.train_labels[:500]
    first, again = (restyle(images, labels, 0.5, 7) for _ in range(2))
    assert (first == again).all()
    assert (first != restyle(images, labels, 0.5, 8)).any()
    assert (images == sample.train_images[:500]).all()


def test_a_seven_gets_a_bar_through_its_stem(sample):
    sevens = sample.train_images[sample.train_labels == 7][:100]
    restyled = restyle(sevens, np.full(100, 7), 1.0, 0)
    rows = np.flatnonzero((restyled.astype(int) - sevens).sum((0, 2)))
    gained = (restyled.astype(int) - sevens).sum((0, 2))
    middle = (gained * np.arange(28)).sum() / gained.sum()
    assert len(rows)
    assert 11 < middle < 18


def test_blank_images_do_not_stop_it():
    blank = np.zeros((3, 28, 28), np.uint8)
    assert restyle(blank, np.array([0, 1, 7]), 1.0, 0).shape == (3, 28, 28)
