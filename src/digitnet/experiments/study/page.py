"""The page of a study: question, answer, tables, figures, and how to read them.

Guarantees:

- ``report.html`` is whole, as a run's report is: no script, nothing loaded from anywhere.
- Every number and verdict comes from the results; every name is escaped.
- The same results give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from digitnet.experiments.study import study_results as words
from digitnet.experiments.study.gathering import StudyMaterial
from digitnet.experiments.study.study_results import StudyResults, VariantResult
from digitnet.showing.report.layout import Page, Section, document, picture, section
from digitnet.showing.report.markup import (
    Html,
    count,
    duration,
    el,
    join,
    paragraphs,
    percent,
    table,
)
from digitnet.showing.theme import Drawing

_TOLD_SETTINGS = ("data", "recipe", "seed", "threads", "num_classes")


def compose(material: StudyMaterial, drawings: Mapping[str, Drawing]) -> str:
    """Return the page of a study.

    Args:
        material: of the study.
        drawings: its figures by name: ``accuracy``, ``curves``, and ``axis`` where it has one.
    """
    results = material.results
    page = Page(dict(drawings), [])
    sections = [
        _accuracy_section(results, page),
        _comparison_section(results),
        *([_axis_section(results, page)] if "axis" in drawings else []),
        *([_curves_section(page)] if "curves" in drawings else []),
        _cost_section(results),
        _settings_section(material),
        _reading_section(results),
    ]
    return document(f"{results.title} – digitnet", _header(results), sections)


def _header(results: StudyResults) -> Html:
    notes = [words.missing(results)]
    if len(results.seeds) < 2:
        notes.append("With a single seed nothing can be compared: chance could have done it all.")
    return el(
        "header",
        el("p", f"digitnet study: {results.name}", class_="over"),
        el("h1", results.question),
        el("p", words.headline(results), class_="lead"),
        *(el("p", note, class_="note") for note in notes if note),
        _key_figures(results),
    )


def _key_figures(results: StudyResults) -> Html:
    seconds = sum(run.seconds or 0.0 for run in results.runs)
    figures = {
        "Variants": f"{len(results.variants)}",
        "Seeds": ", ".join(map(str, results.seeds)),
        "Runs": f"{len(results.runs)} of {results.expected_runs}",
        "Data": results.data,
        "Base": results.base_variant,
        "Test images": f"{results.test_images[results.data]:,}",
        "Training time": duration(seconds),
        "Threads a run": f"{results.threads}",
    }
    pairs = (el("div", el("dt", name), el("dd", value)) for name, value in figures.items())
    return el("dl", *pairs, class_="key")


def _accuracy_section(results: StudyResults, page: Page) -> Section:
    head = ["Variant", "Seeds", *map(words.set_title, results.sets)]
    rows = [_accuracy_row(results, variant) for variant in results.variants]
    caption = "Accuracy in percent: mean ± standard deviation over the seeds."
    return section(
        "accuracy",
        "Accuracy",
        _picture(
            page,
            "accuracy",
            f"Test accuracy of {count(len(results.variants), 'variant')}, with intervals.",
            "Test accuracy of each variant. Dot: mean over the seeds; strokes: single seeds; bar: "
            "95 % t-interval of the mean. An arrowhead stands where it goes on. The dashed line "
            "is the base. Halving the mistakes is the same step everywhere on the axis.",
        ),
        table(caption, head, rows, numbers=range(1, len(head))),
    )


def _accuracy_row(results: StudyResults, variant: VariantResult) -> list[str]:
    seeds = next((found.count for found in variant.accuracy.values()), 0)
    told = f"{seeds}" + (f", {variant.diverged} diverged" if variant.diverged else "")
    accuracies = (words.spread(variant.accuracy.get(name)) for name in results.sets)
    return [variant.name, told, *accuracies]


def _comparison_section(results: StudyResults) -> Section:
    tables = [_comparison_table(results, data) for data in results.test_sets]
    return section(
        "comparison",
        f"Beside {results.base_variant}",
        el(
            "p",
            "Each variant is compared with the base on the same test images and with the same "
            "seeds: the accuracies with the 95 % intervals of their means over seeds, and the "
            "differences, in percentage points, with theirs.",
        ),
        *tables,
    )


def _comparison_table(results: StudyResults, data: str) -> Html:
    head = ["Variant", "Accuracy, 95 % (%)", "Difference", "95 %", "p, corrected", "Verdict"]
    rows = []
    for variant in results.variants:
        found = results.comparison(variant.name, data)
        accuracy = words.interval(variant.accuracy.get(data))
        if found is None:
            rows.append([variant.name, accuracy, "", "", "", "the base"])
            continue
        known = found.p is not None
        ends = f"{words.signed_points(found.low)} to {words.signed_points(found.high)}"
        rows.append(
            [
                variant.name,
                accuracy,
                words.signed_points(found.difference),
                ends if known else "–",
                words.p_value(found.p_corrected),
                words.verdict(found, variant),
            ]
        )
    caption = f"{words.set_title(data)}: {results.test_images[data]:,} test images."
    return table(caption, head, rows, numbers=(1, 2, 3, 4))


def _axis_section(results: StudyResults, page: Page) -> Section:
    name = (results.axis or "").replace("_", " ")
    return section(
        "axis",
        f"Accuracy against {name}",
        _picture(
            page,
            "axis",
            f"Test accuracy against {name}.",
            f"Test accuracy against {name}: means over the seeds, with 95 % t-intervals.",
        ),
    )


def _curves_section(page: Page) -> Section:
    return section(
        "curves",
        "How they learned",
        _picture(
            page,
            "curves",
            "Validation accuracy and loss of all variants during training.",
            "Validation accuracy and loss after each epoch: means over the seeds, in bands from "
            "the lowest seed to the highest.",
        ),
    )


def _cost_section(results: StudyResults) -> Section:
    rows = [
        [
            variant.name,
            "–" if variant.parameters is None else f"{variant.parameters:,}",
            f"{variant.seconds.mean:.0f} ± {variant.seconds.sd:.0f}" if variant.seconds else "–",
            "–"
            if variant.microseconds_per_image is None
            else f"{variant.microseconds_per_image:.0f}",
        ]
        for variant in results.variants
    ]
    return section(
        "cost",
        "What they cost",
        table(
            "Size and time. Images are read by the thousand; the median over the seeds is given.",
            ["Variant", "Parameters", "Training (s)", "µs an image"],
            rows,
            numbers=(1, 2, 3),
        ),
        el(
            "p",
            f"Each run had {count(results.threads, 'thread')}. Times are those of the machine as "
            "it was: others may have been at work on it.",
        ),
    )


def _settings_section(material: StudyMaterial) -> Section:
    study = material.study
    flats = {variant.name: variant.config.flat() for variant in study.variants}
    names = [name for name in next(iter(flats.values())) if name not in _TOLD_SETTINGS]
    differing = [n for n in names if len({flat[n] for flat in flats.values()}) > 1]
    first = next(iter(flats.values()))
    common = [[n.replace("_", " "), _value(first[n])] for n in names if n not in differing]
    rows = [
        [variant.name, variant.note, *(_value(flats[variant.name][n]) for n in differing)]
        for variant in study.variants
    ]
    return section(
        "settings",
        "Settings",
        table("Where the variants differ.", ["Variant", "", *_spaced(differing)], rows),
        el(
            "details",
            el("summary", "What they have in common"),
            table("Settings of all variants.", ["Setting", "Value"], common),
        ),
    )


def _spaced(names: list[str]) -> list[str]:
    return [name.replace("_", " ") for name in names]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _reading_section(results: StudyResults) -> Section:
    comparisons = sum(c.p is not None for c in results.comparisons)
    chance = percent(0.05, 0)
    texts = [
        "A network trained again with another seed, or measured on other images, gives another "
        "accuracy. A difference counts here only if it is larger than both explain.",
        "One test decides, chosen before anything was trained: the analysis of Dorfman, Berbaum "
        "and Metz (1992), with the degrees of freedom of Hillis (2007), which takes seeds and "
        "images for samples of many more. Its p-values are corrected by Holm's method for the "
        f"{count(comparisons, 'comparison')} on this page: were there no differences at all, such "
        f"a page would call one at most {chance} of the time.",
        "“No difference shown” does not mean that there is none. With "
        f"{count(len(results.seeds), 'seed')} only clear differences are found; the interval says "
        "how large one could still be. It is not corrected, so it may lie on one side of zero "
        "although the verdict is cautious.",
        "The intervals of the accuracies are Student's over the seeds: where the mean of many more "
        "trainings on these images may lie. With few seeds they are wide, and often wider than "
        "that of the difference, because images that are hard for all cancel out in it.",
        "Test images are here to report. Who uses a study to choose settings should choose by the "
        "validation column.",
    ]
    return section("reading", "How to read this", paragraphs(texts))


def _picture(page: Page, name: str, alt: str, caption: str) -> Html:
    if name not in page.drawings:
        return join([])
    return picture(page, name, alt, caption, wide=True)
