"""One process that serves: uvicorn with a service in it, from its first request to its last.

Guarantees:

- When it is told to stop (SIGTERM or Ctrl-C), ``/readyz`` says so at once, every answer closes its
  connection, what was accepted is answered, and then the process ends: with 0, with 1 if
  something was cut off by the time-out, with 128 + the signal if it was told twice.
- On Linux no connection is reset that took its client less than ``_HANDSHAKE_SECONDS`` to make;
  elsewhere one is that is made in the instant of closing.
- It answers from the moment that ``on_ready`` is called.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import logging
import multiprocessing
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from digitnet.reading.recognizer import Recognizer
from digitnet.serving.connections import IDLE_SECONDS, LAST_SECONDS, BoundedProtocol
from digitnet.serving.service import Service
from digitnet.serving.service_settings import ServiceSettings
from digitnet.serving.web_app import create_app

# Connections that the kernel keeps for us, and how many of them are taken at a time. Several
# workers share them, and the first to wake must not take all.
_WAITING, _TAKEN, _TAKEN_BY_WORKER = 1024, 256, 2
# Threads take turns in Python this often, in seconds. After the usual 5 ms the one that talks to
# clients would be late with each answer while others compute.
_TURN = 0.0002
# A packet filter for a socket on Linux: drops what asks for a new connection (SYN without ACK in
# the flags of TCP, byte 13) and nothing else. The fields are those of struct sock_filter:
# operation, jump if true, jump if false, value.
_NO_NEW_CONNECTIONS = [
    (0x30, 0, 0, 13),  # load a byte
    (0x54, 0, 0, 0x12),  # and
    (0x15, 0, 1, 0x02),  # jump if equal
    (0x06, 0, 0, 0),  # return: drop
    (0x06, 0, 0, 0xFFFF_FFFF),  # return: keep
]
_SO_ATTACH_FILTER = 26
# What was being connected when the filter came has this long to end; a trip around the world.
_HANDSHAKE_SECONDS = 0.3


def serve_socket(
    listener: socket.socket,
    model: Path | None,
    settings: ServiceSettings,
    on_ready: Callable[[], None],
    is_last: Callable[[], bool] = lambda: True,
) -> int:
    """Serve at a socket until a signal comes; return the exit code.

    Args:
        listener: bound to an address; it is closed at the end.
        model: as for ``Recognizer``.
        settings: of the service.
        on_ready: is called once it answers.
        is_last: when it stops: whether nobody else is to go on serving at the socket.

    Raises:
        DigitnetError: as ``Recognizer`` does.
    """
    sys.setswitchinterval(_TURN)
    app = create_app(Recognizer(model, threads=1), settings)
    server = DrainingServer(app, settings, on_ready, is_last)
    server.run(sockets=[listener])
    return server.exit_code


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which drains before it stops, and takes signals for itself alone."""

    def __init__(
        self,
        app: FastAPI,
        settings: ServiceSettings,
        on_ready: Callable[[], None],
        is_last: Callable[[], bool],
    ) -> None:
        config = uvicorn.Config(
            app,
            loop="asyncio",
            # It is called like a class.
            http=functools.partial(BoundedProtocol, app.state.service),  # type: ignore[arg-type]
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_TAKEN_BY_WORKER if multiprocessing.parent_process() else _TAKEN,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=None,
        )
        super().__init__(config)
        # What it would say is said by the answers, or by us.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._service: Service = app.state.service
        self._settings, self._on_ready, self._is_last = settings, on_ready, is_last
        self.exit_code = 0

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals that end a program, and do not raise them again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            # Nobody else may take signals.
            yield
            return
        names = [signal.SIGINT, signal.SIGTERM]
        before = {each: signal.signal(each, self.handle_exit) for each in names}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stop; told twice, at once."""
        if self.should_exit:
            self.force_exit, self.exit_code = True, 128 + sig
        self.should_exit = True
        self._service.draining = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(_WAITING)
        if parent := multiprocessing.parent_process():
            # If nobody is left to tell us to stop, we do.
            with contextlib.suppress(NotImplementedError):
                loop = asyncio.get_running_loop()
                loop.add_reader(parent.sentinel, self._orphaned, loop, parent.sentinel)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what was accepted, and stop."""
        # Who connects now has not heard yet, and is answered.
        await self._wait(LAST_SECONDS)
        await self._stop_listening(sockets or [])
        try:
            async with asyncio.timeout(self._settings.drain_timeout):
                await super().shutdown(sockets)
        except TimeoutError:
            for task in list(self.server_state.tasks):
                task.cancel()
        if self.server_state.tasks and not self.exit_code:
            self.exit_code = 1

    async def _stop_listening(self, listeners: list[socket.socket]) -> None:
        """Take who is connected already, and nobody after them."""
        # Whoever connects to a socket that is closed before it is taken is lost. A client that the
        # filter keeps out tries again in a second, and is refused or finds our successor. A filter
        # is the socket's: it would make those deaf who go on.
        if self._is_last() and all(drop_new_connections(listener) for listener in listeners):
            await self._wait(_HANDSHAKE_SECONDS)
        last = [taken for listener in listeners for taken in _waiting(listener)]
        # Nothing may come between, where there is no filter.
        for server in self.servers:
            server.close()
        for listener in listeners:
            listener.close()
        loop, config = asyncio.get_running_loop(), self.config
        given = {"config": config, "server_state": self.server_state}
        given |= {"app_state": self.lifespan.state, "_loop": loop}
        for connection in last:
            await loop.connect_accepted_socket(
                functools.partial(config.http_protocol_class, **given), connection
            )

    async def _wait(self, seconds: float) -> None:
        ends = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < ends and not self.force_exit:
            await asyncio.sleep(0.05)

    def _orphaned(self, loop: asyncio.AbstractEventLoop, sentinel: int) -> None:
        loop.remove_reader(sentinel)
        self.handle_exit(signal.SIGTERM, None)


def drop_new_connections(listener: socket.socket) -> bool:
    """Let the kernel drop requests for new connections to a socket; return whether it can.

    What is connected, or being connected, is still to be taken. Linux can; a client there tries
    again after a second, and is refused once the socket is closed.
    """
    if sys.platform != "linux":
        return False
    filters = b"".join(struct.pack("HBBI", *each) for each in _NO_NEW_CONNECTIONS)
    memory = ctypes.create_string_buffer(filters)
    program = struct.pack("HP", len(_NO_NEW_CONNECTIONS), ctypes.addressof(memory))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:
        return False
    return True


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Yield the connections that the kernel has made for a socket, and that nobody has taken."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection
