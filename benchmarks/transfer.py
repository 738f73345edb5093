"""What a network that has learnt one task brings to another: every shown direction, measured.

    python benchmarks/transfer.py --churchbooks FILE.npz [--only NAME]

Results are kept after each repetition; the same command goes on where it stopped. Church books
(DIDA, Kusetogullari et al. 2020) come from a file with packed arrays data, offset, shape, label.
One half of them served to find the settings in ``transfer_results``; only the other half
is used here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import digitnet
from conditions import conditions
from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import Dataset
from digitnet.experiments.transfer_results import Repetition, TransferConfig, TransferResults
from digitnet.experiments.transfer_run import compare, fine_tune, no_results
from digitnet.experiments.transfer_task import open_task
from digitnet.files import write_json
from digitnet.reading.model_file import load_model_file
from digitnet.reading.pictures import load
from digitnet.reading.recognizer import Recognizer
from digitnet.synthesis.photographs import simulate
from digitnet.training.calibration import export_run
from digitnet.training.statistics import mean_interval, summarise
from digitnet.training.trained import Options

RESULT = Path(__file__).parent.parent / "docs" / "results" / "transfer.json"
# The half of the church books that settings were found on is the first of this order.
HALVES_SEED = 12345
SPLITS = 5
CHURCH_LABELS = (5, 30)
# Of each class in the half that is measured on; the others are test pictures.
CHURCH_POOL = 45

Images = NDArray[np.uint8]


def main() -> None:
    """Measure what was asked for, and what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", action="append", choices=sorted(DIRECTIONS))
    parser.add_argument("--churchbooks", type=Path, help="church books, .npz")
    parser.add_argument("--fashion-model", type=Path, help="run trained on Fashion-MNIST")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    kept = json.loads(args.out.read_text()) if args.out.is_file() else {"directions": {}}
    for name in args.only or DIRECTIONS:
        if name == "churchbooks" and not args.churchbooks:
            print("churchbooks: left out; name their file with --churchbooks")
            continue
        print(f"--- {name}")
        DIRECTIONS[name](Kept(kept, name, args.out), args)


class Kept:
    """The result file, and one direction in it."""

    def __init__(self, values: dict[str, Any], name: str, file: Path) -> None:
        self.values, self.name, self.file = values, name, file

    @property
    def direction(self) -> dict[str, Any]:
        """What is known of the direction."""
        found: dict[str, Any] = self.values["directions"].get(self.name, {})
        return found

    def known(self, source: str) -> tuple[Repetition, ...]:
        """Return what was measured before, with the network that has this SHA-256."""
        before = self.direction.get("source", {}).get("sha256")
        rows = self.direction.get("repetitions", ()) if before == source else ()
        names = [field.name for field in dataclasses.fields(Repetition)]
        return tuple(Repetition(**{name: row[name] for name in names}) for row in rows)

    def write(self, **values: Any) -> None:
        """Add to the direction and write the file."""
        self.values["directions"][self.name] = {**self.direction, **values}
        self.values["environment"] = conditions()
        write_json(self.file, self.values)


def told(repetition: Repetition) -> None:
    """Print one repetition."""
    print(
        f"{repetition.method:<10}{repetition.labels or 'all':>6}  seed {repetition.seed}  "
        f"{repetition.accuracy:.4f}  {repetition.seconds:.1f} s",
        flush=True,
    )


def measured(kept: Kept, data: Dataset | str, source: str, args: Any, **settings: Any) -> None:
    """Compare all ways to learn ``data`` and keep what comes out."""
    config = TransferConfig(**{"seeds": args.seeds, "threads": args.threads, **settings})
    task = open_task(data, source, config, options=Options(on_message=print))
    results = no_results(task)
    known = kept.known(results.source["sha256"])
    results.repetitions += known
    for repetition in compare(task, known):
        told(repetition)
        results.repetitions.append(repetition)
        kept.write(**_public(results))


def _public(results: TransferResults) -> dict[str, Any]:
    """Return the results without any path of this machine."""
    values = results.as_dict()
    values["source"]["name"] = Path(values["source"]["name"]).name
    values["target"]["data"] = Path(values["target"]["data"]).name
    return values


def usps(kept: Kept, args: Any) -> None:
    """MNIST to US post codes."""
    measured(kept, "usps", "digitnet", args)


def digits8x8(kept: Kept, args: Any) -> None:
    """MNIST to scikit-learn's digits of 8 by 8 pixels."""
    measured(kept, "digits8x8", "digitnet", args)


def fashion(kept: Kept, args: Any) -> None:
    """MNIST to clothes."""
    measured(kept, "fashion_mnist", "digitnet", args)


def from_fashion(kept: Kept, args: Any) -> None:
    """Clothes to MNIST, from a reference network that knows clothes."""
    folder = args.fashion_model or Path(tempfile.gettempdir()) / "digitnet-fashion"
    if not (folder / "model.safetensors").is_file():
        print("training a network on Fashion-MNIST")
        digitnet.train(
            "reference", out=folder, data="fashion_mnist", epochs=5, threads=args.threads
        )
    measured(kept, "mnist", str(folder), args)


def church(kept: Kept, args: Any) -> None:
    """MNIST to the digits of old church books, all the way from picture to answer.

    Five splits of the pictures by recorded seeds; what is not learnt from is measured on.
    """
    pictures, labels = read_church(args.churchbooks)
    source = load_model_file().sha256
    rows = list(kept.direction["rows"]) if kept.direction.get("model_sha256") == source else []
    for split in range(SPLITS):
        if any(row["split"] == split for row in rows):
            continue
        with tempfile.TemporaryDirectory() as place:
            folder = church_folder(Path(place) / "church_books", pictures, labels, split)
            rows += [{"split": split, **row} for row in church_rows(folder, split, args.threads)]
        kept.write(rows=rows, model_sha256=source)
    about = {"data": "church books", "pictures": len(labels)}
    kept.write(summary=church_summary(rows), settings=_church_config().as_dict(), target=about)


