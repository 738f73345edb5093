"""The report of a transfer: one page, and the figure of accuracy against labels.

Guarantees: as for every page (``showing.pages``), and every verdict is computed from the results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from digitnet.data.dataset import Dataset
from digitnet.experiments.transfer_results import TransferResults, budget_name, intervals_apart
from digitnet.files import write_atomic
from digitnet.showing.commands import plain_value
from digitnet.showing.pages import render
from digitnet.showing.report_figures import strip, worst_pictures
from digitnet.showing.scales import label_lines, nines, set_accuracy_axis
from digitnet.showing.theme import LIGHT, drawn, sized_figure, style_axes
from digitnet.training.runs import Run

NAMES = {
    "zero-shot": "as it is, no labels",
    "probe": "new last layer",
    "head": "dense layers tuned",
    "all": "all layers tuned",
    "scratch": "from scratch",
}
# Colour, dashes, mark and shift of each method; no two differ by colour alone.
_LOOKS: dict[str, tuple[str, Any, str, float]] = {
    "all": (LIGHT.blue, "-", "o", 0.0),
    "head": (LIGHT.blue, (0, (4, 1.5)), "^", 0.06),
    "probe": (LIGHT.text, (0, (1, 1.2)), "D", -0.06),
    "scratch": (LIGHT.orange, "-", "s", 0.0),
}
_FIGURE = "accuracy_against_labels"
_EXAMPLES, _MISSES = 8, 12


def write_page(results: TransferResults, folder: Path, target: Dataset | None = None) -> Path:
    """Draw the figure and write ``report.html``; return the page.

    Args:
        results: with a comparison, a network that was kept, or both.
        folder: where the page goes; the network that was kept is in it.
        target: the images of the new task; None leaves pictures out.

    Raises:
        StorageError: the folder cannot be written.
    """
    drawing = None
    if results.budgets():
        drawing = drawn(lambda: accuracy_against_labels(results))
        write_atomic(folder / "figures" / f"{_FIGURE}.png", drawing.wide)
    pictures = _pictures(results, folder, target) if target and results.final else {}
    file = folder / "report.html"
    write_atomic(
        file, render("transfer.html", drawing=drawing, pictures=pictures, **_facts(results))
    )
    return file


def _facts(results: TransferResults) -> dict[str, Any]:
    """Return what the template names."""
    budgets, final, zero = results.budgets(), results.final, results.summary("zero-shot", 0)
    apart = {b: found for b in budgets if (found := intervals_apart(results, b)) is not None}
    used = {r.method for r in results.repetitions} | ({final["method"]} if final else set())
    return {
        "results": results,
        "target": Path(str(results.target["data"])).name,
        "old_task": results.source["data"],
        "names": NAMES,
        "used": used,
        "before": (final or {}).get("accuracy_before", zero.accuracy if zero else None),
        "budgets": [budget_name(b) for b in budgets],
        "compared": [
            (NAMES[method], [results.summary(method, b) for b in budgets])
            for method in NAMES
            if any(results.summary(method, b) for b in budgets)
        ],
        # Where tuning all layers is shown to beat the start from scratch; None if not measured.
        "helps": [budget_name(b) for b in apart if apart[b]] if apart else None,
        "helps_everywhere": all(apart.values()),
        "settings": _settings(results),
    }


def _settings(results: TransferResults) -> list[tuple[str, str]]:
    """Return the settings as people read them; nested ones are told elsewhere on the page."""
    values = {k: v for k, v in results.settings.items() if not isinstance(v, dict)}
    values["labels"] = [budget_name(labels) for labels in values["labels"]]
    values["steps"] = values["steps"] or "by the number of images"
    values["threads"] = values["threads"] or "one a core"
    # What a comparison would have compared is no setting of a network alone.
    unused = () if results.repetitions else ("methods", "labels", "seeds")
    return [
        (name.replace("_", " "), plain_value(value))
        for name, value in values.items()
        if name not in unused
    ]


def _pictures(results: TransferResults, folder: Path, target: Dataset) -> dict[str, Any]:
    """Return some images of the new task, and some that the network that was kept misreads."""
    assert results.final is not None
    told = Run(folder / results.final["run"]).predictions
    rows = [
        {"name": name, "png": strip(target.train_images[target.train_labels == label][:_EXAMPLES])}
        for label, name in enumerate(target.class_names)
    ]
    misses = worst_pictures(target.test_images, told, target.class_names, _MISSES)
    return {"examples": rows, "misses": misses}


def accuracy_against_labels(results: TransferResults) -> Figure:
    """Draw the mean accuracy of each method, in percent, against the labels it learned from.

    Bars are 95 % intervals; one may leave the picture so that it does not flatten the rest.
    Zero-shot is a level line.

    Args:
        results: with one budget at least.
    """
    figure, budgets = sized_figure(4.2), results.budgets()
    ax = figure.add_subplot()
    style_axes(ax)
    ends: dict[str, tuple[float, str]] = {}
    for method, (colour, line, mark, aside) in _LOOKS.items():
        found = [each for b in budgets if (each := results.summary(method, b))]
        if found:
            # A little apart, so that no bar hides another.
            xs = [budgets.index(each.labels) + aside for each in found]
            low, middle, high = nines([(e.low, e.accuracy, e.high) for e in found]).T
            bars = [middle - low, high - middle]
            ax.errorbar(xs, middle, yerr=bars, color=colour, linestyle=line, linewidth=1.8,
                        marker=mark, markersize=5, elinewidth=1.2, capsize=3)  # fmt: skip
            ends[method] = found[-1].accuracy, colour
    if zero := results.summary("zero-shot", 0):
        dashes = (0, (2, 2))
        ax.axhline(nines(zero.accuracy), color=LIGHT.muted, linewidth=1.4, linestyle=dashes)
        ends["zero-shot"] = zero.accuracy, LIGHT.muted
    room = 0.25 if len(budgets) > 1 else 1.5
    ax.set_xlim(-room, len(budgets) - 1 + room)
    ax.set_xticks(range(len(budgets)), [budget_name(b) for b in budgets])
    ax.set(xlabel="Labelled images of each class", ylabel="Accuracy on the test images (%)")
    set_accuracy_axis(ax.yaxis, ax.set_ylim, [each.accuracy for each in results.summaries()])
    ax.grid(axis="y", which="major", color=LIGHT.line, linewidth=0.6, alpha=0.6)
    low, high = ax.get_ylim()
    places = [(nines(accuracy) - low) / (high - low) for accuracy, _ in ends.values()]
    labels = [f"{NAMES[method]}  {100 * ends[method][0]:.1f} %" for method in ends]
    label_lines(ax, labels, places, [colour for _, colour in ends.values()])
    return figure
