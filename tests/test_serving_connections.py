"""Connections of clients that do not behave: slow, endless, oversized, too many, silent."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import serving
from digitnet.reading.recognizer import Recognizer
from digitnet.serving import connections, guard
from serving import answered, next_answer, request


@pytest.fixture(scope="module")
def service() -> Iterator[serving.Live]:
    with serving.live(max_body=1_000_000) as live:
        yield live


@pytest.fixture(scope="module")
def hasty() -> Iterator[serving.Live]:
    """A service that soon gives up a body which does not come."""
    with serving.live(max_body=1_000_000, body_timeout=0.5) as live:
        yield live


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(guard, "_LINGER_SECONDS", 0.3)


def is_closed(connection: socket.socket) -> bool:
    """Wait for the end of what a server sends."""
    try:
        while connection.recv(2**16):
            pass
    except ConnectionError:
        pass
    return True


def send_for_good(connection: socket.socket) -> None:
    """Send 64 MB, or until nobody takes it."""
    for _ in range(1000):
        connection.sendall(b"t" * 2**16)


def works(service: serving.Live) -> bool:
    with service.connect() as connection:
        connection.sendall(request(serving.picture()))
        return answered(connection)[0] == 200


def test_several_requests_go_over_one_connection_also_ahead_of_their_answers(
    service: serving.Live,
) -> None:
    with service.connect() as connection:
        connection.sendall(
            request(serving.picture(1)) + request(b"x") + request(serving.picture(2))
        )
        with connection.makefile("rb") as stream:
            assert [next_answer(stream)[0] for _ in range(3)] == [200, 422, 200]


def test_a_length_that_is_too_large_is_refused_before_a_byte_of_it_is_sent(
    service: serving.Live,
) -> None:
    for length in ("10000000000", "1000001", "9" * 19):
        with service.connect() as connection:
            head = (
                f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
            )
            connection.sendall(head.encode())
            status, headers, body = answered(connection)
            assert (status, headers["connection"]) == (413, "close"), body


def test_an_endless_body_in_chunks_is_refused_and_its_client_can_read_why(
    service: serving.Live,
) -> None:
    with service.connect() as connection:
        head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        found: list[Any] = []
        reader = threading.Thread(target=lambda: found.append(answered(connection)))
        reader.start()
        sent = 0
        try:
            while sent < 2000:
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass
        reader.join(20)
        assert found[0][0] == 413
    assert sent < 2000
    assert works(service)


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 100000\r\n\r\nxxx",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nxxx\r\n",
        b"Content-Type: multipart/form-data; boundary=X\r\nContent-Length: 99999\r\n\r\npreamble",
    ],
    ids=["length", "chunks", "form"],
)
def test_a_body_that_stalls_is_cut_off(hasty: serving.Live, body: bytes, hurried: None) -> None:
    with hasty.connect() as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n" + body)
        assert answered(connection)[0] == 408
        assert is_closed(connection)


def test_a_body_that_drips_is_cut_off_and_keeps_nobody_waiting(hasty: serving.Live) -> None:
    stop = threading.Event()
    ends: list[float] = []

    def drip() -> None:
        started = time.monotonic()
        with hasty.connect() as connection:
            head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"
            connection.sendall(head)
            try:
                while not stop.wait(0.05):
                    connection.sendall(b"x")
            except OSError:
                ends.append(time.monotonic() - started)

    dripping = [threading.Thread(target=drip) for _ in range(8)]
    for thread in dripping:
        thread.start()
    assert all(works(hasty) for _ in range(5))
    for thread in dripping:
        thread.join(20)
    stop.set()
    assert len(ends) == 8


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 60_000, 431),
        (b"GET /" + b"x" * 60_000, 431),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", 431),
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            400,
        ),
    ],
)
def test_a_head_that_is_too_long_or_no_http_is_refused(
    service: serving.Live, head: bytes, status: int
) -> None:
    with service.connect() as connection:
        connection.sendall(head)
        found, headers, body = answered(connection)
        assert (found, headers["content-type"]) == (status, "application/problem+json"), body
        assert is_closed(connection)
    assert works(service)


def test_endless_trailers_are_cut_off(hasty: serving.Live, hurried: None) -> None:
    with hasty.connect() as connection:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"1\r\nx\r\n0\r\nT: ")
        with pytest.raises(ConnectionError):
            send_for_good(connection)


def test_a_head_that_does_not_come_is_given_up(service: serving.Live, hurried: None) -> None:
    with service.connect() as silent, service.connect() as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert answered(slow)[0] == 408
        assert silent.recv(10) == b""


@pytest.mark.parametrize("pieces", [1, 2, 50])
def test_who_would_rather_speak_http_2_is_answered_in_http_1(
    service: serving.Live, pieces: int
) -> None:
    # The headers of Java's HttpClient.
    wish = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA"
    whole = request(serving.picture(), "/v1/predict", wish)
    size = -(-len(whole) // pieces)
    with service.connect() as connection:
        for _ in range(3):
            for start in range(0, len(whole), size):
                connection.sendall(whole[start : start + size])
                time.sleep(0.002)
            status, _, body = answered(connection)
            assert (status, json.loads(body)["is_digit"]) == (200, True)
        # Also ahead of their answers, however many.
        small = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{wish}\r\n\r\n".encode()
        connection.sendall(whole + small * 1500)
        with connection.makefile("rb") as stream:
            assert {next_answer(stream)[0] for _ in range(1501)} == {200}


def test_a_head_in_pieces_is_a_head(service: serving.Live) -> None:
    with service.connect() as connection:
        for piece in request(serving.picture()[:10])[:90].partition(b"Host"):
            connection.sendall(piece)
            time.sleep(0.02)
        connection.sendall(request(serving.picture()[:10])[90:])
        assert answered(connection)[0] == 422


def test_too_many_connections_are_told_so() -> None:
    with serving.live(max_connections=3) as service:
        kept = [service.connect() for _ in range(3)]
        for connection in kept:
            connection.sendall(request(b"x"))
            assert answered(connection)[0] == 422
        with service.connect() as another:
            status, headers, _ = answered(another)
            assert (status, headers["retry-after"]) == (503, "1")
        for connection in kept:
            connection.close()
        deadline = time.monotonic() + 10
        while not works(service):
            assert time.monotonic() < deadline


def wait_for_bodies(service: serving.Live, size: int) -> None:
    """Wait until the service holds so many bytes of bodies."""
    layer = service.server.config.app.middleware_stack
    while not isinstance(layer, guard.Guard):
        layer = layer.app
    deadline = time.monotonic() + 10
    while layer.held < size:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_bodies_are_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_BODIES", 2)
    with serving.live(max_body=100_000) as service:
        begun = request(bytes(100_000))[:-1000]
        with service.connect() as one, service.connect() as two, service.connect() as three:
            one.sendall(begun)
            two.sendall(begun)
            wait_for_bodies(service, 150_000)
            three.sendall(begun)
            assert answered(three)[0] == 503
            for connection in (one, two):
                connection.sendall(bytes(1000))
                assert answered(connection)[0] == 422
        assert works(service)


@pytest.mark.parametrize("further", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_client_that_takes_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, further: bytes
) -> None:
    monkeypatch.setattr(connections, "WRITE_SECONDS", 0.3)
    (tmp_path / "large.wasm").write_bytes(bytes(30_000_000))
    with serving.live(page=tmp_path) as service, service.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /large.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.1)
        connection.sendall(further)
        deadline = time.monotonic() + 10
        while service.server.server_state.connections:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_client_that_takes_its_answer_slowly_gets_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connections, "WRITE_SECONDS", 1.0)
    (tmp_path / "large.wasm").write_bytes(bytes(20_000_000))
    with serving.live(page=tmp_path) as service, service.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**18)
        connection.sendall(b"GET /large.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n")
        taken = 0
        while taken < 20_000_000:
            time.sleep(0.02)
            part = connection.recv(2**17)
            assert part
            taken += len(part)


def test_hostile_clients_leave_memory_as_it_was(
    hasty: serving.Live, record_property: Callable[[str, object], None]
) -> None:
    def resident() -> int:
        fields = Path("/proc/self/statm").read_text().split()
        return int(fields[1]) * 4096

    if not Path("/proc/self/statm").exists():
        pytest.skip("only Linux says here how much memory a process has")
    parts = b"--X\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n" * 19_000
    form = request(parts, "/v1/predict", "Content-Type: multipart/form-data; boundary=X")
    field = b"--X\r\nContent-Disposition: form-data; name=a\r\n\r\n" + bytes(900_000)
    long = request(field, "/v1/predict", "Content-Type: multipart/form-data; boundary=X")
    deep = request(b"[" * 900_000, "/v1/predict", "Content-Type: application/json")

    def attack() -> None:
        for body in (form, long, deep):
            with hasty.connect() as connection:
                connection.sendall(body)
                assert answered(connection)[0] in (400, 422)

    attack()
    before = resident()
    for _ in range(10):
        attack()
    growth = resident() - before
    record_property("growth of memory, in MB", growth / 1e6)
    assert growth < 30_000_000
    assert works(hasty)


class Busy(NamedTuple):
    """A service without room: one request is being answered, and one waits."""

    service: serving.Live
    connections: tuple[socket.socket, socket.socket]
    """Of the two."""
    go_on: threading.Event
    """Lets both be answered."""


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Busy]:
    go_on = threading.Event()
    real = Recognizer.predict

    def slow(self: Recognizer, picture: Any) -> Any:
        go_on.wait(20)
        return real(self, picture)

    with serving.live(max_waiting=1, max_inputs=1) as service:
        monkeypatch.setattr(Recognizer, "predict", slow)
        app = service.server._service
        with service.connect() as first, service.connect() as second:
            for number, connection in enumerate((first, second), 1):
                connection.sendall(request(serving.picture()))
                while (app.metrics.in_flight._value.get(), len(app.queue)) != (number, number - 1):
                    time.sleep(0.01)
            yield Busy(service, (first, second), go_on)


def test_a_request_without_room_is_turned_away_at_the_door(busy: Busy) -> None:
    with busy.service.connect() as third:
        # Its connection stays, whatever is sent over it; what needs no room is answered.
        for _ in range(3):
            third.sendall(request(serving.picture(), "/v1/read", "X-Request-ID: mine"))
            status, headers, body = answered(third)
            assert (status, headers["retry-after"], headers["x-request-id"]) == (
                503,
                "1",
                "mine",
            )
            assert json.loads(body)["code"] == "ServiceError"
        third.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answered(third)[0] == 200
        # One that is not small is turned away by the guard.
        third.sendall(request(bytes(200_000)))
        assert answered(third)[0] == 503
        busy.go_on.set()
        assert [answered(each)[0] for each in busy.connections] == [200, 200]
        third.sendall(request(serving.picture()))
        assert answered(third)[0] == 200


def test_who_is_turned_away_twice_at_once_may_go_on(busy: Busy) -> None:
    busy.service.server.config.timeout_keep_alive = 0.5
    with busy.service.connect() as third:
        whole = request(serving.picture())
        third.sendall(whole + whole)
        with third.makefile("rb") as stream:
            assert [next_answer(stream)[0] for _ in range(2)] == [503, 503]
        third.sendall(whole[:20])
        time.sleep(0.8)
        busy.go_on.set()
        assert [answered(each)[0] for each in busy.connections] == [200, 200]
        third.sendall(whole[20:])
        assert answered(third)[0] == 200


def test_what_nobody_waits_for_any_more_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, begun = threading.Event(), []
    real = Recognizer.predict

    def slow(self: Recognizer, picture: Any) -> Any:
        begun.append(picture)
        go_on.wait(20)
        return real(self, picture)

    with serving.live() as service:
        monkeypatch.setattr(Recognizer, "predict", slow)
        app = service.server._service
        with service.connect() as first:
            first.sendall(request(serving.picture(1)))
            with service.connect() as second:
                second.sendall(request(serving.picture(2)))
                while len(app.queue) < 1:
                    time.sleep(0.01)
            deadline = time.monotonic() + 10
            while len(service.server.server_state.tasks) > 1:
                assert time.monotonic() < deadline
            go_on.set()
            assert answered(first)[0] == 200
        assert works(service)
    assert begun == [serving.picture(1), serving.picture()]
    assert 'status="499"' in app.metrics.as_text().decode()
