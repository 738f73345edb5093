"""What every request passes: an ASGI middleware with all limits that need no knowledge of digits.

Guarantees:

- A request that names another host than those allowed is refused before anything is done.
- A body is counted while it arrives, whatever its head says: what is too large, too slow, or too
  much beside the bodies of others is refused without being kept.
- Every answer has an id, the client's own if that is printable, and headers that keep a browser
  from making more of it than it is. An answer is on its way within the time that the settings
  allow.
- Whatever goes wrong inside becomes a problem (``problems``). Nothing unexpected is hidden from
  whoever runs the service: it is logged, with its id.
- A client that is refused while it still sends gets to read why: some of what it sends is taken and
  thrown away before the connection is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from starlette.requests import ClientDisconnect

from digitnet.errors import InputError, UsageError
from digitnet.serving.problems import (
    PROBLEM_TYPE,
    RefusedError,
    encoded,
    problem_of,
    refused_for_now,
)
from digitnet.serving.service import Service
from digitnet.text import escaped

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("digitnet.service")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
# Bodies in memory at a time, as a multiple of the largest that is allowed.
_BODIES = 8
# Of what a refused client still sends, so much is thrown away, for so many seconds at most.
_LINGER_BYTES, _LINGER_SECONDS = 2**24, 2.0
# What is counted of a request whose client did not wait for the answer; it is no status of HTTP.
_GONE = 499
# A body of this size is taken whole so that the connection can go on.
_SMALL = 2**18

CONTENT_POLICY = (
    b"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    b"img-src 'self' data: blob:; connect-src 'self'; worker-src 'self' blob:; "
    b"media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
SAFE_HEADERS = [
    (b"content-security-policy", CONTENT_POLICY),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Guard:
    """The middleware.

    Args:
        app: what answers.
        service: whose limits count.
    """

    def __init__(self, app: App, service: Service) -> None:
        self._app, self.service = app, service
        self.held = 0
        """Bytes of bodies in memory."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        in_flight = self.service.metrics.in_flight
        exchange = _Exchange(self, scope, receive, send)
        in_flight.inc()
        try:
            await exchange.answer(self._app)
        finally:
            self.held -= exchange.taken
            in_flight.dec()
            exchange.count()

    def hold(self, size: int) -> None:
        """Count bytes that are kept.

        Raises:
            RefusedError: all bodies together are too much.
        """
        self.held += size
        if self.held > _BODIES * self.service.settings.max_body:
            raise refused_for_now("Too much is being sent at a time. Try again in a second.")


