"""What the service answers: the fields of the command line, the values of the Python API."""

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import bad_pictures
import exported
import serving
from digitnet import Recognizer
from digitnet.errors import InputError
from digitnet.serving.service_settings import ServiceSettings
from digitnet.serving.web_app import create_app


@pytest.fixture(scope="module")
def call() -> Iterator[serving.Caller]:
    with serving.calling() as caller:
        yield caller


def same(answer: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that two answers are one, but for rounding."""
    assert answer.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, float):
            assert answer[name] == pytest.approx(value, abs=1e-4, rel=1e-3), name
        elif name == "probabilities":
            np.testing.assert_allclose(answer[name], value, atol=1e-5, rtol=0)
        elif name in ("lines", "digits"):
            for one, other in zip(answer[name], value, strict=True):
                same(one, other)
        else:
            assert answer[name] == value, name


def versioned(values: dict[str, Any]) -> dict[str, Any]:
    return {"schema_version": 1, **values}


BODIES = {
    "raw": lambda png: {"content": png},
    "raw of a wrong type": lambda png: {"content": png, "headers": {"content-type": "text/plain"}},
    "form": lambda png: {"files": {"picture": ("a.gif", png, "image/gif")}},
    "base64": lambda png: {"json": {"image": base64.b64encode(png).decode()}},
    "base64 in lines": lambda png: {"json": {"image": base64.encodebytes(png).decode()}},
    "without padding": lambda png: {"json": {"image": base64.b64encode(png).decode().rstrip("=")}},
    "data URL": lambda png: {
        "json": {"image": "data:image/png;base64," + base64.b64encode(png).decode()}
    },
}


@pytest.mark.parametrize("way", BODIES)
@pytest.mark.parametrize("verb", ["predict", "read"])
def test_a_picture_gets_the_answer_of_the_python_api_however_it_is_sent(
    call: serving.Caller, way: str, verb: str
) -> None:
    png = serving.picture(3)
    answer = call.post(f"/v1/{verb}", **BODIES[way](png))
    assert answer.status_code == 200, answer.text
    expected = getattr(serving.recognizer(), verb)(png).as_dict()
    same(answer.json(), versioned(expected))


def test_the_command_line_prints_the_same_fields(
    call: serving.Caller, run_cli: Any, tmp_path: Any
) -> None:
    file = tmp_path / "one.png"
    file.write_bytes(serving.picture(5))
    for verb in ("predict", "read"):
        printed = json.loads(run_cli(verb, "--json", file).stdout)
        del printed["file"]
        same(call.post(f"/v1/{verb}", content=file.read_bytes()).json(), printed)


def test_strokes_are_read_as_a_digit_and_as_a_text(call: serving.Caller) -> None:
    strokes = {"strokes": serving.SEVEN}
    reader = serving.recognizer()
    answer = call.post("/v1/predict", json=strokes).json()
    same(answer, versioned(reader.predict_strokes(serving.SEVEN).as_dict()))
    assert answer["digit"] == 7
    answer = call.post("/v1/read", json=strokes).json()
    same(answer, versioned(reader.read_strokes(serving.SEVEN).as_dict()))
    assert answer["text"] == "7"
    wide = call.post("/v1/read", json=strokes | {"pen": 14}).json()
    same(wide, versioned(reader.read_strokes(serving.SEVEN, pen=14).as_dict()))


@pytest.mark.parametrize(
    "sent",
    [
        lambda ink: base64.b64encode(ink.tobytes()).decode(),
        lambda ink: ink.tolist(),
        lambda ink: (ink / 255).tolist(),
    ],
    ids=["base64", "bytes", "floats"],
)
def test_ink_is_read_in_each_of_its_forms(call: serving.Caller, sent: Any) -> None:
    ink = serving.ink(2)
    answer = call.post("/v1/predict", json={"ink": sent(ink)})
    same(answer.json(), versioned(serving.recognizer().predict_ink(ink).as_dict()))


def test_booleans_are_ink_but_zeros_and_ones_could_mean_two_things(call: serving.Caller) -> None:
    ink = serving.ink(2) > 127
    answer = call.post("/v1/predict", json={"ink": ink.tolist()})
    same(answer.json(), versioned(serving.recognizer().predict_ink(ink).as_dict()))
    answer = call.post("/v1/predict", json={"ink": ink.astype(int).tolist()})
    assert answer.status_code == 422
    assert "two things" in answer.json()["detail"]


@pytest.mark.parametrize("verb", ["predict", "read"])
def test_what_the_network_saw_comes_along_when_asked_for(call: serving.Caller, verb: str) -> None:
    png = serving.picture(3)
    for body in ({"content": png}, {"json": {"image": base64.b64encode(png).decode()}}):
        path = f"/v1/{verb}" + ("?images=1" if "content" in body else "")
        if "json" in body:
            body["json"]["images"] = True
        answer = call.post(path, **body).json()
        expected = getattr(serving.recognizer(), verb)(png)
        if verb == "read":
            answer, expected = answer["lines"][0]["digits"][0], expected.lines[0].digits[0]
        pixels = np.frombuffer(base64.b64decode(answer["image"]), np.uint8)
        np.testing.assert_array_equal(pixels.reshape(28, 28), expected.image)


def row() -> bytes:
    """A picture of three digits."""
    from PIL import Image

    digits = [np.pad(255 - serving.ink(i), 10, constant_values=255) for i in range(3)]
    return serving.encoded(Image.fromarray(np.hstack(digits)))


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("digits=3", {"digits": 3}),
        ("digits=2-4", {"digits": (2, 4)}),
        ("check=luhn", {"check": "luhn"}),
        ("digits=9&min_confidence=0.5", {"digits": 9, "min_confidence": 0.5}),
    ],
)
def test_a_reading_is_asked_in_the_address_in_json_and_in_a_form(
    call: serving.Caller, query: str, asked: dict[str, Any]
) -> None:
    png = row()
    expected = versioned(serving.recognizer().read(png, **asked).as_dict())
    same(call.post(f"/v1/read?{query}", content=png).json(), expected)
    values = {"image": base64.b64encode(png).decode(), **asked}
    same(call.post("/v1/read", json=values).json(), expected)
    fields = dict(pair.split("=") for pair in query.split("&"))
    same(call.post("/v1/read", files={"f": ("a", png)}, data=fields).json(), expected)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/read?digits=x", {}, 400, "digits"),
        ("/v1/read?digits=0", {}, 400, "digits"),
        ("/v1/read?check=lun", {}, 400, "Did you mean 'luhn'"),
        ("/v1/read?min_confidence=2", {}, 400, "0 to 1"),
        ("/v1/read?min_confidence=nan", {}, 400, "0 to 1"),
        ("/v1/read?min_confidense=1", {}, 400, "Did you mean 'min_confidence'"),
        ("/v1/read?digits=1&digits=2", {}, 400, "twice"),
        ("/v1/predict?digits=1", {}, 400, "Unknown parameter"),
        ("/v1/predict?images=perhaps", {}, 400, "1 or 0"),
        ("/v1/predict", {"json": {"image": "x", "digits": 2}}, 422, "base64"),
        ("/v1/predict", {"json": {"strokes": serving.SEVEN, "digits": 2}}, 400, "/v1/read"),
        ("/v1/predict", {"json": {"strokes": serving.SEVEN, "pen": 2}}, 422, "/v1/read"),
        ("/v1/read", {"json": {"strokes": serving.SEVEN, "pen": 10**400}}, 422, "must be a number"),
        ("/v1/read", {"json": {"ink": "AA"}}, 422, "/v1/predict"),
        ("/v1/predict", {"content": b""}, 422, "no body"),
        ("/v1/predict:batch", {}, 422, "multipart/form-data"),
    ],
)
def test_a_wrong_wish_is_a_problem_that_says_what_is_right(
    call: serving.Caller, path: str, body: dict[str, Any], status: int, words: str
) -> None:
    answer = call.post(path, **(body or {"content": serving.picture()}))
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status), problem
    assert words in problem["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
    codes = {400: ("UsageError", 2), 422: ("InputError", 3)}
    assert (problem["code"], problem["exit_code"]) == codes[status]


@pytest.mark.parametrize("verb", ["predict", "read"])
def test_a_batch_has_an_answer_or_a_problem_for_each_in_order(
    call: serving.Caller, verb: str
) -> None:
    pictures = [serving.picture(index) for index in range(4)]
    pictures[2] = b"not a picture"
    files = [("file", (f"{n}.png", content)) for n, content in enumerate(pictures)]
    listed = [{"image": base64.b64encode(content).decode()} for content in pictures]
    for body in ({"files": files}, {"json": {"inputs": listed}}):
        answer = call.post(f"/v1/{verb}:batch", **body).json()
        assert answer.keys() == {"schema_version", "answers"}
        for content, got in zip(pictures, answer["answers"], strict=True):
            if content == b"not a picture":
                assert got["problem"]["code"] == "InputError"
            else:
                same(got, getattr(serving.recognizer(), verb)(content).as_dict())


def test_a_batch_of_all_kinds_equals_each_alone(call: serving.Caller) -> None:
    inputs = [
        {"strokes": serving.SEVEN},
        {"ink": serving.ink(1).tolist()},
        {"image": base64.b64encode(serving.picture(2)).decode()},
        {"strokes": [[["a", 1]]]},
        {"strokes": []},
        {"ink": base64.b64encode(serving.ink(4).tobytes()).decode()},
        7,
        {"nothing": 1},
    ]
    answers = call.post("/v1/predict:batch", json={"inputs": inputs}).json()["answers"]
    for one, got in zip(inputs, answers, strict=True):
        alone = call.post("/v1/predict", json=one)
        if alone.status_code == 200:
            same(versioned(got), alone.json())
        else:
            assert got["problem"]["code"] == "InputError"
    assert sum("problem" in got for got in answers) == 3


def test_a_batch_has_a_limit() -> None:
    with serving.calling(max_inputs=2) as call:
        inputs = [{"strokes": serving.SEVEN}] * 3
        answer = call.post("/v1/predict:batch", json={"inputs": inputs})
        assert (answer.status_code, "1 to 2" in answer.text) == (422, True)
        files = [("file", ("a", b"x"))] * 3
        assert call.post("/v1/read:batch", files=files).status_code == 422
        assert call.post("/v1/predict:batch", json={"inputs": inputs[:2]}).status_code == 200


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, content) for name, (content, _) in bad_pictures.foreign().items()),
        *((name, content) for name, (content, _) in bad_pictures.bombs().items()),
        *bad_pictures.truncated(),
        *((f"flipped {n}", each) for n, each in enumerate(bad_pictures.flipped(5, 25))),
        *((name, content) for name, (content, _) in bad_pictures.encodings().items()),
    ],
)
@pytest.mark.parametrize("verb", ["predict", "read"])
def test_a_bad_picture_has_the_outcome_of_the_python_api(
    call: serving.Caller,
    verb: str,
    name: str,
    content: bytes,
    record_property: Callable[[str, object], None],
) -> None:
    # A body of nothing is no picture of nothing; a form can hold one.
    body = {"content": content} if content else {"files": {"file": ("a", content)}}
    started = time.perf_counter()
    answer = call.post(f"/v1/{verb}", **body)
    record_property("slowest answer, in seconds", time.perf_counter() - started)
    (expected,) = getattr(serving.recognizer(), f"{verb}_each")([content])
    if isinstance(expected, InputError):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "InputError"), name
        assert problem["detail"] == str(expected)
    else:
        same(answer.json(), versioned(expected.as_dict()))


def test_what_cannot_be_expected_says_nothing_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with serving.calling() as call:

        def fails(*_: object, **__: object) -> None:
            raise OSError(13, "no", "/secret/place")

        monkeypatch.setattr(Recognizer, "predict", fails)
        answer = call.post("/v1/predict", content=serving.picture())
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["exit_code"]) == (500, "DigitnetError", 1)
    assert "secret" not in answer.text
    # But whoever runs it hears.
    assert "/secret/place" in caplog.text
    assert problem["request_id"] in caplog.text


def test_a_model_of_other_things_answers_with_their_names() -> None:
    about = exported.ABOUT | {"class_names": json.dumps(["sock", "shoe", *"abcdefgh"])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exported, "ABOUT", about)
        content = exported.model_file.__wrapped__()
    file = io.BytesIO(content)
    from digitnet.reading.model_file import checked

    reader = object.__new__(Recognizer)
    model = checked("things", file.getvalue())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("digitnet.reading.recognizer.load_model_file", lambda _: model)
        reader.__init__(threads=1)  # type: ignore[misc]
    call = serving.Caller(create_app(reader, ServiceSettings(threads=1)))
    answer = call.post("/v1/predict", content=serving.picture()).json()
    assert answer["label"] in ("sock", "shoe", *"abcdefgh")
    assert call.get("/v1/model").json()["reads_numbers"] is False
    problem = call.post("/v1/read", content=serving.picture()).json()
    assert (problem["status"], "only digits make a text" in problem["detail"]) == (400, True)
    call.close()
