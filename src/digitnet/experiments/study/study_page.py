"""The page of a study, its figures and its other files of results.

Guarantees: as for every page (``showing.pages``), and every number and verdict comes from the
results; the same results give the same bytes. Accuracies stand on an axis of nines
(``showing.scales``).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from digitnet.experiments.study.study_results import (
    StudyMaterial,
    StudyResults,
    VariantResult,
    accuracy_rows,
    comparison_rows,
    cost_rows,
    csv_rows,
    headline,
    set_title,
)
from digitnet.files import write_atomic, write_json
from digitnet.showing.pages import plain_value, render
from digitnet.showing.scales import label_lines, nines, set_accuracy_axis
from digitnet.showing.sheet import is_narrow
from digitnet.showing.theme import BODY, LIGHT, SMALL, Drawing, drawn, sized_figure, style_axes
from digitnet.text import shortened
from digitnet.training.runs import write_csv

Floats = NDArray[np.float64]

SCHEMA_VERSION = 1

# Given elsewhere on the page.
_SHOWN_SETTINGS = ("data", "recipe", "seed", "threads", "num_classes")
_ROW = 0.24  # inches, of a line of the dot plot
# Contrast with the page 4.5 : 1 or more.
_COLOURS = (LIGHT.blue, LIGHT.orange, "#00745a", "#9b3f86", "#7a6200", "#5b5fc7")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.4)))


def write_results(material: StudyMaterial, folder: Path) -> None:
    """Write ``results.json``, ``results.csv``, ``figures/*.png`` and ``report.html``.

    Raises:
        StorageError: the folder cannot be written.
    """
    results = material.results
    write_json(folder / "results.json", {"schema_version": SCHEMA_VERSION, **results.as_dict()})
    write_csv(folder / "results.csv", *csv_rows(results))
    drawings = {}
    if any(variant.trained for variant in results.variants):
        drawings["accuracy"] = drawn(lambda: accuracy_figure(results))
        drawings["curves"] = drawn(lambda: curves_figure(material))
        if results.axis:
            drawings["axis"] = drawn(lambda: axis_figure(results))
    for name, drawing in drawings.items():
        write_atomic(folder / "figures" / f"{name}.png", drawing.wide)
    write_atomic(folder / "report.html", study_page(material, drawings))


def study_page(material: StudyMaterial, drawings: Mapping[str, Drawing]) -> str:
    """Return the page of a study.

    Args:
        material: of the study.
        drawings: its figures by name: ``accuracy``, ``curves``, and ``axis`` where it has one.
    """
    results = material.results
    return render(
        "study.html",
        results=results,
        drawings=dict(drawings),
        headline=headline(results),
        seconds=sum(run.seconds or 0.0 for run in results.runs),
        axis=(results.axis or "").replace("_", " "),
        accuracy=accuracy_rows(results),
        comparisons=[
            (set_title(data), results.test_images[data], *comparison_rows(results, data))
            for data in results.test_sets
        ],
        compared=sum(each.p is not None for each in results.comparisons),
        cost=cost_rows(results),
        **_settings(material),
    )


def _settings(material: StudyMaterial) -> dict[str, Any]:
    """Return the settings in which variants differ, as a table, and those they share."""
    variants = material.study.variants
    flats = [variant.config.flat() for variant in variants]
    names = [name for name in flats[0] if name not in _SHOWN_SETTINGS]
    differing = [name for name in names if len({flat[name] for flat in flats}) > 1]
    rows = [
        [variant.name, variant.note, *(plain_value(flat[name]) for name in differing)]
        for variant, flat in zip(variants, flats, strict=True)
    ]
    common = [(n.replace("_", " "), plain_value(flats[0][n])) for n in names if n not in differing]
    head = ["Variant", "Note", *(name.replace("_", " ") for name in differing)]
    return {"differing": (head, rows), "common": common}


# ---- figures


def accuracy_figure(results: StudyResults) -> Figure:
    """Draw the test accuracy of every variant: seeds, mean and its 95 % interval.

    Args:
        results: of a study with one finished run at least.
    """
    count = len(results.test_sets)
    height = 0.95 + _ROW * len(results.variants)
    # Side by side, or one below the other on a phone.
    figure = sized_figure(height * count if is_narrow() else height)
    shape = (count, 1) if is_narrow() else (1, count)
    panels = figure.subplots(*shape, sharey=True, squeeze=False).ravel()
    for ax, data in zip(panels, results.test_sets, strict=True):
        _draw_dots(ax, results, data)
        ax.set_yticks(range(len(results.variants)), [_short(each) for each in results.variants])
        ax.set_ylim(len(results.variants) - 0.5, -0.5)
        ax.tick_params(axis="y", labelcolor=LIGHT.text, labelsize=BODY)
    return figure


def axis_figure(results: StudyResults) -> Figure:
    """Draw test accuracy against the setting that is the study's axis.

    Args:
        results: of a study with an axis and one finished run at least.
    """
    figure = sized_figure(3.6)
    ax = figure.add_subplot()
    style_axes(ax)
    ax.grid(axis="y", color=LIGHT.line, linewidth=0.6, alpha=0.6)
    shown: list[float] = []
    for index, data in enumerate(results.test_sets):
        known = [v for v in results.variants if data in v.accuracy and v.axis_value is not None]
        known.sort(key=lambda each: each.axis_value or 0.0)
        xs = [each.axis_value or 0.0 for each in known]
        ends = [each.accuracy[data].ends for each in known]
        shown += [end for pair in ends for end in pair]
        look: dict[str, Any] = {"color": _COLOURS[index % len(_COLOURS)], "linewidth": 1.8}
        means = nines([each.accuracy[data].mean for each in known])
        # Told apart without colours too.
        shape = {"marker": "os^Dv"[index % 5], "linestyle": _DASHES[index % len(_DASHES)]}
        ax.plot(xs, means, markersize=5, label=set_title(data), **look, **shape)
        low, high = nines(np.reshape(ends, (-1, 2))).T
        ax.vlines(xs, low, high, **(look | {"linewidth": 3.0, "alpha": 0.35}))
    set_accuracy_axis(ax.yaxis, ax.set_ylim, shown)
    ax.set_ylabel("Test accuracy (%)")
    _set_setting_axis(ax, results)
    if len(results.test_sets) > 1:
        ax.legend(frameon=False, labelcolor=LIGHT.text, fontsize=BODY)
    return figure


def curves_figure(material: StudyMaterial) -> Figure:
    """Draw validation accuracy above validation loss, of all variants, as training went on.

    Lines are means over the seeds, bands reach from the lowest seed to the highest. Where variants
    train for different numbers of epochs, the axis is the share of the training.

    Args:
        material: of a study with one finished run at least.
    """
    shown = [v for v in material.results.variants if material.histories[v.name]]
    by_epoch = len({variant.config.epochs for variant in material.study.variants}) == 1
    figure = sized_figure(max(5.6, 1.0 + 0.36 * len(shown)))
    above, below = figure.subplots(2, 1, sharex=True)
    for ax, quantity in ((above, "val_accuracy"), (below, "val_loss")):
        _draw_curves(ax, material, shown, quantity, by_epoch)
    above.set_ylabel("Validation accuracy (%)")
    below.set_ylabel("Validation loss")
    below.set_xlabel("Epoch" if by_epoch else "Share of the training (%)")
    if by_epoch:
        below.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    figure.align_ylabels()
    return figure


def _set_setting_axis(ax: Axes, results: StudyResults) -> None:
    values = sorted({v.axis_value for v in results.variants if v.axis_value is not None})
    if values[0] > 0 and values[-1] / values[0] > 20:
        ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(values, [f"{value:,.10g}" for value in values])
    ax.set_xlabel((results.axis or "").replace("_", " ").capitalize())


def _styles(results: StudyResults) -> dict[str, dict[str, Any]]:
    """Return how each variant is drawn: the base in the colour of text, the others in turn."""
    styles = {results.base_variant: {"color": LIGHT.text, "linewidth": 2.4}}
    others = [v.name for v in results.variants if v.name != results.base_variant]
    looks = [(colour, dash) for dash in _DASHES for colour in _COLOURS]
    for name, (colour, dash) in zip(others, itertools.cycle(looks), strict=False):
        styles[name] = {"color": colour, "linestyle": dash, "linewidth": 1.7}
    return styles


def _draw_curves(
    ax: Axes,
    material: StudyMaterial,
    variants: Sequence[VariantResult],
    quantity: str,
    by_epoch: bool,
) -> None:
    """Draw the mean and the range of each variant, with its name beside the end of its line."""
    style_axes(ax)
    ax.grid(axis="y", color=LIGHT.line, linewidth=0.6, alpha=0.6)
    styles, ends = _styles(material.results), []
    for variant in variants:
        histories, style = material.histories[variant.name], styles[variant.name]
        # Early stopping may have ended some sooner; there is no mean beyond the shortest.
        length = min(map(len, histories))
        table = np.array([[getattr(row, quantity) for row in rows[:length]] for rows in histories])
        # The mean of accuracies, and then its place on the axis.
        shown = nines if quantity == "val_accuracy" else np.asarray
        mean, low, high = map(shown, (table.mean(axis=0), table.min(axis=0), table.max(axis=0)))
        xs = np.arange(1, length + 1) if by_epoch else np.linspace(100 / length, 100, length)
        ax.plot(xs, mean, marker="o" if length == 1 else None, **style)
        if len(histories) > 1:
            band = {"color": style["color"], "alpha": 0.13, "linewidth": 0}
            ax.fill_between(xs, low, high, **band)
        ends.append((xs[-1], float(mean[-1])))
    _set_curve_axis(ax, quantity)
    places = (ax.transData + ax.transAxes.inverted()).transform(ends)[:, 1]
    names, colours = map(_short, variants), [styles[v.name]["color"] for v in variants]
    for variant, y in zip(variants, label_lines(ax, [*names], places, colours), strict=True):
        # A piece of the line beside its name.
        look = {**styles[variant.name], "linewidth": 1.5, "clip_on": False}
        ax.plot([1.0, 1.012], [y, y], transform=ax.transAxes, **look)


def _set_curve_axis(ax: Axes, quantity: str) -> None:
    low, high = (float(end) for end in ax.dataLim.intervaly)
    if quantity == "val_accuracy":
        set_accuracy_axis(ax.yaxis, ax.set_ylim, [1 - 10**-low, 1 - 10**-high])
    elif low > 0 and high / low > 5:
        ax.set_yscale("log")
        ticks = [m * 10.0**e for e in range(-4, 3) for m in (1, 2, 5)]
        ax.yaxis.set_major_locator(FixedLocator(ticks))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        room = (high / low) ** 0.05
        ax.set_ylim(low / room, high * room)


def _draw_dots(ax: Axes, results: StudyResults, data: str) -> None:
    """Draw a line for each variant: its seeds as strokes, their mean as a dot on its interval."""
    style_axes(ax)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=LIGHT.line, linewidth=0.6, alpha=0.6)
    ax.set_axisbelow(True)
    several = len(results.test_sets) > 1 and not is_narrow()
    ax.set_xlabel(f"{set_title(data)}{'' if several else ' test accuracy'} (%)")
    found = {y: v.accuracy[data] for y, v in enumerate(results.variants) if data in v.accuracy}
    for y, variant in enumerate(results.variants):
        if variant.diverged and y not in found:
            patch = {"facecolor": LIGHT.page, "edgecolor": "none", "pad": 1}
            ax.text(0.02, y, "diverged", transform=ax.get_yaxis_transform(), va="center",
                    size=SMALL, color=LIGHT.muted, bbox=patch)  # fmt: skip
    if not found:
        return
    names = [variant.name for variant in results.variants]
    base = names.index(results.base_variant)
    colours = np.where(np.arange(len(names)) == base, LIGHT.text, LIGHT.blue)
    rows, means = np.array([*found]), nines([each.mean for each in found.values()])
    ends = np.array([each.ends for each in found.values()])
    low, high = nines(ends).T
    ax.hlines(rows, low, high, colors=colours[rows], linewidth=4.0, alpha=0.28, zorder=2)
    seeds = [(names.index(r.variant), r.accuracy[data]) for r in results.runs if data in r.accuracy]
    places, accuracies = map(np.array, zip(*seeds, strict=True))
    stroke: dict[str, Any] = {"marker": "|", "linewidths": 1.0, "alpha": 0.8, "zorder": 3}
    ax.scatter(nines(accuracies), places, 49, colours[places], **stroke)
    ax.scatter(means, rows, 36, colours[rows], zorder=4)
    if base in found:
        line: dict[str, Any] = {"linewidth": 0.8, "linestyle": (0, (3, 2)), "zorder": 1}
        ax.axvline(nines(found[base].mean), color=LIGHT.text, **line)
    apart = 0.09 * len(results.test_sets) if several else 0.09
    set_accuracy_axis(ax.xaxis, ax.set_xlim, _within_reach(accuracies, ends), apart)
    # An arrowhead at the frame where an interval goes on beyond it.
    left, right = ax.get_xlim()
    for x, marker, beyond in ((left, "<", low < left), (right, ">", high > right)):
        look: dict[str, Any] = {"marker": marker, "color": LIGHT.muted, "clip_on": False}
        ax.scatter(np.full(beyond.sum(), x), rows[beyond], 25, zorder=5, **look)


def _within_reach(accuracies: Floats, ends: Floats) -> list[float]:
    """Return the range that shows all accuracies, and intervals that are not far wider."""
    low, high = nines([accuracies.min(), accuracies.max()])
    reach = 0.6 * (high - low)
    whole = nines([min(accuracies.min(), ends.min()), max(accuracies.max(), ends.max())])
    shown: list[float] = (1 - 10 ** -np.clip(whole, low - reach, high + reach)).tolist()
    return shown


def _short(variant: VariantResult) -> str:
    return shortened(variant.name, 14 if is_narrow() else 24)