def church_rows(folder: Path, split: int, threads: int) -> list[dict[str, Any]]:
    """Return what each way to learn one split came to; the first is the untouched recogniser."""
    untouched = {"way": "untouched", "labels": 0, "error": recognized(Recognizer(), folder)}
    rows = [untouched]
    for each in compare(open_task(folder, config=_church_config(threads), old_data="mnist")):
        told(each)
        rows.append({"way": each.method, "labels": each.labels, "error": 1 - each.accuracy})
    for count in CHURCH_LABELS:
        settings: dict[str, Any] = {"labels": count, "seed": split, "threads": threads}
        run = fine_tune(
            folder,
            out=folder.parent / f"run{count}",
            crops=True,
            old_data="mnist",
            on_message=print,
            **settings,
        )
        export_run(run)
        about = run.transfer
        assert about is not None, "a tuned run says where it comes from"
        rows.append(
            {
                "way": "all",
                "labels": count,
                "error": recognized(Recognizer(run.path), folder),
                "seconds": about["seconds"],
                "old_accuracy_before": about["old_accuracy_before"],
                "old_accuracy_after": about["old_accuracy_after"],
            }
        )
    return rows


def _church_config(threads: int = 0) -> TransferConfig:
    return TransferConfig(
        methods=("zero-shot", "scratch"),
        labels=CHURCH_LABELS,
        seeds=1,
        crops=True,
        threads=threads,
    )


def recognized(recognizer: Recognizer, folder: Path) -> float:
    """Return the share of a folder's test pictures that are read as another class."""
    wrong = []
    for part in sorted((folder / "test").iterdir()):
        answers = recognizer.predict_many(sorted(part.iterdir()))
        wrong += [answer.label != part.name for answer in answers]
    return float(np.mean(wrong))


def church_summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each way to learn, the error beside that of the untouched recogniser."""
    untouched = summarise([row["error"] for row in rows if row["way"] == "untouched"]).mean
    found = []
    for way, labels in sorted({(row["way"], row["labels"]) for row in rows}):
        mine = [row for row in rows if (row["way"], row["labels"]) == (way, labels)]
        errors = [row["error"] for row in mine]
        low, high = mean_interval(errors)
        values = {"way": way, "labels": labels, "error": summarise(errors).mean}
        values |= {"low": low, "high": high, "of_untouched": values["error"] / untouched}
        for name in ("seconds", "old_accuracy_before", "old_accuracy_after"):
            if name in mine[0]:
                values[name] = summarise([row[name] for row in mine]).mean
        found.append(values)
    return found


def own_folder(kept: Kept, args: Any) -> None:
    """A folder with five pictures of each digit, as photographed at home, to a run folder."""
    sample = load_dataset("sample")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "my_digits"
        for digit in range(10):
            (folder / str(digit)).mkdir(parents=True)
            for number, index in enumerate(np.flatnonzero(sample.test_labels == digit)[:5]):
                photo = simulate(sample.test_images[index], "squared", 0, int(index))
                suffix = "png" if photo[:4] == b"\x89PNG" else "jpg"
                (folder / str(digit) / f"{number}.{suffix}").write_bytes(photo)
        started = time.perf_counter()
        run = fine_tune(folder, out=Path(place) / "run", threads=args.threads)
        seconds = time.perf_counter() - started
        about = run.transfer
    assert about is not None, "a tuned run says where it comes from"
    names = ("images", "steps", "seconds", "old_accuracy_before", "old_accuracy_after", "old_data")
    kept.write(**{name: about[name] for name in names}, seconds_in_all=seconds)


def read_church(file: Path) -> tuple[list[Images], NDArray[np.int64]]:
    """Return the pictures of the half that is measured on, and their labels.

    Those in which nothing is found are left out: a folder of pictures refuses them.
    """
    with np.load(file) as arrays:
        data, offset, shape = arrays["data"], arrays["offset"], arrays["shape"]
        labels = arrays["label"].astype(np.int64)
    order = np.random.default_rng(HALVES_SEED).permutation(len(labels))
    chosen = order[len(labels) // 2 :]
    pictures = {i: data[offset[i] : offset[i + 1]].reshape(shape[i]) for i in chosen}
    recognizer = Recognizer()
    seen = (recognizer.seen_in(load(pictures[i]), crops=True, signs=True) for i in chosen)
    kept = [i for i, image in zip(chosen, seen, strict=True) if image is not None]
    print(f"{len(chosen) - len(kept)} of {len(chosen):,} pictures left out: nothing found")
    return [pictures[i] for i in kept], labels[kept]


def church_folder(
    folder: Path, pictures: list[Images], labels: NDArray[np.int64], seed: int
) -> Path:
    """Write a folder of pictures: some of each class to learn from, the others to test with."""
    rng = np.random.default_rng(seed)
    for digit in range(10):
        members = rng.permutation(np.flatnonzero(labels == digit))
        for place, index in enumerate(members):
            part = "train" if place < CHURCH_POOL else "test"
            (folder / part / str(digit)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures[index]).save(folder / part / str(digit) / f"{index}.png")
    return folder


DIRECTIONS: dict[str, Callable[[Kept, Any], None]] = {
    "mnist_to_usps": usps,
    "mnist_to_digits8x8": digits8x8,
    "mnist_to_fashion": fashion,
    "fashion_to_mnist": from_fashion,
    "churchbooks": church,
    "own_folder": own_folder,
}

if __name__ == "__main__":
    main()
