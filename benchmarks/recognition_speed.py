"""How long the recogniser takes, from the bytes of a picture to its digit, beside its lower bounds.

Each round measures everything once, as the median of several repetitions; the figure to quote is
the median over the rounds. Beside each figure stands its floor, the part that no recogniser with
this network can avoid: decoding the picture with Pillow, the network's arithmetic on a prepared
batch, starting Python and importing the libraries. With ``--before`` an earlier version of
digitnet, in an environment of its own, reads the same pictures in each round. Run it on an idle
machine:

    python benchmarks/recognition_speed.py --before OTHER/bin/python
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from conditions import conditions
from digitnet.data.catalogue import load_dataset
from digitnet.experiments.inference_bench import multiply_adds_of, product_gflops
from digitnet.files import write_json
from digitnet.machine import usable_cores
from digitnet.reading import pictures
from digitnet.reading.finding import find_signs
from digitnet.reading.model_file import ANSWER, BLANK, load_model_file
from digitnet.reading.recognizer import Recognizer
from digitnet.synthesis.photographs import simulate
from timing import summary

RESULT = Path(__file__).parent.parent / "docs" / "results" / "recognition_speed.json"
INKS = 10_000
BATCH = 16
# The least that the command and a program load.
LIBRARIES = "import numpy, onnxruntime, PIL.Image"

# A program that reads pictures of growing size and then many inks, and prints the memory it takes.
MEMORY = """
import json, sys
from pathlib import Path

def note(step):
    fields = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    sizes = {field[0]: int(field[1]) / 1000 for field in fields if field[0] in ("VmRSS:", "VmHWM:")}
    steps[step], steps["peak"] = sizes["VmRSS:"], sizes["VmHWM:"]

steps = {}
from digitnet.reading.recognizer import Recognizer
note("imported")
recognizer = Recognizer(*sys.argv[3:], threads=int(sys.argv[2]))
note("ready")
for name in ("drawing", "photo_640", "photo_12mp"):
    recognizer.predict(Path(sys.argv[1]) / name)
    note(name)
import numpy
recognizer.predict_inks(numpy.ones((10_000, 28, 28), numpy.uint8))
note("inks")
print(json.dumps(steps))
"""

# A program that reads each picture again and again, and prints the median seconds.
BEFORE = """
import json, statistics, sys, time
from pathlib import Path
from digitnet import Recognizer, __version__

recognizer, seconds = Recognizer(threads=1), {}
for picture in sorted(Path(sys.argv[1]).iterdir()):
    content, times = picture.read_bytes(), []
    for _ in range(int(sys.argv[2]) + 1):
        started = time.perf_counter()
        recognizer.predict(content)
        times.append(time.perf_counter() - started)
    seconds[picture.name] = statistics.median(times[1:])
print(json.dumps({"version": __version__, "sha256": recognizer.sha256, "seconds": seconds}))
"""

Seconds = dict[str, float]


def main() -> None:
    """Run the rounds and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="model file or run folder; default: the shipped one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=30, help="of each picture in a round")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--before", metavar="PYTHON", help="Python with an earlier digitnet")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    result = measure(args.model, args.rounds, args.repeats, args.threads, args.before)
    write_json(args.out, result)
    for name, figures in result["seconds"].items():
        print(f"{name:<24}{figures['median'] * 1000:10.2f} ms")
    print(json.dumps({name: result[name] for name in ("memory_megabytes", "arithmetic")}, indent=2))


