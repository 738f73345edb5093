"""The engine in a real browser: offline, private, one call after the other, errors in sentences."""

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

import golden_ways as ways
from browser_site import browser, built, opened
from golden_inputs import GoldenInput

pytestmark = pytest.mark.slow

SEVEN = [[[0, 0], [60, 0], [25, 100]]]
START = "() => BrowserEngine.start(document.baseURI).then((e) => { window.engine = e; })"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[ways.Served]:
    with ways.served(folder) as served:
        yield served


@pytest.fixture(scope="module")
def page(chromium: Any, site: ways.Served) -> Any:
    """Return a page whose engine has started."""
    shown = opened(chromium, site.url)
    shown.evaluate(START)
    return shown


def failure(page: Any, call: str) -> str:
    """Return name and message of what a call of the engine is refused with."""
    text: str = page.evaluate(
        f"async () => {{ try {{ await {call}; return ''; }}"
        " catch (error) { return `${error.name}: ${error.message}`; } }"
    )
    return text


def test_strokes_are_read_and_nothing_is_asked_of_anybody(page: Any, site: ways.Served) -> None:
    before = len(site.asked)
    reading = page.evaluate("(strokes) => engine.readStrokes(strokes)", SEVEN)
    assert reading["text"] == "7"
    assert reading["lines"][0]["digits"][0]["box"]["height"] >= 100
    assert page.evaluate("(strokes) => engine.predictStrokes(strokes)", SEVEN)["digit"] == 7
    assert len(site.asked) == before


def test_the_engine_says_what_it_runs(page: Any, folder: Path) -> None:
    model = page.evaluate("() => engine.model")
    record = json.loads((folder / "model" / "digitnet.json").read_text(encoding="utf-8"))
    assert model == record
    assert model["class_names"] == list("0123456789")


def test_progress_ends_with_all_bytes(chromium: Any, site: ways.Served) -> None:
    steps = opened(chromium, site.url).evaluate(
        "async () => { const steps = [];"
        " await BrowserEngine.start(document.baseURI, (step) => steps.push(step)); return steps; }"
    )
    assert steps[-1]["loaded"] == steps[-1]["total"] > 10_000_000
    assert [step["loaded"] for step in steps] == sorted(step["loaded"] for step in steps)


def test_of_live_calls_that_wait_only_the_newest_is_answered(page: Any) -> None:
    texts = page.evaluate(
        "async (strokes) => (await Promise.all([1, 2, 3, 4, 5].map(() =>"
        " engine.readStrokes(strokes, { live: true })))).map((one) => one && one.text)",
        SEVEN,
    )
    assert texts == ["7", None, None, None, "7"]


def test_calls_that_are_not_live_are_all_answered_in_order(page: Any) -> None:
    drawings = [SEVEN, [[[0, 0], [0, 50]]], []]
    texts = page.evaluate(
        "async (drawings) => (await Promise.all(drawings.map((each) =>"
        " engine.readStrokes(each)))).map((one) => one.text)",
        drawings,
    )
    assert texts == ["7", "1", ""]


