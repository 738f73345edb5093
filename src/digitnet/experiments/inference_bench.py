"""How fast a model file answers, with ONNX Runtime: by batch and threads, and from a cold start.

Guarantees:

- What is timed is the whole file, from ink (28×28, float32) to the answer; or a network alone,
  ``network.onnx``, from images of that size to probabilities.
- Every round times every combination once, so that a machine which slows down for a while slows
  all of them; the figure is the median over the rounds.
- The peak beside a time is that of a matrix product in ONNX Runtime on as many threads.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from digitnet.errors import DigitnetError, UsageError
from digitnet.experiments.bench_results import SCHEMA_VERSION
from digitnet.machine import environment, usable_cores
from digitnet.network.config import IMAGE_SIZE
from digitnet.reading.model_file import ANSWER, BLANK, ModelFile, load_model_file, open_session
from digitnet.reading.network_file import IMAGES, PROBABILITIES, NetworkFile, open_network
from digitnet.reading.runtime import onnxruntime
from digitnet.serving.layers_graph import stacks_images

BATCHES = (1, 8, 64, 256, 1024)
MOST_BATCH = 100_000
# Seconds that one figure of one round is measured for, at least.
_LEAST_SECONDS = 0.2
_PEAK_SIZE = 1536

# What a fresh process does, and prints of itself. VmRSS is what it holds in memory, on Linux.
_COLD = Template("""
import json, sys, time
began = time.perf_counter()

def megabytes():
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1000 for line in file if line.startswith("VmRSS:"))
    except OSError:
        return None

import numpy
$imports
imported, held = time.perf_counter(), megabytes()
model = $load(sys.argv[1] or None)
loaded = time.perf_counter()
images = numpy.zeros((1, 1, 28, 28), numpy.float32)
$answer
seconds = {"importing": imported - began, "loading": loaded - imported,
           "answering": time.perf_counter() - loaded}
print(json.dumps({"seconds": seconds, "megabytes": {"imported": held, "answered": megabytes()}}))
""")
_COLD_MODEL = _COLD.substitute(
    imports="from digitnet.reading.model_file import ANSWER, load_model_file",
    load="load_model_file",
    answer="model.of_inks(ANSWER, images)",
)
_COLD_NETWORK = _COLD.substitute(
    imports="from digitnet.reading.network_file import open_network",
    load="open_network",
    answer="model.probabilities(images)",
)


def measure_inference(
    model: Path | None = None,
    *,
    batches: Sequence[int] = BATCHES,
    threads: Sequence[int] = (),
    rounds: int = 5,
    on_round: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure how fast a model file answers.

    Args:
        model: the file, or a run folder that holds one; or the file of a network alone; None for
            digitnet's own.
        batches: images at a time.
        threads: with which to compute; by default one, and one a core.
        rounds: of which the medians are taken.
        on_round: called with the number of each round before it begins, from 1.

    Raises:
        UsageError: an argument is not allowed.
        InputError: there is no such file.
        IntegrityError: it is damaged.
    """
    threads = list(threads) or sorted({1, usable_cores()})
    _refuse_unless("--batch", batches, MOST_BATCH)
    _refuse_unless("--threads", threads, 1024)
    _refuse_unless("--rounds", [rounds], 1000)
    file: ModelFile | NetworkFile = (model and open_network(model)) or load_model_file(model)
    sessions = {number: open_session(file.content, threads=number) for number in threads}
    peaks: dict[int, list[float]] = {number: [] for number in threads}
    times: dict[tuple[int, int], list[float]] = {(t, b): [] for t in threads for b in batches}
    starts = []
    for number in range(1, rounds + 1):
        on_round(number)
        for count in threads:
            peaks[count].append(product_gflops(count))
        for (count, batch), found in times.items():
            found.append(_seconds_of(sessions[count], file, batch))
        starts.append(_cold_start(model, file))
    adds = multiply_adds_of(file.content)
    tops = {count: _median(values) for count, values in peaks.items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "infer",
        "model": "shipped" if model is None else Path(model).name,
        "recipe": file.metadata.get("recipe"),
        "network_only": isinstance(file, NetworkFile),
        "model_sha256": file.sha256,
        "bytes": len(file.content),
        "multiply_adds": adds,
        "rounds": rounds,
        "peak_gflops": {str(count): top for count, top in tops.items()},
        "speeds": [
            {
                "batch": batch,
                "threads": count,
                "microseconds": _spread([1e6 * each for each in found]),
                "share_of_peak": 2e-9 * adds * batch / statistics.median(found) / tops[count],
            }
            for (count, batch), found in times.items()
        ],
        "cold_start": _medians(starts),
        "environment": environment(),
    }


