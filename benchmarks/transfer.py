"""What a network that has learnt one task brings to another: every shown direction, measured.

    python benchmarks/transfer.py --churchbooks FILE.npz [--usps FILE.npz] [--only NAME]

Results are kept after each repetition; the same command goes on where it stopped. Data that cannot
be fetched come from files: USPS with arrays x (N, 16, 16), y, split (0 training, 1 test); church
books (DIDA, Kusetogullari et al. 2020) with packed arrays data, offset, shape, label. Of the church
books one half served to find the settings of ``digitnet.transfer``; only the other is used here.
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
import torch
from numpy.typing import NDArray

import digitnet
from digitnet import ink
from digitnet.canonical import Canonical
from digitnet.datasets import Dataset, load_dataset
from digitnet.environment import environment
from digitnet.files import write_json
from digitnet.simulator import simulate
from digitnet.statistics import mean_interval, summarise
from digitnet.transfer.centred import centred
from digitnet.transfer.methods import TransferConfig
from digitnet.transfer.results import Repetition, Results
from digitnet.transfer.workflow import compare_transfer, fine_tune

RESULT = Path(__file__).parent.parent / "docs" / "results" / "transfer.json"
DIGITS = tuple(str(digit) for digit in range(10))
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
    parser.add_argument("--usps", type=Path, help="USPS, .npz; default: fetched")
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

    def known(self, part: str = "repetitions") -> tuple[Repetition, ...]:
        """Return what was measured before."""
        return tuple(Repetition(**row) for row in self.direction.get(part, ()))

    def write(self, **values: Any) -> None:
        """Add to the direction and write the file."""
        self.values["directions"][self.name] = {**self.direction, **values}
        # Without the command line, which names files of this machine.
        about = environment()
        self.values["environment"] = {k: v for k, v in about.items() if k != "command"}
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
    rows = list(kept.known())

    def note(repetition: Repetition) -> None:
        told(repetition)
        rows.append(repetition)
        kept.write(repetitions=[dataclasses.asdict(row) for row in rows])

    results = compare_transfer(
        data, source, config, known=kept.known(), on_repetition=note, on_message=print
    )
    kept.write(**_public(results))


def _public(results: Results) -> dict[str, Any]:
    """Return the results without any path of this machine."""
    values = results.as_dict()
    values["source"]["name"] = Path(values["source"]["name"]).name
    values["target"]["data"] = Path(values["target"]["data"]).name
    return values


def usps(kept: Kept, args: Any) -> None:
    """MNIST to US post codes."""
    measured(kept, read_usps(args.usps) if args.usps else "usps", "digitnet", args)


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
    """MNIST to the digits of old church books: the ink as it is found, and the one in the middle.

    Five splits of the pictures by recorded seeds; what is not learnt from is measured on.
    """
    whole, middle, labels = read_church(args.churchbooks)
    for part, images in (("whole", whole), ("centred", middle)):
        rows = list(kept.known(part))
        for split in range(SPLITS):
            known = {(r.method, r.labels) for r in rows if r.seed == split}
            if {("all", n) for n in CHURCH_LABELS} <= known:
                continue
            config = TransferConfig(
                methods=("zero-shot", "all", "scratch"),
                labels=CHURCH_LABELS,
                seeds=1,
                crops=True,
                threads=args.threads,
            )
            results = compare_transfer(
                church_split(images, labels, split),
                "digitnet",
                config,
                old_data="mnist",
                measure_old=True,
                on_repetition=told,
            )
            rows = [r for r in rows if r.seed != split]
            rows += [dataclasses.replace(r, seed=split) for r in results.repetitions]
            kept.write(**{part: [dataclasses.asdict(row) for row in rows]})
            kept.write(old_accuracy=results.old_accuracy, settings=results.settings)
    kept.write(errors=church_errors(kept), target={"data": "church books", "pictures": len(labels)})


def church_errors(kept: Kept) -> list[dict[str, Any]]:
    """Return, for each way to cut and learn, the error beside that of the untouched recogniser."""
    untouched = {r.seed: 1 - r.accuracy for r in kept.known("whole") if r.method == "zero-shot"}
    found = []
    for part in ("whole", "centred"):
        rows = kept.known(part)
        for method, labels in sorted({(r.method, r.labels) for r in rows}):
            mine = [r for r in rows if (r.method, r.labels) == (method, labels)]
            errors = [1 - r.accuracy for r in mine]
            low, high = mean_interval(errors)
            old = [r.old_accuracy for r in mine if r.old_accuracy is not None]
            found.append(
                {
                    "ink": part,
                    "method": method,
                    "labels": labels,
                    "error": summarise(errors).mean,
                    "low": low,
                    "high": high,
                    "of_untouched": summarise([1 - r.accuracy for r in mine]).mean
                    / summarise([untouched[r.seed] for r in mine]).mean,
                    "mnist_accuracy": summarise(old).mean if old else None,
                    "seconds": summarise([r.seconds for r in mine]).mean,
                }
            )
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
        about = json.loads((run.path / "transfer.json").read_text())
    names = ("images", "steps", "seconds", "old_accuracy_before", "old_accuracy_after", "old_data")
    kept.write(**{name: about[name] for name in names}, seconds_in_all=seconds)


def read_usps(file: Path) -> Dataset:
    """Return USPS from one file."""
    with np.load(file) as arrays:
        images = canonical(arrays["x"].astype(np.float32) / 255)
        labels, split = arrays["y"].astype(np.int64), arrays["split"]
    train, test = split == 0, split == 1
    return _dataset("usps", images[train], labels[train], images[test], labels[test])


def read_church(file: Path) -> tuple[Images, Images, NDArray[np.int64]]:
    """Return both cuts of the pictures of the half that is measured on, and their labels."""
    with np.load(file) as arrays:
        data, offset, shape = arrays["data"], arrays["offset"], arrays["shape"]
        labels = arrays["label"].astype(np.int64)
    order = np.random.default_rng(HALVES_SEED).permutation(len(labels))
    chosen = order[len(labels) // 2 :]
    print("finding the ink", flush=True)
    whole, middle = [], []
    for i in chosen:
        picture = data[offset[i] : offset[i + 1]].reshape(shape[i])
        found = ink.find(picture)
        whole.append(canonical(found.pixels[None])[0])
        middle.append(canonical(centred(found, *picture.shape).pixels[None])[0])
    return np.stack(whole), np.stack(middle), labels[chosen]


def church_split(images: Images, labels: NDArray[np.int64], seed: int) -> Dataset:
    """Set some pictures of each class aside to learn from; the others are test pictures."""
    rng = np.random.default_rng(seed)
    members = [rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    pool = np.concatenate([each[:CHURCH_POOL] for each in members])
    rest = np.concatenate([each[CHURCH_POOL:] for each in members])
    return _dataset("churchbooks", images[pool], labels[pool], images[rest], labels[rest])


def _dataset(
    name: str, train: Images, train_labels: Any, test: Images, test_labels: Any
) -> Dataset:
    return Dataset(name, train, train_labels, test, test_labels, DIGITS, {})


@torch.inference_mode()
def canonical(inks: NDArray[np.float32]) -> Images:
    """Return canonical images, uint8 (N, 28, 28), of inks (N, H, W)."""
    images = Canonical()(torch.from_numpy(inks)[:, None])[:, 0]
    stored: Images = (images.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()
    return stored


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
