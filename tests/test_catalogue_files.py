"""Data sets that are too large to ship, on small files made in exactly their formats."""

import bz2
import dataclasses
import gzip
import hashlib
import io
import struct
import zipfile
import zlib

import numpy as np
import pytest

from digitnet.data.catalogue import load_dataset, parse_libsvm, read_usps
from digitnet.data.dataset import DIGIT_NAMES, canonical_images
from digitnet.data.fetching import import_files, is_available, verify
from digitnet.data.idx import encode_idx
from digitnet.data.pins import PinnedFile, pinned_dataset, pinned_datasets
from digitnet.errors import InputError, IntegrityError

RNG = np.random.default_rng(0)


def pixels(count, side=28):
    return RNG.integers(0, 256, (count, side, side), dtype=np.uint8)


def idx_files(labels=None):
    """Return four packed IDX files as KMNIST publishes them, and what they hold."""
    arrays = {}
    for split, count in (("train", 20), ("t10k", 10)):
        arrays[f"{split}-images-idx3-ubyte.gz"] = pixels(count)
        arrays[f"{split}-labels-idx1-ubyte.gz"] = (np.arange(count) % 10).astype(np.uint8)
    return {name: gzip.compress(encode_idx(array)) for name, array in arrays.items()}, arrays


def emnist_file(part="letters", classes=26, first=1, **changes):
    """Return an archive as EMNIST's, and the images in it as they look."""
    upright, members = {}, {"gzip/emnist-byclass-mapping.txt": b"0 48\n", "../../evil.gz": b"evil"}
    for split, count in (("train", 2 * classes), ("test", classes)):
        upright[split] = pixels(count)
        stored = np.ascontiguousarray(upright[split].transpose(0, 2, 1))
        labels = (np.arange(count) % classes + first).astype(np.uint8)
        for kind, array in (("images-idx3", stored), ("labels-idx1", labels)):
            name = f"gzip/emnist-{part}-{split}-{kind}-ubyte.gz"
            members[name] = gzip.compress(encode_idx(array))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (members | changes).items():
            archive.writestr(name, content)
    return written.getvalue(), upright


def int_idx(table):
    return b"\0\0\x0c\x02" + struct.pack(">2I", *table.shape) + table.astype(">i4").tobytes()


def qmnist_files():
    """Return four files as QMNIST publishes them, with 20 digits behind MNIST's 10,000."""
    files, arrays = {}, {}
    for split, count in (("train", 20), ("test", 10_020)):
        table = np.zeros((count, 8), np.int64)
        table[:, 0], table[:, 5] = np.arange(count) % 10, 400_000 + np.arange(count)
        arrays[split] = pixels(count)
        files[f"qmnist-{split}-images-idx3-ubyte.gz"] = gzip.compress(encode_idx(arrays[split]), 1)
        files[f"qmnist-{split}-labels-idx2-int.gz"] = gzip.compress(int_idx(table))
    return files, arrays


def libsvm(images, labels):
    """Return digits as LIBSVM's site has them: labels from 1, values in thousandths, -1 to 1."""
    lines = []
    for image, label in zip(images, labels, strict=True):
        values = (image.ravel().astype(float) / 255 * 2 - 1).round(3)
        pairs = " ".join(f"{place}:{value:g}" for place, value in enumerate(values, 1))
        lines.append(f"{label + 1} {pairs} ")
    return bz2.compress("\n".join(lines).encode() + b"\n")


def usps_arrays():
    labels = (np.arange(30) % 10).astype(np.int64)
    return pixels(30, 16), labels, np.repeat([0, 1], [20, 10])


@pytest.fixture
def known(monkeypatch):
    """Return what makes files the pinned ones of a data set."""

    def make(name, files, arrays=()):
        def pin(contents, published):
            return tuple(
                PinnedFile(n, len(c), hashlib.sha256(c).hexdigest(), published=published)
                for n, c in contents.items()
            )

        known = pinned_dataset(name)
        forms = (pin(files, True), *([pin(dict(arrays), False)] if arrays else ()))
        raw = dataclasses.replace(known, forms=forms)
        monkeypatch.setitem(pinned_datasets(), name, raw)

    return make


