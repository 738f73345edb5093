"""Tables of the studies for docs/results.md, and the tool that copies their results there.

make studies                                # runs every shipped study, then this
python tools/study_tables.py studies/…      # copies results and figures of finished studies
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from digitnet.text import count_of
from markdown_table import table

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "studies"
_SETS = {
    "validation": "validation",
    "mnist": "MNIST test",
    "usps": "USPS",
    "digits8x8": "8×8 digits",
}
# The figures that a page of results shows; the study's own report has more.
_FIGURES = ("axis", "accuracy")


def blocks() -> dict[str, Callable[[], str]]:
    """Return what writes the block of each study that has results, by the block's name."""
    files = sorted(RESULTS.glob("*.json"))
    return {f"study-{file.stem}": lambda file=file: study(file) for file in files}  # type: ignore[misc]


def study(file: Path) -> str:
    """Return the question, the figure and the table of one study."""
    results = json.loads(file.read_text(encoding="utf-8"))
    figure = f"![{results['title']}](results/studies/{file.stem}.png)"
    return f"*{results['question']}*\n\n{figure}\n\n{_table(results)}\n\n{_conditions(results)}"


def _table(results: dict[str, Any]) -> str:
    sets = ["validation", *results["test_sets"]]
    header = ["variant", *(_SETS[name] for name in sets), "parameters", "training", "verdict"]
    return table(header, (_row(results, variant, sets) for variant in results["variants"]))


def _row(results: dict[str, Any], variant: dict[str, Any], sets: list[str]) -> list[str]:
    note = f" ({variant['note']})" if variant["note"] else ""
    if not variant["accuracy"]:
        return [f"`{variant['name']}`{note}", *["–"] * (len(sets) + 2), "diverged"]
    return [
        f"`{variant['name']}`{note}",
        *(_percent(variant["accuracy"][name]) for name in sets),
        f"{variant['parameters']:,}",
        f"{variant['seconds']['mean']:.0f} s",
        _verdict(results, variant["name"]),
    ]


def _percent(estimate: dict[str, Any]) -> str:
    return f"{100 * estimate['mean']:.2f} ± {100 * estimate['sd']:.2f} %"


def _verdict(results: dict[str, Any], name: str) -> str:
    """Return how a variant compares on each set of test images; equal verdicts share a phrase."""
    if name == results["base_variant"]:
        return "compared with"
    verdicts: dict[str, list[str]] = {}
    for each in results["comparisons"]:
        if each["variant"] == name:
            verdicts.setdefault(each["verdict"], []).append(_SETS[each["data"]])
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return "; ".join(f"{verdict} on {', '.join(sets)}" for verdict, sets in verdicts.items())


def _conditions(results: dict[str, Any]) -> str:
    return (
        f"Mean ± standard deviation over {len(results['seeds'])} seeds; verdicts on test images, "
        f"corrected for {len(results['comparisons'])} comparisons. Training seconds are on "
        f"{count_of(results['threads'], 'thread')}, perhaps beside other work, and comparable only "
        "roughly."
    )


def main() -> None:
    """Copy the results of finished studies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=Path, nargs="+", help="folders of `digitnet study`")
    for folder in parser.parse_args().studies:
        copy(folder)


def copy(folder: Path) -> None:
    """Copy what the documents need of one study; refuse an unfinished one."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    if len(results["runs"]) < results["expected_runs"]:
        sys.exit(f"{folder}: {len(results['runs'])} of {results['expected_runs']} runs are done.")
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = results["name"]
    shutil.copyfile(folder / "results.json", RESULTS / f"{name}.json")
    figure = next(f for f in _FIGURES if (folder / "figures" / f"{f}.png").is_file())
    shutil.copyfile(folder / "figures" / f"{figure}.png", RESULTS / f"{name}.png")
    print(f"{name}: {len(results['runs'])} runs", file=sys.stderr)


if __name__ == "__main__":
    main()
