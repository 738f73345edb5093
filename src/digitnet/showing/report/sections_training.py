"""The sections about what went in: the data, the network, and how it learned."""

from __future__ import annotations

import itertools

from digitnet.showing.report import prose
from digitnet.showing.report.layout import Page, Section, picture, section
from digitnet.showing.report.markup import (
    NBSP,
    Html,
    count,
    duration,
    el,
    join,
    paragraphs,
    percent,
    table,
    term,
)
from digitnet.showing.report.material import Material

# Whoever passes MNIST's images on, as a report does, has to name their makers.
_MNIST_CREDIT = (
    "The images are MNIST, by Yann LeCun and Corinna Cortes, under the licence CC BY-SA 3.0."
)
_KMNIST_CREDIT = (
    "The images are “KMNIST Dataset” (created by CODH), adapted from “Kuzushiji Dataset” (created "
    "by NIJL and others), doi:10.20676/00000341, under the licence CC BY-SA 4.0."
)
_FASHION_CREDIT = (
    "The images are Fashion-MNIST, © 2017 Zalando SE, https://tech.zalando.com, under the MIT "
    "licence."
)
_DIGITS_CREDIT = (
    "The images are “Optical Recognition of Handwritten Digits”, by E. Alpaydin and C. Kaynak "
    "(1998), UCI Machine Learning Repository, doi:10.24432/C50P49, under the licence CC BY 4.0; "
    "brought from 8 × 8 to 28 × 28 pixels."
)
_CREDITS = {
    "mnist": _MNIST_CREDIT,
    "sample": _MNIST_CREDIT,
    "kmnist": _KMNIST_CREDIT,
    "fashion_mnist": _FASHION_CREDIT,
    "digits8x8": _DIGITS_CREDIT,
}

_MOST_ROWS = 12  # epochs that are shown at once; more are folded away


def data_section(material: Material, page: Page) -> Section:
    """Return what the images look like and how they were divided."""
    dataset, config = material.dataset, material.config
    height, width = dataset.train_images.shape[1:]
    return section(
        "data",
        "The data",
        el(
            "p",
            f"Each image is a square of {height} by {width} grey values from 0, blank paper, to "
            f"255, full ink, and comes with a label: the {material.thing} that it is meant to be. "
            f"The network is never told what a {material.thing} looks like; it has only these "
            "examples. ",
            prose.balance(material),
        ),
        picture(
            page,
            "examples",
            f"The first ten training images of each of {len(material.class_names)} "
            f"{material.things}, one row a {material.thing}{_many_hands(material)}.",
            f"What the network learns from: the first ten training images of each "
            f"{material.thing}.",
        ),
        table(
            f"How the data set “{dataset.name}” was divided",
            ("Part", "Images", "What they are for"),
            (
                ("training", f"{material.num_train:,}", "the weights are fitted to them"),
                ("validation", f"{material.num_val:,}", _validation_use(material)),
                ("test", f"{len(dataset.test_labels):,}", "measured after training; all results"),
            ),
            numbers=(1,),
        ),
        el(
            "p",
            "The ",
            term("validation"),
            f" images are {percent(config.val_fraction, 0)} of those given for training, the same "
            f"share of each {material.thing}, chosen by the split seed {config.split_seed}. ",
            _CREDITS.get(dataset.name),
        ),
    )


def _many_hands(material: Material) -> str:
    if material.thing != "digit":
        return ""
    return ": handwriting of many people, from neat to careless"


def _validation_use(material: Material) -> str:
    if material.config.early_stopping:
        return "watched after each epoch; they decide when to stop"
    return "watched after each epoch; they decide nothing"


def network_section(material: Material, page: Page) -> Section:
    """Return the drawing and the table of the network's layers."""
    layers, total = page.layers, material.model.num_parameters
    side = material.model.config.kernel_size
    rows = [
        (f"{number}. {name}", "×".join(map(str, shape)), f"{n:,}" if n else "–", _share(n, total))
        for number, (name, shape, n) in enumerate(layers[1:], 1)
    ]
    return section(
        "network",
        "The network",
        el(
            "p",
            "An image flows through the layers from top to bottom. A ",
            term("convolution"),
            f" moves {_filters(side)} over it and notes where each one matches; ",
            term("max pooling"),
            " keeps the strongest of each two by two answers. The ",
            term("dense layers", "dense layer"),
            " weigh everything that was found against everything else. Out come ",
            term("logits"),
            f", one number for each {material.thing}, and ",
            term("softmax"),
            " makes probabilities of them.",
        ),
        picture(
            page,
            "network",
            f"Plan of the network from top to bottom: {_flow(layers)}. It has "
            f"{count(total, 'parameter')}; {prose.largest_layer(layers)}.",
            f"From image to answer. Of {count(total, 'parameter')}, {prose.largest_layer(layers)}.",
            wide=True,
        ),
        table(
            "Layers, as they are computed one after the other",
            ("Layer", "Output shape", "Parameters", "Share"),
            rows,
            numbers=(1, 2, 3),
            foot=("Together", "", f"{total:,}", percent(1.0, 0)),
        ),
        el("p", *_details(material)),
    )


def _filters(side: int) -> str:
    """Return how the filters of a convolution are spoken of."""
    return f"small filters, {side}{NBSP}×{NBSP}{side} pixels,"


