"""Tables and figures of transfer, from docs/results/transfer.json; for tools/render_docs.py.

python tools/transfer_tables.py             # draws docs/results/transfer/*.png
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from digitnet.experiments.transfer_page import accuracy_against_labels
from digitnet.experiments.transfer_results import (
    MethodSummary,
    TransferResults,
    budget_name,
    clear_gain,
)
from digitnet.showing.theme import save_png, theme
from markdown_table import table

RESULT = Path(__file__).parent.parent / "docs" / "results" / "transfer.json"
FIGURES = RESULT.parent / "transfer"
TITLES = {
    "mnist_to_usps": "MNIST → USPS",
    "mnist_to_digits8x8": "MNIST → digits of 8 × 8 pixels",
    "mnist_to_fashion": "MNIST → Fashion-MNIST",
    "fashion_to_mnist": "Fashion-MNIST → MNIST",
}
METHODS = ("probe", "head", "all", "scratch")
WAYS = {
    "untouched": "the recogniser as it comes, without `--crops`",
    "zero-shot": "as it comes, with `--crops`",
    "all": "all layers tuned, with `--crops`",
    "scratch": "from scratch, with `--crops`",
}


def transfer_directions() -> str:
    """Return a table for each direction: accuracy of each way to learn with each budget."""
    known = _directions()
    return "\n\n".join(_direction(n, known[n]) for n in TITLES if n in known)


def transfer_churchbooks() -> str:
    """Return the table of the church books: error with five and thirty pictures a class."""
    head = (
        *("way to learn", "pictures a class", "error", "95 % interval"),
        *("of the untouched recogniser's", "MNIST before", "after", "seconds"),
    )
    summary = {(row["way"], row["labels"]): row for row in _directions()["churchbooks"]["summary"]}
    rows = [_church_row(row) for key, row in sorted(summary.items(), key=_church_order)]
    return table(head, rows)


def _church_order(item: tuple[tuple[str, int], dict[str, Any]]) -> tuple[int, int]:
    (way, labels), _ = item
    return list(WAYS).index(way), labels


def _church_row(row: dict[str, Any]) -> tuple[str, ...]:
    before, after = row.get("old_accuracy_before"), row.get("old_accuracy_after")
    return (
        WAYS[row["way"]],
        str(row["labels"] or "none"),
        f"{row['error']:.1%}",
        f"{row['low']:.1%} to {row['high']:.1%}",
        f"{row['of_untouched']:.0%}",
        "–" if before is None else f"{before:.2%}",
        "–" if after is None else f"{after:.2%}",
        f"{row['seconds']:.1f}" if "seconds" in row else "–",
    )


def transfer_own_folder() -> str:
    """Return the sentence about a folder of five pictures a class."""
    own = _directions()["own_folder"]
    return (
        f"A folder of 50 simulated photos on squared paper, five of each digit, {own['images']} of "
        f"them to learn from: {own['steps']} steps in {own['seconds']:.1f} seconds, "
        f"{own['seconds_in_all']:.1f} seconds with reading the pictures and evaluating. MNIST "
        f"({own['old_data']}): {own['old_accuracy_before']:.2%} before, "
        f"{own['old_accuracy_after']:.2%} after."
    )


def blocks() -> dict[str, Callable[[], str]]:
    """Return what writes each block whose results are there, by the block's name."""
    if not RESULT.is_file():
        return {}
    known = _directions()
    found: dict[str, Callable[[], str]] = {}
    if set(TITLES) & set(known):
        found["transfer-directions"] = transfer_directions
    if known.get("churchbooks", {}).get("summary"):
        found["transfer-churchbooks"] = transfer_churchbooks
    if "own_folder" in known:
        found["transfer-own-folder"] = transfer_own_folder
    return found


def _directions() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(RESULT.read_text())["directions"]
    return found


def _direction(name: str, values: dict[str, Any]) -> str:
    results = TransferResults.from_dict(values)
    budgets = results.budgets()
    head = ("way to learn", *(f"{budget_name(b)} a class" if b else "all" for b in budgets))
    rows = [
        (method, *(_cell(results.summary(method, b)) for b in budgets))
        for method in METHODS
        if any(results.summary(method, b) for b in budgets)
    ]
    zero = results.summary("zero-shot", 0)
    before = f" As it was, the network read {zero.accuracy:.2%}." if zero else ""
    sides = [("all", 1), ("scratch", -1)]
    ahead = [
        f"`{method}` at {', '.join(names)}"
        for method, gain in sides
        if (names := [budget_name(b) for b in budgets if clear_gain(results, b) == gain])
    ]
    clear = f" Clearly ahead, their intervals apart: {'; '.join(ahead) or 'neither'}."
    figure = f"![{TITLES[name]}](results/transfer/{name}.png)"
    return f"**{TITLES[name]}.**{before}{clear}\n\n{figure}\n\n{table(head, rows)}"


def _cell(summary: MethodSummary | None) -> str:
    if summary is None:
        return "–"
    return f"{summary.accuracy:.1%} ({100 * summary.low:.1f}–{100 * summary.high:.1f})"


def draw_figures() -> None:
    """Draw accuracy against labels for each direction that was measured."""
    FIGURES.mkdir(exist_ok=True)
    known = _directions()
    for name in set(TITLES) & set(known):
        results = TransferResults.from_dict(known[name])
        with theme():
            save_png(accuracy_against_labels(results), FIGURES / f"{name}.png")
        print(FIGURES / f"{name}.png")


if __name__ == "__main__":
    draw_figures()
