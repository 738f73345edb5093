"""The table of bulk recognition, from docs/results/bulk.json, for tools/render_docs.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_table import table

RESULT = Path(__file__).parent.parent / "docs" / "results" / "bulk.json"
# A process's clock ticks a hundred times a second; of less than this it says too little.
_LEAST_SECONDS = 1.0
_KINDS = {"digits": "drawings of 28 × 28", "photos": "photos of paper"}


def blocks() -> dict[str, Callable[[], str]]:
    """Return what writes the block, if there is a result."""
    return {"bulk": bulk} if RESULT.is_file() else {}


def bulk() -> str:
    """Return a row for each size of each kind of picture, and the conditions."""
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    head = (
        *("pictures", "a picture and core", "processor time", "speed beside local"),
        *("whole", "memory: driver", "worker"),
    )
    rows = [
        row for kind, words in _KINDS.items() if kind in found for row in _rows(words, found[kind])
    ]
    return f"{table(head, rows)}\n\n{_conditions(found)}"


def _rows(words: str, found: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            f"{cost['pictures']:,} {words}",
            f"{1e6 * cost['seconds']:.0f} µs",
            _processor_time(cost),
            f"{speed:.2f}",
            _time(cost["whole_seconds"]),
            f"{cost['driver_megabytes']:.0f} MB",
            f"{cost['worker_megabytes']:.0f} MB",
        )
        for cost, speed in zip(found["costs"], found["throughput"], strict=True)
    ]


def _processor_time(cost: dict[str, Any]) -> str:
    """Return the processor time of a picture, or a dash if too little was measured in all."""
    enough = cost["cpu_seconds"] * cost["pictures"] >= _LEAST_SECONDS
    return f"{1e6 * cost['cpu_seconds']:.0f} µs" if enough else "–"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _conditions(found: dict[str, Any]) -> str:
    local = ", ".join(
        f"{1e6 * found[kind]['local']['seconds']:.0f} µs for {words}"
        for kind, words in _KINDS.items()
        if kind in found
    )
    return (
        f"{found['processes']} processes of one thread on an {found['environment']['cpu']}; times "
        "are from the first answer to the last, `whole` is with starting Ray and listing. The "
        f"local engine, one process of one thread on the same pictures: {local}."
    )