def _share(parameters: int, total: int) -> str:
    return percent(parameters / total, 1) if parameters else "–"


def _flow(layers: list[tuple[str, tuple[int, ...], int]]) -> str:
    return ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape, _ in layers)


def _details(material: Material) -> list[str]:
    """Say what the table of layers leaves out."""
    config = material.model.config
    told = [
        "The image is normalised by constants that belong to the network. After each hidden layer "
        "comes the ",
        term("activation"),
        f" {prose.ACTIVATIONS[config.activation]}",
        ", and before it batch normalisation where there is a convolution."
        if config.batch_norm
        else ".",
    ]
    if config.dropout or config.conv_dropout:
        told += [" In training, ", term("dropout"), f" silences {_dropped(material)}."]
    if speed := prose.speed(material):
        told += [f" It takes {speed}."]
    return told


def _dropped(material: Material) -> str:
    config = material.model.config
    parts = []
    if config.dropout:
        parts.append(f"{percent(config.dropout, 0)} of the numbers before each dense layer")
    if config.conv_dropout:
        parts.append(f"{percent(config.conv_dropout, 0)} of the maps after each block")
    return " and ".join(parts)


def learning_section(material: Material, page: Page) -> Section:
    """Return how the network learned, and from which distortions."""
    ending = prose.ending(material)
    return section(
        "learning",
        "How it learned",
        el(
            "p",
            "Training shows all images to the network once in each ",
            term("epoch"),
            " and moves its weights so that the ",
            term("loss"),
            " gets smaller. ",
            prose.schedule(material),
        ),
        el("p", ending) if ending else None,
        _curves(material, page),
        paragraphs(prose.learning(material)),
        _history(material),
        _augmentation(material, page),
    )


def _curves(material: Material, page: Page) -> Html | None:
    if not material.history:
        return None
    first, last = material.history[0], material.history[-1]
    if len(material.history) == 1:
        course = (
            f"After one epoch, validation accuracy is {percent(last.val_accuracy)} and validation "
            f"loss {last.val_loss:.4f}; training accuracy {percent(last.train_accuracy)} and "
            f"loss {last.train_loss:.4f}."
        )
    else:
        course = (
            f"From epoch {first.epoch} to {last.epoch}, validation accuracy goes from "
            f"{percent(first.val_accuracy)} to {percent(last.val_accuracy)} and validation loss "
            f"from {first.val_loss:.4f} to {last.val_loss:.4f}; training accuracy ends at "
            f"{percent(last.train_accuracy)}, training loss at {last.train_loss:.4f}."
        )
    return picture(
        page,
        "learning_curves",
        f"Two charts over the epochs, accuracy and loss. {course}",
        "Accuracy (higher is better) and loss (lower is better) in each epoch. Solid blue: "
        "validation; dashed orange: training.",
        wide=True,
    )


def _history(material: Material) -> Html | None:
    if not material.history:
        return None
    rows = (
        (
            f"{row.epoch}",
            f"{row.learning_rate:.2g}",
            f"{row.train_loss:.4f}",
            percent(row.train_accuracy),
            f"{row.val_loss:.4f}",
            percent(row.val_accuracy),
            duration(row.seconds),
        )
        for row in material.history
    )
    training = ("Epoch", "Learning rate", "Training loss", "Training accuracy")
    head = (*training, "Validation loss", "Validation accuracy", "Time")
    content = table("Every epoch in numbers", head, rows, numbers=range(1, 7))
    if len(material.history) <= _MOST_ROWS:
        return content
    return el("details", el("summary", f"All {len(material.history)} epochs in numbers"), content)


def _augmentation(material: Material, page: Page) -> Html:
    config = material.config.augmentation
    heading = el("h3", "What it was shown")
    if config.is_off:
        return join(
            (
                heading,
                el(
                    "p",
                    "There was no ",
                    term("augmentation"),
                    ": every epoch showed the same images, exactly as they are.",
                ),
            )
        )
    amounts = (
        (config.shift, f"shifted by up to {config.shift:g} pixels each way"),
        (config.rotate, f"rotated by up to {config.rotate:g}°"),
        (config.scale, f"stretched or shrunk by up to {percent(config.scale, 0)}"),
        (config.shear, f"slanted by up to {config.shear:g}°"),
        (config.elastic, f"bent by about {config.elastic:g} pixels"),
        (config.stroke, f"written thicker or thinner (by up to {config.stroke:g})"),
        (config.pen, f"redrawn with another pen ({percent(config.pen, 0)} of them)"),
        (config.style, f"written in another style ({percent(config.style, 0)} of some digits)"),
        (config.faults, f"given each fault of real pictures ({percent(config.faults, 0)} of them)"),
    )
    done = ", ".join(itertools.compress((told for _, told in amounts), (a for a, _ in amounts)))
    return join(
        (
            heading,
            el(
                "p",
                term("Augmentation", "augmentation"),
                f" gave it new versions of the images in every epoch: {done}. Each amount was "
                "drawn anew for each image.",
            ),
            picture(
                page,
                "augmentation",
                f"A few training images, each followed by distorted copies: {done}.",
                "Some training images and what augmentation may make of them.",
            ),
        )
    )
