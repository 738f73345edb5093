"""UCI optdigits: what is shipped, its files of bitmaps and of counts, and both as a data set."""

import gzip

import numpy as np
import pytest
from sklearn.datasets import load_digits

from digitnet.data import optdigits, sources
from digitnet.data.catalogue import load_dataset
from digitnet.data.fetching import import_files
from digitnet.data.idx import parse_idx
from digitnet.data.optdigits import (
    check_counts,
    counts_of,
    idx_of_bitmaps,
    load_bitmaps,
    parse_bitmaps,
    parse_counts,
)
from digitnet.data.pins import PinnedDataset, pinned_dataset
from digitnet.errors import InputError, IntegrityError

HEADER = b"iconheight = 32\n1011\nntot = 2\n\n"


def text(images, labels):
    """Return bitmaps as UCI's files have them."""
    rows = ["\n".join("".join(map(str, row)) for row in image.tolist()) for image in images // 255]
    digits = [f"{each}\n {label}\n" for each, label in zip(rows, labels, strict=True)]
    return HEADER + "".join(digits).encode()


def part(name):
    bitmaps = load_bitmaps()
    chosen = bitmaps.part == name
    return bitmaps.images[chosen], bitmaps.labels[chosen]


def counts_text(images, labels):
    lines = (
        ",".join(map(str, [*image.ravel(), label]))
        for image, label in zip(images, labels, strict=True)
    )
    return ("\n".join(lines) + "\n").encode()


def test_what_is_shipped_has_both_parts_and_cannot_be_written_to():
    bitmaps = load_bitmaps()
    assert bitmaps is load_bitmaps()
    assert bitmaps.images.shape == (2_880, 32, 32)
    assert set(np.unique(bitmaps.images)) == {0, 255}
    assert np.bincount(bitmaps.labels).min() == 271
    assert dict(zip(*np.unique(bitmaps.part, return_counts=True), strict=True)) == {
        "cv": 946,
        "tra": 1_934,
    }
    with pytest.raises(ValueError, match="read-only"):
        bitmaps.images[0] = 0


def test_a_damaged_installation_is_refused(monkeypatch):
    monkeypatch.setattr(optdigits, "BITMAPS_SHA256", "0" * 64)
    with pytest.raises(IntegrityError, match="Install digitnet again"):
        load_bitmaps.__wrapped__()


def test_bitmaps_come_back_from_their_text_raw_or_packed():
    images, labels = part("cv")
    content = text(images, labels)
    for packed in (content, gzip.compress(content), content.replace(b"\n", b"\r\n")):
        found = parse_bitmaps(packed, "cv")
        np.testing.assert_array_equal(found[0], images)
        np.testing.assert_array_equal(found[1], labels)
    np.testing.assert_array_equal(parse_idx(idx_of_bitmaps(content, "labels")), labels)


@pytest.mark.parametrize("content", [b"", HEADER, b"\x1f\x9d\x90abc", b"\x1f\x8babc"])
def test_other_bytes_are_no_bitmaps(content):
    with pytest.raises(IntegrityError, match="some file"):
        parse_bitmaps(content, "some file")


def test_counts_come_back_from_their_text():
    digits = load_digits()
    images, labels = parse_counts(counts_text(digits.images.astype(int), digits.target), "tes")
    np.testing.assert_array_equal(images, digits.images)
    np.testing.assert_array_equal(labels, digits.target)


_HUGE = b"9" * 20 + b",0" * 64


@pytest.mark.parametrize("content", [b"", b"1,2\n3,4\n", b"<html>", b"0," * 64 + b"10\n", _HUGE])
def test_other_text_has_no_counts(content):
    with pytest.raises(IntegrityError, match="some file"):
        parse_counts(content, "some file")


def test_counts_are_compared_with_what_is_known_of_them():
    known = load_bitmaps()
    wdep = np.repeat(np.arange(10), optdigits._WDEP_COUNTS).astype(np.uint8)
    images = np.concatenate([counts_of(known.images), np.zeros((943, 8, 8), np.uint8)])
    labels = np.concatenate([known.labels.astype(np.uint8), wdep])
    check_counts(images, labels)
    with pytest.raises(IntegrityError, match="3,823"):
        check_counts(images[1:], labels[1:])
    images[0] = 16
    with pytest.raises(IntegrityError, match="1 of 2,880"):
        check_counts(images, labels)


@pytest.mark.disable_socket
def test_without_files_the_data_set_is_what_is_shipped():
    dataset = load_dataset("optdigits")
    assert dataset.train_images.shape == (1_934, 28, 28)
    assert dataset.test_images.shape == (946, 28, 28)
    assert dataset.sha256 == {optdigits.BITMAPS_FILE: optdigits.BITMAPS_SHA256}


def test_a_mirror_gives_the_file_that_images_and_labels_are_made_from(monkeypatch, tmp_path):
    served = text(*part("cv"))
    files = [file for file in pinned_dataset("optdigits").files if "-cv-" in file.name]
    asked = []
    monkeypatch.setattr(sources, "_download", lambda url, limit: asked.append(url) or served)
    mirror = sources.sources_of(PinnedDataset("it", (tuple(files),), mirrors=("https://it/",)))
    copies = list(mirror["https://it/"](files))
    assert [copy.state for copy in copies] == ["good", "good"]
    assert asked == ["https://it/optdigits-orig.cv.Z"] * 2


def test_the_pins_are_those_of_the_files(tmp_path):
    for name in ("tra", "cv"):
        (tmp_path / f"optdigits-orig.{name}").write_bytes(text(*part(name)))
    for file in pinned_dataset("optdigits").files:
        content = tmp_path / file.source.removesuffix(".Z")
        if content.exists():
            assert file.verified(idx_of_bitmaps(content.read_bytes(), file.name))
    with pytest.raises(InputError, match="windep"):
        load_dataset("optdigits", data_dir=tmp_path)
    with pytest.raises(InputError, match="windep"):
        import_files(tmp_path, "optdigits")
