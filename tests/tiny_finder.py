"""A finder trained on so few pages that it takes seconds, and as few to validate and test on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from digitnet.training import finder_evaluation, finder_training

SETTINGS: dict[str, Any] = {
    "data": "sample",
    "pages": 16,
    "epochs": 2,
    "batch_size": 4,
    "threads": 1,
}
TEST_PAGES = 24


@contextlib.contextmanager
def few_pages() -> Iterator[None]:
    """Validate and test on few pages inside the block."""
    with (
        mock.patch.multiple(finder_training, VAL_BATCHES=1, VAL_PAGES=3),
        mock.patch.object(finder_evaluation, "TEST_PAGES", TEST_PAGES),
    ):
        yield
