"""Data sets by name, what is shipped, and the list."""

import dataclasses
import hashlib
import importlib.resources
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from digitnet.data import catalogue
from digitnet.data.catalogue import list_datasets, load_dataset
from digitnet.data.pen_signs import STROKES_FILE, STROKES_SHA256, load_hands, split_writers
from digitnet.data.pins import credit_of, known_datasets, pinned_dataset, pinned_datasets
from digitnet.errors import InputError, IntegrityError, UsageError
from hostile import CONTENTS, tiny_dataset

SHIPPED = ("sample", "digits8x8", "unipen")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The folder of a tiny data set that stands in for MNIST."""
    monkeypatch.setitem(pinned_datasets(), "mnist", tiny_dataset())
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
    assert dataset.sha256 == {catalogue.SAMPLE_FILE: catalogue.SAMPLE_SHA256}


def test_the_sample_is_like_mnist(sample):
    # MNIST's mean is 0.1307, and its ones are the commonest, its fives the rarest.
    assert sample.train_images.mean() / 255 == pytest.approx(0.1307, abs=0.002)
    counts = np.bincount(sample.train_labels)
    assert counts.argmax() == 1
    assert counts.argmin() == 5
    assert len(np.unique(sample.train_images, axis=0)) == 5_000


def test_the_sample_says_where_its_digits_stand_in_mnist():
    path = importlib.resources.files("digitnet") / "assets" / catalogue.SAMPLE_FILE
    with np.load(path) as arrays:
        for split, count, total in (("train", 5_000, 60_000), ("test", 1_000, 10_000)):
            indices = arrays[f"{split}_indices"].astype(np.int64)
            assert len(indices) == count
            assert (np.diff(indices) > 0).all()
            assert indices.max() < total


def test_a_damaged_sample_is_refused(monkeypatch):
    monkeypatch.setattr(catalogue, "SAMPLE_SHA256", "f" * 64)
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
    for name, raw in list(pinned_datasets().items()):
        monkeypatch.setitem(pinned_datasets(), name, dataclasses.replace(raw, debian_package=""))


@pytest.mark.usefixtures("_nothing_installed")
def test_the_list_says_what_can_be_loaded_now(tiny, monkeypatch):
    here = {info["name"] for info in list_datasets() if info["available"]}
    assert here == {*SHIPPED, "optdigits"}
    monkeypatch.setenv("DIGITNET_DATA_DIR", str(tiny))
    here = {info["name"] for info in list_datasets() if info["available"]}
    assert here == {"mnist", *SHIPPED, "optdigits"}


def test_the_list_has_every_name_with_its_classes_and_licence():
    infos = {info["name"]: info for info in list_datasets()}
    assert set(infos) == set(known_datasets()) == {*pinned_datasets(), *SHIPPED}
    for name, info in infos.items():
        assert info["licence"]
        assert info["classes"] == (26 if name == "emnist_letters" else 10)


def test_pages_name_the_makers_of_every_data_set():
    for name, about in known_datasets().items():
        assert credit_of(name).endswith(".")
        terms = about["licence"].split(",")[0]
        assert terms in credit_of(name) or "under the MIT licence" in credit_of(name)
    assert credit_of("a folder") == ""


def test_what_is_shipped_cannot_be_fetched():
    for name in SHIPPED:
        with pytest.raises(UsageError, match=f"nothing to fetch.*--data {name}"):
            pinned_dataset(name)


@pytest.mark.disable_socket
def test_scikit_learns_digits_are_divided_by_a_rule_that_is_written_down():
    dataset = load_dataset("digits8x8")
    check_arrays(dataset, 1_297, 500)
    assert dataset.sha256 == catalogue.DIGITS_SHA256
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
    monkeypatch.setattr(
        catalogue, "DIGITS_SHA256", dict.fromkeys(catalogue.DIGITS_SHA256, "f" * 64)
    )
    with pytest.raises(IntegrityError, match="scikit-learn has other digits"):
        load_dataset("digits8x8")


def test_the_list_counts_what_is_shipped(sample):
    infos = {info["name"]: info for info in list_datasets()}
    hands = load_hands()
    rows = split_writers(hands)
    digits = [int(hands.is_digit[each].sum()) for each in rows]
    images = [len(sample.train_labels), len(sample.test_labels)]
    for name, counts in (("sample", images), ("unipen", digits)):
        info = infos[name]
        assert [info["train_images"], info["test_images"]] == counts
        assert info["classes"] == 10


@pytest.mark.slow
def test_unipen_is_drawn_from_the_strokes_that_are_shipped_and_tested_on_other_writers():
    unipen = load_dataset("unipen")
    check_arrays(unipen, 9_689, 2_608)
    assert unipen.sha256 == {STROKES_FILE: STROKES_SHA256}
    assert (unipen.train_images.max(axis=(1, 2)) == 255).all()
    hands = load_hands()
    _, val = split_writers(hands)
    labels = hands.label[val[hands.is_digit[val]]].astype(int)
    np.testing.assert_array_equal(unipen.test_labels, labels)
    assert unipen.writers is not None
    assert not set(unipen.writers) & set(hands.writer[val])


def test_importing_loads_no_torch_and_no_web_client():
    code = (
        "import sys, digitnet.data.catalogue;"
        "print(*{'torch', 'requests', 'cv2', 'sklearn'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
