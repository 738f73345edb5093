"""The ways of golden vectors: Python, the command line, the service and the browser.

Each way returns, for inputs by name, what it read as plain values: ``reading``, the fields of
``Reading.as_dict()``, and ``prediction``, those of ``Prediction.as_dict()``; either may be missing.
Python and the browser add ``image`` to each prediction, the 28 × 28 bytes that the network saw.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import http.server
import importlib
import json
import math
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from digitnet import Prediction, Reading, Recognizer
from golden_inputs import GoldenInput

FILE = Path(__file__).parents[1] / "tests" / "golden" / "golden.zip"
# Probabilities below this are not told apart: their logarithm in float32 says nothing.
LEAST = 1e-30
# Inputs that travel to the browser at a time.
_AT_A_TIME = 20
# What not every Python knows.
_TYPES = {
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}
_CHROMIUM_OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)

Answers: TypeAlias = dict[str, dict[str, Any]]


# ---- the file


def stored() -> tuple[list[GoldenInput], Answers]:
    """Return the inputs of the golden file, and what is expected of them."""
    with zipfile.ZipFile(FILE) as archive:
        index = json.loads(archive.read("index.json"))
        images = np.load(archive.open("images.npy"))
        logits = np.load(archive.open("logits.npy"))
        inputs = [
            GoldenInput(
                entry["name"],
                entry["kind"],
                entry["about"],
                archive.read(f"inputs/{entry['name']}")
                if entry["kind"] == "file"
                else _opened(entry["content"], entry["kind"]),
            )
            for entry in index
        ]

    def whole(sign: dict[str, Any]) -> dict[str, Any]:
        row = sign["row"]
        return {**sign, "image": images[row].ravel(), "logits": logits[row].astype(float)}

    answers = {}
    for entry in index:
        expected = entry["expected"]
        for line in expected.get("reading", {}).get("lines", ()):
            line["digits"] = [whole(one) for one in line["digits"]]
        answers[entry["name"]] = expected | {"prediction": whole(expected["prediction"])}
    return inputs, answers


def _opened(content: Any, kind: str) -> Any:
    if kind == "strokes":
        return content
    flat = np.frombuffer(base64.b64decode(content["bytes"]), np.uint8)
    return flat.reshape(content["height"], content["width"])


def _closed(one: GoldenInput) -> Any:
    """Return an ink or strokes as JSON holds them."""
    if one.kind == "strokes":
        return one.content
    height, width = one.content.shape
    text = base64.b64encode(one.content.tobytes()).decode()
    return {"bytes": text, "height": height, "width": width}


def write(inputs: Sequence[GoldenInput], answers: Answers) -> None:
    """Write inputs, and the answers of Python to them, as the golden file."""
    rows: dict[bytes, int] = {}
    images: list[NDArray[np.uint8]] = []
    logits: list[NDArray[Any]] = []

    def short(sign: dict[str, Any]) -> dict[str, Any]:
        values = logits_of(sign).astype(np.float32)
        image = np.asarray(sign["image"], np.uint8).reshape(28, 28)
        key = image.tobytes() + values.tobytes()
        if key not in rows:
            rows[key] = len(rows)
            images.append(image)
            logits.append(values)
        kept = ("digit", "is_digit", "reason", "box", "ood_score")
        return {name: sign[name] for name in kept} | {"row": rows[key]}

    index = []
    for one in inputs:
        answer = answers[one.name]
        expected: dict[str, Any] = {"prediction": short(answer["prediction"])}
        if "reading" in answer:
            lines = [
                line | {"digits": [short(sign) for sign in line["digits"]]}
                for line in answer["reading"]["lines"]
            ]
            expected["reading"] = answer["reading"] | {"lines": lines}
        entry = {"name": one.name, "kind": one.kind, "about": one.about, "expected": expected}
        index.append(entry if one.kind == "file" else entry | {"content": _closed(one)})
    members = {"index.json": json.dumps(index).encode()}
    for name, array in (("images.npy", np.stack(images)), ("logits.npy", np.stack(logits))):
        with tempfile.SpooledTemporaryFile() as stream:
            np.save(stream, array)
            stream.seek(0)
            members[name] = stream.read()
    members |= {f"inputs/{one.name}": one.content for one in inputs if one.kind == "file"}
    FILE.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(FILE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(info, content, zipfile.ZIP_DEFLATED, 9)


def logits_of(sign: dict[str, Any]) -> NDArray[np.float64]:
    """Return the logarithms of a prediction's probabilities."""
    if "logits" in sign:
        return np.asarray(sign["logits"], np.float64)
    return np.log(np.maximum(np.asarray(sign["probabilities"], np.float64), LEAST))


# ---- the ways