def multiply_adds_of(content: bytes) -> int:
    """Return those of a model file's convolutions and dense layers, for one ink."""
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(content), data_prop=True)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in model.graph.value_info:
        sizes = value.type.tensor_type.shape.dim
        shapes[value.name] = tuple(size.dim_value for size in sizes)
    total, views = 0, _views(model.graph.node)
    for node in model.graph.node:
        times = views[node.output[0]]
        if node.op_type == "Conv":
            # The finder's count nothing here: its maps have names instead of sizes, which are 0.
            maps, filters = shapes[node.output[0]][1:], shapes[node.input[1]][1:]
            total += times * math.prod(maps) * math.prod(filters)
        if node.op_type == "Gemm":
            total += times * math.prod(shapes[node.input[1]])
    return total


def _views(nodes: Iterable[NodeProto]) -> dict[str, int]:
    """Return how many views of an image, stacked along the batch, each value of a network holds."""
    views: dict[str, int] = {}
    for node in nodes:
        held = [views.get(name, 1) for name in node.input]
        number = sum(held) if stacks_images(node) else max(held, default=1)
        # A network begins with one view, and gives each an axis of its own to take their mean.
        begins = "image" in node.output or node.op_type == "Reshape"
        views |= dict.fromkeys(node.output, 1 if begins else number)
    return views


def product_gflops(threads: int, size: int = _PEAK_SIZE, repeats: int = 5) -> float:
    """Return the speed of a float32 matrix product in ONNX Runtime, in GFLOP/s: the best of few."""
    square = [size, size]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "a"], ["b"])],
        "product",
        [value("a", TensorProto.FLOAT, square)],
        [value("b", TensorProto.FLOAT, square)],
    )
    product = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        product.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {"a": np.ones(square, np.float32)}
    return 2e-9 * size**3 / min(_timed(lambda: session.run(None, feeds)) for _ in range(repeats))


def _refuse_unless(flag: str, values: Sequence[int], most: int) -> None:
    for value in values:
        if not 1 <= value <= most:
            raise UsageError(f"{flag} cannot be {value}; allowed: from 1 to {most:,}.")


def _seconds_of(
    session: onnxruntime.InferenceSession, file: ModelFile | NetworkFile, batch: int
) -> float:
    """Return the median seconds of a batch, after a first one that does not count."""
    images = np.random.default_rng(0).random((batch, 1, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    outputs: Sequence[str] = ANSWER
    feeds: Mapping[str, Any] = {"page": BLANK, "ink": images}
    if isinstance(file, NetworkFile):
        outputs, feeds = [PROBABILITIES], {IMAGES: images}
    times: list[float] = []
    _timed(lambda: session.run(outputs, feeds))
    while sum(times) < _LEAST_SECONDS:
        times.append(_timed(lambda: session.run(outputs, feeds)))
    return statistics.median(times)


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _cold_start(
    model: Path | None, file: ModelFile | NetworkFile
) -> dict[str, dict[str, float | None]]:
    """Return the seconds and the megabytes of a fresh process that answers once."""
    started = time.perf_counter()
    code = _COLD_NETWORK if isinstance(file, NetworkFile) else _COLD_MODEL
    command = [sys.executable, "-c", code, os.fspath(model or "")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout
        line = process.stdout.readline()
        whole = time.perf_counter() - started
    if process.returncode:
        raise DigitnetError(
            f"A process for the cold start ended with exit code {process.returncode}."
        )
    told: dict[str, dict[str, float | None]] = json.loads(line)
    told["seconds"]["whole"] = whole
    return told


def _medians(starts: Sequence[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return the spread of seconds, and medians of megabytes, None where they are not known."""
    seconds = [start["seconds"] for start in starts]
    held = [start["megabytes"] for start in starts]
    return {
        "seconds": {name: _spread([each[name] for each in seconds]) for name in seconds[0]},
        "megabytes": {
            name: None if None in (all_of := [each[name] for each in held]) else _median(all_of)
            for name in held[0]
        },
    }


def _median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": _median(values), "low": min(values), "high": max(values)}
