"""Requests at a service, from a process of its own: cheap, because it shares the cores with it.

    echo '{"port": 8000, "kind": "png", "requests": 1000, "connections": 32}' | python http_load.py

A plan has the port, the kind of requests (``png``, ``form``, ``ink``, ``strokes``, ``mixed``), how
many there are or for how many seconds they go on, how many connections, and perhaps a ``rate``: of
all requests together, none of which is then sent before it is due. A connection sends the next
request when it has the answer to the last, so it waits with a service that stalls. The result says
how long answers took from the sending, by status; with ``check`` each answer is compared with what
the engine says of that very input.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
import time
from collections import Counter, defaultdict
from typing import Any

import numpy as np
from PIL import Image

from digitnet.data.catalogue import load_dataset
from digitnet.reading.recognizer import Recognizer

INPUTS = 64
_SIDE = 280
# How long an answer may take before the connection counts as dead.
_PATIENCE = 120.0


def main() -> None:
    """Read a plan from standard input, follow it, and print the result as JSON."""
    plan = json.load(sys.stdin)
    print(json.dumps(asyncio.run(follow(plan))))


def pictures(count: int = INPUTS) -> list[bytes]:
    """Return test digits of the sample as PNG files of 280 × 280 pixels, dark on white."""
    return [_png(255 - image) for image in load_dataset("sample").test_images[:count]]


def strokes(number: int) -> list[list[list[float]]]:
    """Return one of the drawings that are sent: two strokes of some 40 points."""
    turn = np.linspace(0, 2 * np.pi, 24) + number
    ring = np.stack((50 + 30 * np.cos(turn), 70 + (20 + number % 9) * np.sin(turn)), axis=1)
    line = np.stack((np.linspace(20, 80, 16), np.linspace(0, 5 + number, 16)), axis=1)
    return [ring.round(2).tolist(), line.round(2).tolist()]


def bodies(kind: str) -> list[tuple[bytes, str]]:
    """Return the bodies of requests of a kind, each with its Content-Type."""
    if kind == "mixed":
        several = zip(*(bodies(each) for each in ("png", "ink", "strokes")), strict=True)
        return [body for together in several for body in together][:INPUTS]
    if kind == "png":
        return [(png, "image/png") for png in pictures()]
    if kind == "form":
        return [_form(png) for png in pictures()]
    if kind == "ink":
        images = load_dataset("sample").test_images[:INPUTS]
        values: list[dict[str, Any]] = [
            {"ink": base64.b64encode(image.tobytes()).decode()} for image in images
        ]
    else:
        values = [{"strokes": strokes(number)} for number in range(INPUTS)]
    return [(json.dumps(each).encode(), "application/json") for each in values]


def expected(kind: str) -> list[dict[str, Any]]:
    """Return what the engine says of each input."""
    reader = Recognizer(threads=1)
    if kind == "mixed":
        several = zip(*(expected(each) for each in ("png", "ink", "strokes")), strict=True)
        return [each for together in several for each in together][:INPUTS]
    if kind == "ink":
        images = load_dataset("sample").test_images[:INPUTS]
        return [reader.predict_ink(image).as_dict() for image in images]
    if kind == "strokes":
        drawn: list[Any] = [strokes(number) for number in range(INPUTS)]
        return [reader.predict_strokes(each).as_dict() for each in drawn]
    return [reader.predict(png).as_dict() for png in pictures()]


class _Client(asyncio.Protocol):
    """One connection, which sends its next request when it has an answer."""

    def __init__(self, run: _Run) -> None:
        self._run, self._buffer = run, b""
        self._sent, self._number, self._waiting = 0.0, -1, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self.send()

    def send(self) -> None:
        """Send the next request, when it is due, or end."""
        number = self._run.next()
        if number is None:
            self._transport.close()
            return
        wait = self._run.due(number) - time.perf_counter()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._send, number)
        else:
            self._send(number)

    def _send(self, number: int) -> None:
        self._number, self._waiting, self._sent = number, True, time.perf_counter()
        self._transport.write(self._run.requests[number % INPUTS])

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer, self._waiting = rest[length:], False
        seconds = time.perf_counter() - self._sent
        self._run.note(self._number, int(head[9:12]), seconds, rest[:length])
        if b"connection: close" in lower:
            self._transport.close()
        else:
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._waiting:
            self._run.broken += 1
        self._run.ended(self)


class _Run:
    """All connections together."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self.requests = [_request(*body) for body in bodies(plan["kind"])]
        self._expected = expected(plan["kind"]) if plan.get("check") else None
        self.seconds: defaultdict[int, list[float]] = defaultdict(list)
        self.wrong: Counter[str] = Counter()
        self.broken = self._count = self._open = 0
        self._started = self._last = 0.0
        self.over = asyncio.Event()

    async def start(self) -> None:
        self._started = time.perf_counter()
        self._open = self._plan["connections"]
        for _ in range(self._open):
            await self._connect()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _Client(self), "127.0.0.1", self._plan["port"])
        except OSError:
            self.broken += 1
            self._end()

    def next(self) -> int | None:
        """Return the number of the next request, None if there are no more."""
        left = self._plan.get("seconds")
        over = left is not None and time.perf_counter() - self._started > left
        if over or self._count >= self._plan.get("requests", float("inf")):
            return None
        self._count += 1
        return self._count - 1

    def due(self, number: int) -> float:
        """Return when a request is to be sent."""
        rate = self._plan.get("rate")
        return self._started + number / rate if rate else 0.0

    def note(self, number: int, status: int, seconds: float, body: bytes) -> None:
        """Keep how long an answer took, and whether it is the one that was asked for."""
        self.seconds[status].append(seconds)
        self._last = time.perf_counter()
        if self._expected is not None and status == 200:
            answer, right = json.loads(body), self._expected[number % INPUTS]
            near = np.allclose(answer["probabilities"], right["probabilities"], atol=1e-4)
            if answer["digit"] != right["digit"] or not near:
                self.wrong["other answers"] += 1

    def ended(self, _client: _Client) -> None:
        """Open another connection for one that the service has closed, if there is more to do."""
        left = self._plan.get("seconds")
        over = left is not None and time.perf_counter() - self._started > left
        if over or self._count >= self._plan.get("requests", float("inf")):
            self._end()
        else:
            task = asyncio.get_running_loop().create_task(self._connect())
            _TASKS.add(task)
            task.add_done_callback(_TASKS.discard)

    def _end(self) -> None:
        self._open -= 1
        if self._open == 0:
            self.over.set()

    def result(self) -> dict[str, Any]:
        """Return what happened."""
        answers = {str(status): _times(values) for status, values in self.seconds.items()}
        elapsed = self._last - self._started
        total = sum(len(values) for values in self.seconds.values())
        return {
            "elapsed": elapsed,
            "per_second": len(self.seconds[200]) / elapsed if elapsed else 0.0,
            "offered_per_second": total / elapsed if elapsed else 0.0,
            "answers": answers,
            "broken_connections": self.broken,
            "other_answers": self.wrong["other answers"],
        }


# Tasks that nobody refers to are forgotten by the loop.
_TASKS: set[asyncio.Task[None]] = set()


async def follow(plan: dict[str, Any]) -> dict[str, Any]:
    """Return what came of a plan."""
    run = _Run(plan)
    await run.start()
    await asyncio.wait_for(run.over.wait(), plan.get("seconds", 24 * 3600.0) + _PATIENCE)
    return run.result()


def _times(seconds: list[float]) -> dict[str, float]:
    values = np.array(seconds)
    return {
        "count": len(values),
        "mean": float(values.mean()),
        "p50": float(np.median(values)),
        "p99": float(np.quantile(values, 0.99)),
        "most": float(values.max()),
    }


def _png(pixels: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


def _form(content: bytes) -> tuple[bytes, str]:
    head = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    return head + content + b"\r\n--XX--\r\n", "multipart/form-data; boundary=XX"


def _request(body: bytes, kind: str) -> bytes:
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    main()
