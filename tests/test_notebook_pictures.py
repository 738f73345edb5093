"""Pictures in a notebook carry words; live curves grow in one place."""

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from digitnet.errors import InputError, UsageError
from digitnet.showing.notebook_pictures import LiveCurves, described
from digitnet.training.progress import Progress
from digitnet.training.runs import Epoch

display = pytest.importorskip("IPython.display")


def encoded(kind: str) -> bytes:
    written = io.BytesIO()
    Image.new("L", (40, 30), 200).save(written, format=kind)
    return written.getvalue()


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (Figure(), "image/png"),
        (encoded("png"), "image/png"),
        (encoded("jpeg"), "image/jpeg"),
        (np.zeros((28, 28), np.uint8), "image/png"),
        (np.zeros((3, 28, 28)), "image/png"),
    ],
)
def test_jupyter_gets_the_picture_and_its_words(picture: Any, kind: str) -> None:
    data, about = described(picture, "a small 4")._repr_mimebundle_()
    assert set(data) == {kind, "text/plain"}
    assert data["text/plain"] == about[kind]["alt"] == "a small 4"
    assert 0 < about[kind]["width"] <= 640
    assert Image.open(io.BytesIO(data[kind])).get_format_mimetype() == kind


def test_ink_is_drawn_dark_on_light_and_enlarged() -> None:
    ink = np.zeros((28, 28), np.uint8)
    ink[0, 0] = 255
    picture = Image.open(io.BytesIO(described(ink, "a dot").encoded))
    assert picture.size == (168, 168)
    assert picture.getpixel((0, 0)) == 0
    assert picture.getpixel((100, 100)) == 255


def test_without_words_there_is_no_picture() -> None:
    with pytest.raises(UsageError, match="words are empty"):
        described(np.zeros((28, 28)), " ")
    with pytest.raises(InputError, match=r"not \(28,\)"):
        described(np.zeros(28), "a line")


class Shown:
    """What Jupyter would show: places in the page, each with its latest content."""

    def __init__(self) -> None:
        self.places: list[list[Any]] = []

    def display(self, content: Any, **_: Any) -> "Shown.Place":
        self.places.append([content])
        return self.Place(self.places[-1])

    class Place:
        def __init__(self, contents: list[Any]) -> None:
            self.contents = contents

        def update(self, content: Any, **_: Any) -> None:
            self.contents.append(content)


def test_curves_grow_in_one_place_and_say_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown()
    monkeypatch.setattr(display, "display", shown.display)
    curves = LiveCurves()
    for number in (1, 2):
        row = Epoch(number, 0.001, 1 / number, 0.9, 0.5 / number, 0.9 + number / 100, 1.0)
        curves(Progress(number, 2, 1, 9, 1.0, 0.9))
        curves(Progress(number, 2, 9, 9, 1.0, 0.9, finished=row))
    line, pictures = shown.places
    assert line[-1] == {"text/plain": "2 of 2 epochs done, 92.00% of the validation images right"}
    assert [picture.words.partition(".")[0] for picture in pictures] == [
        "Learning curves, 1 epoch",
        "Learning curves, 2 epochs",
    ]
    assert "92.00% of the validation images are read right" in pictures[-1].words
    assert "After the first epoch it was 91.00%" in pictures[-1].words
