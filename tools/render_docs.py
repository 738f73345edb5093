"""Write the parts of the documents that come from the code or from result files.

A generated block stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; NAME is a
function of this file. With ``--check`` nothing is written, and a stale block is an error.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import bulk_tables
import golden_tables
import page_tables
import recognition_tables
import record_tables
import service_tables
import study_tables
import transfer_tables
from code_lines import code_lines
from digitnet.cli import app
from digitnet.errors import DigitnetError
from digitnet.files import write_atomic
from digitnet.network.config import setting_meanings
from digitnet.network.recipes import DESCRIPTIONS, RECIPES
from digitnet.text import count_of
from digitnet.training.statistics import summarise, wilson_interval
from markdown_table import table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "docs/cli.md", "docs/results.md", "docs/settings.md"),
    "docs/page.md",
    "docs/records.md",
    "docs/service.md",
    "src/digitnet/assets/MODEL_CARD.md",
)
# The recipes of which results.md shows every run.
SEEDED = ("reference", "plain")
# The recipes of the README's table: those two, and what was made for a record.
MEASURED = (*SEEDED, "best", "small", "tiny", "fast")
_SPREAD = ("median", "fastest", "slowest")
COMMANDS = (
    *(
        "",
        "read",
        "predict",
        "serve",
        "train",
        "evaluate",
        "export",
        "report",
        "study",
        "transfer",
        "doctor",
    ),
    *("data", "data list", "data fetch", "data verify", "data import", "bench", "bench train"),
    *("bench infer", "bench compare", "bench robustness"),
)


def headline() -> str:
    """Return the README's table: the accuracy of each recipe."""
    rows = []
    for name in MEASURED:
        runs = _runs(name)
        accuracy = summarise([100 * run["test_accuracy"] for run in runs])
        misses = summarise([run["misses"] for run in runs])
        rows.append(
            (
                f"`{name}`",
                f"{runs[0]['parameters']:,}",
                f"{accuracy.mean:.2f} ± {accuracy.sd:.2f} %",
                f"{misses.mean:.0f} of 10,000",
                str(accuracy.count),
                DESCRIPTIONS[name],
            )
        )
    header = ("recipe", "parameters", "test accuracy", "misses", "seeds", "what it is")
    return table(header, rows)


def seeds() -> str:
    """Return the table of every run."""
    header = (
        *("recipe", "seed", "val accuracy", "test accuracy", "95 % interval", "misses"),
        *("test loss", "calibration error", "without disputed labels"),
    )
    rows = [
        (
            f"`{run['recipe']}`",
            str(run["seed"]),
            f"{100 * run['val_accuracy']:.2f} %",
            f"{100 * run['test_accuracy']:.2f} %",
            _interval(run["misses"]),
            str(run["misses"]),
            f"{run['test_loss']:.4f}",
            f"{run['expected_calibration_error']:.4f}",
            f"{100 * run['undisputed_accuracy']:.2f} %",
        )
        for name in SEEDED
        for run in _runs(name)
    ]
    return table(header, rows)


def seeds_summary() -> str:
    """Return the summary of the runs, recipe by recipe, and their comparison."""
    lines = []
    for name in SEEDED:
        accuracy = summarise([100 * run["test_accuracy"] for run in _runs(name)])
        lines.append(
            f"- `{name}`: {accuracy.mean:.3f} ± {accuracy.sd:.3f} % over {accuracy.count} seeds, "
            f"from {accuracy.low:.2f} to {accuracy.high:.2f} %."
        )
    plain = {run["seed"]: run["test_accuracy"] for run in _runs("plain")}
    both = [run for run in _runs("reference") if run["seed"] in plain]
    gains = summarise([100 * (run["test_accuracy"] - plain[run["seed"]]) for run in both])
    lines.append(
        f"- `reference` less `plain`, over the {gains.count} seeds that both have: "
        f"{gains.mean:+.3f} points on average, from {gains.low:+.2f} to {gains.high:+.2f}."
    )
    return "\n".join(lines)


