"""HTTPS mirrors: bounded downloads from servers that may be dead, broken or hostile.

Guarantees:

- Memory is bounded by the pinned size of a file, whatever a server sends.
- Time is bounded: a mirror that does not answer, stalls or drips costs seconds.
- Only https is spoken, also after a redirect. (Plain http is for tests on the own machine.)
- Each failure is one ``SourceError`` whose message is the reason.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from digitnet.data.fetch.raw import RawFile, SourceError, unpack
from digitnet.errors import UsageError

# Seconds to open a connection to one address of a mirror.
CONNECT_SECONDS = 3.0
# Seconds without a new byte (of an answer or of its body) after which a mirror is given up.
# It also covers what no socket time-out does: name look-ups, many addresses, dripped headers.
STALL_SECONDS = 5.0
# Bytes per second, on the average, below which a mirror is given up.
MIN_RATE = 30_000
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Mirror:
    """A folder on a web server that holds every file, packed.

    Args:
        url: https, ending in a slash. Plain http is allowed on the own machine only.
    """

    url: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        own_machine = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if parts.scheme != "https" and not own_machine:
            raise UsageError(f"The mirror '{self.url}' is not allowed; its address must be https.")

    @property
    def name(self) -> str:
        """The address."""
        return self.url

    def read(self, file: RawFile) -> bytes:
        """Download, unpack and verify ``file``."""
        return unpack(file, _download(f"{self.url}{file.source_name}", file.limit))


class _Body:
    """What a download writes to: bounded, and to be stopped from another thread."""

    def __init__(self, limit: int) -> None:
        self.content = io.BytesIO()
        self.size = 0
        self.limit = limit
        self.given_up = False

    def write(self, chunk: bytes) -> None:
        if self.given_up:
            raise SourceError("given up")
        self.content.write(chunk)
        self.size += len(chunk)
        if self.size > self.limit:
            raise SourceError(f"it sends more than {self.limit:,} bytes")

    def flush(self) -> None:
        """Nothing is buffered; the downloader calls it after each chunk."""


def _download(url: str, limit: int) -> bytes:
    """Return the body of ``url``, at most ``limit`` bytes.

    The work is done in a thread because no time-out of a socket covers a look-up of a name or a
    server that sends one byte now and then; a thread that has been given up is left to die.
    """
    body = _Body(limit)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            _request(url, body)
        except BaseException as error:  # handed over to the caller, which raises it
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True, name="digitnet-download")
    thread.start()
    _watch(thread, body)
    if not failures:
        return body.content.getvalue()
    if isinstance(failures[0], SourceError):
        raise failures[0]
    # requests' errors are OSErrors; odd addresses in a redirect are ValueErrors.
    if isinstance(failures[0], OSError | ValueError):
        raise SourceError(_reason(failures[0])) from failures[0]
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
        raise SourceError(f"it redirects to a '{there.scheme}:' address, which is refused")


def _watch(thread: threading.Thread, body: _Body) -> None:
    """Wait for ``thread``; give up when ``body`` grows too slowly."""
    started = grown = time.monotonic()
    size = 0
    try:
        while thread.is_alive():
            thread.join(0.05)
            now = time.monotonic()
            if body.size > size:
                size, grown = body.size, now
            if now - grown > STALL_SECONDS:
                what = "no data" if size else "no answer"
                raise SourceError(f"{what} for {STALL_SECONDS:g} seconds")
            if now - started > STALL_SECONDS + size / MIN_RATE:
                raise SourceError(f"slower than {MIN_RATE / 1000:g} kB/s")
    finally:
        body.given_up = True


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
