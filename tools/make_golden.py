"""Golden vectors: inputs of every kind, and what digitnet reads in them.

    python tools/make_golden.py            write tests/golden/golden.zip, by Python
    python tools/make_golden.py --measure  compare all ways with it: docs/results/golden.json

The second needs `make page`'s build for the browser, and Chromium; ways that cannot be measured
here keep what was measured before.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import PIL

import golden_ways as ways
from build_page import VERSION, build
from digitnet.machine import environment
from digitnet.reading.model_file import load_model_file
from golden_inputs import golden_inputs

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results" / "golden.json"
FIRST_PAGE = ROOT / "tests" / "browser_page" / "index.html"


def make() -> None:
    """Write the golden file."""
    inputs = golden_inputs()
    ways.write(inputs, ways.by_python(inputs))
    print(f"{ways.FILE}: {len(inputs)} inputs, {ways.FILE.stat().st_size:,} bytes")


def measure() -> None:
    """Compare every way with the golden file and write what differs."""
    inputs, expected = ways.stored()
    found, chromium = {"Python": ways.by_python(inputs)}, None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "files").mkdir()
        found["command line"] = ways.by_command(inputs, folder / "files")
        if importlib.util.find_spec("digitnet.serving"):
            found["REST"] = ways.by_service(inputs)
        if ways.chromium():
            build(folder / "page", FIRST_PAGE)
            with ways.served(folder / "page") as site, ways.browser() as browser:
                page = browser.new_page()
                page.goto(site.url)
                page.wait_for_function("() => window.BrowserEngine !== undefined")
                found["browser"] = ways.by_browser(inputs, page)
                chromium = browser.version
    sha256 = load_model_file().sha256
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    if before.get("model_sha256") != sha256:
        before = {}
    measured = {
        way: summary(ways.compared(inputs, expected, answers)) for way, answers in found.items()
    }
    here = environment()
    record = {
        "inputs": len(inputs),
        "model_sha256": sha256,
        "onnxruntime": onnxruntime.__version__,
        "onnxruntime_web": VERSION,
        "chromium": chromium or before.get("chromium"),
        "pillow": PIL.__version__,
        "cpu": here["cpu"],
        "ways": before.get("ways", {}) | measured,
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=2))


def summary(differences: Sequence[ways.Difference]) -> dict[str, Any]:
    """Return the figures of a way, in all and by what a picture is written as."""
    kinds: dict[str, list[ways.Difference]] = {}
    for one in differences:
        kinds.setdefault(one.about.rpartition("; ")[2], []).append(one)
    by_kind = {kind: _figures(some) for kind, some in sorted(kinds.items())}
    return {**_figures(differences), "kinds": by_kind}


def _figures(differences: Sequence[ways.Difference]) -> dict[str, Any]:
    logits = np.array([one.logits for one in differences])
    images = [one.image for one in differences if one.image is not None]
    return {
        "inputs": len(differences),
        "signs": sum(one.signs for one in differences),
        "same": sum(not one.words for one in differences),
        "differing": {one.name: list(one.words) for one in differences if one.words},
        "within_1e-4": int((logits <= 1e-4).sum()),
        "largest_logits": float(logits.max()),
        "median_logits": float(np.median(logits)),
        "largest_likely_logits": max(one.likely_logits for one in differences),
        "largest_ood_score": max(one.ood_score for one in differences),
        "largest_image": max(images) if images else None,
        "largest_box": max(one.box for one in differences),
    }


def main() -> int:
    """Make or measure; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--measure", action="store_true", help="compare all ways with the file")
    (measure if parser.parse_args().measure else make)()
    return 0


if __name__ == "__main__":
    sys.exit(main())
