"""What every request passes: names, ids, headers, limits of size and time."""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import StreamingResponse

import serving
from digitnet.reading.recognizer import Recognizer
from digitnet.serving import guard


@pytest.fixture(scope="module")
def call() -> Iterator[serving.Caller]:
    with serving.calling() as caller:
        yield caller


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LocalHost:8000", "[::1]:99"])
def test_a_loopback_name_is_answered(call: serving.Caller, host: str) -> None:
    assert call.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "localhost:1:2", "*"]
)
def test_any_other_name_is_refused_before_anything_is_done(call: serving.Caller, host: str) -> None:
    # A page of a foreign site can send requests here under a name of its own (DNS rebinding).
    for path in ("/healthz", "/v1/predict", "/", "/docs"):
        answer = call("GET", path, headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "UsageError")


def test_a_request_names_one_host(call: serving.Caller) -> None:
    for names in (("localhost", "evil.example"), ("evil.example", "localhost")):
        answer = call("GET", "/healthz", headers=[("host", name) for name in names])
        assert (answer.status_code, answer.json()["code"]) == (400, "UsageError")


def test_other_names_are_allowed_by_name() -> None:
    with serving.calling(allowed_hosts=("digits.example",)) as call:
        assert call.get("/healthz", headers={"host": "digits.example:80"}).status_code == 200
        assert call.get("/healthz", headers={"host": "localhost"}).status_code == 421
    with serving.calling(allowed_hosts=("*",)) as call:
        assert call.get("/healthz", headers={"host": "whatever"}).status_code == 200


