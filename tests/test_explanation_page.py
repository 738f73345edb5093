"""Pages that explain an answer: true to it, legible, and the same every time."""

import io
import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray
from PIL import Image

import exported
from digitnet.data.dataset import Dataset
from digitnet.errors import InputError, StorageError
from digitnet.reading.explanation import Evidence, gather
from digitnet.reading.prediction import sentence
from digitnet.reading.recognizer import Recognizer
from digitnet.showing.explanation_page import draw, explain, training_digits
from digitnet.showing.theme import theme


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(exported.model_file())
    return Recognizer(path, threads=1)


def picture(image: NDArray[np.uint8], *, enlarged: int = 1, margin: int = 4) -> NDArray[np.uint8]:
    """Return an image, bright ink on 0, as dark ink in the corner of a sheet of paper."""
    large = np.kron(255 - image, np.ones((enlarged, enlarged), np.uint8))
    return np.pad(large, ((margin, 5 * margin), (3 * margin, margin)), constant_values=255)


def test_a_page_explains_the_answer_of_the_recogniser(
    recognizer: Recognizer, sample: Dataset, tmp_path: Path
) -> None:
    shown = picture(sample.test_images[0], enlarged=5)
    expected = recognizer.predict(shown)
    made = explain(recognizer, shown, tmp_path / "deep" / "page.png")
    assert made.path == tmp_path / "deep" / "page.png"
    with Image.open(made.path) as page:
        assert page.width == 960
    assert made.answer.digit == expected.digit
    assert made.answer.box == expected.box
    np.testing.assert_allclose(made.answer.probabilities, expected.probabilities, atol=1e-5)
    assert made.words == sentence(expected, recognizer.ood_threshold)
    first = made.path.read_bytes()
    assert explain(recognizer, shown, made.path, name="<array>").path.read_bytes() == first


def test_any_source_is_read_once_and_boxes_are_of_the_original(
    recognizer: Recognizer, sample: Dataset, tmp_path: Path
) -> None:
    file = io.BytesIO()
    Image.fromarray(picture(sample.test_images[0], enlarged=90)).save(file, "PNG")
    file.seek(0)
    made = explain(recognizer, file, tmp_path / "page.png")
    assert made.answer.box == recognizer.predict(file.getvalue()).box
    assert made.answer.box is not None
    assert made.answer.box.height > 1000


def test_what_cannot_be_read_or_written_leaves_no_page(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    with pytest.raises(InputError):
        explain(recognizer, b"no picture", tmp_path / "page.png")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        explain(recognizer, np.zeros((9, 9), np.uint8), tmp_path / "file" / "page.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def cases(sample: Dataset) -> dict[str, NDArray[np.uint8]]:
    noise = np.random.default_rng(0).integers(0, 256, (90, 40), np.uint8)
    return {
        "digit.png": picture(sample.test_images[0], enlarged=9),
        "blank": np.full((30, 50), 255, np.uint8),
        "a/very/long/path/" * 8 + "noise.png": noise,
        "WIDE" * 60: np.pad(picture(sample.test_images[3]), ((0, 0), (0, 900)), mode="edge"),
        "七 $x^2$ \n\x1b.png": picture(sample.test_images[1]),
    }


@pytest.mark.parametrize("case", range(5))
def test_words_are_large_inside_and_apart(
    recognizer: Recognizer, sample: Dataset, case: int
) -> None:
    name, shown = [*cases(sample).items()][case]
    evidence = gather(recognizer, shown, training_digits)
    # The longest of sentences.
    evidence = replace(evidence, words=f"{evidence.words}; {'and more of it ' * 5}")
    texts, boxes, page = drawn_texts(evidence, name)
    for text, box in zip(texts, boxes, strict=True):
        assert text.get_fontsize() >= 9, text
        assert page.x0 <= box.x0, text
        assert box.x1 <= page.x1, text
        assert page.y0 <= box.y0, text
        assert box.y1 <= page.y1, text
    for (one, box), (other, beside) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        across = min(box.x1, beside.x1) - max(box.x0, beside.x0)
        along = min(box.y1, beside.y1) - max(box.y0, beside.y0)
        assert across < 0 or along <= 2, (one, other)


def drawn_texts(evidence: Evidence, name: str) -> tuple[list[Any], list[Any], Any]:
    with theme():
        figure = draw(evidence, name)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    return texts, boxes, figure.bbox


def test_the_box_is_drawn_where_the_ink_is(recognizer: Recognizer, sample: Dataset) -> None:
    shown = picture(sample.test_images[0], enlarged=3)
    with theme():
        figure = draw(gather(recognizer, shown, training_digits), "name")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, : pixels_of_a_third(figure)].astype(int)
    orange = (pixels[..., 0] > 150) & (pixels[..., 2] < 60)
    rows, columns = np.nonzero(orange)
    inside = pixels[rows.min() : rows.max(), columns.min() : columns.max(), :3]
    assert (inside.max(axis=2) < 60).any(), "no ink inside the box"


def pixels_of_a_third(figure: Any) -> int:
    return int(figure.bbox.width / 3)


def test_matplotlib_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run_cli: Any
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    for name in [name for name in sys.modules if name.startswith("digitnet.showing")]:
        monkeypatch.delitem(sys.modules, name)
    Image.new("L", (30, 30), 255).save(tmp_path / "blank.png")
    done = run_cli("predict", tmp_path / "blank.png", "--explain", tmp_path)
    assert done.code == 1
    assert "'matplotlib', which is not installed" in done.stderr
