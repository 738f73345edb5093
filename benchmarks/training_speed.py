"""How long an epoch of the reference network takes, beside Keras on TensorFlow in the same run.

Each round times one epoch of each, one after the other, in a process of its own, after a warm-up
of fifty batches: 54,000 images, batch 64, Adam, no augmentation, no validation. The figure to
quote is the median over the rounds of the ratio within a round, which a change of the machine's
speed between rounds does not touch. Run it on an idle machine:

    make bench
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from conditions import conditions
from digitnet import load_dataset, recipe
from digitnet.data.dataset import split_train_val
from digitnet.experiments.arithmetic import product_peak
from digitnet.files import write_json
from digitnet.machine import usable_cores
from digitnet.training.device import reproducible
from digitnet.training.loop import Training, fit
from digitnet.training.progress import Progress
from timing import summary, told_by

HERE = Path(__file__).parent
RESULT = HERE.parent / "docs" / "results" / "training_speed.json"
WARM_UP = 50
# Multiply-adds of one forward pass over one image: two convolutions and two dense layers. Keras
# computes the network as it is defined; digitnet leaves out what pooling drops anyway. A backward
# pass costs twice as many, but for the first layer, whose input needs no gradient.
DEFINED = (26 * 26 * 32 * 9, 11 * 11 * 64 * 32 * 9, 1600 * 64, 64 * 10)
USED = (24 * 24 * 32 * 9, 10 * 10 * 64 * 32 * 9, 1600 * 64, 64 * 10)


def main() -> None:
    """Run the rounds and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="Python that has Keras and TensorFlow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--own", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.own:
        print(json.dumps({"seconds": own_epoch(args.threads)}))
        return
    if not args.peers:
        parser.error("name the peers' Python with --peers, or run `make bench`")
    result = compare(args.peers, args.rounds, args.threads)
    write_json(RESULT, result)
    print(json.dumps({name: result[name] for name in ("digitnet", "keras", "ratio", "peak")}))


def compare(peers: str, rounds: int, threads: int) -> dict[str, Any]:
    """Time both sides ``rounds`` times, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train.npz"
        save_training_images(data)
        own, other, peaks, versions = [], [], [], {}
        for number in range(1, rounds + 1):
            peaks.append(product_peak(threads))
            own.append(told_by([sys.executable, __file__, "--own", "--threads", str(threads)]))
            other.append(
                told_by([peers, str(HERE / "peer_keras.py"), "epoch", str(data), str(threads)])
            )
            versions = other[-1]["versions"]
            print(
                f"round {number}/{rounds}: digitnet {own[-1]['seconds']:.1f} s, "
                f"Keras {other[-1]['seconds']:.1f} s",
                file=sys.stderr,
            )
    seconds = [side["seconds"] for side in own]
    keras = [side["seconds"] for side in other]
    defined, used = (54_000 * 2e-9 * (3 * sum(adds) - adds[0]) for adds in (DEFINED, USED))
    peak = statistics.median(peaks)
    return {
        "schema_version": 1,
        "rounds": rounds,
        "threads": threads,
        "digitnet": summary(seconds),
        "keras": summary(keras) | {"versions": versions},
        "ratio": summary([a / b for a, b in zip(seconds, keras, strict=True)]),
        "peak": {
            "matrix_product_gflops": peak,
            "gflop_per_epoch": used,
            "keras_gflop_per_epoch": defined,
            "share": used / statistics.median(seconds) / peak,
            "keras_share": defined / statistics.median(keras) / peak,
        },
        "environment": conditions(),
    }


def own_epoch(threads: int) -> float:
    """Return the seconds of one epoch of digitnet's plain recipe."""
    config = recipe("plain").override(threads=threads)
    times: list[float] = []
    with reproducible(config):
        training = Training(config, load_dataset("mnist"))
        # All but the last step, which would validate too.
        counted = training.steps - 1 - WARM_UP

        def note(_: Progress) -> None:
            times.append(time.perf_counter())

        fit(training, on_progress=note, should_stop=lambda: len(times) > WARM_UP + counted - 1)
        return (times[-1] - times[WARM_UP - 1]) * training.steps / counted


def save_training_images(path: Path) -> None:
    """Write the 54,000 images that are left after the validation split."""
    mnist = load_dataset("mnist")
    train, _ = split_train_val(mnist.train_labels)
    np.savez(path, images=mnist.train_images[train], labels=mnist.train_labels[train])


if __name__ == "__main__":
    main()
