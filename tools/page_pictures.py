"""Take the pictures of the page that the documents show: docs/page.png and docs/page_phone.png.

    python tools/page_pictures.py

The page is the built one, in Chromium: on a desk in the light, on a phone in the dark. What is
drawn on it are strokes of a writer whom no training saw.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from digitnet.data.pen_signs import load_hands, split_writers

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import build_page  # noqa: E402
import golden_ways as ways  # noqa: E402
from page_reading import draw_with_mouse, number  # noqa: E402

DOCS = ROOT / "docs"
SEED = 21
# Of each picture: the size of the screen, its pixels to one of CSS, its colours.
SCREENS = {
    "page.png": ({"width": 1160, "height": 1330}, 1, "light"),
    "page_phone.png": ({"width": 390, "height": 844}, 2, "dark"),
}
_SETTLED = "html[data-state=read][data-lesson=shown]"


def drawn(page: Any) -> None:
    """Draw a number, choose its first digit, and wait until all of the page has followed."""
    hands = load_hands()
    _, val = split_writers(hands)
    strokes, _ = number(hands, val[hands.is_digit[val]], np.random.default_rng(SEED))
    draw_with_mouse(page, strokes)
    page.locator("#inside-title").scroll_into_view_if_needed()
    page.wait_for_selector(_SETTLED, state="attached")
    page.evaluate("scrollTo(0, 0)")
    page.click("#text button")
    page.wait_for_timeout(1_000)


def main() -> None:
    """Take the pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "page"
        build_page.build(folder)
        with ways.served(folder) as site, ways.browser() as browser:
            for file, (viewport, dense, colours) in SCREENS.items():
                page = browser.new_page(
                    viewport=viewport, device_scale_factor=dense, color_scheme=colours
                )
                page.goto(site.url)
                page.wait_for_selector("html[data-ready]", state="attached")
                drawn(page)
                page.screenshot(path=str(DOCS / file))
                page.close()


if __name__ == "__main__":
    main()
