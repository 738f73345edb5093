"""Tables of docs/records.md, from docs/results/records/; for tools/render_docs.py.

    GOAL/RECIPE.json         a result of `digitnet bench train`
    ensembles/RECIPE-N.json  what `digitnet evaluate --members N --json` says of its runs
    inference/RECIPE.json    a result of `digitnet bench infer`; RECIPE-network.json of the
                             network alone
    peers.json               a result of `make bench-peers`
    fast_ablation.json       a result of `make ablation`
    anchors.json             what others have published, and how each figure was chosen

A table has a row for each file that is there; without any there is no table.
"""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from digitnet.errors import InputError
from digitnet.experiments.bench_results import compare, read_result, spread
from digitnet.text import count_of, listing
from markdown_table import table

FOLDER = Path(__file__).parent.parent / "docs" / "results" / "records"
# The folders of records, in the order of the table.
GOALS = {
    "fastest": "seconds to 99 %",
    "accuracy": "accuracy",
    "ensembles": "accuracy of several",
    "smallest": "parameters",
}
ENSEMBLES = "ensembles"
SIDES = {
    "digitnet": "digitnet, recipe `{recipe}`",
    "one-epoch": "the published one-epoch recipe",
    "pytorch-example": "the kind of PyTorch's example",
    "keras-example": "the kind of Keras's example",
}
UNKNOWN = "–"


def records() -> str:
    """Return the one table: digitnet's records, and the published figures beside them."""
    header = (
        *("goal", "recipe", "test accuracy, %", "from – to", "seeds", "parameters", "PFLOP"),
        *("without disputed labels", "seconds", "hardware", "chosen by", "command or source"),
    )
    rows: list[Sequence[str]] = []
    for goal, title in GOALS.items():
        rows += _ensemble_rows(title) if goal == ENSEMBLES else []
        rows += [_own_row(title, result) for result in _results(goal)]
        rows += [_anchor_row(title, a) for a in _anchors() if a["goal"] == goal]
    return table(header, rows)


def paired() -> str:
    """Return the comparison of each record with the reference network, image by image."""
    own = [result for goal in GOALS for result in _results(goal)]
    base = next((result for result in own if result["recipe"] == "reference"), None)
    rows = [_paired_row(base, each) for each in own if base and _is_comparable(base, each)]
    if not rows:
        return ""
    header = (
        "recipe",
        "less `reference`, points",
        "95 % interval",
        "p",
        "McNemar's p, seed by seed",
    )
    return (
        "## Beside the reference network, image by image\n\n"
        "Interval and p take seeds and images for samples of many more. McNemar's exact test "
        "compares the two networks of one seed and says nothing of others.\n\n"
        f"{table(header, rows)}"
    )


def inference() -> str:
    """Return the table of how fast exported networks answer."""
    results = [_json(path) for path in sorted(FOLDER.glob("inference/*.json"))]
    if not results:
        return ""
    # Each recipe's whole file, and then its network alone.
    results.sort(key=lambda result: (result["recipe"] or result["model"], _is_alone(result)))
    rows = [row for result in results for row in _speed_rows(result)]
    header = (
        *("model", "batch", "threads", "µs an image", "images a second", "of the peak"),
        *("cold start, s", "memory, MB", "hardware"),
    )
    return (
        f"## Answering\n\n{table(header, rows)}\n\nThe peak is the speed of one large matrix "
        "product on the same machine, a yardstick that some convolutions beat.\n\n"
        "To repeat: `make record RECIPE=fast`, then "
        "`make inference RECIPE=fast`, which runs `digitnet bench infer`."
    )


def peers() -> str:
    """Return the table of recipes that were trained side by side."""
    if not (FOLDER / "peers.json").is_file():
        return ""
    result = _json(FOLDER / "peers.json")
    header = (
        *(
            "",
            "parameters",
            "trainings",
            "epochs",
            "test accuracy, last epoch, %",
            "seconds, median",
        ),
        *("from – to", f"seconds to {100 * result['target']:g} %", "whole, from a new process"),
    )
    rows = [_side_row(result, name, side) for name, side in result["sides"].items()]
    ratio, machine = result["one_epoch_over_digitnet"], result["environment"]
    versions = [f"torch {machine['packages']['torch']}"]
    if keras := result["sides"].get("keras-example"):
        versions += [f"{name} {number}" for name, number in keras["runs"][0]["versions"].items()]
    return (
        f"## Side by side\n\n{table(header, rows)}\n\n"
        f"The published one-epoch recipe takes **{ratio['median']:.1f} times** as long as "
        f"`{result['recipe']}`, in the median of {result['rounds']} rounds (from "
        f"{ratio['min']:.1f} to {ratio['max']:.1f}), on {count_of(result['threads'], 'thread')} of "
        f"an {machine['cpu']}; {listing(versions)}. Each of the peers is scored after every epoch, "
        "and the first that reaches the target is counted: a choice on the test images, in their "
        f"favour.\n\nTo repeat: `make bench-peers ARGS='{shlex.join(_settings(machine))}'`."
    )


