"""Pages that show how a picture was read: true to the answer, and the same every time."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import exported
from digitnet.errors import InputError, UsageError
from digitnet.reading import recognizer as module
from digitnet.reading.pictures import Picture
from digitnet.reading.recognizer import Recognizer
from digitnet.showing.reading_page import explain_reading, in_words, ink_of_page
from made_up_signs import find, signs, sure

PAPER = np.full((90, 400), 230, np.uint8)


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(exported.model_file())
    return Recognizer(path, threads=1)


def see(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    find(monkeypatch, lambda *_: signs(*sure(text)))


def test_a_page_shows_the_recognisers_answer(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(monkeypatch, "4?21")
    made = explain_reading(recognizer, PAPER, tmp_path / "deep" / "page.png")
    assert made.answer.text == recognizer.read(PAPER).text == "4?21"
    assert made.words.startswith("read as 4?21 (")
    first = made.path.read_bytes()
    with Image.open(made.path) as page:
        assert page.width == 960
    again = explain_reading(recognizer, PAPER, tmp_path / "again.png", name="<array>")
    assert again.path.read_bytes() == first
    refused = explain_reading(recognizer, PAPER, tmp_path / "page.png", digits=2)
    assert refused.words == "not read; no number of 2 digits fits; seen: 4?21"


def test_only_digits_make_a_text(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognizer, "class_names", ("cat", "dog"))
    with pytest.raises(UsageError, match="only digits make a text"):
        explain_reading(recognizer, PAPER, tmp_path / "page.png")
    assert not list(tmp_path.iterdir())


def test_doubt_is_told_once(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = signs(("4", 0.9, 0.9), ("1", 0.55, 0.65))
    find(monkeypatch, lambda *_: found)
    assert in_words(recognizer.read(PAPER)).startswith("read, but with doubt, as 41 (4")
    assert in_words(recognizer.read(PAPER)).count("%") == 1


@pytest.mark.parametrize("text", ["", "?", "7" * 60])
def test_any_number_of_signs_fits(
    recognizer: Recognizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    see(monkeypatch, text)
    made = explain_reading(recognizer, PAPER, tmp_path / "page.png", name="a" * 300)
    with Image.open(made.path) as page:
        page.load()


def test_the_ink_lies_as_the_picture_lies(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    seen = []

    def both(_: object, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(pixels)
        return np.stack([pixels, pixels]).astype(np.float32)

    monkeypatch.setattr(module, "ink_map", both)
    for quarter in range(4):
        strokes = ink_of_page(recognizer, Picture(grey, 1.0), quarter)
        np.testing.assert_array_equal(strokes, [grey, grey])
        np.testing.assert_array_equal(seen[-1], np.rot90(grey, -quarter))


def test_what_cannot_be_read_leaves_no_page(recognizer: Recognizer, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        explain_reading(recognizer, b"no picture", tmp_path / "page.png")
    assert list(tmp_path.iterdir()) == []
