"""Draw other people's digits, numbers and scribbles into the page, and count what it reads.

    python benchmarks/page_reading.py                     300 digits, 100 numbers, 100 scribbles
    python benchmarks/page_reading.py --digits 30 …       fewer

The page is the built one, in Chromium; a mouse draws the recorded strokes of writers whom no
training saw, at many sizes, places and widths of the pen. Nothing was chosen on these drawings but
the rule for strokes that are one sign, which was chosen on others of the same writers. A scribble
counts as refused if no digit is read, or the text is said to be likelier wrong than right. A
movement of the pen that was skipped waits for the answer in which it is. Writes
docs/results/page.json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conditions import conditions
from digitnet.data.pen_signs import Hands, load_hands, split_writers
from digitnet.files import write_json
from digitnet.training.statistics import wilson_interval

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import build_page  # noqa: E402
import golden_ways as ways  # noqa: E402

RESULT = ROOT / "docs" / "results" / "page.json"
SEED = 1
WIDTH, HEIGHT = 640, 400
# Points nearer than this, in units of the paper, are one: a mouse reports no more.
_NEAR = 4.0
_WRITTEN = "() => document.documentElement.dataset.state === 'read'"
_WATCH = (
    "() => { window.late = { live: [], whole: [] }; new PerformanceObserver((list) => {"
    " for (const { name, duration } of list.getEntries()) window.late[name]?.push(duration); })"
    ".observe({ type: 'measure' }); }"
)

Strokes = list[NDArray[np.float64]]


def digit_at(hands: Hands, sign: int, box: tuple[float, float, float]) -> Strokes:
    """Return a sign's strokes with its left edge, its middle line and its longer side as asked."""
    left, middle, size = box
    strokes = hands.strokes(sign)
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = size / float((high - low).max())
    start = (low[0] - left / scale, (low[1] + high[1]) / 2 - middle / scale)
    return [(stroke - start) * scale for stroke in strokes]


def one_digit(hands: Hands, signs: NDArray[np.intp], random: Any) -> tuple[Strokes, str]:
    """Return a digit anywhere on the paper, 60 to 280 units large."""
    sign, size = int(random.choice(signs)), random.uniform(60, 280)
    left = random.uniform(20, WIDTH - 20 - size)
    middle = random.uniform(20 + size / 2, HEIGHT - 20 - size / 2)
    return digit_at(hands, sign, (left, middle, size)), str(hands.label[sign])


def number(hands: Hands, signs: NDArray[np.intp], random: Any) -> tuple[Strokes, str]:
    """Return three to six digits of one writer in a row, 60 to 90 units large."""
    writer = hands.writer[random.choice(signs)]
    own = signs[hands.writer[signs] == writer]
    size, left = random.uniform(60, 90), 20.0
    strokes: Strokes = []
    text = ""
    for sign in random.choice(own, random.integers(3, 7)):
        placed = digit_at(hands, int(sign), (left, HEIGHT / 2 + random.normal() * 5, size))
        left = float(np.concatenate(placed)[:, 0].max()) + random.uniform(0.12, 0.4) * size
        strokes += placed
        text += str(hands.label[sign])
    return strokes, text


def scribble(_hands: Hands, _signs: NDArray[np.intp], random: Any) -> tuple[Strokes, str]:
    """Return a drawing that nobody would read: zigzag, tangle, hatching, spiral, star, waves."""
    time = np.linspace(0, 1, 90)
    kind = random.integers(6)
    if kind == 0:
        count = int(random.integers(6, 16))
        shares = np.linspace(0, 1, count)
        strokes = [np.column_stack((shares, random.random(count) * 0.2 + np.arange(count) % 2))]
    elif kind == 1:
        waves = random.integers(2, 9, (4, 2)) * 2 * np.pi
        start = random.random((4, 2)) * 2 * np.pi
        strokes = [np.sin(time[:, None, None] * waves + start).sum(axis=1)]
    elif kind == 2:
        count = int(random.integers(5, 10))
        lean = random.normal() * 0.3
        strokes = [np.array([[k / count, 0], [k / count + lean, 1]]) for k in range(count)]
        strokes += [np.array([[0, k / count], [1, k / count + lean]]) for k in range(count)]
    elif kind == 3:
        turns = int(random.integers(3, 6)) * 2 * np.pi
        strokes = [np.column_stack((time * np.cos(turns * time), time * np.sin(turns * time)))]
    elif kind == 4:
        angles = np.arange(random.integers(5, 9)) * 1.1 + random.random()
        strokes = [np.array([[0, 0], [np.cos(each), np.sin(each)]]) for each in angles]
    else:
        waves = int(random.integers(4, 8)) * 2 * np.pi
        strokes = [
            np.column_stack((time, 0.3 * np.sin(time * waves) + 0.8 * k))
            for k in range(random.integers(2, 4))
        ]
    points = np.concatenate(strokes)
    scale = random.uniform(100, 300) / float(np.ptp(points, axis=0).max())
    moved = (np.array([WIDTH, HEIGHT]) - np.ptp(points, axis=0) * scale) / 2
    return [(stroke - points.min(axis=0)) * scale + moved for stroke in strokes], ""