def speed() -> str:
    """Return the table of training speed."""
    result = _json("training_speed.json")
    peak, versions = result["peak"], result["keras"]["versions"]
    rows = [
        ("digitnet", *_seconds(result["digitnet"]), f"{100 * peak['share']:.0f} %"),
        (
            f"Keras {versions['keras']} on TensorFlow {versions['tensorflow']}",
            *_seconds(result["keras"]),
            f"{100 * peak['keras_share']:.0f} %",
        ),
    ]
    ratio = result["ratio"]
    header = ("", "seconds an epoch, median", "fastest", "slowest", "share of the peak")
    return (
        f"{table(header, rows)}\n\n"
        f"Ratio, round by round: **{ratio['median']:.2f}** in the median of {result['rounds']} "
        f"rounds, from {ratio['min']:.2f} to {ratio['max']:.2f}; {result['threads']} threads of an "
        f"{result['environment']['cpu']}. The peak is that of a 2048 × 2048 matrix product in "
        f"float32, {peak['matrix_product_gflops']:.0f} GFLOP/s; an epoch of the network as it is "
        f"defined, which Keras computes, takes {peak['keras_gflop_per_epoch']:.0f} GFLOP, and "
        f"without what pooling drops anyway {peak['gflop_per_epoch']:.0f}."
    )


def command_speed() -> str:
    """Return the tables of a whole training command and of a second thread's gain."""
    result = _json("command_speed.json")
    machine = result["environment"]
    names = {"now": "this version", "before": "before one load served everything"}
    trainings = [
        (names[name], *(f"{values[key]:.1f}" for key in ("median", "min", "max")))
        for name, values in result["training"].items()
    ]
    threads = [
        (step, *(f"{1000 * seconds[n]['median']:.0f} ms" for n in "12"), f"{_gain(seconds):.2f}")
        for step, seconds in result["threads"].items()
    ]
    header = (f"{result['photos']} simulated photos", "one thread", "two threads", "times as fast")
    return (
        f"{table(header, threads)}\n\n"
        f"{table(('`digitnet train --data sample --epochs 1`, seconds', *_SPREAD), trainings)}\n\n"
        f"Medians, on {count_of(machine['cores'], 'core')} of an {machine['cpu']}."
    )


def _gain(seconds: dict[str, Any]) -> float:
    return float(seconds["1"]["median"] / seconds["2"]["median"])


def settings() -> str:
    """Return the table of all settings and their values in the recipes."""
    defaults = {name: config.flat() for name, config in RECIPES.items()}
    rows = [
        (f"`{name}`", *(f"`{_toml(values[name])}`" for values in defaults.values()), meaning)
        for name, meaning in setting_meanings().items()
        if name != "recipe"
    ]
    return table(("setting", *(f"`{name}`" for name in RECIPES), "meaning"), rows)


def modules() -> str:
    """Return the tree of the package: lines of code and the first line of each docstring."""
    package = ROOT / "src" / "digitnet"
    counts = {path: code_lines(path) for path in sorted(package.rglob("*.py"))}
    rows = [
        f"{'src/digitnet/':<28}{sum(counts.values()):>7,}  lines of code in {len(counts)} files"
    ]
    rows += _tree(package, counts)
    return "\n".join(["```text", *rows, "```"])


def _tree(folder: Path, counts: Mapping[Path, int], depth: int = 1) -> Iterator[str]:
    """Yield the rows of a folder: its modules, then its folders with theirs."""
    here = [path for path in counts if path.parent == folder]
    for path in here:
        if depth == 1 or path.name != "__init__.py":
            yield _row(path.name, counts[path], path, depth)
    for inner in sorted({p for path in counts for p in path.parents if p.parent == folder}):
        lines = sum(count for path, count in counts.items() if inner in path.parents)
        yield _row(f"{inner.name}/", lines, inner / "__init__.py", depth)
        yield from _tree(inner, counts, depth + 1)


