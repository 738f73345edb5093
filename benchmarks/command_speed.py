"""How long a whole training command takes, and what a second thread gains in reading photos.

Threads: a batch of simulated photos, and each of its steps alone, on one thread and on two, taking
turns. Training: ``digitnet train --data sample --epochs 1`` from start to exit, if wanted beside an
earlier version that is installed in another environment. Run it on an idle machine:

    python benchmarks/command_speed.py [--before PYTHON_OF_THE_OTHER_ENVIRONMENT]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from conditions import conditions
from digitnet.data.catalogue import load_dataset
from digitnet.files import write_json
from digitnet.reading.finding import find_signs
from digitnet.reading.model_file import load_model_file
from digitnet.reading.pictures import load
from digitnet.reading.recognizer import Recognizer
from digitnet.synthesis.photographs import simulate
from timing import summary

RESULT = Path(__file__).parent.parent / "docs" / "results" / "command_speed.json"
PHOTOS, ROUNDS, TRAININGS = 64, 5, 3


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", metavar="PYTHON", help="Python with an earlier digitnet")
    before = parser.parse_args().before
    pythons = {"now": sys.executable} | ({"before": before} if before else {})
    trainings: dict[str, list[float]] = {name: [] for name in pythons}
    for _ in range(TRAININGS):
        for name, python in pythons.items():
            trainings[name].append(train_seconds(python))
    result = {
        "schema_version": 1,
        "photos": PHOTOS,
        "threads": measure_threads(),
        "training": {name: summary(values) for name, values in trainings.items()},
        "environment": conditions(),
    }
    write_json(RESULT, result)
    print(f"wrote {RESULT.name}")


def train_seconds(python: str) -> float:
    """Return how long a training of one epoch on the sample takes, from start to exit."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-m", "digitnet", "train", "--data", "sample", "--epochs", "1", "--out"]
        started = time.perf_counter()
        subprocess.run([*command, f"{folder}/run"], check=True, capture_output=True)
        return time.perf_counter() - started


def measure_threads() -> dict[str, dict[str, Any]]:
    """Return seconds a batch on one thread and on two, of the whole and of each of its steps."""
    images = load_dataset("sample").test_images
    files = [simulate(images[i], "photo", 0, i) for i in range(PHOTOS)]
    pictures = [load(file) for file in files]
    model = load_model_file()
    recognizers = {threads: Recognizer(threads=threads) for threads in (1, 2)}

    def of_pool(function: Callable[[Any], Any], items: Iterable[Any]) -> Callable[[int], object]:
        def work(threads: int) -> object:
            with ThreadPoolExecutor(threads) as pool:
                return list(pool.map(function, items))

        return work

    steps: dict[str, Callable[[int], object]] = {
        "all": lambda threads: recognizers[threads].predict_many(files),
        "decoding": of_pool(load, files),
        "finding and reading the signs": of_pool(
            lambda picture: find_signs(model, picture.pixels), pictures
        ),
    }
    return {name: taking_turns(work) for name, work in steps.items()}


def taking_turns(work: Callable[[int], object]) -> dict[str, Any]:
    """Return a summary of the seconds that ``work`` takes on one thread and on two."""
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS + 1):
        for threads, values in seconds.items():
            started = time.perf_counter()
            work(threads)
            values.append(time.perf_counter() - started)
    # The first round warms up.
    return {str(threads): summary(values[1:]) for threads, values in seconds.items()}


if __name__ == "__main__":
    main()
