"""The page: a folder of static files, served at ``/``.

Guarantees:

- Only regular files that were in the folder when the service started are served, under the names
  that they had there: no path leads out of it, and no link is followed.
- Types come from a list of our own, so that a browser runs what is meant to be run, whatever the
  system thinks of an ending.
- A file that a browser has already is not sent again (``ETag``); a changed one is, at once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}
_OTHER = "application/octet-stream"
_FIRST = "index.html"
_PART = 2**18


class PageFiles:
    """The files of a folder, by their addresses.

    Args:
        folder: that is served; None for no files.
    """

    def __init__(self, folder: Path | None) -> None:
        self._files = dict(_addresses(folder)) if folder else {}

    def __len__(self) -> int:
        return len(self._files)

    def response(self, request: Request) -> Response | None:
        """Return the file that a request asks for, None if there is none of that name."""
        path = self._files.get(address_of(request))
        if path is None or request.method not in ("GET", "HEAD"):
            return None
        try:
            stream = path.open("rb")
        except OSError:
            # It was there at the start.
            return None
        about = os.fstat(stream.fileno())
        tag = f'"{about.st_mtime_ns:x}-{about.st_size:x}"'
        headers = {"etag": tag, "cache-control": "no-cache"}
        known = request.headers.get("if-none-match", "")
        if tag in (each.strip().removeprefix("W/") for each in known.split(",")):
            stream.close()
            return Response(status_code=304, headers=headers)
        headers["content-length"] = str(about.st_size)
        kind = _TYPES.get(path.suffix.lower(), _OTHER)
        if request.method == "HEAD":
            stream.close()
            return Response(headers=headers, media_type=kind)
        if about.st_size <= _PART:
            with stream:
                return Response(stream.read(about.st_size), headers=headers, media_type=kind)
        return StreamingResponse(_Parts(stream, about.st_size), headers=headers, media_type=kind)


def address_of(request: Request) -> str:
    """Return what a request asks for, from where this application is mounted."""
    address: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return address


class _Parts:
    """A file in parts. Reading one takes less time than handing it to another thread would."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def __aiter__(self) -> _Parts:
        return self

    async def __anext__(self) -> bytes:
        part = self._stream.read(min(_PART, self._left))
        self._left -= len(part)
        if not part:
            self._stream.close()
            raise StopAsyncIteration
        return part


def _addresses(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each regular file below a folder, with its address."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in sorted(names):
            path = Path(parent) / name
            if name[0] == "." or not stat.S_ISREG(path.lstat().st_mode):
                continue
            address = "/" + path.relative_to(folder).as_posix()
            yield address, path
            if name == _FIRST:
                yield address.removesuffix(_FIRST), path
