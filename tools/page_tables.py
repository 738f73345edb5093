"""The table of what the page reads of drawings, from docs/results/page.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_table import table

RESULT = Path(__file__).parent.parent / "docs" / "results" / "page.json"
_ROWS = (
    ("digits", "digits, read right", "99 %"),
    ("numbers", "numbers of three to six digits, read exactly", "90 %"),
    ("scribbles", "scribbles, refused or said to be likelier wrong than right", "95 %"),
)


def blocks() -> dict[str, Callable[[], str]]:
    """Return what writes the block, if there is a result."""
    return {"page": page} if RESULT.is_file() else {}


def page() -> str:
    """Return a row for each kind of drawing, how fast the answers came, and the conditions."""
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    head = ("drawn with a mouse in Chromium", "drawings", "so", "95 % interval", "asked")
    rows = [_row(found[name], words, asked) for name, words, asked in _ROWS]
    late, whole = found["answer_ms"], found["whole_answer_ms"]
    scribbles = found["scribbles"]
    silent = scribbles["without_digits"]
    unsure = scribbles["right"] - silent
    verdict = "reached" if late["p95"] <= 50 else "**missed**"
    return (
        f"{table(head, rows)}\n\n"
        f"Of the scribbles {silent} were shown without a digit, and {unsure} as the digits that "
        "they look like, with the words that this is likelier wrong than right. "
        "The strokes are of writers whom no training saw, at many sizes, places and widths of the "
        "pen. From a movement of the pen to the first answer in which it is: median "
        f"{late['median']:.0f} ms, p95 {late['p95']:.0f} ms of {late['answers']:,} answers "
        f"(asked: 50 ms, {verdict}; {100 * late['within_50_ms']:.1f} % are within it); "
        "from lifting the pen to the whole "
        f"answer: {whole['median']:.0f} ms, p95 {whole['p95']:.0f} ms; on an "
        f"{found['environment']['cpu']}. The page without runtime and model weighs "
        f"{found['page_bytes'] / 1000:.0f} kB."
    )


def _row(figures: dict[str, Any], words: str, asked: str) -> tuple[str, ...]:
    low, high = figures["interval"]
    share = figures["right"] / figures["drawn"]
    return (
        words,
        f"{figures['drawn']}",
        f"{share:.1%}".replace("%", " %"),
        f"{100 * low:.1f} to {100 * high:.1f} %",
        asked,
    )
