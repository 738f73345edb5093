"""The table of golden vectors, from docs/results/golden.json, for tools/render_docs.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_table import table

RESULT = Path(__file__).parent.parent / "docs" / "results" / "golden.json"
_WAYS = ("Python", "command line", "REST", "browser")


def blocks() -> dict[str, Callable[[], str]]:
    """Return what writes the block, if there is a result."""
    return {"golden": golden} if RESULT.is_file() else {}


def golden() -> str:
    """Return a row for each way of reading, and the conditions."""
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    head = (
        *("", "inputs", "signs", "same texts, digits and reasons", "logits within 1e-4"),
        *("largest difference of a logit", "of a pixel that the network saw", "of a box"),
    )
    rows = [_row(way, found["ways"][way]) for way in _WAYS if way in found["ways"]]
    return (
        f"{table(head, rows)}\n\n"
        f"Model {found['model_sha256'][:12]}…, onnxruntime {found['onnxruntime']}, "
        f"onnxruntime-web {found['onnxruntime_web']} in Chromium {found['chromium']}, Pillow "
        f"{found['pillow']}, on an {found['cpu']}."
    )


def _row(way: str, figures: dict[str, Any]) -> tuple[str, ...]:
    seen = figures["largest_image"]
    return (
        way,
        f"{figures['inputs']:,}",
        f"{figures['signs']:,}",
        f"{figures['same']:,}",
        f"{figures['within_1e-4']:,}",
        f"{figures['largest_logits']:.1e}",
        "not returned" if seen is None else f"{seen} of 255",
        f"{figures['largest_box']} pixels",
    )