def by_python(inputs: Sequence[GoldenInput]) -> Answers:
    """Return what ``Recognizer`` answers."""
    recognizer = Recognizer(threads=1)
    answers: Answers = {}
    for one in inputs:
        if one.kind == "ink":
            answers[one.name] = {"prediction": _plain(recognizer.predict_ink(one.content))}
        elif one.kind == "strokes":
            answers[one.name] = {
                "reading": _lines(recognizer.read_strokes(one.content)),
                "prediction": _plain(recognizer.predict_strokes(one.content)),
            }
        else:
            answers[one.name] = {
                "reading": _lines(recognizer.read(one.content)),
                "prediction": _plain(recognizer.predict(one.content)),
            }
    return answers


def _plain(one: Prediction) -> dict[str, Any]:
    return one.as_dict() | {"image": one.image.ravel()}


def _lines(reading: Reading) -> dict[str, Any]:
    lines = [
        {"text": line.text, "confidence": line.confidence, "digits": list(map(_plain, line.digits))}
        for line in reading.lines
    ]
    return reading.as_dict() | {"lines": lines}


def by_command(inputs: Sequence[GoldenInput], folder: Path) -> Answers:
    """Return what ``digitnet read`` and ``digitnet predict`` print of the files.

    Args:
        inputs: others than files are left out.
        folder: an empty folder to write the files in.
    """
    files = [one for one in inputs if one.kind == "file"]
    for one in files:
        (folder / one.name).write_bytes(one.content)
    answers: Answers = {one.name: {} for one in files}
    for verb, field in (("read", "reading"), ("predict", "prediction")):
        command = [sys.executable, "-m", "digitnet", verb, str(folder), "--json", "--threads", "1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for text in done.stdout.splitlines():
            answer = json.loads(text)
            answers[Path(answer["file"]).name][field] = answer
    return answers


def by_service(inputs: Sequence[GoldenInput]) -> Answers:
    """Return what the service answers over HTTP: needs the extra ``serve``, and httpx."""
    return asyncio.run(_asked_of_service(inputs))


async def _asked_of_service(inputs: Sequence[GoldenInput]) -> Answers:
    # Loaded here: the other ways do not need it.
    import httpx

    web_app: Any = importlib.import_module("digitnet.serving.web_app")
    app, answers = web_app.create_app(Recognizer(threads=1)), Answers()
    transport = httpx.ASGITransport(app)
    client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
    async with app.router.lifespan_context(app), client:
        for one in inputs:
            answer = answers.setdefault(one.name, {})
            for verb, field in (("read", "reading"), ("predict", "prediction")):
                if one.kind == "ink" and verb == "read":
                    continue
                response = await client.post(f"/v1/{verb}", **_body(one))
                if response.is_success:
                    answer[field] = response.json()
                else:
                    answer["error"] = f"{response.status_code}: {response.text}"
    return answers


def _body(one: GoldenInput) -> dict[str, Any]:
    """Return what a request sends to have an input read."""
    if one.kind == "file":
        return {"content": one.content}
    if one.kind == "ink":
        return {"json": {"ink": (one.content / np.float32(255)).tolist()}}
    return {"json": {"strokes": one.content}}


@dataclass(frozen=True)
class Served:
    """A page that is served: where, and what was asked of the server."""

    url: str
    asked: list[str]


@contextlib.contextmanager
def served(folder: Path, under: str = "some/folder") -> Iterator[Served]:
    """Serve the files of a folder under a path of this machine, as any host of files does."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def guess_type(self, path: Any) -> str:
            return _TYPES.get(Path(path).suffix) or super().guess_type(path)

        def translate_path(self, path: str) -> str:
            asked.append(path)
            inside = path.removeprefix(f"/{under}")
            return super().translate_path("/nowhere" if inside == path else inside)

        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}/{under}/", asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def chromium() -> str | None:
    """Return the path of a Chromium on this machine."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Start Chromium; it can reach this machine only, and prints nothing."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium(), args=list(_CHROMIUM_OPTIONS)
        )
        try:
            yield started
        finally:
            started.close()


# In the page: an engine that stays, bytes from base64, and each input as its way needs it.
_START = """async () => {
  const began = performance.now();
  window.engine ??= await BrowserEngine.start(document.baseURI);
  return performance.now() - began;
}"""
_READ = """async (inputs) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const closed = (one) => ({ ...one, image: btoa(String.fromCharCode(...one.image)) });
  const ways = {
    file: async (content) => {
      const blob = new Blob([bytes(content)]);
      return [await engine.read(blob), await engine.predict(blob)];
    },
    ink: async ({ bytes: text, ...sides }) =>
      [undefined, await engine.predictInk({ data: bytes(text), ...sides })],
    strokes: async (strokes) =>
      [await engine.readStrokes(strokes), await engine.predictStrokes(strokes)],
  };
  const answers = {};
  for (const { name, kind, content } of inputs) {
    try {
      const [reading, prediction] = await ways[kind](content);
      for (const line of reading?.lines ?? []) line.digits = line.digits.map(closed);
      answers[name] = { ...(reading && { reading }), prediction: closed(prediction) };
    } catch (error) {
      answers[name] = { error: `${error.name}: ${error.message}` };
    }
  }
  return answers;
}"""


