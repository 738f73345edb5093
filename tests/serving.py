"""Services for tests: in this process, at a socket of it, or as a process of their own."""

import asyncio
import contextlib
import functools
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import httpx
import numpy as np
from PIL import Image

from digitnet import Recognizer
from digitnet.data.catalogue import load_dataset
from digitnet.serving.server import DrainingServer
from digitnet.serving.service_settings import ServiceSettings
from digitnet.serving.web_app import create_app
from digitnet.serving.workers import bound_socket

SEVEN = [[[0, 0], [60, 0], [25, 100]]]


@functools.cache
def recognizer() -> Recognizer:
    """The recogniser that comes with digitnet."""
    return Recognizer(threads=1)


@functools.cache
def picture(index: int = 0, side: int = 120) -> bytes:
    """A test digit of the sample as a PNG, dark on white."""
    pixels = 255 - load_dataset("sample").test_images[index]
    return encoded(Image.fromarray(pixels).resize((side, side)))


def ink(index: int = 0) -> np.ndarray:
    """A test digit of the sample, bright on 0: uint8 (28, 28)."""
    return load_dataset("sample").test_images[index]


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


class Caller:
    """Sends requests to an application in this process, one after the other."""

    def __init__(self, app: Any) -> None:
        self.app, self._runner = app, asyncio.Runner()

    def __call__(self, method: str, path: str, **request: Any) -> httpx.Response:
        return self._runner.run(self._request(method, path, **request))

    def post(self, path: str, **request: Any) -> httpx.Response:
        return self("POST", path, **request)

    def get(self, path: str, **request: Any) -> httpx.Response:
        return self("GET", path, **request)

    async def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **request)

    def close(self) -> None:
        self.app.state.service.queue.close()
        self._runner.close()


@contextlib.contextmanager
def calling(**settings: Any) -> Iterator[Caller]:
    """A service in this process."""
    settings = {"threads": 1, **settings}
    caller = Caller(create_app(recognizer(), ServiceSettings(**settings)))
    yield caller
    caller.close()


class Live(NamedTuple):
    """A service that answers at a port."""

    port: int
    server: Any

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


@contextlib.contextmanager
def live(reader: Any = None, **settings: Any) -> Iterator[Live]:
    """A service at a socket of this process."""
    listener = bound_socket("127.0.0.1", 0)
    settings = {"threads": 1, **settings}
    app = create_app(reader or recognizer(), ServiceSettings(**settings))
    ready = threading.Event()
    server = DrainingServer(app, app.state.service.settings, ready.set, lambda: True)
    port = listener.getsockname()[1]
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    assert ready.wait(20)
    try:
        yield Live(port, server)
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)
        assert not thread.is_alive()


class Process(NamedTuple):
    """A service as a process."""

    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def started(*arguments: object) -> Iterator[Process]:
    """`digitnet serve` with these arguments; it is killed at the end, if it is still there."""
    command = [sys.executable, "-m", "digitnet", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield Process(process, json.loads(line)["address"])
    finally:
        process.kill()
        process.communicate()


def request(body: bytes, path: str = "/v1/predict", *headers: str) -> bytes:
    """A request as it goes over the wire."""
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def answered(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer, the only one on its way: its status, headers and body."""
    return next_answer(connection.makefile("rb"))


def next_answer(stream: IO[bytes]) -> tuple[int, dict[str, str], bytes]:
    """Read the next of several answers that may be on their way."""
    status = stream.readline()
    if not status:
        raise ConnectionResetError("closed without an answer")
    headers = {}
    while (line := stream.readline().strip()) and line:
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return int(re.match(rb"HTTP/1.1 (\d+)", status)[1]), headers, body
