"""How exactly and how fast numbers are read, beside RapidOCR in the same run.

Both get the same decoded pictures, one after the other, in processes of their own, on one thread;
RapidOCR has the models that come with its package, in a Python of its own. It reads each picture
twice: as a page whose lines it finds, and as one line (``rapidocr_line``). Sets are numbers by
UNIPEN's validation writers on simulated pages, and your own: .npz files as ``digitnet bench
robustness`` takes them, whose labels are numbers. Run it on an idle machine:

    make reading ARGS='my_numbers.npz'
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conditions import conditions
from digitnet.experiments.own_sets import own_sets
from digitnet.experiments.picture_sets import NUMBERS, NamedSet, PictureSet, built_in_sets
from digitnet.files import write_json
from digitnet.reading.pictures import decode
from digitnet.reading.recognizer import Recognizer
from digitnet.training.statistics import wilson_interval

HERE = Path(__file__).parent
RESULT = HERE.parent / "docs" / "results" / "reading.json"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_Answer = dict[str, Any]  # "texts" and "seconds" of each picture
READERS = ("digitnet", "rapidocr", "rapidocr_line")


def main() -> None:
    """Read the sets and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", type=Path, nargs="*", help="your own sets of numbers (.npz)")
    parser.add_argument("--peers", help="Python that has RapidOCR")
    parser.add_argument("--model", help="model file or run folder; default: the shipped one")
    parser.add_argument("--limit", type=int, help="most pictures of a set, chosen at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--own", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.own:
        print(json.dumps(read_packed(args.own, args.model)))
        return
    if not args.peers:
        parser.error("name the peers' Python with --peers, or run `make reading`")
    result = compare(args.sets, args.peers, args.model, args.limit, args.seed)
    write_json(args.out, result)
    for row in result["sets"]:
        name = row["part"] or row["name"]
        shares = ", ".join(
            f"{reader} {row[reader]['accuracy']:.1%} in {row[reader]['milliseconds']:.1f} ms"
            for reader in READERS
        )
        print(f"{name} ({row['pictures']}): {shares}")


def compare(
    paths: Sequence[Path], peers: str, model: str | None, limit: int | None, seed: int
) -> dict[str, Any]:
    """Let both read every set."""
    nothing = np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.int64)
    named = [each for each in built_in_sets(*nothing, seed) if each.group == NUMBERS]
    named += own_sets(paths)
    rows: list[dict[str, Any]] = []
    versions: dict[str, str] = {}
    for each in named:
        made = each.make()
        if made.texts is None:
            sys.exit(f"{each.name} is not a set of numbers: its labels are no texts.")
        order = np.random.default_rng(seed).permutation(made.count)[:limit]
        with tempfile.TemporaryDirectory() as folder:
            packed = Path(folder) / "pictures.npz"
            pack(made, order, packed)
            own = [sys.executable, __file__, "--own", str(packed)]
            ours = run([*own, *(["--model", model] if model else [])])
            theirs = run([peers, str(HERE / "peer_rapidocr.py"), str(packed)])
        versions = theirs.pop("versions")
        rows += rows_of(each, made, order, {"digitnet": ours, **theirs})
        print(f"{each.name}: {len(order)} pictures read", file=sys.stderr)
    return {
        "schema_version": 1,
        "sets": rows,
        "model_sha256": Recognizer(model).sha256,
        "versions": versions,
        "threads": 1,
        "limit": limit,
        "seed": seed,
        "environment": conditions(),
    }


def pack(made: PictureSet, order: NDArray[np.int64], path: Path) -> None:
    """Write pictures of a set, decoded, one after the other."""
    pictures = [decode(made.picture(number)) for number in order.tolist()]
    shape = np.array([each.shape for each in pictures])
    offset = np.concatenate([[0], shape.prod(axis=1).cumsum()])
    data = np.concatenate([each.ravel() for each in pictures])
    np.savez(path, data=data, offset=offset, shape=shape)


def read_packed(path: Path, model: str | None) -> _Answer:
    """Return what digitnet reads in packed pictures, and how long each took."""
    with np.load(path) as packed:
        data, offset, shape = (packed[name] for name in ("data", "offset", "shape"))
    recognizer = Recognizer(model, threads=1)
    pictures = [
        data[start:end].reshape(sides)
        for start, end, sides in zip(offset, offset[1:], shape, strict=False)
    ]
    recognizer.read(pictures[0])  # the first is slower
    texts, seconds = [], []
    for picture in pictures:
        started = time.perf_counter()
        text = recognizer.read(picture).text
        seconds.append(time.perf_counter() - started)
        texts.append(text)
    return {"texts": texts, "seconds": seconds}


def rows_of(
    named: NamedSet, made: PictureSet, order: NDArray[np.int64], answers: dict[str, _Answer]
) -> list[dict[str, Any]]:
    """Return what both read of a set, and of each of its parts."""
    assert made.texts is not None, "a set of numbers"
    truth = [made.texts[number] for number in order.tolist()]
    whole = np.ones(made.count, np.bool_)
    rows = []
    for part, chosen in [(None, whole), *made.parts]:
        places = np.flatnonzero(chosen[order]).tolist()
        if places:
            row = {"name": named.name, "part": part, "pictures": len(places)}
            rows.append(row | {who: scores(a, truth, places) for who, a in answers.items()})
    return rows


def scores(answer: _Answer, truth: Sequence[str], places: Sequence[int]) -> dict[str, Any]:
    """Return how many of some pictures are read exactly, and the median milliseconds of one.

    Where rows end does not count: RapidOCR may find several texts in one.
    """
    exact = sum(digits(answer["texts"][place]) == digits(truth[place]) for place in places)
    return {
        "exact": exact,
        "accuracy": exact / len(places),
        "interval": wilson_interval(exact, len(places)),
        "milliseconds": 1000 * statistics.median(answer["seconds"][place] for place in places),
    }


def digits(text: str) -> str:
    """Return a text without the ends of its rows."""
    return text.replace("\n", "")


def run(command: list[str]) -> dict[str, Any]:
    """Run a process on one thread and return the JSON on the last line it prints."""
    variables = os.environ | dict.fromkeys(THREADS, "1")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


if __name__ == "__main__":
    main()
