"""The client answers as the recogniser does, errors included."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import serving
from digitnet.errors import InputError, ServiceError, UsageError
from digitnet.reading.prediction import Prediction, Reading
from digitnet.reading.recognizer import Recognizer
from digitnet.serving import client as module
from digitnet.serving.client import Client


@pytest.fixture(scope="module")
def service() -> Iterator[serving.Live]:
    with serving.live() as live:
        yield live


@pytest.fixture
def client(service: serving.Live) -> Iterator[Client]:
    with Client(service.address) as client:
        yield client


def same(one: Prediction | Reading, other: Prediction | Reading) -> None:
    if isinstance(one, Reading):
        assert isinstance(other, Reading)
        names = ("text", "reason", "turned", "refusal", "accepted")
        assert [getattr(one, n) for n in names] == [getattr(other, n) for n in names]
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
        assert one.odds == pytest.approx(other.odds, rel=1e-2)
        for line, another in zip(one.lines, other.lines, strict=True):
            for digit, expected in zip(line.digits, another.digits, strict=True):
                same(digit, expected)
        return
    assert isinstance(other, Prediction)
    names = ("digit", "label", "is_digit", "reason", "box", "class_names")
    assert [getattr(one, n) for n in names] == [getattr(other, n) for n in names]
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5, rtol=0)
    assert np.abs(one.image.astype(int) - other.image).max() <= 1


def test_it_answers_as_the_recogniser_does(client: Client, tmp_path: Path) -> None:
    reader, content = serving.recognizer(), serving.picture(3)
    file = tmp_path / "one.png"
    file.write_bytes(content)
    with file.open("rb") as stream:
        for source in (content, file, str(file), stream):
            same(client.predict(source), reader.predict(content))
    same(client.read(content), reader.read(content))
    for asked in ({"digits": 1}, {"digits": (2, 4)}, {"check": "luhn"}, {"min_confidence": 1.0}):
        same(client.read(content, **asked), reader.read(content, **asked))
    same(client.predict_strokes(serving.SEVEN), reader.predict_strokes(serving.SEVEN))
    same(client.read_strokes(serving.SEVEN, pen=9), reader.read_strokes(serving.SEVEN, pen=9))
    for ink in (serving.ink(1), serving.ink(1) > 99, serving.ink(1) / 255):
        same(client.predict_ink(ink), reader.predict_ink(ink))
    blank = serving.encoded(Image.new("L", (50, 50), 255))
    same(client.predict(blank), reader.predict(blank))
    same(client.read(blank), reader.read(blank))


def test_many_are_sent_together_and_come_in_order(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 4)
    reader = serving.recognizer()
    pictures: list[Any] = [serving.picture(n) for n in range(10)]
    pictures[3], pictures[7] = b"no picture", "/no/such/file.png"
    for verb in ("predict_each", "read_each"):
        found = list(getattr(client, verb)(pictures))
        for one, expected in zip(found, getattr(reader, verb)(pictures), strict=True):
            if isinstance(expected, InputError):
                assert str(one) == str(expected)
            else:
                same(one, expected)
    assert list(client.predict_each([])) == []
    monkeypatch.setattr(module, "_BATCH_BYTES", len(pictures[0]) + 1)
    assert len(list(client.predict_each(pictures))) == 10


def test_its_errors_are_those_of_the_service(client: Client) -> None:
    with pytest.raises(InputError, match="not a picture"):
        client.predict(b"nothing")
    with pytest.raises(UsageError, match="Did you mean 'luhn'"):
        client.read(serving.picture(), check="lun")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="function"):
        client.read(serving.picture(), check=str.isdigit)
    for strokes in ([[(1, float("nan"))]], [[(10**400, 1)]], [7], ["ab"]):
        with pytest.raises(InputError):
            client.predict_strokes(strokes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="pressure"):
        client.predict_strokes([[(1, 2, 3)]])
    with pytest.raises(InputError, match="save the picture as PNG"):
        client.predict(np.zeros((5, 5), np.uint8))


def test_it_says_what_the_model_is_and_whether_somebody_is_there(client: Client) -> None:
    assert client.model()["sha256"] == serving.recognizer().sha256
    nobody = Client("http://127.0.0.1:9")
    with pytest.raises(ServiceError, match=r"No service answers.*digitnet serve"):
        nobody.predict(serving.picture())


@pytest.mark.parametrize(
    "asked", [{"digits": "46"}, {"check": ""}, {"min_confidence": None}, {"digits": 0}]
)
def test_what_the_recogniser_refuses_is_not_sent(client: Client, asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        client.read(serving.picture(3), **asked)
    with pytest.raises(UsageError):
        serving.recognizer().read(serving.picture(3), **asked)


def test_numbers_of_numpy_are_sent_and_what_is_none_is_refused(client: Client) -> None:
    assert client.read(serving.picture(3), digits=np.int64(1)).text
    assert client.read_strokes(serving.SEVEN, pen=np.float32(3)).text
    for pen in (float("nan"), "broad"):
        with pytest.raises(InputError, match="pen's width"):
            client.read_strokes(serving.SEVEN, pen=pen)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="predict takes one picture"):
        list(client.predict_each("seven.png"))


def test_a_picture_that_is_too_much_for_the_service_is_an_error_in_its_place() -> None:
    content = serving.picture(3)
    sent = [content, bytes(30_000), content, content, content]
    with serving.live(max_body=20_000, max_inputs=2) as service:
        with Client(service.address) as client:
            answers = list(client.predict_each(sent))
        # It still reads what it refused.
        while service.server.server_state.connections:
            time.sleep(0.01)
    assert isinstance(answers[1], InputError)
    assert "20,000 bytes" in str(answers[1])
    del answers[1]
    assert [one.digit for one in answers] == [serving.recognizer().predict(content).digit] * 4


def test_a_service_with_too_much_to_do_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    go_on = threading.Event()
    real = Recognizer.predict

    def slow(self: Recognizer, picture: Any) -> Any:
        go_on.wait(20)
        return real(self, picture)

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            go_on.set()
            threading.Event().wait(0.3)

    with serving.live(max_waiting=1, max_inputs=1) as service:
        monkeypatch.setattr(Recognizer, "predict", slow)
        monkeypatch.setattr(module.time, "sleep", wait)

        def occupy() -> None:
            with Client(service.address) as each:
                each.predict(serving.picture())

        state = service.server._service
        busy = []
        # One is computed, and one waits.
        for waiting in (0, 1):
            busy.append(threading.Thread(target=occupy))
            busy[-1].start()
            deadline = time.monotonic() + 20
            while (state.metrics.in_flight._value.get(), len(state.queue)) != (
                waiting + 1,
                waiting,
            ):
                assert time.monotonic() < deadline
                threading.Event().wait(0.01)
        with Client(service.address, retries=0) as impatient, pytest.raises(ServiceError):
            impatient.predict(serving.picture())
        with Client(service.address, retries=5) as patient:
            assert patient.predict(serving.picture()).digit is not None
        assert waited[:2] == [1.0, 1.0]
        for thread in busy:
            thread.join(20)


def test_what_is_no_service_of_digitnet_is_told(service: serving.Live) -> None:
    with Client(f"{service.address}/docs?") as client, pytest.raises(ServiceError, match="no JSON"):
        client.model()