def measure(
    model: str | None, rounds: int, repeats: int, threads: int, before: str | None
) -> dict[str, Any]:
    """Measure everything ``rounds`` times, in turn."""
    recognizer = Recognizer(model, threads=threads)
    given = sample_pictures()
    found: list[Seconds] = []
    peaks: list[float] = []
    others: list[dict[str, Any]] = []
    for number in range(1, rounds + 1):
        peaks.append(product_gflops(threads))
        seconds: Seconds = {}
        for name, content in given.items():
            seconds |= time_picture(recognizer, model, name, content, repeats)
        if before:
            others.append(of_earlier_version(before, given, repeats))
        seconds |= time_inks(recognizer, model, threads)
        seconds |= time_command(model, given["drawing"], max(3, repeats // 10))
        found.append(seconds)
        print(f"round {number}/{rounds}: {seconds['drawing'] * 1000:.1f} ms", file=sys.stderr)
    results = {name: summary([one[name] for one in found]) for name in found[0]}
    return {
        "schema_version": 1,
        "rounds": rounds,
        "repeats": repeats,
        "threads": threads,
        "model_sha256": recognizer.sha256,
        "seconds": results,
        "inks_per_second": INKS / results["inks"]["median"],
        "pictures": {name: describe(content) for name, content in given.items()},
        "memory_megabytes": memory(model, threads, given),
        "arithmetic": arithmetic(model, results["inks_network"]["median"], peaks),
        "before": compared(others),
        "environment": conditions(),
    }


def of_earlier_version(python: str, given: dict[str, bytes], repeats: int) -> dict[str, Any]:
    """Return what an earlier digitnet is and the seconds that it takes for each picture."""
    with as_files(given) as folder:
        found: dict[str, Any] = json.loads(run([python, "-I", "-c", BEFORE, folder, str(repeats)]))
    return found


@contextlib.contextmanager
def as_files(given: dict[str, bytes]) -> Iterator[str]:
    """Yield a folder that holds the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in given.items():
            (Path(folder) / name).write_bytes(content)
        yield folder


def compared(others: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the medians of an earlier version over the rounds; None if there was none."""
    if not others:
        return None
    names = others[0]["seconds"]
    seconds = {name: summary([one["seconds"][name] for one in others]) for name in names}
    return {**{key: others[0][key] for key in ("version", "sha256")}, "seconds": seconds}


def sample_pictures() -> dict[str, bytes]:
    """Return a drawing of 280 pixels, and a photo of 640 pixels and of 12 megapixels."""
    page = Image.new("L", (280, 280), 255)
    ImageDraw.Draw(page).line([(90, 70), (190, 70), (130, 220)], 0, 18, joint="curve")
    stream = io.BytesIO()
    page.save(stream, "PNG")
    digit = load_dataset("sample").test_images[0]
    photo = Image.open(io.BytesIO(simulate(digit, "photo", seed=0))).convert("RGB")
    small, large = (as_photo(photo, size) for size in ((640, 480), (4032, 3024)))
    return {"drawing": stream.getvalue(), "photo_640": small, "photo_12mp": large}


def as_photo(photo: Image.Image, size: tuple[int, int]) -> bytes:
    """Return a JPEG of this size, with the noise of a sensor, which decoding has to read."""
    pixels = np.asarray(photo.resize(size, Image.Resampling.BICUBIC), np.float32)
    noisy = pixels + np.random.default_rng(0).normal(0, 3, pixels.shape).astype(np.float32)
    stream = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def time_picture(
    recognizer: Recognizer, model: str | None, name: str, content: bytes, repeats: int
) -> Seconds:
    """Return the seconds of one picture, whole and in parts, and of Pillow's decoder alone."""
    loaded, file = pictures.load(content), load_model_file(model)
    parts: dict[str, Callable[[], object]] = {
        "": lambda: recognizer.predict(content),
        "_decoder": lambda: decode_plainly(content, round(loaded.scale)),
        "_load": lambda: pictures.load(content),
        "_find": lambda: find_signs(file, loaded.pixels),
    }
    return {name + part: median_seconds(call, repeats) for part, call in parts.items()}


def decode_plainly(content: bytes, factor: int) -> None:
    """Decode a picture with Pillow to grey, reduced as the recogniser reduces it."""
    image = Image.open(io.BytesIO(content))
    image.draft("L", (image.width // factor, image.height // factor))
    image.convert("L").load()


def time_inks(recognizer: Recognizer, model: str | None, threads: int) -> Seconds:
    """Return the seconds of many inks, and of the network alone on prepared batches."""
    images = load_dataset("sample").test_images
    images = np.resize(images, (INKS, *images.shape[1:]))
    batches = np.split((images[:, None] / 255).astype(np.float32), INKS // BATCH)
    session = load_model_file(model).session

    def network() -> None:
        with ThreadPoolExecutor(threads) as pool:
            feeds = ({"page": BLANK, "ink": batch} for batch in batches)
            deque(pool.map(lambda feed: session.run(ANSWER, feed), feeds), maxlen=0)

    return {
        "inks": median_seconds(lambda: recognizer.predict_inks(images), 1),
        "inks_network": median_seconds(network, 1),
    }


def time_command(model: str | None, content: bytes, repeats: int) -> Seconds:
    """Return the seconds of the command on one picture, and of starting Python and libraries."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "one.png"
        picture.write_bytes(content)
        predict = ["-m", "digitnet", "predict", str(picture)]
        predict += ["--model", model] if model else []
        commands = {
            "command": predict,
            "command_python": ["-c", "pass"],
            "command_libraries": ["-c", LIBRARIES],
        }
        return {
            name: median_seconds(lambda c=command: run([sys.executable, *c]), repeats)  # type: ignore[misc]
            for name, command in commands.items()
        }


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, after a first one that does not count."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def arithmetic(model: str | None, seconds: float, peaks: list[float]) -> dict[str, float]:
    """Return how much of a core's peak the network uses on a prepared batch."""
    needed = multiply_adds_of(load_model_file(model).content)
    reached = 2 * needed * INKS / seconds / 1e9
    peak = statistics.median(peaks)
    return {
        "network_multiply_adds": needed,
        "network_gflops": reached,
        "matrix_product_gflops": peak,
        "share": reached / peak,
    }


def memory(model: str | None, threads: int, given: dict[str, bytes]) -> dict[str, float]:
    """Return megabytes of a process after each step of using a recogniser, and its peak."""
    with as_files(given) as folder:
        command = [sys.executable, "-c", MEMORY, folder, str(threads), *([model] if model else [])]
        return json.loads(run(command))  # type: ignore[no-any-return]


def run(command: list[str]) -> str:
    """Run a process and return what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def describe(content: bytes) -> dict[str, Any]:
    """Return what a picture is."""
    image = Image.open(io.BytesIO(content))
    return {"format": image.format, "size": list(image.size), "bytes": len(content)}


if __name__ == "__main__":
    main()
