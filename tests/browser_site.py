"""A built page in a real browser, for tests: skipped where there is none, but not in CI."""

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import build_page
import golden_ways
from digitnet.errors import DataUnavailableError

ROOT = Path(__file__).parent.parent
FIRST_PAGE = Path(__file__).parent / "browser_page" / "index.html"


def need(what: bool, reason: str) -> None:
    """Skip a test that needs something, or fail in CI, where everything is."""
    if not what:
        (pytest.fail if os.environ.get("DIGITNET_CI") else pytest.skip)(reason)


def built(folder: Path, index: Path | None = FIRST_PAGE) -> Path:
    """Return a copy of the page in a folder of a test.

    It is built once for all processes of a test run.

    Args:
        folder: of the test.
        index: the first page; by default one whose only content is the engine, None for the page's.
    """
    root = next((p for p in folder.parents if p.name.startswith("pytest-")), folder)
    whole = root / "page-for-all"
    with FileLock(root / "page-for-all.lock"):
        if not whole.is_dir():
            try:
                build_page.build(whole)
            except DataUnavailableError as error:
                need(False, str(error))
    page = folder / "page"
    shutil.copytree(whole, page)
    if index:
        build_page.write_first_page(page, index.read_text(encoding="utf-8"))
        build_page.write_service_worker(page)
    return page


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