def write(folder, files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_kmnist_is_read_from_packed_files(tmp_path, known):
    files, arrays = idx_files()
    known("kmnist", files)
    dataset = load_dataset("kmnist", data_dir=write(tmp_path / "mine", files))
    np.testing.assert_array_equal(dataset.train_images, arrays["train-images-idx3-ubyte.gz"])
    np.testing.assert_array_equal(dataset.test_labels, np.arange(10))
    assert dataset.class_names == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    assert dataset.sha256 == {n: hashlib.sha256(c).hexdigest() for n, c in files.items()}


def test_the_same_content_packed_anew_is_not_the_published_file(tmp_path, known):
    files, _ = idx_files()
    known("kmnist", files)
    again = {name: gzip.compress(gzip.decompress(c), 1, mtime=7) for name, c in files.items()}
    folder = write(tmp_path / "mine", again)
    with pytest.raises(IntegrityError, match=r"SHA-256"):
        load_dataset("kmnist", data_dir=folder)
    with pytest.raises(IntegrityError, match=r"cannot be trusted"):
        import_files(folder, "kmnist")
    raw = {name.removesuffix(".gz"): gzip.decompress(c) for name, c in files.items()}
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte\.gz"):
        import_files(write(tmp_path / "raw", raw), "kmnist")


def test_letters_are_upright_and_numbered_from_0(tmp_path, known):
    content, upright = emnist_file()
    known("emnist_letters", {"gzip.zip": content})
    import_files(write(tmp_path / "mine", {"gzip.zip": content}), "emnist_letters")
    dataset = load_dataset("emnist_letters", offline=True)
    np.testing.assert_array_equal(dataset.train_images, upright["train"])
    np.testing.assert_array_equal(dataset.test_images, upright["test"])
    assert dataset.test_labels.tolist() == list(range(26))
    assert dataset.class_names[0] == "A"
    assert dataset.class_names[25] == "Z"
    assert dataset.train_images.flags.c_contiguous
    assert not (tmp_path.parent / "evil.gz").exists()


def test_emnists_digits_are_numbered_as_they_are(tmp_path, known):
    content, upright = emnist_file("digits", 10, 0)
    known("emnist_digits", {"gzip.zip": content})
    dataset = load_dataset(
        "emnist_digits", data_dir=write(tmp_path / "mine", {"gzip.zip": content})
    )
    np.testing.assert_array_equal(dataset.train_images, upright["train"])
    assert dataset.test_labels.tolist() == list(range(10))
    assert dataset.class_names == DIGIT_NAMES


MEMBER = "gzip/emnist-letters-train-images-idx3-ubyte.gz"
LABELS = "gzip/emnist-letters-train-labels-idx1-ubyte.gz"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (emnist_file(**{MEMBER: gzip.compress(b"no IDX")})[0], "not an IDX file"),
        (
            emnist_file(**{MEMBER: gzip.compress(encode_idx(pixels(3)))})[0],
            r"images uint8 \(3, 28, 28\) and labels int64 \(52,\)",
        ),
        (
            emnist_file(**{LABELS: gzip.compress(encode_idx(np.zeros(52, np.uint8)))})[0],
            "labels from -1",
        ),
        (
            emnist_file(**{LABELS: gzip.compress(encode_idx(np.full(52, 27, np.uint8)))})[0],
            "labels from 26",
        ),
    ],
    ids=["text", "few", "label 0", "label 27"],
)
def test_a_bad_archive_is_an_integrity_error(content, words, tmp_path, known):
    known("emnist_letters", {"gzip.zip": content})
    folder = write(tmp_path / "mine", {"gzip.zip": content})
    with pytest.raises(IntegrityError, match=words):
        load_dataset("emnist_letters", data_dir=folder)


@pytest.mark.parametrize(("name", "test"), [("qmnist", 10_000), ("qmnist50k", 20)])
def test_qmnist_has_its_further_digits_under_a_name_of_their_own(name, test, tmp_path, known):
    files, arrays = qmnist_files()
    known(name, files)
    dataset = load_dataset(name, data_dir=write(tmp_path / "mine", files))
    np.testing.assert_array_equal(dataset.train_images, arrays["train"])
    mine = arrays["test"][:10_000] if name == "qmnist" else arrays["test"][10_000:]
    np.testing.assert_array_equal(dataset.test_images, mine)
    assert dataset.test_labels.tolist() == [i % 10 for i in range(test)]


def test_labels_of_another_type_are_refused(tmp_path, known):
    files, _ = qmnist_files()
    files["qmnist-train-labels-idx2-int.gz"] = gzip.compress(encode_idx(np.zeros(20, np.uint8)))
    known("qmnist", files)
    with pytest.raises(IntegrityError, match=r"labels-idx2-int\.gz is not an IDX file"):
        load_dataset("qmnist", data_dir=write(tmp_path / "mine", files))


