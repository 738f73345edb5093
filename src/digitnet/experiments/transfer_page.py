"""The report of a transfer: one page, and the figure of accuracy against labels.

Guarantees: as for every page (``showing.pages``), and every verdict is computed from the results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from digitnet.data.dataset import Dataset
from digitnet.experiments.transfer_results import TransferResults, budget_name, clear_gain
from digitnet.files import write_atomic
from digitnet.showing.pages import plain_value, render
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
_EXAMPLES, _MISSES = 8, 12


def write_page(results: TransferResults, folder: Path, target: Dataset) -> Path:
    """Draw the figure and write ``report.html``; return the page.

    Args:
        results: with a network that was kept, and perhaps a comparison.
        folder: where the page goes; the network that was kept is in it.
        target: the images of the new task.

    Raises:
        StorageError: the folder cannot be written.
    """
    drawing = None
    if results.budgets():
        drawing = drawn(lambda: accuracy_against_labels(results))
        write_atomic(folder / "figures" / "accuracy_against_labels.png", drawing.wide)
    page, pictures = folder / "report.html", _pictures(folder, target)
    facts = {"drawing": drawing, "pictures": pictures, **_facts(results)}
    write_atomic(page, render("transfer.html", **facts))
    return page


def _facts(results: TransferResults) -> dict[str, Any]:
    """Return what the template names."""
    budgets = results.budgets()
    gains = [clear_gain(results, b) for b in budgets]
    # Without labels it is the same beside any number of them.
    table = [
        (name, [results.summary(method, 0 if method == "zero-shot" else b) for b in budgets])
        for method, name in NAMES.items()
    ]
    return {
        "results": results,
        "target": Path(results.target["data"]).name,
        "names": NAMES,
        "used": {r.method for r in results.repetitions},
        "budgets": [budget_name(b) for b in budgets],
        "compared": [(name, summaries) for name, summaries in table if any(summaries)],
        # Where tuning all layers is shown to beat the start from scratch, and where to be worse.
        "helps": [budget_name(b) for b, gain in zip(budgets, gains, strict=True) if gain == 1],
        "hinders": [budget_name(b) for b, gain in zip(budgets, gains, strict=True) if gain == -1],
        "measured": len(gains) - gains.count(None),
        "settings": _settings(results),
    }


def _settings(results: TransferResults) -> list[tuple[str, str]]:
    """Return the settings as people read them; nested ones are elsewhere on the page."""
    values = results.settings | {
        "labels": [budget_name(labels) for labels in results.settings["labels"]],
        "steps": results.settings["steps"] or "by the number of images",
        "threads": results.settings["threads"] or "one a core",
    }
    # What a comparison would have compared is no setting of a network alone.
    unused = () if results.repetitions else ("methods", "labels", "seeds")
    return [
        (name.replace("_", " "), plain_value(value))
        for name, value in values.items()
        if name not in unused and not isinstance(value, dict)
    ]


def _pictures(folder: Path, target: Dataset) -> dict[str, Any]:
    """Return some images of the new task, and some that the network that was kept misreads."""
    answers = Run(folder / "model").predictions
    rows = [
        {"name": name, "png": strip(target.train_images[target.train_labels == label][:_EXAMPLES])}
        for label, name in enumerate(target.class_names)
    ]
    misses = worst_pictures(target.test_images, answers, target.class_names, _MISSES)
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
