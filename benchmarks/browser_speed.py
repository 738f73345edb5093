"""Time the reader in the browser: how long an answer to a stroke takes in Chromium.

    python benchmarks/browser_speed.py

Needs npm and Chromium. A number is drawn point by point, as a hand does, and after each tenth point
all strokes so far are read; and a picture of a canvas. Times are of whole calls, from the page to
the worker and back, in milliseconds; the result goes to docs/results/browser_speed.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import golden_ways as ways  # noqa: E402
from build_page import VERSION, build  # noqa: E402
from digitnet.machine import environment  # noqa: E402

RESULT = ROOT / "docs" / "results" / "browser_speed.json"
FIRST_PAGE = ROOT / "tests" / "browser_page" / "index.html"
DRAWINGS, EVERY, PICTURES = 12, 10, 30

_START = """async () => {
  const began = performance.now();
  window.engine = await BrowserEngine.start(document.baseURI);
  return performance.now() - began;
}"""
_DRAW = """async ([drawings, every]) => {
  const times = [];
  const timed = async (call) => {
    const began = performance.now();
    await call();
    times.push(performance.now() - began);
  };
  for (const drawing of drawings) {
    const drawn = [];
    let points = 0;
    for (const stroke of drawing) {
      drawn.push([]);
      for (const point of stroke) {
        drawn[drawn.length - 1].push(point);
        if (++points % every === 0) await timed(() => engine.readStrokes(drawn, { live: true }));
      }
    }
  }
  return times;
}"""
_PICTURES = """async (count) => {
  const context = new OffscreenCanvas(600, 400).getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, 600, 400);
  context.lineWidth = 14;
  context.beginPath();
  context.arc(300, 200, 80, 0, 6);
  context.stroke();
  const { data, width, height } = context.getImageData(0, 0, 600, 400);
  const times = [];
  for (let number = 0; number < count; number++) {
    const began = performance.now();
    await engine.read({ pixels: data, width, height });
    times.push(performance.now() - began);
  }
  return times;
}"""


def main() -> None:
    """Measure, and write the result."""
    inputs, _ = ways.stored()
    drawings = [one.content for one in inputs if one.about == "a number"][:DRAWINGS]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "page"
        build(folder, FIRST_PAGE)
        with ways.served(folder) as site, ways.browser() as browser:
            page = browser.new_page()
            page.goto(site.url)
            page.wait_for_function("() => window.BrowserEngine !== undefined")
            start = page.evaluate(_START)
            page.evaluate(_PICTURES, 5)
            result = {
                "start": round(start),
                "strokes": summary(page.evaluate(_DRAW, [drawings, EVERY])),
                "picture_600_400": summary(page.evaluate(_PICTURES, PICTURES)),
                "chromium": browser.version,
                "onnxruntime_web": VERSION,
                "cpu": environment()["cpu"],
            }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


def summary(times: list[float]) -> dict[str, Any]:
    """Return count, median, 95th percentile and largest of times, in milliseconds."""
    median, most, largest = (round(float(at), 1) for at in np.percentile(times, [50, 95, 100]))
    return {"calls": len(times), "median": median, "p95": most, "largest": largest}


if __name__ == "__main__":
    main()
