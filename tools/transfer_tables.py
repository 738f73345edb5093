"""Tables about transfer, from docs/results/transfer.json, for tools/render_docs.py."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from digitnet.transfer.budgets import budget_name
from digitnet.transfer.results import Results, Summary, intervals_apart

RESULT = Path(__file__).parent.parent / "docs" / "results" / "transfer.json"
TITLES = {
    "mnist_to_usps": "MNIST → USPS",
    "mnist_to_digits8x8": "MNIST → digits of 8 × 8 pixels",
    "mnist_to_fashion": "MNIST → Fashion-MNIST",
    "fashion_to_mnist": "Fashion-MNIST → MNIST",
}
METHODS = ("probe", "head", "all", "scratch")
INKS = {"whole": "as it is found", "centred": "in the middle only"}


def transfer_directions() -> str:
    """Return a table for each direction: accuracy of each way to learn with each budget."""
    known = _directions()
    return "\n\n".join(_direction(TITLES[n], known[n]) for n in TITLES if n in known)


def transfer_churchbooks() -> str:
    """Return the table of the church books: error with five and thirty pictures a class."""
    direction = _directions().get("churchbooks", {})
    head = (
        *("ink", "way to learn", "pictures a class", "error", "95 % interval"),
        *("of the untouched recogniser's", "MNIST", "seconds"),
    )
    rows = (
        (
            INKS[row["ink"]],
            row["method"],
            str(row["labels"] or "none"),
            f"{row['error']:.1%}",
            f"{row['low']:.1%} to {row['high']:.1%}",
            f"{row['of_untouched']:.0%}",
            "–" if row["mnist_accuracy"] is None else f"{row['mnist_accuracy']:.2%}",
            f"{row['seconds']:.1f}",
        )
        for row in direction.get("errors", ())
    )
    return _table(head, rows)


def _directions() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(RESULT.read_text())["directions"]
    return found


def _direction(title: str, values: dict[str, Any]) -> str:
    results = Results.from_dict(values)
    budgets = results.budgets()
    head = ("way to learn", *(f"{budget_name(b)} a class" if b else "all" for b in budgets))
    rows = [
        (method, *(_cell(results.summary(method, b)) for b in budgets))
        for method in METHODS
        if any(results.of(method, b) for b in budgets)
    ]
    zero = results.summary("zero-shot", 0)
    before = f" As it was, the network read {zero.accuracy:.2%}." if zero else ""
    apart = [budget_name(b) for b in budgets if intervals_apart(results, b)]
    clear = f" Intervals of `all` and `scratch` apart at: {', '.join(apart) or 'none'}."
    return f"**{title}.**{before}{clear}\n\n{_table(head, rows)}"


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return "–"
    return f"{summary.accuracy:.1%} ({100 * summary.low:.1f}–{100 * summary.high:.1f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
