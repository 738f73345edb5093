"""The figures of a study.

Accuracies stand on an axis on which halving the mistakes is the same step everywhere: their place
is minus the logarithm of the share that is wrong. On a plain axis 99 and 99.9 % would be one dot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from digitnet.experiments.study.gathering import StudyMaterial
from digitnet.experiments.study.study_results import StudyResults, VariantResult, set_title
from digitnet.showing.theme import (
    BODY,
    DARK,
    SMALL,
    Palette,
    figure_of,
    palette_of,
    sized_figure,
    style_axes,
)

# An accuracy beyond this is drawn at it: a perfect result is infinitely far away on this axis.
_BEST = 0.9999
_TICKS = (
    *(0.0, 0.2, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99),
    *(0.992, 0.993, 0.994, 0.995, 0.996, 0.997, 0.998, 0.9985, 0.999, 0.9995),
)
_ROW = 0.24  # inches, of a line of the dot plot
_LONGEST_NAME = 24  # letters
# Beside blue and orange of the theme; contrast with the page 4.5 : 1 or more.
_MORE_LIGHT = ("#00745a", "#9b3f86", "#7a6200", "#5b5fc7")
_MORE_DARK = ("#3fc79a", "#dd95c8", "#dcc24a", "#a9acff")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.4)))


def place(accuracy: float | NDArray[np.float64]) -> Any:
    """Return where an accuracy stands on the axis: its number of nines."""
    return -np.log10(1 - np.clip(accuracy, 0.0, _BEST))


def curves_figure(material: StudyMaterial, figure: Figure | None = None) -> Figure:
    """Draw validation accuracy above validation loss, of all variants, as training went on.

    Lines are means over the seeds, bands reach from the lowest seed to the highest. Where variants
    train for different numbers of epochs, the axis is the share of the training.

    Args:
        material: of a study with one finished run at least.
        figure: where to draw; a new one when None. Its size is set.
    """
    shown = [v for v in material.results.variants if material.histories[v.name]]
    figure = sized_figure(max(5.6, 1.0 + 0.36 * len(shown)), figure)
    above, below = figure.subplots(2, 1, sharex=True)
    styles = _styles(material.results, palette_of(figure))
    for ax, quantity, title in (
        (above, "val_accuracy", "Validation accuracy (%)"),
        (below, "val_loss", "Validation loss"),
    ):
        palette = style_axes(ax)
        ax.grid(axis="y", color=palette.line, linewidth=0.6, alpha=0.6)
        ax.set_ylabel(title)
        ends = [_draw_curve(ax, material, v, quantity, styles[v.name]) for v in shown]
        _set_curve_axis(ax, quantity)
        _label_lines(ax, list(zip([v.name for v in shown], ends, strict=True)), styles)
    below.set_xlabel(_time_axis(material)[1])
    if len({v.config.epochs for v in material.study.variants}) == 1:
        below.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    figure.align_ylabels()
    return figure


def accuracy_figure(results: StudyResults, figure: Figure | None = None) -> Figure:
    """Draw the test accuracy of every variant: seeds, mean and its 95 % interval.

    Args:
        results: of a study with one finished run at least.
        figure: where to draw; a new one when None. Its size is set.
    """
    figure = sized_figure(0.95 + _ROW * len(results.variants), figure)
    panels = figure.subplots(1, len(results.test_sets), sharey=True, squeeze=False)[0]
    for ax, data in zip(panels, results.test_sets, strict=True):
        _draw_dots(ax, results, data)
    names = [_short(variant.name) for variant in results.variants]
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    panels[0].tick_params(axis="y", labelcolor=palette_of(figure).text, labelsize=BODY)
    return figure


def axis_figure(results: StudyResults, figure: Figure | None = None) -> Figure:
    """Draw test accuracy against the setting that is the study's axis.

    Args:
        results: of a study with an axis and one finished run at least.
        figure: where to draw; a new one when None. Its size is set.
    """
    figure = sized_figure(3.6, figure)
    ax = figure.add_subplot()
    palette = style_axes(ax)
    ax.grid(axis="y", color=palette.line, linewidth=0.6, alpha=0.6)
    colours = _colours(palette)
    accuracies = []
    for index, data in enumerate(results.test_sets):
        known = sorted(_along_axis(results, data), key=lambda each: each[0])
        xs = [x for x, _ in known]
        ys = [variant.accuracy[data].mean for _, variant in known]
        accuracies += [_ends(variant, data) for _, variant in known]
        ax.plot(xs, place(np.array(ys)), color=colours[index % len(colours)], linewidth=1.8,
                marker="o", markersize=5, label=set_title(data))  # fmt: skip
        for x, variant in known:
            low, high = _ends(variant, data)
            ax.vlines(x, place(low), place(high), color=colours[index % len(colours)],
                      linewidth=3.0, alpha=0.35)  # fmt: skip
    _set_accuracy_axis(ax.yaxis, ax.set_ylim, [end for ends in accuracies for end in ends])
    ax.set_ylabel("Test accuracy (%)")
    _set_setting_axis(ax, results)
    if len(results.test_sets) > 1:
        ax.legend(frameon=False, labelcolor=palette.text, fontsize=BODY)
    return figure


def _along_axis(results: StudyResults, data: str) -> list[tuple[float, VariantResult]]:
    return [
        (variant.axis_value, variant)
        for variant in results.variants
        if data in variant.accuracy and variant.axis_value is not None
    ]


def _set_setting_axis(ax: Axes, results: StudyResults) -> None:
    values = sorted({v.axis_value for v in results.variants if v.axis_value is not None})
    if values[0] > 0 and values[-1] / values[0] > 20:
        ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(values, [f"{value:,g}" if value < 1 else f"{value:,.0f}" for value in values])
    ax.set_xlabel((results.axis or "").replace("_", " ").capitalize())


def _styles(results: StudyResults, palette: Palette) -> dict[str, dict[str, Any]]:
    """Return how each variant is drawn: the base in the colour of text, the others in turn."""
    colours = _colours(palette)
    others = [v.name for v in results.variants if v.name != results.base_variant]
    styles = {
        name: {
            "color": colours[index % len(colours)],
            "linestyle": _DASHES[index // len(colours) % len(_DASHES)],
            "linewidth": 1.7,
        }
        for index, name in enumerate(others)
    }
    return styles | {results.base_variant: {"color": palette.text, "linewidth": 2.4}}


def _colours(palette: Palette) -> tuple[str, ...]:
    more = _MORE_DARK if palette is DARK else _MORE_LIGHT
    return (palette.blue, palette.orange, *more)


def _time_axis(material: StudyMaterial) -> tuple[Callable[[int], NDArray[np.float64]], str]:
    """Return how epochs become places on the axis, given how many there are, and its name."""
    lengths = {v.config.epochs for v in material.study.variants}
    if len(lengths) == 1:
        return lambda epochs: np.arange(1, epochs + 1, dtype=np.float64), "Epoch"
    return lambda epochs: 100 * np.arange(1, epochs + 1) / epochs, "Share of the training (%)"


def _draw_curve(
    ax: Axes, material: StudyMaterial, variant: VariantResult, quantity: str, style: dict[str, Any]
) -> float:
    """Draw the mean and the range of a variant; return where its line ends."""
    histories = material.histories[variant.name]
    # Early stopping may have ended some sooner; there is no mean beyond the shortest.
    length = min(map(len, histories))
    table = np.array([[getattr(row, quantity) for row in h[:length]] for h in histories])
    values = place(table) if quantity == "val_accuracy" else table
    xs = _time_axis(material)[0](length)
    ax.plot(xs, values.mean(axis=0), marker="o" if length == 1 else None, **style)
    if len(histories) > 1:
        ax.fill_between(xs, values.min(axis=0), values.max(axis=0), color=style["color"],
                        alpha=0.13, linewidth=0)  # fmt: skip
    return float(values.mean(axis=0)[-1])


def _set_curve_axis(ax: Axes, quantity: str) -> None:
    low, high = (float(end) for end in ax.dataLim.intervaly)
    if quantity == "val_accuracy":
        _set_accuracy_axis(ax.yaxis, ax.set_ylim, [1 - 10**-low, 1 - 10**-high])
    elif low > 0 and high / low > 5:
        ax.set_yscale("log")
        ticks = [m * 10.0**e for e in range(-4, 3) for m in (1, 2, 5)]
        ax.yaxis.set_major_locator(FixedLocator(ticks))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        room = (high / low) ** 0.05
        ax.set_ylim(low / room, high * room)


def _set_accuracy_axis(
    axis: Axis, set_limits: Callable[..., Any], accuracies: Sequence[float], apart: float = 0.09
) -> None:
    """Give an axis of places the range of some accuracies, and ticks in percent.

    Ticks are ``apart`` by that share of the axis at least.
    """
    low, high = float(place(min(accuracies))), float(place(max(accuracies)))
    room = max(0.06 * (high - low), 0.01)
    low, high = low - room, high + room
    set_limits(low, high)
    ticks = _ticks(low, high, apart)
    axis.set_minor_locator(NullLocator())
    axis.set_major_locator(FixedLocator([float(place(tick)) for tick in ticks]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * (1 - 10**-value):.4g}"))


def _ticks(low: float, high: float, apart: float) -> list[float]:
    """Return accuracies to mark between two places, neither too few nor too close."""
    inside = [tick for tick in _TICKS if low <= place(tick) <= high]
    if len(inside) < min(4, 0.6 / apart):
        # A narrow range: plain steps of accuracy.
        first, last = 1 - 10**-low, 1 - 10**-high
        step = 10 ** math.floor(math.log10(max(last - first, 1e-5) / 2))
        step = next((m * step for m in (5, 2, 1) if (last - first) / (m * step) >= 3), step)
        inside = [round(n * step, 6) for n in range(math.ceil(first / step), int(last / step) + 1)]
    kept: list[float] = []
    for tick in inside:
        if not kept or place(tick) - place(kept[-1]) > apart * (high - low):
            kept.append(tick)
    return kept


def _label_lines(
    ax: Axes, ends: Sequence[tuple[str, float]], styles: dict[str, dict[str, Any]]
) -> None:
    """Write the name of each line beside its end, apart even where lines meet."""
    figure_of(ax).draw_without_rendering()
    bottom, top = ax.get_ylim()
    height = ax.get_window_extent().height * 72 / figure_of(ax).dpi
    to_axes = ax.transData + ax.transAxes.inverted()
    wanted = [float(to_axes.transform((ax.get_xlim()[1], end))[1]) for _, end in ends]
    places = _spread(np.clip(wanted, 0, 1), 1.25 * SMALL / height)
    for (name, _), y in zip(ends, places, strict=True):
        ax.annotate(_short(name), xy=(1.0, y), xycoords="axes fraction", xytext=(8, 0),
                    textcoords="offset points", va="center", size=SMALL, weight="bold",
                    color=styles[name]["color"], annotation_clip=False)  # fmt: skip
        ax.plot([1.0, 1.012], [y, y], transform=ax.transAxes, clip_on=False,
                color=styles[name]["color"], linewidth=1.5,
                linestyle=styles[name].get("linestyle", "-"))  # fmt: skip
    ax.set_ylim(bottom, top)


def _spread(places: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Move places in [0, 1] apart to at least ``gap``, keeping their order."""
    order = np.argsort(-places, kind="stable")
    steps = gap * np.arange(len(places))
    # Distances beyond the gaps must not fall: the nearest such sequence, by pooling neighbours.
    pools: list[tuple[float, int]] = []
    for value in places[order] + steps:
        pools.append((float(value), 1))
        while len(pools) > 1 and pools[-1][0] > pools[-2][0]:
            (b, m), (a, n) = pools.pop(), pools.pop()
            pools.append(((a * n + b * m) / (n + m), n + m))
    moved = np.concatenate([np.full(n, value) for value, n in pools]) - steps
    # All of them inside, if there is room for all.
    moved -= max(float(moved.max(initial=0)) - 1, 0.0)
    moved += max(-float(moved.min(initial=0)), 0.0)
    result = np.empty_like(places)
    result[order] = moved
    return result