def _row(name: str, lines: int, described: Path, depth: int) -> str:
    doc = ast.get_docstring(ast.parse(described.read_text(encoding="utf-8"))) or ""
    return f"{'  ' * depth + name:<28}{lines:>7,}  {doc.partition(chr(10))[0]}"


def command_line() -> str:
    """Return the help of every command."""
    texts = []
    for command in COMMANDS:
        title = f"digitnet {command}".strip()
        texts.append(f"## `{title}`\n\n```text\n{_help(command.split())}\n```")
    return "\n\n".join(texts)


BLOCKS: dict[str, Callable[[], str]] = {
    "headline": headline,
    "seeds": seeds,
    "seeds-summary": seeds_summary,
    "speed": speed,
    "command-speed": command_speed,
    "settings": settings,
    "modules": modules,
    "command-line": command_line,
    "reading": recognition_tables.reading,
    "reading-numbers": recognition_tables.reading_numbers,
    "targets": recognition_tables.targets,
    "any-picture": recognition_tables.any_picture,
    "field": recognition_tables.field,
    "numbers": recognition_tables.numbers,
    "numbers-beside-peer": recognition_tables.numbers_beside_peer,
    "non-digits": recognition_tables.non_digits,
    "hands": recognition_tables.hands,
    "reject-methods": recognition_tables.reject_methods,
    "recognition-speed": recognition_tables.recognition_speed,
    "model-card": recognition_tables.model_card,
    **study_tables.blocks(),
    **transfer_tables.blocks(),
    **bulk_tables.blocks(),
    **golden_tables.blocks(),
    **page_tables.blocks(),
    **record_tables.blocks(),
    **service_tables.blocks(),
}


def main() -> None:
    """Write or check the documents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    check = parser.parse_args().check
    stale = [name for name in DOCUMENTS if _update(ROOT / name, check)]
    if check and stale:
        sys.exit(f"Out of date: {', '.join(stale)}. Run `make docs` and commit what it writes.")


def _update(path: Path, check: bool) -> bool:
    """Fill the blocks of a document; return whether they changed."""
    before = path.read_text(encoding="utf-8")
    after = re.sub(
        r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}\n{_block(match[2])}{match[3]}",
        before,
        flags=re.DOTALL,
    )
    if before != after and check:
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
        print("\n".join(lines), file=sys.stderr)
    elif before != after:
        write_atomic(path, after)
        print(f"wrote {path.relative_to(ROOT)}", file=sys.stderr)
    return before != after


def _block(name: str) -> str:
    text = BLOCKS[name]()
    return f"{text}\n\n" if text else ""


def _runs(recipe: str) -> list[dict[str, Any]]:
    """Return every run of a recipe."""
    result = _record(recipe)
    shared = {"recipe": recipe, "parameters": result["parameters"]}
    return [shared | run for run in result["runs"]]


def _record(recipe: str) -> dict[str, Any]:
    result = record_tables.result_of(recipe)
    assert result, f"there is no record of {recipe}: make seeds"
    return result


def _interval(misses: int, images: int = 10_000) -> str:
    low, high = wilson_interval(images - misses, images)
    return f"{100 * low:.2f}–{100 * high:.2f} %"


def _json(name: str) -> Any:
    try:
        return json.loads((RESULTS / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise DigitnetError(f"There is no result file docs/results/{name}.") from error


def _seconds(summary: dict[str, float]) -> tuple[str, str, str]:
    return f"{summary['median']:.1f}", f"{summary['min']:.1f}", f"{summary['max']:.1f}"


def _toml(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _help(command: list[str]) -> str:
    printed = io.StringIO()
    environment = {"COLUMNS": "90", "NO_COLOR": "1", "TERM": "dumb"}
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", ["digitnet", *command, "--help"]),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        app.main()
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


if __name__ == "__main__":
    main()