def usps_forms():
    images, labels, split = usps_arrays()
    published, arrays = {}, {}
    for number, (name, short) in enumerate((("usps.bz2", "train"), ("usps.t.bz2", "test"))):
        mine = split == number
        published[name] = libsvm(images[mine], labels[mine])
        arrays[f"usps-{short}-images-idx3-ubyte"] = encode_idx(images[mine])
        arrays[f"usps-{short}-labels-idx1-ubyte"] = encode_idx(labels[mine].astype(np.uint8))
    return published, arrays, (images, labels, split)


def test_both_forms_of_usps_are_the_same_data_set(tmp_path, known):
    published, arrays, (images, labels, split) = usps_forms()
    known("usps", published, arrays)
    folder = write(tmp_path / "text", published)
    text = load_dataset("usps", data_dir=folder)
    assert text.sha256 == {n: hashlib.sha256(c).hexdigest() for n, c in arrays.items()}
    np.testing.assert_array_equal(text.train_images, canonical_images(images[split == 0]))
    np.testing.assert_array_equal(text.test_labels, labels[split == 1])
    assert not is_available("usps")
    np.savez_compressed(tmp_path / "some.npz", x=images, y=labels, split=split)
    paths = import_files(tmp_path / "some.npz", "usps")
    assert list(paths) == list(arrays)
    assert is_available("usps")
    assert [status.name for status in verify("usps")] == list(arrays)
    loaded = load_dataset("usps", offline=True)
    assert loaded.sha256 == text.sha256
    np.testing.assert_array_equal(loaded.test_images, text.test_images)
    # A complete form stays, whichever it is.
    import_files(folder, "usps")
    assert {status.state for status in verify("usps")} == {"good"}


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y, s: (x[:, :15], y, s),
        lambda x, y, s: (x[:-1], y, s),
        lambda x, y, s: (x, y + 1, s),
        lambda x, y, s: (x, y, s[::-1]),
        lambda x, y, s: (x, y.astype(float), s),
        lambda x, y, s: (np.array([{"an": "object"}], dtype=object), y, s),
    ],
    ids=["shape", "count", "labels", "split", "floats", "pickled"],
)
def test_other_arrays_are_refused(change, tmp_path, known):
    published, arrays, values = usps_forms()
    known("usps", published, arrays)
    np.savez(tmp_path / "some.npz", **dict(zip(["x", "y", "split"], change(*values), strict=True)))
    with pytest.raises(IntegrityError, match=r"some.npz"):
        import_files(tmp_path / "some.npz", "usps")


def test_the_type_and_the_order_of_arrays_do_not_matter(tmp_path, known):
    published, arrays, (images, labels, split) = usps_forms()
    known("usps", published, arrays)
    other = {"x": np.asfortranarray(images.astype(np.int16)), "y": labels, "split": split}
    np.savez(tmp_path / "some.npz", **other)
    import_files(tmp_path / "some.npz", "usps")
    assert is_available("usps")


def test_grey_values_are_rounded_to_the_nearest():
    text = "1 " + " ".join(f"{place}:{value}" for place, value in enumerate([0.307] * 256, 1))
    images, labels = parse_libsvm(bz2.compress(text.encode()))
    # (1.307 / 2) of 255 is 166.6.
    assert (images == 167).all()
    assert images.dtype == labels.dtype == np.uint8
    assert labels.tolist() == [0]


def test_idx_files_of_usps_must_fit_each_other():
    files = usps_forms()[1]
    files["usps-train-labels-idx1-ubyte"] = encode_idx(np.zeros(2, np.uint8))
    with pytest.raises(
        IntegrityError, match=r"train split .* 'usps' has images .* labels int64 \(2,\)"
    ):
        read_usps("usps", files)


def test_resizing_does_not_depend_on_the_batch():
    inks = pixels(7, 16)
    together = canonical_images(inks)
    for ink, image in zip(inks, together, strict=True):
        np.testing.assert_array_equal(canonical_images(ink[None])[0], image)
    assert canonical_images(np.zeros((2, 8, 8), np.uint8)).max() == 0
    assert canonical_images(np.zeros((0, 8, 8), np.uint8)).shape == (0, 28, 28)
    # Brightness is scaled, so the range of the input does not matter.
    np.testing.assert_array_equal(canonical_images(inks // 16), canonical_images(inks // 16 * 16))
    assert zlib.crc32(together.tobytes()) == zlib.crc32(canonical_images(inks).tobytes())