def ablation() -> str:
    """Return the table of what each choice of the recipe fast buys."""
    if not (FOLDER / "fast_ablation.json").is_file():
        return ""
    result = _json(FOLDER / "fast_ablation.json")
    header = ("", "parameters", "validation accuracy, %", "time", "processor time")
    rows = [_ablation_row(each) for each in result["variants"]]
    return (
        f"{table(header, rows)}\n\n"
        f"Means and standard deviations over {result['seeds']} seeds, on "
        f"{100 * result['val_fraction']:.0f} % of the training images, which were set aside; times "
        "are multiples of the recipe's in the same round, the median of the rounds, on "
        f"{count_of(result['threads'], 'thread')} of an {result['environment']['cpu']}. To "
        "repeat: `make ablation`."
    )


def blocks() -> dict[str, Callable[[], str]]:
    """Return the blocks of the document, by name."""
    return {
        "records": records,
        "records-paired": paired,
        "records-inference": inference,
        "records-peers": peers,
        "records-ablation": ablation,
    }


def result_of(recipe: str) -> dict[str, Any] | None:
    """Return the record of a recipe, whatever its goal; None if there is none."""
    own = (result for goal in GOALS for result in _results(goal))
    return next((result for result in own if result["recipe"] == recipe), None)


def _own_row(goal: str, result: dict[str, Any]) -> tuple[str, ...]:
    summary, machine = result["summary"], result["environment"]
    accuracy, undisputed = summary["test_accuracy"], summary.get("undisputed_accuracy")
    patience = result["settings"]["early_stopping"]
    return (
        goal,
        f"**`{result['recipe']}`**",
        f"**{_mean(accuracy)}**",
        f"{100 * accuracy['low']:.2f} – {100 * accuracy['high']:.2f}",
        str(accuracy["count"]),
        f"{result['parameters']:,}",
        f"{result['arithmetic']['pflop']:.2g}",
        _percent(undisputed["mean"]) if undisputed else UNKNOWN,
        _seconds(result["runs"]),
        f"{_hardware(result)}; torch {machine['packages']['torch']}, Python {machine['python']}",
        "validation loss" if patience else "last epoch, nothing on test",
        f"`{_command(machine)}`",
    )


def _seconds(runs: Sequence[dict[str, Any]]) -> str:
    """Return the seconds of the training steps of runs that were never stopped.

    Those of a run that was resumed hold validation too, and its phases only those of its last part.
    """
    whole = [run for run in runs if not run["resumed"]]
    if not whole:
        return UNKNOWN
    seconds = spread([run["seconds"] for run in whole])
    in_all = spread([sum(run["phases"].values()) for run in whole])["mean"]
    some = f"; {len(whole)} of {len(runs)}, the others were stopped and resumed"
    return (
        f"{seconds['mean']:,.2f} ± {seconds['sd']:,.2f}; in all {in_all:,.1f}"
        f"{some if len(whole) < len(runs) else ''}"
    )


def _hardware(result: dict[str, Any]) -> str:
    if result["gpu"]:
        return f"GPU, {result['gpu']}"
    return f"{count_of(result['threads'], 'thread')} of an {result['environment']['cpu']}"


def _ensemble_rows(goal: str) -> Iterable[tuple[str, ...]]:
    """Yield a row for each size of ensemble of the networks of a record."""
    for path in sorted((FOLDER / ENSEMBLES).glob("*.json")):
        recipe, _, size = path.stem.rpartition("-")
        measured, base = _json(path)["ensembles"], result_of(recipe)
        if not base:
            raise InputError(f"{path} needs the record of {recipe}, which its networks are of.")
        accuracy = spread([each["accuracy"] for each in measured])
        undisputed = [each["undisputed"]["accuracy"] for each in measured if each["undisputed"]]
        seconds = base["summary"]["seconds"]["mean"] * int(size)
        yield (
            goal,
            f"**{size} networks of `{recipe}`**",
            f"**{_mean(accuracy)}**",
            f"{100 * accuracy['low']:.2f} – {100 * accuracy['high']:.2f}",
            str(accuracy["count"]),
            f"{base['parameters'] * int(size):,}",
            f"{base['arithmetic']['pflop'] * int(size):.2g}",
            _percent(spread(undisputed)["mean"]) if undisputed else UNKNOWN,
            f"{seconds:,.0f}",
            f"as `{recipe}`",
            "seeds in their order, each in one ensemble",
            f"`digitnet evaluate $(ls -dv runs/records/{recipe}/*-seed*) --members {size}`",
        )


