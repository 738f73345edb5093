"""What a data set is, its splits, and as many images of each class."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitnet.data.dataset import Dataset, split_train_val, take_of_each_class
from digitnet.errors import InputError, IntegrityError, UsageError


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((3, 28, 27), np.uint8), np.zeros(3, np.int64), r"images uint8 \(3, 28, 27\)"),
        (np.zeros((3, 28, 28), np.float32), np.zeros(3, np.int64), "images float32"),
        (np.zeros((3, 28, 28), np.uint8), np.zeros(2, np.int64), r"labels int64 \(2,\)"),
        (np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8), "labels uint8"),
        (np.zeros((3, 28, 28), np.uint8), np.array([0, 1, 10]), "from 0 to 10"),
        (np.zeros((3, 28, 28), np.uint8), np.array([0, 1, -1]), "from -1 to 1"),
    ],
)
def test_a_data_set_that_does_not_fit_is_refused(images, labels, words):
    good = np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int64)
    with pytest.raises(IntegrityError, match=words):
        Dataset("mine", *good, images, labels, ("0",), {})


LABELS = np.random.default_rng(0).integers(0, 10, 1_000)


@given(
    st.lists(st.integers(4, 40), min_size=1, max_size=10),
    st.floats(0.3, 0.7),
    st.integers(0, 2**32),
)
def test_a_split_has_everything_once_and_each_class_in_proportion(counts, fraction, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    train, val = split_train_val(labels, val_fraction=fraction, seed=seed)
    assert train.dtype == val.dtype == np.int64
    assert sorted([*train, *val]) == list(range(len(labels)))
    assert len(val) == round(float((np.array(counts) * fraction).sum()))
    in_val = np.bincount(labels[val], minlength=len(counts))
    assert (np.abs(in_val - np.array(counts) * fraction) < 1).all()


def test_a_split_depends_on_its_seed_only():
    train, val = split_train_val(LABELS, seed=3)
    again = split_train_val(LABELS.copy(), seed=3)
    np.testing.assert_array_equal(train, again[0])
    np.testing.assert_array_equal(val, again[1])
    assert not np.array_equal(val, split_train_val(LABELS, seed=4)[1])
    # The very indices: a run of today must find its validation images tomorrow.
    digest = hashlib.sha256(train.tobytes() + val.tobytes()).hexdigest()
    assert digest.startswith("250f4d4decbd1a67")


def test_whole_writers_are_set_aside_where_they_are_known():
    writers = np.random.default_rng(1).choice([f"w{i}" for i in range(40)], 1_000)
    train, val = split_train_val(LABELS, val_fraction=0.2, seed=3, writers=writers)
    assert sorted([*train, *val]) == list(range(1_000))
    assert not set(writers[train]) & set(writers[val])
    assert 150 < len(val) <= 200
    again = split_train_val(LABELS, val_fraction=0.2, seed=3, writers=writers)
    np.testing.assert_array_equal(val, again[1])


def test_a_class_that_no_writer_set_aside_has_written_is_named():
    writers = np.array(["a", "b"]).repeat(500)
    with pytest.raises(InputError, match=r"No writer to validate on .* --val-fraction than 0\.1"):
        split_train_val(LABELS, writers=writers)


def test_a_split_is_shuffled():
    for part in split_train_val(LABELS):
        assert (np.diff(part) < 0).any()
        assert (np.diff(LABELS[part]) < 0).any()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_a_fraction_outside_is_refused(fraction):
    with pytest.raises(UsageError, match=r"--val-fraction must be between 0 and 1"):
        split_train_val(LABELS, val_fraction=fraction)


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_class_has_an_image_in_both_parts_however_few_there_are(count, fraction):
    labels = np.repeat(np.arange(10), count)
    train, val = split_train_val(labels, val_fraction=fraction)
    assert sorted([*train, *val]) == list(range(len(labels)))
    assert set(labels[train]) == set(labels[val]) == set(range(10))
    if fraction == 0.1:
        assert np.bincount(labels[val]).tolist() == [1] * 10


def test_one_image_cannot_be_in_both_parts():
    with pytest.raises(InputError, match=r"Class 2 has 1 image .* at least two"):
        split_train_val(np.array([0, 0, 0, 1, 1, 2]))


def test_other_senseless_splits_are_refused():
    with pytest.raises(UsageError, match="seed"):
        split_train_val(LABELS, seed=-1)
    with pytest.raises(InputError, match=r"\(0,\)"):
        split_train_val(np.zeros(0, np.int64))
    with pytest.raises(InputError, match=r"\(2, 2\)"):
        split_train_val(np.zeros((2, 2), np.int64))


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 4), min_size=30, max_size=80), st.integers(5, 40), st.integers(0, 99)
)
def test_as_many_are_taken_of_each_class(labels, count, seed):
    labels = np.array([*labels, *range(5)])
    indices = np.random.default_rng(seed).permutation(len(labels))[: len(labels) - 3]
    counts = np.bincount(labels[indices])
    counts = counts[counts > 0]
    if not len(counts) <= count <= len(counts) * counts.min():
        return
    taken = take_of_each_class(indices, labels, count, seed)
    assert len(set(taken.tolist())) == len(taken) == count
    assert set(taken.tolist()) <= set(indices.tolist())
    each = np.bincount(labels[taken])
    each = each[each > 0]
    assert len(each) == len(counts)
    assert each.max() - each.min() <= 1
    assert np.array_equal(taken, take_of_each_class(indices, labels, count, seed))


@pytest.mark.parametrize("count", [1, 2, 16])
def test_more_than_a_class_has_cannot_be_taken(count):
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2])
    with pytest.raises(UsageError, match="3 to 12 can"):
        take_of_each_class(np.arange(14), labels, count, 0)
