"""The sections about what came out: how good the network is, and where and why it fails."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digitnet.showing.report import prose
from digitnet.showing.report.drawings import MOST_FILTERS, MOST_MISSES, example_index, first_kernels
from digitnet.showing.report.layout import Page, Section, picture, section
from digitnet.showing.report.markup import (
    NBSP,
    Html,
    data_uri,
    el,
    join,
    percent,
    scrolling,
    table,
    term,
)
from digitnet.showing.report.material import Material

_SHADES = 5  # of a cell of the confusion matrix, from few mistakes to most
_LIMITS = (0.5, 0.9, 0.99, 0.999)


def quality_section(material: Material) -> Section:
    """Return the metrics by class, the confusion matrix, and the result on undisputed labels."""
    metrics = material.metrics
    low, high = metrics.interval
    doubts = prose.undisputed(material)
    return section(
        "quality",
        "How good it is",
        el(
            "p",
            f"{percent(metrics.accuracy)} of the ",
            term("test images"),
            " were read correctly. The ",
            term("95 % interval"),
            f" from {percent(low)} to {percent(high)} tells how much the choice of these "
            f"{metrics.images:,} images leaves open. Training again with another ",
            term("seed"),
            " moves the result too, so networks should not be ranked by one run of each. The mean ",
            term("cross-entropy"),
            f" is {metrics.loss:.4f}.",
        ),
        el("p", prose.best_and_worst(material)),
        table(
            f"Each {material.thing}",
            (material.thing.capitalize(), "Precision", "Recall", "F1", "Support"),
            (
                (
                    row.name,
                    percent(row.precision),
                    percent(row.recall),
                    percent(row.f1),
                    f"{row.support:,}",
                )
                for row in metrics.per_class
            ),
            numbers=(1, 2, 3, 4),
        ),
        el(
            "p",
            term("Precision", "precision"),
            " is the share of answers that are right, ",
            term("recall"),
            " the share of images that are found, ",
            term("F1"),
            " the harmonic mean of both, ",
            term("support"),
            " the number of its images.",
        ),
        el("h3", f"Which {material.thing} was taken for which"),
        el("p", prose.confusions(material)),
        _confusion_table(material),
        _on_doubts(doubts) if doubts else None,
    )


def _on_doubts(text: str) -> Html:
    return join((el("h3", "Labels in doubt"), el("p", text)))


def _confusion_table(material: Material) -> Html:
    matrix = np.array(material.metrics.confusion_matrix)
    names = material.class_names
    worst = int((matrix * ~np.eye(len(matrix), dtype=bool)).max())
    thing = material.thing
    caption = f"Confusion matrix: true {thing} (row) by predicted {thing} (column)"

    def cell(true: int, predicted: int) -> Html:
        times = int(matrix[true, predicted])
        if true == predicted:
            return el("td", f"{times}", class_="right")
        if not times:
            return el("td", "·", class_="none")
        return el("td", f"{times}", class_=f"wrong-{_shade(times, worst)}")

    content = el(
        "table",
        el("caption", caption),
        el(
            "thead",
            el(
                "tr",
                el("th", "true", scope="col"),
                *(el("th", name, scope="col") for name in names),
            ),
        ),
        el(
            "tbody",
            *(
                el("tr", el("th", name, scope="row"), *(cell(i, j) for j in range(len(names))))
                for i, name in enumerate(names)
            ),
        ),
        class_="confusion",
    )
    return scrolling(content, caption)


def _shade(times: int, worst: int) -> int:
    """Return 1 to 5, by the square root: one mistake among many can still be seen."""
    return max(1, math.ceil(_SHADES * math.sqrt(times / worst)))


def failures_section(material: Material) -> Section:
    """Return the misses as a gallery of pictures with their stories, worst first."""
    rows = worst_misses(material)
    shown, total = min(len(rows), MOST_MISSES), material.metrics.misses
    some = (
        f"The worst {shown} of {total:,} misses are shown, " if total > shown else "All are shown, "
    )
    doubted = " A frame marks an image whose label is disputed." if material.disputed else ""
    return section(
        "failures",
        "Where it fails",
        el("p", prose.failures(material)),
        el("p", f"{some}those first where the wrong answer was surest.{doubted}")
        if total
        else None,
        el("ol", *_misses(material, rows[:MOST_MISSES]), class_="misses") if total else None,
    )


def worst_misses(material: Material) -> NDArray[np.int64]:
    """Return the indices of all misses, the surest wrong answers first."""
    predictions = material.predictions
    missed = np.flatnonzero(predictions.label != predictions.predicted)
    keys = (
        missed,
        predictions.probability_label[missed],
        -predictions.probability_predicted[missed],
    )
    ordered: NDArray[np.int64] = missed[np.lexsort(keys)]
    return ordered


def _misses(material: Material, rows: NDArray[np.int64]) -> Iterator[Html]:
    predictions, names = material.predictions, material.class_names
    for row in rows.tolist():
        label = names[predictions.label[row]]
        answer = names[predictions.predicted[row]]
        disputed = row in material.disputed
        image = material.dataset.test_images[row]
        yield el(
            "li",
            el(
                "img",
                src=data_uri(_tiny_png(image)),
                alt=f"Test image {row}: labelled {label}, read as {answer}",
                width=image.shape[1],
                height=image.shape[0],
                class_="ink",
            ),
            el(
                "p",
                el("strong", f"{label} → {answer}"),
                el("span", f"{answer}:{NBSP}{percent(predictions.probability_predicted[row], 1)}"),
                el("span", f"{label}:{NBSP}{percent(predictions.probability_label[row], 1)}"),
                el("small", f"no. {row}"),
                el("small", "disputed") if disputed else None,
            ),
            class_="disputed" if disputed else None,
        )


def _tiny_png(image: NDArray[np.uint8]) -> bytes:
    """Return one image, uint8 (28, 28), as a PNG of as many pixels."""
    written = io.BytesIO()
    Image.fromarray(image).save(written, format="png", optimize=True)
    return written.getvalue()


def correct_section(material: Material, page: Page) -> Section:
    """Return a sample of what was read rightly."""
    return section(
        "correct",
        "What it reads correctly",
        el(
            "p",
            f"Each column holds one {material.thing}, from the image it was surest of to the one "
            "it was least sure of, at even steps between. Nothing was picked by hand. ",
            prose.least_sure(material),
        ),
        picture(
            page,
            "correct",
            f"Correctly read images in columns, one for each {material.thing}, from the surest at "
            f"the top to the least sure at the bottom. {prose.least_sure(material)}",
            "Read correctly, from the surest (top) to the least sure (bottom), with the "
            "probability of the answer.",
            wide=True,
        ),
    )


def seen_section(material: Material, page: Page) -> Section:
    """Return the filters and the feature maps."""
    kernels = first_kernels(material.model)
    shown = min(len(kernels), MOST_FILTERS)
    some = f"the first {shown} of {len(kernels)}" if shown < len(kernels) else f"all {shown}"
    index = example_index(material)
    label = material.class_names[material.predictions.label[index]]
    answer = material.class_names[material.predictions.predicted[index]]
    probability = percent(material.predictions.probability_predicted[index], 1)
    result = f"test image {index}, a {label}, read as {answer} with a probability of {probability}"
    return section(
        "seen",
        "What it sees",
        el(
            "p",
            "Nobody told the network what to look for. These ",
            term("filters", "filter"),
            " of its first layer came out of training: blue marks where ink speaks for a pattern, "
            "orange where it speaks against it. A filter that is blue on one side and orange on "
            "the other answers to an edge.",
        ),
        picture(
            page,
            "filters",
            f"The filters of the first convolution, {some}, as small squares with blue for "
            f"positive and orange for negative weights, up to {abs(kernels).max():.2g} in size.",
            f"The filters of the first convolution: {some}.",
        ),
        el(
            "p",
            "What they find in an image are ",
            term("feature maps", "feature map"),
            ". Each further layer works on the maps before it; it takes in more of the image at "
            f"once and less of its detail, until one number for each {material.thing} is left. ",
            "Shown is the first test image that was read correctly." if label == answer else None,
        ),
        picture(
            page,
            "feature_maps",
            f"One image and what each layer makes of it, down to the probabilities: {result}.",
            f"From image to answer: {result}.",
            wide=True,
        ),
    )


def trust_section(material: Material, page: Page) -> Section:
    """Return whether its confidence can be believed, and what refusing unsure answers gains."""
    metrics = material.metrics
    error = percent(metrics.expected_calibration_error)
    verdict = prose.trust(material)
    return section(
        "trust",
        "Can its confidence be trusted?",
        el(
            "p",
            "With each answer comes a probability, its ",
            term("confidence"),
            f". {verdict} The ",
            term("expected calibration error"),
            f" is {error}.",
        ),
        picture(
            page,
            "reliability",
            f"Accuracy against confidence in 15 bins, with the number of images in each. {verdict} "
            f"The expected calibration error is {error}.",
            "Accuracy in each bin of confidence with its 95 % interval; points on the dashed line "
            "are honest. Bins with few images say little.",
            wide=True,
        ),
        el(
            "p",
            "Whoever may leave doubtful images to a person can ask for a least confidence. What "
            "that gains and costs:",
        ),
        table(
            "Answers given only from a certain confidence on",
            ("Least confidence", "Answered", "Misses", "Accuracy of answers"),
            _selective(material),
            numbers=(1, 2, 3),
        ),
    )


def _selective(material: Material) -> Iterator[tuple[str, str, str, str]]:
    predictions = material.predictions
    right = predictions.predicted == predictions.label
    for limit in (0.0, *_LIMITS):
        kept = predictions.probability_predicted >= limit
        misses = f"{int((~right[kept]).sum()):,}"
        name = f"{100 * limit:g}{NBSP}%" if limit else "any"
        accuracy = percent(float(right[kept].mean())) if kept.any() else "–"
        yield name, percent(float(kept.mean())), misses, accuracy
