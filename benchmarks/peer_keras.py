"""One epoch of the reference network in Keras on TensorFlow; run by the peers' own Python.

Usage: peer_keras.py DATA.npz THREADS; prints the seconds of each timed epoch as JSON.
"""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras  # type: ignore[import-not-found, unused-ignore]
import numpy as np
import tensorflow as tf  # type: ignore[import-not-found, import-untyped, unused-ignore]

BATCH = 64


def main() -> None:
    """Build, warm up on fifty batches, and time one epoch."""
    path, threads = sys.argv[1], int(sys.argv[2])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    data = np.load(path)
    images = data["images"].astype("float32")[..., None] / 255
    labels = data["labels"]
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    model.fit(images[: 50 * BATCH], labels[: 50 * BATCH], batch_size=BATCH, verbose=0)
    started = time.perf_counter()
    model.fit(images, labels, batch_size=BATCH, verbose=0)
    seconds = time.perf_counter() - started
    versions = {"keras": keras.__version__, "tensorflow": tf.__version__}
    print(
        json.dumps({"seconds": seconds, "parameters": model.count_params(), "versions": versions})
    )


if __name__ == "__main__":
    main()
