import dataclasses
import hashlib
import importlib.resources
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitnet.data import datasets
from digitnet.data.datasets import (
    Dataset,
    list_datasets,
    load_dataset,
    loading,
    shipped,
    split_train_val,
    take_of_each_class,
)
from digitnet.data.datasets.mnist_like import CLASS_NAMES
from digitnet.data.fetch import catalogue
from digitnet.errors import InputError, IntegrityError, UsageError
from hostile import CONTENTS, tiny_dataset


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The folder of a tiny data set that stands in for MNIST."""
    monkeypatch.setitem(catalogue.DATASETS, "mnist", tiny_dataset())
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def check_arrays(dataset, train, test):
    for images, labels, count in (
        (dataset.train_images, dataset.train_labels, train),
        (dataset.test_images, dataset.test_labels, test),
    ):
        assert images.shape == (count, 28, 28)
        assert images.dtype == np.uint8
        assert images.flags.c_contiguous
        assert images.flags.writeable
        assert labels.shape == (count,)
        assert labels.dtype == np.int64
        assert set(labels.tolist()) == set(range(10))
    assert dataset.class_names == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def test_mnist_has_the_arrays_of_the_raw_files(tiny):
    dataset = load_dataset("mnist", data_dir=tiny)
    check_arrays(dataset, 20, 10)
    assert dataset.name == "mnist"
    assert dataset.train_images.tobytes() == CONTENTS["train-images-idx3-ubyte"][16:]
    assert dataset.test_labels.tolist() == list(CONTENTS["t10k-labels-idx1-ubyte"][8:])
    assert dataset.sha256 == {
        name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()
    }


@pytest.mark.disable_socket
def test_the_sample_needs_no_network_and_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DIGITNET_CACHE_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("DIGITNET_DATA_DIR", str(tmp_path / "none"))
    dataset = load_dataset("sample")
    check_arrays(dataset, 5_000, 1_000)
    assert not (tmp_path / "none").exists()
    assert dataset.sha256 == {datasets.SAMPLE_FILE: datasets.SAMPLE_SHA256}


def test_the_sample_is_like_mnist(sample):
    # MNIST's mean is 0.1307, and its ones are the commonest, its fives the rarest.
    assert sample.train_images.mean() / 255 == pytest.approx(0.1307, abs=0.002)
    counts = np.bincount(sample.train_labels)
    assert counts.argmax() == 1
    assert counts.argmin() == 5
    assert len(np.unique(sample.train_images, axis=0)) == 5_000


def test_the_sample_says_where_its_digits_stand_in_mnist():
    path = importlib.resources.files("digitnet") / "assets" / datasets.SAMPLE_FILE
    with np.load(path) as arrays:
        for split, count, total in (("train", 5_000, 60_000), ("test", 1_000, 10_000)):
            indices = arrays[f"{split}_indices"].astype(np.int64)
            assert len(indices) == count
            assert (np.diff(indices) > 0).all()
            assert indices.max() < total


def test_a_damaged_sample_is_refused(monkeypatch):
    monkeypatch.setattr(shipped, "SAMPLE_SHA256", "f" * 64)
    with pytest.raises(IntegrityError, match="Install digitnet again"):
        load_dataset("sample")


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UsageError, match=r"Did you mean 'mnist'.*fashion_mnist.*Or name a folder"):
        load_dataset("minst")


@pytest.mark.parametrize("name", ["./none", "/none/such", "", Path("none"), "\0/"])
def test_a_folder_that_is_not_there_is_named(name):
    with pytest.raises((InputError, UsageError), match=r"folder"):
        load_dataset(name)


@pytest.fixture
def _nothing_installed(monkeypatch):
    for name, raw in list(catalogue.DATASETS.items()):
        monkeypatch.setitem(catalogue.DATASETS, name, dataclasses.replace(raw, installed=()))


@pytest.mark.usefixtures("_nothing_installed")
def test_the_list_says_what_can_be_loaded_now(tiny, monkeypatch):
    here = {info.name for info in list_datasets() if info.available}
    assert here == {"sample", "digits8x8"}
    monkeypatch.setenv("DIGITNET_DATA_DIR", str(tiny))
    here = {info.name for info in list_datasets() if info.available}
    assert here == {"mnist", "sample", "digits8x8"}


def test_the_list_has_every_name_with_its_classes_and_licence():
    infos = {info.name: info for info in list_datasets()}
    assert set(infos) == set(loading.NAMES) == {*catalogue.DATASETS, *catalogue.SHIPPED}
    for name, info in infos.items():
        assert info.licence
        assert info.classes == len(CLASS_NAMES.get(name, range(10)))


def test_what_is_shipped_cannot_be_fetched():
    for name in catalogue.SHIPPED:
        with pytest.raises(UsageError, match=f"nothing to fetch.*--data {name}"):
            catalogue.find_dataset(name)


@pytest.mark.disable_socket
def test_scikit_learns_digits_are_divided_by_a_rule_that_is_written_down():
    dataset = load_dataset("digits8x8")
    check_arrays(dataset, 1_297, 500)
    assert dataset.sha256 == shipped.DIGITS_SHA256
    share = np.bincount(dataset.test_labels) / np.bincount(
        np.concatenate([dataset.train_labels, dataset.test_labels])
    )
    np.testing.assert_allclose(share, 500 / 1797, atol=0.006)
    # The very images: a result of today must be one on the same digits tomorrow.
    digest = hashlib.sha256(dataset.test_images.tobytes() + dataset.test_labels.tobytes())
    assert digest.hexdigest().startswith("22cadc6a19f602d5")
    # Canonical: full ink, and the longer side of the digit 20 pixels.
    assert (dataset.train_images.max(axis=(1, 2)) == 255).all()


def test_other_digits_in_scikit_learn_are_refused(monkeypatch):
    monkeypatch.setattr(shipped, "DIGITS_SHA256", dict.fromkeys(shipped.DIGITS_SHA256, "f" * 64))
    with pytest.raises(IntegrityError, match="Install scikit-learn again"):
        load_dataset("digits8x8")


def test_the_list_counts_the_sample(sample):
    info = next(info for info in list_datasets() if info.name == "sample")
    assert info.train_images == len(sample.train_labels)
    assert info.test_images == len(sample.test_labels)
    assert info.classes == len(sample.class_names)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((3, 28, 27), np.uint8), np.zeros(3, np.int64), r"shape \(3, 28, 27\)"),
        (np.zeros((3, 28, 28), np.float32), np.zeros(3, np.int64), "type float32"),
        (np.zeros((3, 28, 28), np.uint8), np.zeros(2, np.int64), r"labels .* shape \(2,\)"),
        (np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8), "labels of type uint8"),
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


def test_a_split_is_shuffled():
    for part in split_train_val(LABELS):
        assert (np.diff(part) < 0).any()
        assert (np.diff(LABELS[part]) < 0).any()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_a_fraction_outside_is_refused(fraction):
    with pytest.raises(UsageError, match=r"--val-fraction must be between 0 and 1"):
        split_train_val(LABELS, val_fraction=fraction)


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_a_fraction_that_empties_a_class_is_refused(fraction):
    with pytest.raises(UsageError, match=r"--val-fraction .* class \d"):
        split_train_val(LABELS, val_fraction=fraction)


def test_other_senseless_splits_are_refused():
    with pytest.raises(UsageError, match="seed"):
        split_train_val(LABELS, seed=-1)
    with pytest.raises(InputError, match=r"\(0,\)"):
        split_train_val(np.zeros(0, np.int64))
    with pytest.raises(InputError, match=r"\(2, 2\)"):
        split_train_val(np.zeros((2, 2), np.int64))


def test_importing_loads_no_torch_and_no_web_client():
    code = (
        "import sys, digitnet.data.datasets;"
        "print(*{'torch', 'pooch', 'requests', 'cv2', 'sklearn'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


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