def test_an_id_is_echoed_or_made(call: serving.Caller) -> None:
    answer = call.get("/healthz", headers={"x-request-id": "order-7.A"})
    assert answer.headers["x-request-id"] == "order-7.A"
    ids = {call.get("/healthz").headers["x-request-id"] for _ in range(9)}
    assert len(ids) == 9
    for bad in ("a b", "x" * 200, "é".encode(), b"\x01"):
        made = call.get("/healthz", headers={"x-request-id": bad}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{16}", made)
    problem = call.get("/nothing", headers={"x-request-id": "mine"}).json()
    assert problem["request_id"] == "mine"


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/nothing", "/v1/model"])
def test_every_answer_keeps_a_browser_from_making_more_of_it(
    call: serving.Caller, path: str
) -> None:
    headers = call.get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self' 'wasm-unsafe-eval'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "media-src": "'self' blob:",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=(self)" in headers["permissions-policy"]
    assert "access-control-allow-origin" not in headers


def test_a_body_is_refused_by_its_length_and_by_its_bytes() -> None:
    async def endless() -> Any:
        for _ in range(10**6):
            yield bytes(1000)

    with serving.calling(max_body=50_000) as call:
        for content in (bytes(50_001), endless()):
            answer = call.post("/v1/predict", content=content)
            assert (answer.status_code, answer.json()["code"]) == (413, "InputError")
            assert "50,000 bytes" in answer.json()["detail"]
        assert call.post("/v1/predict", content=bytes(50_000)).status_code == 422
        # Nothing of them is kept.
        assert held(call) == 0


def held(call: serving.Caller) -> int:
    layer = call.app.middleware_stack
    while not isinstance(layer, guard.Guard):
        layer = layer.app
    return layer.held


def test_a_body_that_is_late_is_a_408() -> None:
    async def stalling() -> Any:
        yield b"x"
        await asyncio.sleep(60)

    with serving.calling(body_timeout=0.1) as call:
        started = time.monotonic()
        answer = call.post("/v1/predict", content=stalling())
        assert time.monotonic() - started < 10
    assert (answer.status_code, answer.json()["code"]) == (408, "UsageError")


def test_an_answer_that_is_late_is_a_503_and_its_job_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, go_on = [], threading.Event()

    def slow(_self: Recognizer, picture: bytes) -> None:
        begun.append(picture)
        go_on.wait(20)

    with serving.calling(timeout=0.3) as call:
        monkeypatch.setattr(Recognizer, "predict", slow)

        async def two() -> list[Any]:
            requests = [call._request("POST", "/v1/predict", content=c) for c in (b"one", b"two")]
            return await asyncio.gather(*requests)

        for answer in call._runner.run(two()):
            assert (answer.status_code, answer.json()["code"]) == (503, "ServiceError")
            assert answer.headers["retry-after"] == "1"
        # The thread is with the first; the second has nobody left who waits for it.
        go_on.set()
        call.app.state.service.queue.close()
        assert begun == [b"one"]


def test_an_answer_that_has_begun_may_take_its_time() -> None:
    async def parts() -> Any:
        for _ in range(5):
            await asyncio.sleep(0.1)
            yield b"x"

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        # Whoever streams asks beside it whether the client has gone.
        await asyncio.sleep(60)

    with serving.calling(timeout=0.2, body_timeout=0.2) as call:
        guarded = guard.Guard(StreamingResponse(parts()), call.app.state.service)
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
        scope["asgi"] = {"spec_version": "2.3"}
        call._runner.run(guarded(scope, receive, send))
    assert b"".join(each.get("body", b"") for each in sent) == b"xxxxx"


def test_overload_is_answered_at_once_and_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    real = Recognizer.predict

    def slow(self: Recognizer, picture: Any) -> Any:
        begun.set()
        go_on.wait(20)
        return real(self, picture)

    with serving.calling(max_waiting=4, max_inputs=4) as call:
        monkeypatch.setattr(Recognizer, "predict", slow)

        async def many() -> list[Any]:
            def send() -> asyncio.Task[Any]:
                sent = call._request("POST", "/v1/predict", content=serving.picture())
                return asyncio.create_task(sent)

            requests, done = [send()], set()
            while not begun.is_set():
                await asyncio.sleep(0.01)
            requests += [send() for _ in range(11)]
            while len(done) < 7:
                done, _ = await asyncio.wait(requests, timeout=0.05)
            early = [task.result() for task in done]
            go_on.set()
            return [early, await asyncio.gather(*requests)]

        early, all_of_them = call._runner.run(many())
        # One is being read, four wait, and the rest was told so before anything was finished.
        assert {answer.status_code for answer in early} == {503}
        assert all(answer.headers["retry-after"] == "1" for answer in early)
        codes = sorted(answer.status_code for answer in all_of_them)
        assert codes == [200] * 5 + [503] * 7
        assert call.post("/v1/predict", content=serving.picture()).status_code == 200
        batch = {"inputs": [{"strokes": serving.SEVEN}] * 4}
        assert call.post("/v1/predict:batch", json=batch).status_code == 200


def test_what_is_counted_is_there_for_prometheus(call: serving.Caller) -> None:
    call.post("/v1/predict", content=serving.picture())
    call.post("/v1/predict", content=b"no picture")
    call.get("/some/address/that/somebody/made/up")
    text = call.get("/metrics").text
    assert 'digitnet_requests_total{route="/v1/predict",status="200"}' in text
    assert 'digitnet_requests_total{route="/v1/predict",status="422"}' in text
    assert 'digitnet_requests_total{route="other",status="404"}' in text
    assert "made" not in text
    assert "digitnet_request_seconds_bucket" in text
    assert 'digitnet_inputs_total{outcome="read"}' in text
    assert "process_resident_memory_bytes" in text
    assert "digitnet_requests_in_flight 1.0" in text


def test_a_service_in_this_process_counts_for_itself(call: serving.Caller) -> None:
    with serving.calling() as other:
        assert 'route="/v1/predict"' not in other.get("/metrics").text


def test_it_can_be_mounted_in_another_application() -> None:
    from fastapi import FastAPI

    outer = FastAPI()
    with serving.calling() as inner:
        outer.mount("/digits", inner.app)
        outer.state.service = inner.app.state.service
        call = serving.Caller(outer)
        answer = call.post("/digits/v1/predict", json={"strokes": serving.SEVEN})
        assert answer.json()["digit"] == 7
        assert json.loads(call.get("/digits/nothing").text)["status"] == 404
        assert call.get("/digits/").headers["location"] == "/digits/docs"
        # Its links are followed from there.
        links = re.findall(r'href="([^"#:]+)"', call.get("/digits/docs").text)
        assert len(links) == 2
        for link in links:
            assert call.get(f"/digits/{link}").status_code == 200
        counted = call.get("/digits/metrics").text
        assert 'route="other",status="404"' in counted
        assert 'route="/digits"' not in counted
        call.close()


def test_a_page_can_be_mounted_too(tmp_path: Path) -> None:
    from fastapi import FastAPI

    (tmp_path / "index.html").write_text("here", encoding="utf-8")
    outer = FastAPI()
    with serving.calling(page=tmp_path) as inner:
        outer.mount("/digits", inner.app)
        outer.state.service = inner.app.state.service
        call = serving.Caller(outer)
        assert call.get("/digits/").text == call.get("/digits/index.html").text == "here"
        call.close()


def test_nothing_is_asked_of_anybody_else(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    asked: list[Any] = []

    def ask(*about: Any, **_: Any) -> None:
        asked.append(about)
        raise OSError("no connections here")

    class Offline(socket.socket):
        connect = connect_ex = sendto = ask  # type: ignore[assignment]

    with serving.calling() as call:
        monkeypatch.setattr(socket, "socket", Offline)
        monkeypatch.setattr(socket, "getaddrinfo", ask)
        monkeypatch.setattr(socket, "create_connection", ask)
        for path in ("/v1/model", "/docs", "/openapi.json", "/metrics", "/", "/healthz"):
            assert call.get(path).status_code < 400
        for verb in ("predict", "read"):
            assert call.post(f"/v1/{verb}", content=serving.picture()).status_code == 200
            for text in ("http://127.0.0.1:9/a.png", "file:///etc/hostname", "//x/a.png"):
                answer = call.post(f"/v1/{verb}", json={"image": text})
                assert answer.status_code == 422
    record_property("connections elsewhere", len(asked))
    assert asked == []
