"""The figures of a run: drawn, saved in its folder, and handed to the page.

Guarantees:

- The files in ``figures/`` have stable names, a light ground, and the same bytes each time.
- A figure that the run has no data for (no finished epoch, no augmentation) is not drawn.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from digitnet.files import write_atomic
from digitnet.network.cnn import CNN, layer_table, to_float
from digitnet.showing import charts, galleries, layers
from digitnet.showing.report.material import Material
from digitnet.showing.theme import Drawing, drawn, figure_of
from digitnet.training.batches import Batches
from digitnet.training.evaluation import softmax

MOST_FILTERS = 64
MOST_MISSES = 40
_AUGMENTED_DIGITS = 4
_AUGMENTED_COPIES = 7


def draw_figures(material: Material) -> dict[str, Drawing]:
    """Draw every figure of a run, save the light ones as ``figures/<name>.png``, return them all.

    Raises:
        StorageError: a figure cannot be written.
    """
    drawings = {}
    for name, draw in _plans(material).items():
        drawing = drawn(draw)
        write_atomic(material.run.figures / f"{name}.png", drawing.wide)
        drawings[name] = drawing
    return drawings


def _plans(material: Material) -> dict[str, Callable[[], Figure]]:
    """Return how to draw each figure, by name; nothing is drawn yet."""
    data, metrics, predictions = material.dataset, material.metrics, material.predictions
    test, config, names = data.test_images, material.config, material.class_names
    outputs = layer_outputs(material.model, test[example_index(material)], material.thing)
    maps = (test[example_index(material)], outputs)
    plans: dict[str, Callable[[], Figure]] = {
        "examples": lambda: galleries.examples(
            data.train_images, data.train_labels, class_names=names
        ),
        "network": lambda: layers.network_diagram(diagram_layers(material)),
        "confusion_matrix": lambda: figure_of(
            charts.confusion_matrix(metrics.confusion_matrix, names)
        ),
        "misses": lambda: galleries.misses_gallery(
            test, predictions, MOST_MISSES, disputed=material.disputed, class_names=names
        ),
        "correct": lambda: galleries.correct_gallery(test, predictions, class_names=names),
        "filters": lambda: layers.filters(first_kernels(material.model)[:MOST_FILTERS]),
        "feature_maps": lambda: layers.feature_maps(*maps),
        "reliability": lambda: charts.reliability_diagram(
            metrics.reliability, metrics.expected_calibration_error
        ),
    }
    if material.history:
        plans["learning_curves"] = functools.partial(charts.learning_curves, material.history)
    if not config.augmentation.is_off:
        plans["augmentation"] = functools.partial(
            galleries.augmentation_preview, *distorted_copies(material)
        )
    return plans


def example_index(material: Material) -> int:
    """Return the index of the test image that is followed through the network.

    It is the first one that was read correctly, or the first of all.
    """
    right = material.predictions.predicted == material.predictions.label
    return int(right.argmax())


def diagram_layers(material: Material) -> list[tuple[str, tuple[int, ...], int]]:
    """Return the image and each layer: name, output shape, parameters."""
    rows = layer_table(material.model.config)
    height, width = material.dataset.test_images.shape[1:]
    image = ("image", (1, height, width), 0)
    return [image, *((row.name, row.output_shape, row.parameters) for row in rows)]


def distorted_copies(
    material: Material,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return some training images, (K, 28, 28), and distorted copies of each, (K, M, 28, 28)."""
    data = material.dataset
    classes = np.unique(data.train_labels)
    # Digits of different shapes: evenly spaced classes, and the first image of each.
    chosen = classes[np.linspace(0, len(classes) - 1, _AUGMENTED_DIGITS).round().astype(int)]
    first = [int((data.train_labels == label).argmax()) for label in chosen]
    originals = data.train_images[first]
    many = torch.from_numpy(originals.repeat(_AUGMENTED_COPIES, axis=0))
    labels = torch.from_numpy(data.train_labels[first].repeat(_AUGMENTED_COPIES))
    batches = Batches(many, labels, material.config.override(non_digits=0.0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(material.config.seed)
        images, _ = batches.batch(torch.arange(len(many)))
    # As the first layer sees them.
    copies = material.model.canonical(images).numpy()
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
        logits and the probabilities.
    """
    # Not cut to ``used_size``, which saves time and changes no logit: the maps are to have the
    # sizes that the table of layers gives.
    seen = model.canonical(to_float(torch.from_numpy(image[None])))
    values = (seen - model.mean) / model.std
    outputs = []
    for number, block in enumerate(model.blocks, 1):
        values = block(values)
        outputs.append((f"Block {number}", values[0].numpy()))
    values = values.flatten(1)
    for number, layer in enumerate(_hidden(model.head), 1):
        values = layer(values)
        outputs.append((f"Dense layer {number}", _column(values.numpy())))
    logits = model.head[-1](values).numpy()
    digits = logits[:, : model.config.num_classes]
    told = f"Logits, one for each {thing}" + (" and one for none" if model.config.reject else "")
    outputs.append((told, _column(logits)))
    outputs.append((f"Probabilities, one for each {thing}", _column(softmax(digits))))
    return outputs


def _hidden(head: nn.Sequential) -> list[nn.Sequential]:
    """Return the hidden dense layers of ``head``, each with its activation.

    Dropout is left out: it does nothing outside training.
    """
    modules = [m for m in head if not isinstance(m, nn.Dropout)]
    return [nn.Sequential(*modules[i : i + 2]) for i in range(0, len(modules) - 1, 2)]


def _column(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return a batch of one, (1, N), as (N, 1, 1)."""
    return np.asarray(values[0, :, None, None], dtype=np.float32)