class _Exchange:
    """One request and its answer."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard, self._scope, self._receive, self._send = guard, scope, receive, send
        self.taken, self.status = 0, 500
        self._started = self._counted = False
        self._since = time.perf_counter()
        hosts, length = list[bytes](), None
        chunked, given = False, b""
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"content-length":
                length = int(value) if value.isdigit() and len(value) < 19 else 10**18
            elif name == b"transfer-encoding":
                chunked = True
            elif name == b"x-request-id":
                given = value
        self._hosts, self._length = hosts, length
        self.unread = bool(length) or chunked
        """Whether some of the body has not arrived."""
        self.id = request_id(given)
        self._deadline = 0.0
        self._timer: asyncio.Timeout | None = None

    async def answer(self, app: App) -> None:
        """Answer it, with a problem if need be."""
        scope, settings = self._scope, self._guard.service.settings
        # The names of routes and of exceptions are nobody's but this module's.
        scope["digitnet.exchange"] = self
        # That of an application which mounts this one.
        scope.pop("route", None)
        try:
            self._check_head(settings.max_body)
            # The time for a body counts first, in ``receive``.
            limit = settings.timeout + (settings.body_timeout if self.unread else 0)
            async with asyncio.timeout(limit) as self._timer:
                await app(scope, self.receive, self.send)
        except TimeoutError as error:
            if self._timer is not None and self._timer.expired():
                await self._refuse(
                    refused_for_now("It took too long to answer. Try again in a second.")
                )
            else:
                await self._refuse(error)
        except ClientDisconnect:
            self.status = _GONE
        except asyncio.CancelledError:
            if not self._started:
                self.status = _GONE
            raise
        except Exception as error:
            await self._refuse(error)

    def _check_head(self, most: int) -> None:
        if len(self._hosts) > 1:
            raise RefusedError(
                400, UsageError(f"The request has {len(self._hosts)} Host headers. Send one.")
            )
        host = b"".join(self._hosts).decode("latin-1")
        if not self._guard.service.settings.is_allowed(host):
            raise RefusedError(
                421,
                UsageError(
                    f"This service does not answer to the name '{escaped(host)[:200]}'. Whoever "
                    "runs it allows names with: digitnet serve --allow-host NAME"
                ),
            )
        if self._length is not None and self._length > most:
            raise _too_large(most)

    async def receive(self) -> Message:
        """Return the next part of the body, or that the client has gone."""
        if not self.unread:
            return await self._receive()
        settings = self._guard.service.settings
        if not self._deadline:
            self._deadline = time.monotonic() + settings.body_timeout
        left = self._deadline - time.monotonic()
        try:
            async with asyncio.timeout(max(left, 0)):
                message = await self._receive()
        except TimeoutError:
            raise RefusedError(
                408,
                UsageError(
                    f"The request did not arrive whole within {settings.body_timeout:g} s. "
                    "Send less at a time, or over a faster line."
                ),
            ) from None
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.taken += size
            self._guard.hold(size)
            self.unread = message.get("more_body", False)
            if not self.unread and self._timer is not None:
                now = asyncio.get_running_loop().time()
                self._timer.reschedule(now + settings.timeout)
            if self.taken > settings.max_body:
                raise _too_large(settings.max_body)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self._started, self.status = True, message["status"]
            if self._timer is not None and not self._timer.expired():
                # There is the answer; a slow line may take its time for it.
                self._timer.reschedule(None)
            headers = [*message.get("headers", ()), (b"x-request-id", self.id), *SAFE_HEADERS]
            small = self._length is not None and self._length <= _SMALL
            if self._guard.service.draining or (self.unread and not small):
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        elif self.unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            # Whoever has an answer whole finds it counted.
            self.count()
        await self._send(message)

    def count(self) -> None:
        """Count the request as answered, once."""
        if not self._counted:
            self._counted = True
            seconds = time.perf_counter() - self._since
            self._guard.service.metrics.count_request(_route(self._scope), self.status, seconds)

    async def _linger(self) -> None:
        """Throw away what still arrives, for a while."""
        thrown = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while self.unread and thrown < _LINGER_BYTES:
                    message = await self._receive()
                    if message["type"] != "http.request":
                        return
                    thrown += len(message.get("body", b""))
                    self.unread = message.get("more_body", False)

    async def _refuse(self, error: Exception) -> None:
        """Answer with the problem that an error is."""
        # What was kept of it is of no use now, and its time is over.
        self._guard.held -= self.taken
        self.taken, self._timer = 0, None
        status, values, headers = problem_of(error)
        if status >= 500 and not isinstance(error, RefusedError):
            self._note(error)
        if self._started:
            # Too late to say so; the connection ends without the rest.
            return
        body = encoded(values | {"request_id": self.id.decode()})
        about = [
            (b"content-type", PROBLEM_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            *headers,
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": about})
        await self.send({"type": "http.response.body", "body": body})

    def _note(self, error: Exception) -> None:
        """Tell whoever runs the service what went wrong."""
        where = f"{self._scope['method']} {escaped(self._scope['path'])[:200]}"
        why = traceback.format_exception_only(error)[-1].strip()
        whole = error if os.environ.get("DIGITNET_DEBUG") else None
        _log.error("%s failed (request %s): %s", where, self.id.decode(), why, exc_info=whole)


def request_id(given: bytes) -> bytes:
    """Return the id of a request: its own if that is harmless, else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8).encode()


def _too_large(most: int) -> RefusedError:
    return RefusedError(
        413, InputError(f"The request has more than {most:,} bytes, the most that is allowed.")
    )


def _route(scope: Scope) -> str:
    """Return under which name a request is counted: of few, whatever clients ask for."""
    route = scope.get("route")
    return str(getattr(route, "path", "")) or ("page" if scope.get("digitnet.page") else "other")