def sparse(stroke: NDArray[np.float64]) -> Iterator[tuple[float, float]]:
    """Yield the points of a stroke that are not too near to the one before, and the last."""
    last = None
    for x, y in stroke.tolist():
        if last is None or np.hypot(x - last[0], y - last[1]) >= _NEAR:
            last = (x, y)
            yield last
    yield (float(stroke[-1, 0]), float(stroke[-1, 1]))


def draw_with_mouse(page: Any, strokes: Strokes) -> None:
    """Draw strokes, in units of the paper, on a page of Playwright's."""
    mouse, box = page.mouse, page.locator("#paper").bounding_box()
    scale = box["width"] / WIDTH
    for stroke in strokes:
        for number, (x, y) in enumerate(sparse(stroke)):
            mouse.move(box["x"] + x * scale, box["y"] + y * scale)
            if not number:
                mouse.down()
        mouse.up()


class Page:
    """The page, and a mouse on it."""

    def __init__(self, browser: Any, url: str) -> None:
        self._page = browser.new_page(viewport={"width": 1280, "height": 900})
        self._page.goto(url)
        self._page.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
        self._page.evaluate(_WATCH)

    def read(self, strokes: Strokes, pen: int) -> tuple[str, bool]:
        """Draw strokes; return the text and whether the page is in doubt of it."""
        if self._page.is_enabled("#clear"):
            self._page.click("#clear")
        self._page.fill("#pen", str(pen))
        draw_with_mouse(self._page, strokes)
        self._page.wait_for_function(_WRITTEN)
        text = "".join(self._page.locator("#text button").all_inner_texts())
        doubt = self._page.get_attribute("#verdict", "data-doubt") == "true"
        return text, doubt

    def late(self, name: str) -> dict[str, float]:
        """Return how late answers were, in ms: "live", to a movement of the pen, or "whole"."""
        found: list[float] = self._page.evaluate("(name) => window.late[name]", name)
        return {
            "answers": len(found),
            "median": statistics.median(found),
            "p95": statistics.quantiles(found, n=20)[-1],
            "largest": max(found),
            "within_50_ms": sum(each <= 50 for each in found) / len(found),
        }


Draw = Callable[[Hands, NDArray[np.intp], Any], tuple[Strokes, str]]


def measured(page: Page, draw: Draw, count: int, label: str) -> dict[str, Any]:
    """Return how many of so many drawings are read as they should be, and which are not."""
    hands = load_hands()
    _, val = split_writers(hands)
    signs = val[hands.is_digit[val]]
    random = np.random.default_rng([SEED, len(label)])
    wrong, silent = [], 0
    for _ in range(count):
        strokes, text = draw(hands, signs, random)
        found, doubt = page.read(strokes, int(random.integers(8, 25)))
        read = any(letter.isdigit() for letter in found)
        silent += not read
        fine = found == text if text else (not read or doubt)
        if not fine:
            wrong.append([text, found])
    right = count - len(wrong)
    low, high = wilson_interval(right, count)
    print(f"{label}: {right} of {count}; wrong: {wrong}", flush=True)
    counts = {"drawn": count, "right": right, "without_digits": silent}
    return counts | {"interval": [low, high], "wrong": wrong}


def main() -> None:
    """Draw and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    for name, count in (("digits", 300), ("numbers", 100), ("scribbles", 100)):
        parser.add_argument(f"--{name}", type=int, default=count, metavar="N")
    given = parser.parse_args()
    files = [path for path in build_page.STATIC.rglob("*") if path.is_file()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "page"
        build_page.build(folder)
        with ways.served(folder) as site, ways.browser() as browser:
            page = Page(browser, site.url)
            result = {
                "digits": measured(page, one_digit, given.digits, "digits"),
                "numbers": measured(page, number, given.numbers, "numbers"),
                "scribbles": measured(page, scribble, given.scribbles, "scribbles"),
                "answer_ms": page.late("live"),
                "whole_answer_ms": page.late("whole"),
                "page_bytes": sum(path.stat().st_size for path in files),
            }
    write_json(RESULT, result | {"environment": conditions()})


if __name__ == "__main__":
    main()
