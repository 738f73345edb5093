"""A new last layer on features that stay as they are: what the network knows of the task already.

Guarantees: deterministic; nothing but the last layer changes.

The layer is a multinomial logistic regression with a ridge penalty, as linear probes are (Alain and
Bengio, "Understanding intermediate layers using linear classifier probes", 2016).
"""

from __future__ import annotations

import copy
import time
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from digitnet.experiments.transfer.stream import Pictures
from digitnet.experiments.transfer.tuning import Tuned, begin
from digitnet.network.cnn import CNN, output_count, to_float
from digitnet.network.config import TrainConfig
from digitnet.training.loop import reproducible

# More than these teach a last layer nothing new, and fitting it takes long.
MOST_IMAGES = 10_000
# Inverse strength of the penalty, for features that are scaled to unit variance.
_FREEDOM = 0.05
_ITERATIONS = 300


def probe(
    source: CNN,
    new: Pictures,
    non_digits: Tensor | None,
    config: TrainConfig,
    *,
    same_classes: bool,
) -> Tuned:
    """Return a copy of ``source`` with a last layer fitted to ``new``.

    Args:
        source: the network; its convolutions and dense layers are those of ``config.model``.
        new: images of the new task; the first 10,000 of them are used.
        non_digits: uint8 (M, 40, 40), for a network that refuses.
        config: the settings, with ``threads`` resolved.
        same_classes: whether the new task's classes are those that ``source`` knows.
    """
    with reproducible(config):
        started = time.perf_counter()
        model, old_head = begin(source, config.model, "probe", same_classes=same_classes)
        if model.head[-1] is old_head:
            # One that knows the classes is set aside all the same: it is what a probe replaces.
            old_head = copy.deepcopy(old_head)
        images = to_float(torch.from_numpy(new.images[:MOST_IMAGES]))
        features, labels = [features_of(model, images)], [new.labels[:MOST_IMAGES]]
        if non_digits is not None:
            features.append(features_of(model, to_float(non_digits)))
            labels.append(np.full(len(non_digits), config.model.num_classes))
        model.head[-1] = _fitted(
            np.concatenate(features), np.concatenate(labels), output_count(config.model)
        )
        model.eval()
        seconds = time.perf_counter() - started
        return Tuned(model, old_head, source.config, [], 0, seconds)


@torch.inference_mode()
def features_of(model: CNN, images: Tensor, batch_size: int = 1000) -> NDArray[np.float32]:
    """Return what the last layer sees, float32 (N, units), of images as ``forward`` takes them."""
    model.eval()
    parts = [model.features_of(model.canonical(part)) for part in torch.split(images, batch_size)]
    return torch.cat(parts).numpy()


def _fitted(features: NDArray[np.float32], labels: NDArray[np.int64], outputs: int) -> nn.Linear:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # One scale for all: units that hardly vary are noise, and shall not be blown up.
    mean, scale = features.mean(0), float(features.std(0).mean()) or 1.0
    regression = LogisticRegression(C=_FREEDOM, max_iter=_ITERATIONS)
    with warnings.catch_warnings():
        # Many classes may want more iterations; the penalty keeps what there is sound.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit((features - mean) / scale, labels)
    weights = np.zeros((outputs, features.shape[1]))
    biases = np.full(outputs, float(regression.intercept_.min()) - 1.0)
    coefficients, intercepts = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:
        # Two classes have one row: the logit of the second above the first.
        coefficients = np.concatenate((-coefficients, coefficients)) / 2
        intercepts = np.concatenate((-intercepts, intercepts)) / 2
    weights[regression.classes_] = coefficients / scale
    biases[regression.classes_] = intercepts - (coefficients / scale) @ mean
    layer = nn.Linear(features.shape[1], outputs)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights))
        layer.bias.copy_(torch.from_numpy(biases))
    return layer
