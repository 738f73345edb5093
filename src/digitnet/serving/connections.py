"""The limits of a connection that no application sees: uvicorn's protocol with bounds.

Guarantees:

- The head of a request arrives within ``HEAD_SECONDS`` and is not larger than ``MAX_HEAD``.
- What encloses a body (chunks, trailers) is bounded with it.
- What a client asked for that has gone away is not computed, if it was not begun.
- A client that takes nothing of its answer for ``WRITE_SECONDS`` is cut off.
- More connections than allowed are answered 503 and closed at once.
- A request that would find no room in the queue is answered 503 here, for a tenth of what it would
  cost to hand it on: what is turned away must not slow down what is not.
- While the service stops, a connection that was just opened may still send its request.
- Who would rather speak another protocol (``Upgrade``, as Java's client does) is answered in this.
"""

from __future__ import annotations

import asyncio
import http
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from digitnet.errors import InputError
from digitnet.serving.guard import SAFE_HEADERS, request_id
from digitnet.serving.problems import (
    PROBLEM_TYPE,
    RefusedError,
    encoded,
    overloaded,
    problem_of,
    refused_for_now,
)
from digitnet.serving.service import Service

MAX_HEAD = 32_768
HEAD_SECONDS, WRITE_SECONDS = 10.0, 30.0
# How long an idle connection is kept, and how long while the service stops.
IDLE_SECONDS, LAST_SECONDS = 15, 0.5
# A body of this many digits of bytes is swallowed before its request is turned away.
_SMALL_DIGITS = 5


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        service: whose limits count.
        given: what uvicorn gives to its protocols.
    """

    def __init__(self, service: Service, **given: Any) -> None:
        super().__init__(**given)
        self._service = service
        self._in_head, self._received, self._head = True, 0, 0
        # Whether the request that is arriving will be turned away.
        self._turned_away = False
        # A chunk of one byte comes with five more.
        self._most = 8 * service.settings.max_body + MAX_HEAD
        self._task: asyncio.Task[None] | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many already."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)
        if len(self.connections) > self._service.settings.max_connections:
            self._refuse(refused_for_now("There are too many connections. Try again in a second."))

    def connection_lost(self, exc: Exception | None) -> None:
        """End, without timers, and without work for nobody."""
        self._stop_head_timer()
        self._stop_write_timer()
        if self._task:
            self._task.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what arrived, if it is not too much."""
        if self.transport.is_closing():
            return
        self._received += len(data)
        self._parse(data)
        if self._in_head and self._received and not self._head_timer:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)
        if self._received > (MAX_HEAD if self._in_head else self._most):
            self._refuse(_too_long("head" if self._in_head else "body, with what encloses it,"))

    def _parse(self, data: bytes) -> None:
        """Parse as uvicorn does, but go on where it would end: at a wish for another protocol."""
        self._unset_keepalive_if_required()
        left = memoryview(data)
        try:
            while left:
                left = left[self._parsed(left) :]
        except httptools.HttpParserError as error:
            self.send_400_response(str(error))

    def _parsed(self, data: memoryview) -> int:
        """Parse up to the next wish for another protocol; return how many bytes that was."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as found:
            if self._wants_another_protocol():
                head = self._head_without_wish()
                self.parser.feed_data(head)
                return int(found.args[0])
        return len(data)

    def _wants_another_protocol(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _head_without_wish(self) -> bytes:
        """Return the head that was just parsed, without what its parser ended at; begin anew."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._head = 0
        return b"\r\n".join([*lines, b"", b""])

    def on_headers_complete(self) -> None:
        """Go from the head of a request to its body."""
        if self._wants_another_protocol():
            # It comes once more, without that.
            return
        self._in_head = False
        self._stop_head_timer()
        self._turned_away = self._has_no_room()
        if not self._turned_away:
            super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # As uvicorn does it, but it would not tell us which task it is.
        self._task = self.loop.create_task(cycle.run_asgi(app))
        self._task.add_done_callback(self._task_is_done)
        self.tasks.add(self._task)

    def _task_is_done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if task is self._task:
            self._task = None

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if not self._turned_away:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Go from a request to the next."""
        if self._wants_another_protocol():
            return
        if self._turned_away:
            self._turn_away()
        else:
            super().on_message_complete()
        self._turned_away = False
        self._in_head, self._received, self._head = True, 0, 0

    def on_response_complete(self) -> None:
        """Go on with the next request, unless the guard has lost patience with this one."""
        if not self._in_head and not self.pipeline:
            self.transport.close()
        super().on_response_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer."""
        self._head += len(name) + len(value)
        if self._head > MAX_HEAD:
            # To the parser an error like any other; what is said of it comes from here.
            raise ValueError("too long")
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or too much of it."""
        if self._head > MAX_HEAD:
            self._refuse(_too_long("head"))
            return
        self._refuse(RefusedError(400, InputError(f"This is not a request of HTTP/1.1: {msg}")))

    def pause_writing(self) -> None:
        """Wait for the client to take its answer, but not forever."""
        super().pause_writing()
        if not self._write_timer:
            self._expect_less(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on: the client has taken something."""
        super().resume_writing()
        self._stop_write_timer()

    def _stop_write_timer(self) -> None:
        if self._write_timer:
            self._write_timer.cancel()
            self._write_timer = None

    def _expect_less(self, waiting: int) -> None:
        """Cut the client off if, after a while, as many bytes still wait for it to take them."""
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self._has_taken, waiting)

    def _has_taken(self, before: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waiting >= before:
            self.transport.abort()
        else:
            self._expect_less(waiting)

    def shutdown(self) -> None:
        """Close when nothing is going on; a request that is on its way still gets its answer."""
        if self.cycle is not None and not self.cycle.response_complete:
            super().shutdown()
        else:
            self.loop.call_later(LAST_SECONDS, self._close_idle)

    def _has_no_room(self) -> bool:
        """Return whether a request is small, simple, and must be turned away."""
        if not self._service.queue.is_full or self._service.draining or self.expect_100_continue:
            return False
        idle = self.cycle is None or self.cycle.response_complete
        reads = self.url.startswith((b"/v1/predict", b"/v1/read"))
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        small = length.isdigit() and len(length) <= _SMALL_DIGITS
        return idle and reads and small and self.parser.should_keep_alive()

    def _turn_away(self) -> None:
        given = next((value for name, value in self.headers if name == b"x-request-id"), b"")
        name = request_id(given)
        status, values, headers = problem_of(overloaded())
        about = [*headers, (b"x-request-id", name)]
        self._write(status, encoded(values | {"request_id": name.decode()}), about)
        self._service.metrics.count_request("overload", status, 0.0)
        # As after any other answer; the one before may have been turned away too.
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

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

    def _stop_head_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, error: RefusedError) -> None:
        """Answer without the application, unless it has begun to, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            status, values, headers = problem_of(error)
            self._write(status, encoded(values), [*headers, (b"connection", b"close")])
        self.transport.close()

    def _write(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Write a problem as an answer."""
        lines = [
            f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}".encode(),
            b"content-type: " + PROBLEM_TYPE.encode(),
            b"content-length: %d" % len(body),
            *(b": ".join(header) for header in (*headers, *SAFE_HEADERS)),
        ]
        self.transport.write(b"\r\n".join([*lines, b"", body]))


def _too_long(what: str) -> RefusedError:
    return RefusedError(431, InputError(f"The {what} of the request is too long."))
