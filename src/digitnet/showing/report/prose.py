"""What the numbers of a run mean, in sentences that follow from them.

Every function takes the material of a report and returns text without markup. Nothing is claimed
here that is not computed here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from digitnet.showing.report.markup import count, duration, listing, percent, points
from digitnet.showing.report.material import Material

ACTIVATIONS = {
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
}

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "stochastic gradient descent"}

_SURE = 0.9  # confidence from which a miss counts as sure of itself


def headline(material: Material) -> str:
    """Say the result in one line."""
    metrics = material.metrics
    return f"{percent(metrics.accuracy)} of {metrics.images:,} test images read correctly"


def summary(material: Material) -> str:
    """Say what was done, and how often it went wrong."""
    metrics = material.metrics
    told = (
        f"A network with {count(material.summary['parameters'], 'parameter')} learned to "
        f"{_task(material)} from {count(material.num_train, 'labelled image')}. Then it was "
        f"tested on {count(metrics.images, 'image')} that had no part in its training"
    )
    if not metrics.misses:
        return f"{told}, and misread none of them."
    rate = metrics.images / metrics.misses
    about = f", one in {rate:.0f}" if rate >= 9.5 else f", one in {rate:.1f}" if rate > 2 else ""
    return f"{told}: it misread {metrics.misses:,} of them{about}."


def _task(material: Material) -> str:
    if material.thing == "digit":
        return "read handwritten digits"
    return f"tell {len(material.class_names)} classes apart"


def guessing(material: Material) -> str | None:
    """Warn about a network that may know nothing; None for one that does."""
    commonest = max(row.support for row in material.metrics.per_class) / material.metrics.images
    if material.metrics.interval[0] > commonest:
        return None
    return (
        "This cannot be told from guessing: always answering with the commonest "
        f"{material.thing} would be right on {percent(commonest)} of these images."
    )


def ending(material: Material) -> str | None:
    """Say that training did not go through all its epochs; None when it did."""
    planned, done = material.config.epochs, len(material.history)
    if material.ending == "complete":
        return None
    if material.ending == "stopped early":
        return (
            f"Early stopping ended the training after {done} of at most {planned} epochs, because "
            f"the validation loss did not fall for {count(material.stale_epochs, 'epoch')}. "
            f"The network of epoch {_best(material)} was kept."
        )
    if not done:
        return (
            f"Training was interrupted inside its first epoch of {planned}. There are no learning "
            "curves yet, and everything below is about the network as it was at that moment."
        )
    return (
        f"Training was interrupted after {done} of {planned} epochs. Everything below is about the "
        "network as it was then; it may not have learned all it could."
    )


def _best(material: Material) -> int:
    return material.best_epoch.epoch if material.best_epoch else 0


def balance(material: Material) -> str:
    """Say how evenly the training images are spread over the classes."""
    counts = np.bincount(material.dataset.train_labels, minlength=len(material.class_names))
    most, least = int(counts.argmax()), int(counts.argmin())
    names = material.class_names
    if counts[most] == counts[least]:
        return f"There are {counts[most]:,} of each {material.thing}."
    return (
        f"The commonest {material.thing} there is {names[most]} ({counts[most]:,} images), the "
        f"rarest {names[least]} ({counts[least]:,})."
    )


def largest_layer(layers: Sequence[tuple[str, Sequence[int], int]]) -> str:
    """Say where most parameters are."""
    total = sum(parameters for *_, parameters in layers)
    number, (name, _, most) = max(enumerate(layers), key=lambda each: each[1][2])
    return f"layer {number} ({name}) holds {percent(most / total, 0)} of them"


def learning(material: Material) -> list[str]:
    """Say what the learning curves show."""
    if not material.history:
        return []
    last, best = material.history[-1], material.best_epoch
    assert best is not None, "a history that is not empty has a best epoch"
    kept = ""
    if material.config.early_stopping and material.stale_epochs and material.ending == "complete":
        kept = f" The network of epoch {best.epoch} was kept."
    texts = [
        f"After epoch {last.epoch}, {percent(last.val_accuracy)} of the validation images are read "
        f"correctly, with a loss of {last.val_loss:.4f}. {_best_epoch(material)}{kept}"
    ]
    if last.val_accuracy > last.train_accuracy:
        texts.append(_why_validation_leads(material))
    else:
        gap = points(last.train_accuracy - last.val_accuracy)
        texts.append(
            f"Training accuracy is {gap} above validation: that much better it knows the images it "
            "was trained on."
        )
    return texts


def _best_epoch(material: Material) -> str:
    best, stale = _best(material), material.stale_epochs
    if len(material.history) == 1:
        return "One epoch alone shows no trend."
    if not stale:
        return "The validation loss was lowest in the last epoch, so more epochs may still help."
    return (
        f"The validation loss was lowest in epoch {best}; the {count(stale, 'epoch')} since then "
        "brought no improvement in it."
    )


def _why_validation_leads(material: Material) -> str:
    config, last = material.config, material.history[-1]
    reasons = ["is an average over the whole epoch, during which the network got better"]
    if config.model.dropout or config.model.conv_dropout:
        reasons.append("was taken with dropout on, that is with parts of the network switched off")
    if not config.augmentation.is_off:
        reasons.append("comes from distorted images, which are harder to read")
    return (
        f"Validation accuracy lies {points(last.val_accuracy - last.train_accuracy)} above "
        f"training. That is no mistake: the figure for training {'; it '.join(reasons)}. "
        "Validation comes after the epoch, on plain images, with the whole network."
    )


def schedule(material: Material) -> str:
    """Say how the weights were updated."""
    config = material.config
    moves = {
        "constant": "which stays the same throughout",
        "cosine": "which falls to nothing along half a wave of a cosine",
        "one-cycle": "reached after a third of the steps, from and to almost nothing",
        "exponential": "which falls evenly to a hundredth of that",
    }[config.schedule]
    return (
        f"The weights were updated by {OPTIMIZERS[config.optimizer]} after every "
        f"{config.batch_size:,} images, with a learning rate of {config.learning_rate:g}, {moves}."
    )


def best_and_worst(material: Material) -> str:
    """Say which classes are read best and worst."""
    per_class = material.metrics.per_class
    ranked = sorted(range(len(per_class)), key=lambda label: per_class[label].f1)
    worst, best = per_class[ranked[0]], per_class[ranked[-1]]
    if worst.f1 == best.f1:
        return f"All {material.things} are read equally well (F1 {percent(best.f1)})."
    return (
        f"Read best is {best.name} (F1 {percent(best.f1)}), worst {worst.name} "
        f"(F1 {percent(worst.f1)}): {_found(material, ranked[0])}."
    )


def _found(material: Material, label: int) -> str:
    row = material.metrics.per_class[label]
    if not sum(true[label] for true in material.metrics.confusion_matrix):
        return "no image was ever read as it"
    return (
        f"of the {row.support:,} images of {row.name}, {percent(row.recall)} were found, and of "
        f"the answers “{row.name}”, {percent(row.precision)} were right"
    )


def confusions(material: Material, most: int = 5) -> str:
    """Say which classes are taken for which most often."""
    matrix = np.array(material.metrics.confusion_matrix)
    np.fill_diagonal(matrix, 0)
    if not matrix.any():
        return f"No {material.thing} was taken for another."
    order = np.argsort(-matrix, axis=None, kind="stable")[:most]
    cells = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, matrix.shape), strict=True)]
    names = material.class_names
    told = [f"{names[i]} read as {names[j]} ({matrix[i, j]:,})" for i, j in cells if matrix[i, j]]
    both = matrix + matrix.T
    first, second = np.unravel_index(both.argmax(), both.shape)
    pair = f"{names[int(first)]} and {names[int(second)]}"
    times = count(int(both.max()), "time")
    return (
        f"The most frequent confusions: {listing(told)}. Counting both directions, {pair} are "
        f"exchanged most, {times}: {percent(both.max() / matrix.sum(), 0)} of all misses."
    )


def undisputed(material: Material) -> str | None:
    """Give the result without disputed labels; None where no label is known to be disputed."""
    without = material.metrics.undisputed
    if without is None:
        return None
    blamed = material.metrics.misses - without.misses
    return (
        f"{count(len(without.removed), 'test image')} carry labels that people do not agree with: "
        "fewer than three of five judges confirmed them (Northcutt, Athalye and Mueller, 2021). "
        f"The network gives another answer than the label for {blamed} of them. Without these "
        f"images it reads {percent(without.accuracy)} of {without.images:,} correctly and misses "
        f"{without.misses:,}. The headline counts them all, as is usual."
    )


def least_sure(material: Material) -> str:
    """Say how low the confidence of a right answer can be."""
    predictions, names = material.predictions, material.class_names
    right = np.flatnonzero(predictions.predicted == predictions.label)
    if not right.size:
        return "Not one was read correctly."
    least = int(right[predictions.probability_predicted[right].argmin()])
    return (
        f"The least sure right answer of all is test image {least}, a "
        f"{names[predictions.label[least]]}, with a probability of "
        f"{percent(float(predictions.probability_predicted[least]), 1)}."
    )


def failures(material: Material) -> str:
    """Say how sure of itself the network was when it was wrong."""
    predictions = material.predictions
    missed = predictions.predicted != predictions.label
    if not missed.any():
        return "There is nothing to show: not one test image was misread."
    if missed.all():
        return "Every single test image was misread."
    unsure = predictions.probability_predicted < _SURE
    of_misses, of_right = float(unsure[missed].mean()), float(unsure[~missed].mean())
    told = (
        f"Its confidence was below {percent(_SURE, 0)} in {percent(of_misses, 0)} of the misses, "
        f"and in {percent(of_right, 0)} of the right answers: "
    )
    if of_misses - of_right > 0.5:
        return told + "low confidence is a useful warning."
    return told + "low confidence does not tell them apart."


def trust(material: Material) -> str:
    """Say whether confidence matches accuracy on average, given the number of images."""
    metrics = material.metrics
    claimed = material.predictions.probability_predicted
    confidence = float(claimed.mean())
    gap = confidence - metrics.accuracy
    # If every claim were honest, the number of right answers would vary by this much.
    chance = 1.96 * math.sqrt(float((claimed * (1 - claimed)).sum())) / metrics.images
    told = f"On average it claims {percent(confidence)} and is right on {percent(metrics.accuracy)}"
    if abs(gap) <= chance:
        return f"{told}: a difference that chance alone explains."
    verdict = "too sure of itself" if gap > 0 else "more often right than it claims"
    return f"{told}: it is {verdict}, by {points(gap)}."


def speed(material: Material) -> str | None:
    """Say how long the network takes for an image; None where it was not measured."""
    microseconds: Any = material.summary.get("microseconds_per_image")
    if not isinstance(microseconds, int | float):
        return None
    return f"{microseconds / 1000:.2f} ms an image, in batches, on the machine that evaluated it"


def time_of(material: Material) -> str:
    """Return how long training took."""
    return duration(material.summary["seconds"]) if material.history else "less than one epoch"
