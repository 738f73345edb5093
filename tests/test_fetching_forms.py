"""Files pinned as published, data sets in two forms, system packages, folders of several sets."""

import gzip
import hashlib

import pytest

from digitnet.data import fetching
from digitnet.data.fetching import cache_dir, is_available, verify
from digitnet.data.pins import PinnedDataset, PinnedFile, pinned_dataset, pinned_datasets
from digitnet.errors import DataUnavailableError, InputError, IntegrityError
from hostile import CONTENTS, FILES, running_server


def read_files(name="mnist", **places):
    """Return the verified bytes of each file of a data set."""
    return {copy.name: copy.content for copy in fetching.fetch(name, **places)}


def fetch(name="mnist", **places):
    """Return the path of each verified file of a data set."""
    return {copy.name: copy.path for copy in fetching.fetch(name, **places)}


PACKED = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in CONTENTS.items()}
PUBLISHED = tuple(
    PinnedFile(name, len(content), hashlib.sha256(content).hexdigest(), published=True)
    for name, content in PACKED.items()
)


def write(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def know(monkeypatch, **fields):
    dataset = PinnedDataset("kmnist", fields.pop("forms", (PUBLISHED,)), **fields)
    monkeypatch.setitem(pinned_datasets(), "kmnist", dataset)


@pytest.mark.parametrize("name", pinned_datasets())
def test_every_data_set_has_sources_and_pins(name):
    dataset = pinned_dataset(name)
    assert dataset.mirrors
    assert all(mirror.startswith("https://") for mirror in dataset.mirrors)
    for file in [file for files in dataset.forms for file in files]:
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.size > 900
        assert file.published == file.name.endswith((".gz", ".bz2", ".zip"))
    assert len({file.name for files in dataset.forms for file in files}) == sum(
        map(len, dataset.forms)
    )


def test_a_published_file_is_kept_as_it_is():
    for file in PUBLISHED:
        assert file.verified(PACKED[file.name]) == PACKED[file.name]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c[:-1], "SHA-256"),
        (lambda c: c + b"!", "more than"),
        (lambda _: b"", "has 0 bytes"),
        (lambda _: b"<html>", "web page"),
        (gzip.decompress, "SHA-256"),
    ],
    ids=["cut", "longer", "empty", "page", "raw"],
)
def test_anything_else_is_refused(change, words):
    with pytest.raises(IntegrityError, match=words):
        PUBLISHED[0].verified(change(PACKED[PUBLISHED[0].name]))


def test_a_mirror_gives_published_files_under_their_own_names(monkeypatch):
    with running_server() as server:
        # It packs what it has, as ``gzip.compress`` does: another header, another file.
        know(monkeypatch, mirrors=(server.url("good"),))
        with pytest.raises(DataUnavailableError, match=r"import PATH --name kmnist"):
            read_files("kmnist")
        assert server.requests == [f"good/{PUBLISHED[0].name}"]


def test_a_system_package_is_used_without_a_network(tmp_path, monkeypatch):
    folder = write(tmp_path / "installed", PACKED)
    installed = {"debian_package": "dataset-some", "debian_folder": str(folder)}
    know(monkeypatch, forms=(FILES,), **installed, mirrors=("https://nowhere/",))
    assert is_available("kmnist")
    lines = []
    assert read_files("kmnist", offline=True, progress=lines.append) == CONTENTS
    assert lines[0].endswith(f"from {folder} (Debian's package dataset-some) …")
    # It is in the cache now, and stays when the package goes.
    know(monkeypatch, forms=(FILES,))
    assert read_files("kmnist", offline=True) == CONTENTS


def test_a_damaged_system_package_is_told_and_passed_over(tmp_path, monkeypatch):
    folder = write(tmp_path / "installed", PACKED)
    (folder / f"{FILES[0].name}.gz").write_bytes(b"damaged")
    know(monkeypatch, forms=(FILES,), debian_package="dataset-some", debian_folder=str(folder))
    assert not is_available("kmnist")
    with pytest.raises(DataUnavailableError, match=r"(?s)cannot be trusted.*network.*dataset-some"):
        read_files("kmnist", offline=True)


def test_a_package_that_is_not_installed_is_only_proposed(monkeypatch):
    know(monkeypatch, forms=(FILES,), debian_package="dataset-some", debian_folder="/nowhere")
    with pytest.raises(DataUnavailableError) as caught:
        read_files("kmnist", offline=True)
    assert "/nowhere" not in str(caught.value)
    assert "install Debian's package dataset-some" in str(caught.value)
    assert not (cache_dir() / "kmnist").exists()


def test_one_folder_may_hold_several_data_sets(tmp_path, monkeypatch):
    know(monkeypatch)
    folder = write(tmp_path / "all" / "kmnist", PACKED)
    assert read_files("kmnist", data_dir=tmp_path / "all") == PACKED
    assert read_files("kmnist", data_dir=folder) == PACKED
    assert {status.state for status in verify("kmnist", data_dir=tmp_path / "all")} == {"good"}
    (folder / PUBLISHED[0].name).unlink()
    with pytest.raises(InputError, match=f"does not hold {PUBLISHED[0].name}"):
        read_files("kmnist", data_dir=tmp_path / "all")


def test_either_form_will_do_and_no_mixture(tmp_path, monkeypatch):
    know(monkeypatch, forms=(PUBLISHED, FILES))
    folder = write(tmp_path / "mine", CONTENTS)
    assert read_files("kmnist", data_dir=folder) == CONTENTS
    write(cache_dir() / "kmnist", CONTENTS)
    assert fetch("kmnist", offline=True) == {
        name: cache_dir() / "kmnist" / name for name in CONTENTS
    }
    write(cache_dir() / "kmnist", PACKED)
    assert read_files("kmnist", offline=True) == PACKED
    for files in (CONTENTS, PACKED):
        (cache_dir() / "kmnist" / next(iter(files))).unlink()
    with pytest.raises(DataUnavailableError, match=f"missing: {PUBLISHED[0].name}"):
        read_files("kmnist", offline=True)


def test_a_damaged_second_form_is_told(tmp_path, monkeypatch):
    know(monkeypatch, forms=(PUBLISHED, FILES))
    folder = write(tmp_path / "mine", CONTENTS | {FILES[0].name: b"damaged"})
    with pytest.raises(IntegrityError, match="cannot be trusted"):
        read_files("kmnist", data_dir=folder)
    assert [s.state for s in verify("kmnist", data_dir=folder)] == ["damaged", *["good"] * 3]


def test_digits_and_letters_share_their_archive():
    assert pinned_dataset("emnist_digits") is pinned_dataset("emnist_letters")
    assert pinned_dataset("qmnist") is pinned_dataset("qmnist50k")
    usps = pinned_dataset("usps")
    assert len(usps.forms) == 2
    assert usps.files is usps.forms[0]
