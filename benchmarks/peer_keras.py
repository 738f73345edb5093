"""What Keras on TensorFlow takes; run by the peers' own Python, which has no digitnet.

peer_keras.py epoch DATA.npz THREADS                      one epoch of the reference network
peer_keras.py example DATA.npz THREADS SEED EPOCHS BEGAN  the recipe that Keras's example teaches

It prints its figures as JSON. BEGAN is when the process was started, in seconds since 1970.
"""

import json
import os
import sys
import time
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras  # type: ignore[import-not-found, unused-ignore]
import numpy as np
import tensorflow as tf  # type: ignore[import-not-found, import-untyped, unused-ignore]

from timing import starting

BATCH = 64
# As in training_speed.py.
WARM_UP = 50
VERSIONS = {"keras": keras.__version__, "tensorflow": tf.__version__}


def main() -> None:
    """Do what is asked, on so many threads."""
    what, path, threads, *more = sys.argv[1:]
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    data = np.load(path)
    if what == "epoch":
        told = one_epoch(data)
    else:
        seed, epochs, began = int(more[0]), int(more[1]), float(more[2])
        told = example(data, seed, epochs)
        told["whole"] = time.time() - began - told["evaluating"]
    print(json.dumps(told | {"versions": VERSIONS}))


def one_epoch(data: Any) -> dict[str, Any]:
    """Build the reference network and time an epoch, as digitnet's is: without its first batches.

    Graphs are built in those, and the last batch, which is smaller, is left out too.
    """
    images, labels = pixels(data["images"]), data["labels"]
    model = keras.Sequential(
        [
            *convolutions(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    ready(model)
    ends: list[float] = []
    model.fit(images, labels, batch_size=BATCH, verbose=0, callbacks=[noting(ends)])
    counted = len(ends) - 1 - WARM_UP
    seconds = (ends[-2] - ends[WARM_UP - 1]) * len(ends) / counted
    return {"seconds": seconds, "parameters": model.count_params()}


def example(data: Any, seed: int, epochs: int) -> dict[str, Any]:
    """Train 34,826 parameters with Adam in batches of 128, reading the test images each epoch."""
    keras.utils.set_random_seed(seed)
    images, test = pixels(data["train_images"]), pixels(data["test_images"])
    # The example keeps the last tenth for validation.
    images, labels = images[: len(images) * 9 // 10], data["train_labels"][: len(images) * 9 // 10]
    model = keras.Sequential(
        [
            *convolutions(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10),
        ]
    )
    ready(model)
    seconds, evaluating, slow = [0.0], 0.0, 0.0
    accuracies: list[float] = []
    ends: list[float] = []
    for epoch in range(epochs):
        ends.clear()
        began = time.perf_counter()
        model.fit(images, labels, batch_size=128, verbose=0, callbacks=[noting(ends)])
        ended = time.perf_counter()
        slow = slow if epoch else starting(began, ends)
        seconds.append(seconds[-1] + ended - began - (0 if epoch else slow))
        said = model.predict(test, batch_size=1000, verbose=0).argmax(1)
        accuracies.append(float((said == data["test_labels"]).mean()))
        evaluating += time.perf_counter() - ended
    return {
        "seed": seed,
        "parameters": model.count_params(),
        "seconds": seconds[1:],
        "accuracy": accuracies,
        "starting": slow,
        "evaluating": evaluating,
    }


def noting(ends: list[float]) -> Any:
    """Return a callback that notes when each batch ends."""
    return keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: ends.append(time.perf_counter())
    )


def ready(model: Any) -> None:
    """Choose Adam and the cross-entropy of logits."""
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )


def convolutions() -> list[Any]:
    """Return the first layers of both networks, which are alike."""
    return [
        keras.Input((28, 28, 1)),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
    ]


def pixels(images: Any) -> Any:
    """Return images as float32 (N, 28, 28, 1) in [0, 1]."""
    return images.astype("float32")[..., None] / 255


if __name__ == "__main__":
    main()
