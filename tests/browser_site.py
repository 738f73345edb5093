"""A built page in a real browser, for tests: skipped where there is none, but not in CI."""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import build_page  # noqa: E402
import golden_ways  # noqa: E402
from digitnet.errors import DataUnavailableError  # noqa: E402

FIRST_PAGE = Path(__file__).parent / "browser_page" / "index.html"


def need(what: bool, reason: str) -> None:
    """Skip a test that needs something, or fail in CI, where everything is."""
    if not what:
        (pytest.fail if os.environ.get("DIGITNET_CI") else pytest.skip)(reason)


def built(folder: Path) -> Path:
    """Return a folder with a page whose only content is the engine."""
    try:
        build_page.build(folder / "page", FIRST_PAGE)
    except DataUnavailableError as error:
        need(False, str(error))
    return folder / "page"


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    need(golden_ways.chromium() is not None, "Chromium is not installed")
    need(importlib.util.find_spec("playwright") is not None, "playwright is not installed")
    with golden_ways.browser() as started:
        yield started


def opened(browser: Any, url: str) -> Any:
    """Return a page of Playwright that shows a built page, in a profile of its own."""
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(url)
    page.wait_for_function("() => window.BrowserEngine !== undefined")
    return page
