"""The results of ``digitnet bench train``, ``infer`` and ``compare`` as tables and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table

from digitnet.text import count_of, share

_Result = Mapping[str, Any]
# What a training takes besides its steps, in the order in which it happens.
_APART = ("importing", "loading", "starting", "validating", "saving", "measuring")


def seeds_table(result: _Result) -> Table:
    """Return a table of every seed; "in all" is the whole, from loading the libraries."""
    disputed = result["runs"][0]["undisputed_accuracy"] is not None
    names = ["seed", "test", "misses", *["undisputed"] * disputed, "validation", "seconds"]
    table = _table(*names, *_APART, "in all", "of the peak")
    for run in result["runs"]:
        table.add_row(
            str(run["seed"]),
            share(run["test_accuracy"]),
            str(run["misses"]),
            *[share(run["undisputed_accuracy"] or 0)] * disputed,
            share(run["val_accuracy"]),
            f"{run['seconds']:.2f}{'*' * run['resumed']}",
            *(f"{run['phases'].get(name, 0):.2f}" for name in _APART),
            f"{sum(run['phases'].values()):.2f}",
            f"{run['share_of_peak']:.0%}",
        )
    return table


def seeds_remarks(result: _Result) -> Iterator[str]:
    """Yield what the seeds say together, a sentence at a time."""
    summary, sums = result["summary"], result["arithmetic"]
    for name, title in (("test_accuracy", "test"), ("undisputed_accuracy", "without disputed")):
        if each := summary.get(name):
            yield f"{title}: {_spread(each)} over {count_of(each['count'], 'seed')}"
    seconds = summary["seconds"]
    mean = f"{seconds['mean']:.2f}"
    if seconds["count"] > 1:
        mean += f" ± {seconds['sd']:.2f}, from {seconds['low']:.2f} to {seconds['high']:.2f}"
    yield f"seconds: {mean}, on {count_of(result['threads'], 'thread')}"
    peaks = ", ".join(f"{speed:.0f} GFLOP/s in {n}" for n, speed in sums["peak_gflops"].items())
    yield (
        f"arithmetic: {result['parameters']:,} parameters, {sums['multiply_adds']:,} multiply-adds "
        f"an image, {sums['pflop']:.3g} PFLOP a training, {sums['share_of_peak']:.0%} of the peak "
        f"({peaks})"
    )
    if target := result["target"]:
        verdict = "reached" if target["reached"] else "not reached"
        p = "" if target["p"] is None else f" (one-sided t-test, p = {target['p']:.2g})"
        yield f"target {share(target['accuracy'])}: {verdict}{p}"
    if any(run["resumed"] for run in result["runs"]):
        yield "* continued after a stop: with validation; the columns after it tell the rest alone"
    if result["diverged"]:
        yield f"diverged, and not counted: {', '.join(map(str, result['diverged']))}"


def inference_table(result: _Result) -> Table:
    """Return a table of microseconds an image and images a second."""
    table = _table(
        "batch", "threads", "µs a batch", "µs an image", "images a second", "of the peak"
    )
    for row in result["speeds"]:
        microseconds = row["microseconds"]["median"]
        table.add_row(
            f"{row['batch']:,}",
            str(row["threads"]),
            f"{microseconds:,.0f}",
            f"{microseconds / row['batch']:,.1f}",
            f"{1e6 * row['batch'] / microseconds:,.0f}",
            f"{row['share_of_peak']:.0%}",
        )
    return table


def inference_remarks(result: _Result) -> Iterator[str]:
    """Yield what else was measured of a model, a sentence at a time."""
    start, memory = result["cold_start"]["seconds"], result["cold_start"]["megabytes"]
    yield (
        f"cold start: {start['whole']['median']:.2f} s from a new process to the first answer, of "
        f"which {start['importing']['median']:.2f} s load the libraries, "
        f"{start['loading']['median']:.2f} s the model"
    )
    if memory["answered"] is not None:
        yield (
            f"memory: {memory['answered']:.0f} MB after the first answer, "
            f"{memory['imported']:.0f} MB of it for Python and the libraries"
        )
    what = "network alone" if result["network_only"] else "model"
    yield (
        f"{what}: {result['bytes'] / 1e6:.2f} MB, {result['multiply_adds']:,} multiply-adds an "
        f"image; medians of {count_of(result['rounds'], 'round')}"
    )


def comparison_table(result: _Result) -> Table:
    """Return a table of the images that only one of two networks reads."""
    first, second = result["recipes"]
    table = _table("seed", f"only {first}", f"only {second}", "p (McNemar, exact)")
    for pair in result["pairs"]:
        counts = (str(pair[name]) for name in ("seed", "only_first", "only_second"))
        table.add_row(*counts, f"{pair['p']:.3g}")
    return table


def comparison_remarks(result: _Result) -> Iterator[str]:
    """Yield what two results say of new seeds and new images."""
    if whole := result["difference"]:
        first, second = result["recipes"]
        low, mean, high = (100 * whole[name] for name in ("low", "mean", "high"))
        yield (
            f"{second} less {first}: {mean:+.3f} points ({low:+.3f} to {high:+.3f} with 95 % "
            f"confidence, p = {whole['p']:.2g}), for other seeds and other images too"
        )


def _spread(each: _Result) -> str:
    mean, sd, low, high = (100 * each[name] for name in ("mean", "sd", "low", "high"))
    if not each["interval"]:
        return f"{mean:.2f} %"
    first, last = (100 * end for end in each["interval"])
    return (
        f"{mean:.3f} ± {sd:.3f} %, from {low:.2f} to {high:.2f} (mean {first:.3f} to {last:.3f} "
        "with 95 % confidence)"
    )


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name, justify="right")
    return table
