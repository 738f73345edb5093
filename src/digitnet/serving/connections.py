"""The limits of a connection that no application sees: uvicorn's protocol with bounds.

Guarantees:

- The head of a request arrives within ``HEAD_SECONDS`` and is not larger than ``MAX_HEAD``.
- What encloses a body (chunks, trailers) is bounded with it.
- A client that does not take its answer for ``WRITE_SECONDS`` is cut off.
- More connections than allowed are answered 503 and closed at once.
- While the service stops, a connection that was just opened may still send its request.
"""

from __future__ import annotations

import asyncio
import http
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from digitnet.errors import InputError
from digitnet.serving.problems import (
    PROBLEM_TYPE,
    RefusedError,
    encoded,
    problem_of,
    refused_for_now,
)
from digitnet.serving.service_settings import ServiceSettings

MAX_HEAD = 32_768
HEAD_SECONDS, WRITE_SECONDS = 10.0, 30.0
# How long an idle connection is kept, and how long while the service stops.
IDLE_SECONDS, LAST_SECONDS = 15, 0.5


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        settings: whose limits count.
        given: what uvicorn gives to its protocols.
    """

    def __init__(self, settings: ServiceSettings, **given: Any) -> None:
        super().__init__(**given)
        self._settings = settings
        self._in_head, self._received = True, 0
        # A chunk of one byte comes with five more.
        self._most = 8 * settings.max_body + MAX_HEAD
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many already."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)
        if len(self.connections) > self._settings.max_connections:
            self._refuse(refused_for_now("There are too many connections. Try again in a second."))

    def connection_lost(self, exc: Exception | None) -> None:
        """End, without timers."""
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what arrived, if it is not too much."""
        if self.transport.is_closing():
            return
        if self._in_head and not self._head_timer:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)
        self._received += len(data)
        super().data_received(data)
        if self._received > (MAX_HEAD if self._in_head else self._most):
            what = "head" if self._in_head else "body, with what encloses it,"
            self._refuse(RefusedError(431, InputError(f"The {what} of the request is too long.")))

    def on_headers_complete(self) -> None:
        """Go from the head of a request to its body."""
        self._in_head = False
        self._stop_timers()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Go from a request to the next."""
        super().on_message_complete()
        self._in_head, self._received = True, 0

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(RefusedError(400, InputError(f"This is not a request of HTTP/1.1: {msg}")))

    def pause_writing(self) -> None:
        """Wait for the client to take its answer, but not forever."""
        super().pause_writing()
        if not self._write_timer:
            self._write_timer = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has taken something."""
        super().resume_writing()
        if self._write_timer:
            self._write_timer.cancel()
            self._write_timer = None

    def shutdown(self) -> None:
        """Close when nothing is going on; a request that is on its way still gets its answer."""
        if self.cycle is not None and not self.cycle.response_complete:
            super().shutdown()
        else:
            self.loop.call_later(LAST_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy and not self.transport.is_closing():
            if self._in_head and self._received:
                # The rest of its head is late, or comes and is answered.
                return
            self.transport.close()

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._received:
            # A connection that was opened ahead of need.
            self.transport.close()
            return
        error = InputError(f"The head of the request did not arrive within {HEAD_SECONDS:g} s.")
        self._refuse(RefusedError(408, error))

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._write_timer):
            if timer:
                timer.cancel()
        self._head_timer = self._write_timer = None

    def _refuse(self, error: RefusedError) -> None:
        """Answer without the application, unless it has begun to, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            status, values, headers = problem_of(error)
            body = encoded(values)
            lines = [
                f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}".encode(),
                b"content-type: " + PROBLEM_TYPE.encode(),
                b"content-length: %d" % len(body),
                b"connection: close",
                *(b": ".join(header) for header in headers),
            ]
            self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()
