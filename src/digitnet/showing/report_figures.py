"""The figures of a run: drawn once, saved in its folder, and handed to the page.

Guarantees:

- The files in ``figures/`` have stable names, a light ground, and the same bytes each time.
- A figure that the run has no data for (no finished epoch, no augmentation) is not drawn.
- The page gets galleries as small pictures with words of its own beside them, and the others as
  drawings for a screen and for a phone.
"""

from __future__ import annotations

import contextlib
import gc
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from digitnet.files import make_folder, write_atomic
from digitnet.network.cnn import CNN, to_float
from digitnet.showing import charts, galleries, layers
from digitnet.showing.report_facts import (
    CORRECT_PER_CLASS,
    MOST_MISSES,
    EvaluatedRun,
    diagram_layers,
)
from digitnet.showing.theme import Drawing, drawn, png_bytes, theme
from digitnet.training.batches import Batches
from digitnet.training.evaluation import softmax
from digitnet.training.runs import Predictions

MOST_FILTERS = 64
_EXAMPLES = 10
_AUGMENTED_DIGITS = 4
_AUGMENTED_COPIES = 7


@dataclass(frozen=True, eq=False)
class ReportFigures:
    """What the page of a run shows besides words."""

    drawings: dict[str, Drawing] = field(default_factory=dict)
    """By name: ``network``, ``filters``, ``feature_maps``, ``reliability``, ``learning_curves``."""
    examples: list[dict[str, Any]] = field(default_factory=list)
    """For each class its name, and its first training images side by side."""
    augmentation: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Some training images, each with its distorted copies side by side."""
    correct: list[tuple[str, list[tuple[int, float, bytes]]]] = field(default_factory=list)
    """For each class its name and images read correctly, from the surest to the least sure: index,
    probability, PNG."""
    misses: list[dict[str, Any]] = field(default_factory=list)
    """The worst misses: each image with its label, the answer, and the probabilities of both."""


def draw_figures(run: EvaluatedRun) -> ReportFigures:
    """Draw every figure of a run, save them as ``figures/<name>.png``, return what the page needs.

    Raises:
        StorageError: a figure cannot be written.
    """
    # First, so that a folder that cannot be written is an error before anything is drawn.
    folder = make_folder(run.trained.run.figures)
    copies = None if run.config.augmentation.is_off else distorted_copies(run)
    with _no_collection():
        drawings = _charts(run)
        pictures = {name: drawing.wide for name, drawing in drawings.items()}
        with theme():
            pictures |= {name: png_bytes(fig) for name, fig in _galleries(run, copies).items()}
    _save(folder, pictures)
    pairs = zip(*copies, strict=True) if copies else ()
    distorted = [(tiny_png(one), strip(many)) for one, many in pairs]
    return ReportFigures(drawings, _examples(run), distorted, _correct(run), _misses(run))


def draw_results(run: EvaluatedRun) -> ReportFigures:
    """Draw what does not look into the network, and so is there of an ensemble too.

    Raises:
        StorageError: a figure cannot be written.
    """
    folder = make_folder(run.trained.run.figures)
    drawings = {"reliability": _reliability(run)}
    with theme():
        pictures = {name: png_bytes(figure) for name, figure in _result_galleries(run).items()}
    _save(folder, {"reliability": drawings["reliability"].wide, **pictures})
    return ReportFigures(drawings, correct=_correct(run), misses=_misses(run))


def _save(folder: Path, pictures: Mapping[str, bytes]) -> None:
    for name, png in pictures.items():
        write_atomic(folder / f"{name}.png", png)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Leave the garbage of figures uncollected: looking for it takes as long as drawing some."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _charts(run: EvaluatedRun) -> dict[str, Drawing]:
    """Return what the page shows as it is drawn."""
    model = run.trained.model
    image = run.dataset.test_images[run.example]
    maps = layer_outputs(model, image, run.thing)
    drawings = {
        "network": drawn(lambda: layers.network_diagram(diagram_layers(run))),
        "filters": drawn(lambda: layers.filters(first_kernels(model)[:MOST_FILTERS])),
        "feature_maps": drawn(lambda: layers.feature_maps(image, maps)),
        "reliability": _reliability(run),
    }
    if run.history:
        drawings["learning_curves"] = drawn(lambda: charts.learning_curves(run.history))
    return drawings


def _reliability(run: EvaluatedRun) -> Drawing:
    bins, error = run.metrics.reliability, run.metrics.expected_calibration_error
    return drawn(lambda: charts.reliability_diagram(bins, error))


_Copies = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def _galleries(run: EvaluatedRun, copies: _Copies | None) -> dict[str, Figure]:
    """Return what the page says in its own words, which phones can reflow."""
    images, labels, names = run.dataset.train_images, run.dataset.train_labels, run.class_names
    figures = {
        "examples": galleries.examples(images, labels, class_names=names),
        **_result_galleries(run),
    }
    if copies:
        figures["augmentation"] = galleries.augmentation_preview(*copies)
    return figures


def _result_galleries(run: EvaluatedRun) -> dict[str, Figure]:
    images, told, names = run.dataset.test_images, run.predictions, run.class_names
    return {
        "confusion_matrix": charts.confusion_matrix(run.metrics.confusion_matrix, names),
        "misses": galleries.misses_gallery(
            images, told, MOST_MISSES, disputed=run.disputed, class_names=names
        ),
        "correct": galleries.correct_gallery(images, told, CORRECT_PER_CLASS, class_names=names),
    }


def _examples(run: EvaluatedRun) -> list[dict[str, Any]]:
    images, labels = run.dataset.train_images, run.dataset.train_labels
    return [
        {"name": name, "png": strip(images[labels == label][:_EXAMPLES])}
        for label, name in enumerate(run.class_names)
    ]


def worst_pictures(
    images: NDArray[np.uint8],
    told: Predictions,
    class_names: Sequence[str],
    most: int,
    disputed: Collection[int] = (),
) -> list[dict[str, Any]]:
    """Return the worst misses for a page: each image with label, answer and their probabilities.

    Args:
        images: uint8 (N, 28, 28), those that were predicted.
        told: predictions, a row an image, in the same order.
        class_names: one a class.
        most: how many to return.
        disputed: indices of images whose labels are in doubt.
    """
    return [
        {
            "index": index,
            "label": class_names[told.label[index]],
            "answer": class_names[told.predicted[index]],
            "probability_label": float(told.probability_label[index]),
            "probability_answer": float(told.probability_predicted[index]),
            "disputed": index in disputed,
            "png": tiny_png(images[index]),
        }
        for index in galleries.worst_misses(told)[:most]
    ]


def _misses(run: EvaluatedRun) -> list[dict[str, Any]]:
    images, names = run.dataset.test_images, run.class_names
    return worst_pictures(images, run.predictions, names, MOST_MISSES, run.disputed)


def _correct(run: EvaluatedRun) -> list[tuple[str, list[tuple[int, float, bytes]]]]:
    told, images = run.predictions, run.dataset.test_images
    columns = []
    for label, name in enumerate(run.class_names):
        indices = galleries.surest_to_least(told, label, CORRECT_PER_CLASS).tolist()
        sure = told.probability_predicted[indices].tolist()
        columns.append(
            (name, list(zip(indices, sure, map(tiny_png, images[indices]), strict=True)))
        )
    return columns


def tiny_png(image: NDArray[np.uint8]) -> bytes:
    """Return one image, uint8 (H, W), as a PNG of as many pixels."""
    written = io.BytesIO()
    Image.fromarray(image).save(written, format="png", optimize=True)
    return written.getvalue()


def strip(images: NDArray[np.uint8]) -> bytes:
    """Return images, uint8 (N, H, W), side by side as one PNG."""
    return tiny_png(np.concatenate([*images], axis=1))


def distorted_copies(run: EvaluatedRun) -> _Copies:
    """Return some training images, uint8 (K, 28, 28), and distorted copies, (K, M, 28, 28)."""
    data = run.dataset
    classes = np.unique(data.train_labels)
    # Digits of different shapes: evenly spaced classes, and the first image of each.
    chosen = classes[np.linspace(0, len(classes) - 1, _AUGMENTED_DIGITS).round().astype(int)]
    first = [int((data.train_labels == label).argmax()) for label in chosen]
    originals = data.train_images[first]
    many = torch.from_numpy(originals.repeat(_AUGMENTED_COPIES, axis=0))
    labels = torch.from_numpy(data.train_labels[first].repeat(_AUGMENTED_COPIES))
    plain = run.config.override(non_digits=0.0, hands=0.0, signs=0.0, found=0.0)
    batches = Batches(many, labels, plain, data.class_names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.config.seed)
        images = batches.batch(torch.arange(len(many))).images
    # As the first layer sees them.
    copies = (255 * run.trained.model.canonical(images)).round().to(torch.uint8).numpy()
    return originals, copies.reshape(len(chosen), _AUGMENTED_COPIES, *originals.shape[1:])


def first_kernels(model: CNN) -> NDArray[np.float32]:
    """Return the weights of the first convolution, float32 (C, 1, k, k)."""
    kernels = next(m.weight for m in model.modules() if isinstance(m, nn.Conv2d))
    return np.ascontiguousarray(kernels.detach().numpy())


@torch.inference_mode()
def layer_outputs(
    model: CNN, image: NDArray[np.uint8], thing: str = "digit"
) -> list[tuple[str, NDArray[np.float32]]]:
    """Return what each block and dense layer makes of one image.

    Args:
        model: in evaluation mode.
        image: uint8 (28, 28).
        thing: what one of the classes is called.

    Returns:
        A name and float32 (C, H, W) for each; plain numbers are (N, 1, 1). The last are the
        logits and the probabilities, of all places that the network sees (``test_shifts``,
        ``pool_phases``); the others are those of the image where it is, at the first phase.
    """
    # Not cut to ``used_size``, which saves time and changes no logit: the maps are to have the
    # sizes that the table of layers gives.
    seen = model.canonical(to_float(torch.from_numpy(image[None])))
    edge = model.config.border
    values = ((seen - model.mean) / model.std)[:, :, edge : 28 - edge, edge : 28 - edge]
    outputs = []
    for number, block in enumerate(model.blocks, 1):
        values = block(values)
        outputs.append((f"Block {number}", values[0].numpy()))
    values, number = model.pooling(values), 0
    for layer in [*model.head][:-1]:
        values = layer(values)
        if not isinstance(layer, nn.Linear | nn.Dropout):  # after its activation
            number += 1
            outputs.append((f"Dense layer {number}", _column(values.numpy())))
    logits = model.logits_of(seen).numpy()
    known = logits[:, : model.config.num_classes]
    name = f"Logits: one for each {thing}" + (", one for none" if model.config.reject else "")
    outputs.append((name, _column(logits)))
    outputs.append((f"Probabilities, one for each {thing}", _column(softmax(known))))
    return outputs


def _column(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return a batch of one, (1, N), as (N, 1, 1)."""
    return np.asarray(values[0, :, None, None], dtype=np.float32)