def _ends(variant: VariantResult, data: str) -> tuple[float, float]:
    """Return the interval of an accuracy, or twice the accuracy where there is none."""
    found = variant.accuracy[data]
    if found.low is None or found.high is None:
        return found.mean, found.mean
    return found.low, found.high


def _draw_dots(ax: Axes, results: StudyResults, data: str) -> None:
    palette = style_axes(ax)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=palette.line, linewidth=0.6, alpha=0.6)
    ax.set_axisbelow(True)
    accuracies: list[float] = []
    ends: list[float] = []
    for y, variant in enumerate(results.variants):
        if data not in variant.accuracy:
            if variant.diverged:
                patch = {"facecolor": palette.page, "edgecolor": "none", "pad": 1}
                ax.text(0.02, y, "diverged", transform=ax.get_yaxis_transform(), va="center",
                        size=SMALL, color=palette.muted, bbox=patch)  # fmt: skip
            continue
        is_base = variant.name == results.base_variant
        seeds = [r.accuracy[data] for r in results.runs
                 if r.variant == variant.name and data in r.accuracy]  # fmt: skip
        accuracies += seeds
        ends += _ends(variant, data)
        _draw_variant(ax, y, variant, data, seeds, palette.text if is_base else palette.blue)
        if is_base:
            ax.axvline(place(variant.accuracy[data].mean), color=palette.text, linewidth=0.8,
                       linestyle=(0, (3, 2)), zorder=1)  # fmt: skip
    if accuracies:
        _set_accuracy_axis(ax.xaxis, ax.set_xlim, _within_reach(accuracies, ends),
                           apart=0.09 * len(results.test_sets))  # fmt: skip
        _mark_cut_off(ax, results, data)
    ax.set_xlabel(f"{set_title(data)} test accuracy (%)" if len(results.test_sets) == 1
                  else f"{set_title(data)} (%)")  # fmt: skip