def test_pixels_of_a_canvas_are_read(page: Any) -> None:
    text = page.evaluate(
        """async () => {
          const context = new OffscreenCanvas(300, 200).getContext("2d");
          context.lineWidth = 12;
          context.moveTo(100, 50);
          context.lineTo(190, 50);
          context.lineTo(130, 160);
          context.stroke();
          const { data, width, height } = context.getImageData(0, 0, 300, 200);
          return (await engine.read({ pixels: data, width, height })).text;
        }"""
    )
    assert text == "7"


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_pictures_are_turned_as_their_exif_data_say(page: Any, kind: str) -> None:
    ink = np.full((60, 90), 235, np.uint8)
    ink[10:14, 20:50] = ink[14:50, 46:50] = 30
    inputs = []
    for orientation in range(1, 9):
        exif, stream = Image.Exif(), io.BytesIO()
        exif[0x0112] = orientation
        Image.fromarray(ink).save(stream, kind, exif=exif, quality=95)
        inputs.append(GoldenInput(str(orientation), "file", kind, stream.getvalue()))
    found = ways.compared(inputs, ways.by_python(inputs), ways.by_browser(inputs, page))
    assert [(one.name, one.words) for one in found if one.words] == []
    assert max(one.logits for one in found) < 5e-4


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            "engine.read(new Blob(['no picture at all']))",
            "not a picture that this browser can open",
        ),
        ("engine.read(new Blob([]))", "empty"),
        ("engine.read({ pixels: new Uint8ClampedArray(5), width: 2, height: 2 })", "four bytes"),
        ("engine.read(undefined)", "picture"),
        ("engine.readStrokes([[[1, NaN]]])", "finite"),
        ("engine.readStrokes('7')", "list of strokes"),
        ("engine.predictInk({ data: new Float32Array(4), width: 2, height: 3 })", "2 × 3"),
        (
            "engine.predictInk({ data: new Float32Array([2]), width: 1, height: 1 })",
            "outside 0 to 1",
        ),
        ("engine.run('nothing', 1)", "no call"),
        (
            "engine.read(new Blob([new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10, 0, 0])]))",
            "damaged PNG",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(page: Any, call: str, words: str) -> None:
    said = failure(page, call)
    assert said.startswith("InputError: ")
    assert words in said
    assert said.endswith(".")


def test_a_png_that_would_be_too_large_is_refused_before_it_is_decoded(page: Any) -> None:
    header = "[137,80,78,71,13,10,26,10,0,0,0,13,73,72,68,82,0,0,64,0,0,0,64,0,8,0,0,0,0]"
    call = f"engine.read(new Blob([new Uint8Array({header}), new Uint8Array(9)]))"
    assert "16,384 × 16,384 pixels; it may have 50,000,000" in failure(page, call)


def with_layers(folder: Path, content: bytes | None) -> Path:
    """Put a second model in a built page, or leave it out."""
    file, record = folder / "model" / "layers.onnx", folder / "model" / "digitnet.json"
    file.unlink(missing_ok=True)
    said = json.loads(record.read_text(encoding="utf-8"))
    said["layers"] = None
    if content is not None:
        file.write_bytes(content)
        said["layers"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    record.write_text(json.dumps(said), encoding="utf-8")
    return folder


def test_a_build_without_layers_says_so(chromium: Any, folder: Path, tmp_path: Path) -> None:
    bare = with_layers(Path(shutil.copytree(folder, tmp_path / "bare")), None)
    with ways.served(bare) as site:
        shown = opened(chromium, site.url)
        shown.evaluate(START)
        assert "no model of layers" in failure(shown, "engine.layers({}, [])")
        shown.close()


def test_a_second_model_is_run(chromium: Any, folder: Path, tmp_path: Path) -> None:
    shape = ["N", 1, 28, 28]
    graph = helper.make_graph(
        [helper.make_node("Add", ["images", "images"], ["twice"])],
        "layers",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("twice", TensorProto.FLOAT, shape)],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    whole = with_layers(Path(shutil.copytree(folder, tmp_path / "whole")), model)
    with ways.served(whole) as site:
        shown = opened(chromium, site.url)
        shown.evaluate(START)
        answer = shown.evaluate(
            "async () => { const images = { data: new Float32Array(784).fill(3),"
            " dims: [1, 1, 28, 28] }; const { twice } = await engine.layers({ images }, ['twice']);"
            " return { dims: twice.dims, values: Array.from(new Set(twice.data)) }; }"
        )
        assert answer == {"dims": [1, 1, 28, 28], "values": [6]}
        shown.close()


def test_without_a_network_the_kept_page_reads_as_before(chromium: Any, folder: Path) -> None:
    context = chromium.new_context()
    with ways.served(folder) as site:
        shown = opened(context, site.url)
        assert shown.evaluate("() => keepOffline(document.baseURI)") is True
        foreign: list[str] = []
        shown.on("request", lambda request: foreign.append(request.url))
    # The host is gone.
    shown.reload()
    shown.wait_for_function("() => window.BrowserEngine !== undefined")
    shown.evaluate(START)
    assert shown.evaluate("(strokes) => engine.readStrokes(strokes)", SEVEN)["text"] == "7"
    assert [url for url in foreign if not url.startswith(site.url)] == []
    context.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model/digitnet.onnx", "SHA-256"),
        ("model/lines.onnx", "SHA-256"),
        ("runtime/ort-wasm-simd-threaded.wasm", "bytes"),
        ("model/digitnet.json", "could not be loaded"),
    ],
)
def test_a_damaged_build_does_not_start(
    chromium: Any, folder: Path, tmp_path: Path, name: str, words: str
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    file = copy / name
    content = np.frombuffer(file.read_bytes(), np.uint8).copy()
    if name.endswith(".onnx"):
        content[1000] ^= 1
        file.write_bytes(content.tobytes())
    elif name.endswith(".wasm"):
        file.write_bytes(content[:-1].tobytes())
    else:
        file.unlink()
    with ways.served(copy) as site:
        shown = opened(chromium, site.url)
        assert words in failure(shown, "BrowserEngine.start(document.baseURI)")
        shown.close()