def _anchor_row(goal: str, anchor: dict[str, Any]) -> tuple[str, ...]:
    mean, low, high = anchor["mean"], anchor["low"], anchor["high"]
    accuracy = f"{mean:.3f} ± {anchor['sd']:.3f}" if mean else anchor["claim"] or UNKNOWN
    ends = f"{low:.2f} – {high:.2f}" if low else f"up to {high:.2f}" if high else UNKNOWN
    return (
        goal,
        anchor["who"],
        accuracy,
        ends,
        f"{anchor['networks']:,}" if anchor["networks"] else UNKNOWN,
        f"{anchor['parameters']:,}" if anchor["parameters"] else UNKNOWN,
        f"{anchor['pflop']:.2g}" if anchor["pflop"] else UNKNOWN,
        UNKNOWN,
        anchor["seconds"] or UNKNOWN,
        anchor["hardware"] or UNKNOWN,
        anchor["chosen"],
        f"[source]({anchor['source']})" if anchor["source"] else UNKNOWN,
    )


def _is_comparable(base: dict[str, Any], other: dict[str, Any]) -> bool:
    seeds = [{run["seed"] for run in each["runs"]} for each in (base, other)]
    same = base["data_sha256"] == other["data_sha256"]
    return other is not base and same and len(seeds[0] & seeds[1]) > 1


def _paired_row(base: dict[str, Any], other: dict[str, Any]) -> tuple[str, ...]:
    result = compare(base, other)
    whole = result["difference"]
    return (
        f"`{other['recipe']}`",
        f"{100 * whole['mean']:+.3f}",
        f"{100 * whole['low']:+.3f} to {100 * whole['high']:+.3f}",
        f"{whole['p']:.2g}",
        ", ".join(f"{pair['p']:.2g}" for pair in result["pairs"]),
    )


def _is_alone(result: dict[str, Any]) -> bool:
    # Results from before a network could be exported alone do not say.
    return bool(result.get("network_only"))


def _speed_rows(result: dict[str, Any]) -> Iterable[tuple[str, ...]]:
    alone = ", the network alone" if _is_alone(result) else ""
    start, memory = result["cold_start"]["seconds"]["whole"], result["cold_start"]["megabytes"]
    for row in result["speeds"]:
        image = row["microseconds"]["median"] / row["batch"]
        yield (
            f"`{result['recipe'] or result['model']}`{alone}",
            f"{row['batch']:,}",
            str(row["threads"]),
            f"{image:,.1f}",
            f"{1e6 / image:,.0f}",
            f"{100 * row['share_of_peak']:.0f} %",
            f"{start['median']:.2f}",
            UNKNOWN if memory["answered"] is None else f"{memory['answered']:.0f}",
            str(result["environment"]["cpu"]),
        )


def _settings(machine: dict[str, Any]) -> list[str]:
    """Return the arguments of a command without the file that it wrote."""
    arguments = list(machine["command"][1:])
    if "--out" in arguments:
        place = arguments.index("--out")
        del arguments[place : place + 2]
    return arguments


def _side_row(result: dict[str, Any], name: str, side: dict[str, Any]) -> tuple[str, ...]:
    accuracy, seconds, reached = side["accuracy"], side["seconds"], side["seconds_to_target"]
    times = [each for each in reached if each is not None]
    never = len(reached) - len(times)
    text = f"{statistics.median(times):,.1f}" if times else "never"
    return (
        SIDES[name].format(**result),
        f"{side['parameters']:,}",
        str(accuracy["count"]),
        str(side["epochs"]),
        _mean(accuracy),
        f"{seconds['median']:,.2f}",
        f"{seconds['min']:,.2f} – {seconds['max']:,.2f}",
        f"{text} ({never} of {len(reached)} never)" if times and never else text,
        f"{side['whole']['median']:,.1f}",
    )


def _ablation_row(variant: dict[str, Any]) -> tuple[str, ...]:
    accuracy = variant["val_accuracy"]
    return (
        variant["name"],
        f"{variant['parameters']:,}",
        f"{_percent(accuracy['mean'])} ± {_percent(accuracy['sd'])}",
        f"{variant['relative_seconds']['median']:.2f}",
        f"{variant['relative_cpu_seconds']['median']:.2f}",
    )


def _results(goal: str) -> list[dict[str, Any]]:
    if goal == ENSEMBLES:
        return []
    return [read_result(path) for path in sorted((FOLDER / goal).glob("*.json"))]


def _anchors() -> list[dict[str, Any]]:
    return list(_json(FOLDER / "anchors.json")["anchors"])


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _command(machine: dict[str, Any]) -> str:
    # However it was started.
    return shlex.join(["digitnet", *machine["command"][1:]])


def _percent(value: float) -> str:
    return f"{100 * value:.3f}"


def _mean(spread: dict[str, Any]) -> str:
    """Return a mean in percent, with its standard deviation where there is one."""
    mean, sd = _percent(spread["mean"]), _percent(spread["sd"])
    return f"{mean} ± {sd}" if spread["count"] > 1 else mean