def _within_reach(accuracies: Sequence[float], ends: Sequence[float]) -> tuple[float, float]:
    """Return the range that shows all accuracies, and intervals that are not far wider."""
    low, high = float(place(min(accuracies))), float(place(max(accuracies)))
    reach = 0.6 * (high - low)
    first, last = float(place(min(ends))), float(place(max(ends)))
    shown = max(min(first, low), low - reach), min(max(last, high), high + reach)
    return float(1 - 10 ** -shown[0]), float(1 - 10 ** -shown[1])


def _mark_cut_off(ax: Axes, results: StudyResults, data: str) -> None:
    """Draw an arrowhead at the frame where an interval goes on beyond it."""
    left, right = ax.get_xlim()
    for y, variant in enumerate(results.variants):
        if data not in variant.accuracy:
            continue
        low, high = map(place, _ends(variant, data))
        for x, marker, beyond in ((left, "<", low < left), (right, ">", high > right)):
            if beyond:
                ax.plot(x, y, marker=marker, markersize=5, color=palette_of(figure_of(ax)).muted,
                        clip_on=False, zorder=5)  # fmt: skip


def _draw_variant(
    ax: Axes, y: int, variant: VariantResult, data: str, seeds: Sequence[float], colour: str
) -> None:
    low, high = _ends(variant, data)
    ax.hlines(y, place(low), place(high), color=colour, linewidth=4.0, alpha=0.28, zorder=2)
    ax.plot(place(np.array(seeds)), np.full(len(seeds), y), linestyle="none", marker="|",
            markersize=7, color=colour, alpha=0.8, zorder=3)  # fmt: skip
    ax.plot(place(variant.accuracy[data].mean), y, marker="o", markersize=6, color=colour, zorder=4)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
