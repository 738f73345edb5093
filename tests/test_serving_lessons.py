"""What the page explains with, from Python and over HTTP."""

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

import serving
from digitnet import Recognizer
from digitnet.data.catalogue import load_dataset
from digitnet.serving.lessons import COLUMNS, Lessons, once


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    return Lessons(serving.recognizer())


@pytest.fixture(scope="module")
def call() -> Iterator[serving.Caller]:
    with serving.calling() as caller:
        yield caller


def base64_of(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def packed(array: Any) -> dict[str, Any]:
    return {"dims": list(array.shape), "float32": base64_of(array.astype("<f4"))}


def test_the_sheet_shows_the_sample_in_order(lessons: Lessons) -> None:
    about = json.loads(lessons.files["sample.json"]())
    sheet = np.asarray(Image.open(io.BytesIO(lessons.files["sample.png"]())))
    sample = load_dataset("sample")
    assert about["train"] == len(sample.train_images)
    assert about["columns"] == COLUMNS
    for row, image, label in (
        (0, sample.train_images[0], sample.train_labels[0]),
        (4321, sample.train_images[4321], sample.train_labels[4321]),
        (5007, sample.test_images[7], sample.test_labels[7]),
    ):
        top, left = 28 * (row // COLUMNS), 28 * (row % COLUMNS)
        np.testing.assert_array_equal(sheet[top : top + 28, left : left + 28], image)
        assert about["labels"][row] == str(label)


def test_features_are_the_recognisers_but_for_a_byte(lessons: Lessons) -> None:
    about = json.loads(lessons.files["sample.json"]())
    scale = np.array(about["scale"])
    rows = np.frombuffer(lessons.files["features.bin"](), np.uint8).reshape(-1, len(scale))
    assert len(rows) == len(about["labels"])
    expected = serving.recognizer().features(load_dataset("sample").train_images[:3])
    np.testing.assert_allclose(rows[:3] * scale, expected, atol=scale.max())


def test_scores_tell_digits_from_letters(lessons: Lessons) -> None:
    scores = json.loads(lessons.files["scores.json"]())
    limit = scores["threshold"]
    refused = {
        name: np.mean(np.array(scores[name]) > limit) for name in ("digits", "hands", "letters")
    }
    assert all(scores[name] == sorted(scores[name]) for name in refused)
    assert refused["digits"] < 0.02
    assert refused["hands"] < 0.02
    assert refused["letters"] > 0.85


def test_a_file_is_made_once_and_alike(lessons: Lessons, call: serving.Caller) -> None:
    for name in ("layers.json", "layers.onnx", "sample.json"):
        assert lessons.files[name]() is lessons.files[name]()
        assert call.get(f"/model/{name}").content == lessons.files[name]()
    assert call.get("/model/nothing.bin").status_code == 404


def test_what_many_ask_for_at_once_is_made_once() -> None:
    calls = []

    def make() -> bytes:
        calls.append(threading.get_ident())
        time.sleep(0.05)
        return bytes(3)

    made = once(make)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: made(), range(4)))
    assert len(calls) == 1
    assert all(each is answers[0] for each in answers)


def test_layers_are_answered_as_arrays(call: serving.Caller) -> None:
    seen = serving.recognizer().predict_ink(serving.ink(2))
    body = {"images": base64_of(seen.image), "wanted": ["maps_1", "probabilities"]}
    outputs = call.post("/v1/layers", json=body).json()["outputs"]
    assert outputs["maps_1"]["dims"] == [1, 16, 28, 28]
    content = base64.b64decode(outputs["probabilities"]["float32"])
    np.testing.assert_allclose(np.frombuffer(content, "<f4"), seen.probabilities, atol=2e-3)
    keep = np.zeros((1, 16, 1, 1))
    off = call.post("/v1/layers", json=body | {"feeds": {"keep_1": packed(keep)}}).json()
    assert not any(base64.b64decode(off["outputs"]["maps_1"]["float32"]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": "AAAA"}, "784 for each"),
        ({"images": 5}, "must be base64"),
        ({"images": "*"}, "not valid base64"),
        ({"wanted": []}, "wanted"),
        ({"wanted": ["nothing"]}, "no output 'nothing'"),
        ({"wanted": "maps_1"}, "list of names"),
        ({"wanted": ["maps_1", "maps_1"]}, "names an output twice"),
        (
            {
                "images": base64_of(np.zeros((256, 784), np.uint8)),
                "wanted": ["maps_1", "maps_2"],
            },
            "6,422,528 numbers",
        ),
        ({"feeds": []}, "must be an object"),
        ({"feeds": {"keep_1": 5}}, "must be"),
        ({"feeds": {"keep_1": {"dims": [0], "float32": ""}}}, "whole numbers above 0"),
        ({"feeds": {"keep_1": {"dims": [2], "float32": "AAAA"}}}, "no array of"),
        ({"feeds": {"keep_1": packed(np.zeros(3))}}, "no input 'keep_1' of the shape"),
        ({"feeds": {"other": packed(np.zeros(3))}}, "no input 'other'"),
        ({"feeds": {"images": packed(np.zeros((300, 1, 28, 28)))}}, "a field of their own"),
        ({"more": 1}, "no field 'more'"),
    ],
)
def test_a_wrong_question_about_layers_is_told(
    call: serving.Caller, change: dict[str, Any], words: str
) -> None:
    body = {"images": base64_of(np.zeros(784, np.uint8)), "wanted": ["logits"]} | change
    answer = call.post("/v1/layers", json=body)
    assert 400 <= answer.status_code < 500
    assert words in answer.json()["detail"]


def test_a_taught_model_is_an_ordinary_one(call: serving.Caller, tmp_path: Any) -> None:
    body = {"images": base64_of(np.zeros(784, np.uint8)), "wanted": ["weight_last", "bias_last"]}
    own = call.post("/v1/layers", json=body).json()["outputs"]
    last = {"last_weight": own["weight_last"], "last_bias": own["bias_last"]}
    answer = call.post("/v1/taught", json=last)
    assert answer.status_code == 200
    file = tmp_path / "taught.onnx"
    file.write_bytes(answer.content)
    taught = Recognizer(file, threads=1)
    assert taught.metadata["taught_from"] == serving.recognizer().sha256
    own_digit, digit = (each.predict_ink(serving.ink()) for each in (serving.recognizer(), taught))
    np.testing.assert_array_equal(own_digit.probabilities, digit.probabilities)


@pytest.mark.parametrize(
    "last",
    [
        {},
        {"last_weight": packed(np.zeros((3, 3))), "last_bias": packed(np.zeros(3))},
        {"last_weight": packed(np.full((11, 128), np.nan)), "last_bias": packed(np.zeros(11))},
        {"last_weight": packed(np.full((11, 128), 3e38)), "last_bias": packed(np.zeros(11))},
    ],
)
def test_what_is_no_last_layer_is_refused(call: serving.Caller, last: dict[str, Any]) -> None:
    answer = call.post("/v1/taught", json=last)
    assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text