def by_browser(inputs: Sequence[GoldenInput], page: Any) -> Answers:
    """Return what the reader in the browser answers.

    Args:
        inputs: of any kind.
        page: of Playwright, which shows tests/browser_page/index.html of a build.
    """
    page.evaluate(_START)
    answers: Answers = {}
    for start in range(0, len(inputs), _AT_A_TIME):
        part = [
            {
                "name": one.name,
                "kind": one.kind,
                "content": base64.b64encode(one.content).decode()
                if one.kind == "file"
                else _closed(one),
            }
            for one in inputs[start : start + _AT_A_TIME]
        ]
        answers |= page.evaluate(_READ, part)
    for answer in answers.values():
        digits = [
            one for line in answer.get("reading", {}).get("lines", ()) for one in line["digits"]
        ]
        for sign in (*digits, *filter(None, [answer.get("prediction")])):
            sign["image"] = np.frombuffer(base64.b64decode(sign["image"]), np.uint8)
    return answers


# ---- what differs


@dataclass(frozen=True)
class Difference:
    """How what a way answered to an input differs from what is expected.

    Attributes:
        name: of the input.
        about: what it is.
        words: what is not the same: texts, digits, reasons; empty if all is.
        logits: the largest difference of a logit.
        likely_logits: the same, of classes whose probability is at least one in a million.
        image: the largest difference of a pixel of a canonical image, 0 to 255; None if unknown.
        box: the largest difference of an edge of a box, in pixels of the picture.
        ood_score: the largest difference of a score.
        signs: how many were compared.
    """

    name: str
    about: str
    words: tuple[str, ...]
    logits: float = 0.0
    likely_logits: float = 0.0
    image: int | None = None
    box: int = 0
    ood_score: float = 0.0
    signs: int = 0


def compared(inputs: Sequence[GoldenInput], expected: Answers, found: Answers) -> list[Difference]:
    """Return how answers differ from what is expected, of each input that was answered."""
    return [
        _difference(one, expected[one.name], found[one.name]) for one in inputs if one.name in found
    ]


def _difference(one: GoldenInput, expected: dict[str, Any], found: dict[str, Any]) -> Difference:
    missing = [f"no {name}" for name in expected if name not in found]
    words = [found["error"]] if "error" in found else missing
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    if "reading" in found and "reading" in expected:
        mine, other = expected["reading"], found["reading"]
        words += [
            f"{name} {mine[name]!r}, {other[name]!r}"
            for name in ("text", "reason", "refusal", "turned")
            if mine[name] != other[name]
        ]
        pairs += zip(_signs(mine), _signs(other), strict=False)
        if len(_signs(mine)) != len(_signs(other)):
            words.append(f"{len(_signs(mine))} signs, {len(_signs(other))}")
    if "prediction" in found:
        pairs.append((expected["prediction"], found["prediction"]))
    words += [
        f"{name} {mine[name]!r}, {other[name]!r}"
        for mine, other in pairs
        for name in ("digit", "is_digit", "reason")
        if mine[name] != other[name]
    ]
    if not pairs:
        return Difference(one.name, one.about, tuple(words))
    logits = [(logits_of(mine), logits_of(other)) for mine, other in pairs]
    apart = [np.abs(mine - other) for mine, other in logits]
    likely = [
        gap[mine > math.log(1e-6)].max(initial=0.0)
        for gap, (mine, _) in zip(apart, logits, strict=True)
    ]
    seen = [_image_gap(mine, other) for mine, other in pairs if "image" in other]
    return Difference(
        one.name,
        one.about,
        tuple(words),
        logits=float(max(gap.max() for gap in apart)),
        likely_logits=float(max(likely)),
        image=max(seen) if seen else None,
        box=max(_box_gap(mine["box"], other["box"]) for mine, other in pairs),
        ood_score=max(abs(mine["ood_score"] - other["ood_score"]) for mine, other in pairs),
        signs=len(pairs),
    )


def _signs(reading: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for line in reading["lines"] for one in line["digits"]]


def _image_gap(one: dict[str, Any], other: dict[str, Any]) -> int:
    return int(np.abs(one["image"].astype(int) - other["image"].astype(int)).max())


def _box_gap(one: dict[str, int] | None, other: dict[str, int] | None) -> int:
    if one is None or other is None:
        return 0 if one is other else 9999
    edges = [
        (box["left"], box["top"], box["left"] + box["width"], box["top"] + box["height"])
        for box in (one, other)
    ]
    return max(abs(int(a) - int(b)) for a, b in zip(*edges, strict=True))
