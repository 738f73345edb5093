"""A raw file as it is pinned in the code, and the check that everything fetched must pass.

Guarantees:

- Nothing that a source says is believed: ``unpack`` compares the content with the pinned SHA-256,
  so any source is as good as another.
- A gzip bomb is cut off one byte behind the pinned size.

What is pinned is the raw content wherever it is known, so that a copy may be packed in any way or
not at all. Where only the hash of the packed file has been published, that file is what is pinned,
and only an exact copy of it will do.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Protocol

from digitnet.errors import DataUnavailableError

# A gzip file is never longer than this beyond what it holds, and HTML pages are shorter.
_SLACK = 65_536
_GZIP_MAGIC = b"\x1f\x8b"


class SourceError(DataUnavailableError):
    """One source failed; the message is the reason, without a full stop."""


@dataclass(frozen=True)
class RawFile:
    """One file of a data set.

    Args:
        name: its name in the cache and in a named folder.
        size: how many bytes it has; of a ``published`` one, how many it may have at most.
        sha256: the SHA-256 of its content.
        npz_key: what the same array is called in an ``.npz`` file; "" where there is none.
        published: whether the content is the packed file as its makers published it, and not what
            that file unpacks to.
    """

    name: str
    size: int
    sha256: str
    npz_key: str = ""
    published: bool = False

    @property
    def limit(self) -> int:
        """The number of bytes to read at most, raw or compressed."""
        return self.size + (0 if self.published else _SLACK)

    @property
    def source_name(self) -> str:
        """What the file is called where it is published, packed."""
        return self.name if self.published else f"{self.name}.gz"


class Source(Protocol):
    """Something that can deliver raw files."""

    @property
    def name(self) -> str:
        """How messages call it."""

    def read(self, file: RawFile) -> bytes:
        """Return the verified raw bytes of ``file``, or raise ``SourceError``."""


def unpack(file: RawFile, content: bytes) -> bytes:
    """Return the bytes of ``file`` from ``content``, which is raw or gzip, or as published.

    Raises:
        SourceError: it is neither, or not exactly the file that is pinned.
    """
    raw = content
    if content.startswith(_GZIP_MAGIC) and not file.published:
        try:
            raw = zlib.decompressobj(wbits=31).decompress(content, file.size + 1)
        except zlib.error as error:
            raise SourceError(f"{file.name}.gz is damaged ({error})") from error
    if content[:256].lstrip().startswith(b"<"):
        raise SourceError(f"a web page came instead of {file.name} (a login or proxy page?)")
    if len(raw) != file.size and not (file.published and 0 < len(raw) < file.size):
        count = f"{len(raw):,}" if len(raw) < file.size else f"more than {file.size:,}"
        raise SourceError(f"{file.name} has {count} bytes instead of {file.size:,}")
    digest = hashlib.sha256(raw).hexdigest()
    if digest != file.sha256:
        raise SourceError(f"{file.name} has SHA-256 {digest[:12]}… instead of {file.sha256[:12]}…")
    return raw
