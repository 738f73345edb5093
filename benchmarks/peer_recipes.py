"""Seconds to 99 %: digitnet's fast recipe beside those that are taught and published, in one run.

    make bench-peers

Each training has a process of its own. In a round each side trains once, one after the other, so
that a change of the machine's speed between rounds touches all of them alike. The sides:

- ``digitnet``: a recipe, by ``digitnet bench train``.
- ``one-epoch``: the fastest published recipe, one epoch of 215,194 parameters
  (tuomaso/train_mnist_fast).
- ``pytorch-example``, ``keras-example``: the networks and recipes of the kind that the official
  examples teach. They take minutes and are trained in the first rounds only.

All are written here from published facts. Images are in memory, 60,000 to train (Keras: the 54,000
that its example leaves after validation), and shuffled, where the examples use slower loaders and
PyTorch's, on a CPU, does not shuffle. Seconds are those of the training steps. What the first step
takes longer is ``starting``; ``whole`` is the time from the start of the process to the trained
network. After each epoch the test images are read, which is not counted, so that the first epoch to
reach the target can be told: of the peers that is a choice on the test images, in their favour.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from torch import Tensor, nn

from conditions import conditions
from digitnet import load_dataset
from digitnet.data.dataset import Dataset
from digitnet.experiments.bench_results import spread
from digitnet.files import write_json
from digitnet.machine import usable_cores
from timing import starting, summary, told_by

HERE = Path(__file__).parent
RESULT = HERE.parent / "docs" / "results" / "records" / "peers.json"
MEAN, STD = 0.1307, 0.3081
SLOW = ("pytorch-example", "keras-example")


@dataclass(frozen=True)
class Peer:
    """A network and how it is trained."""

    network: Callable[[], nn.Module]
    batch: int
    epochs: int
    optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer]
    schedule: Callable[[torch.optim.Optimizer, int], torch.optim.lr_scheduler.LRScheduler]
    """Of the optimizer and the steps of an epoch; moved on after every step."""


def one_epoch_network() -> nn.Module:
    """Return 215,194 parameters: two convolutions, two dense layers."""
    return nn.Sequential(
        *(nn.Conv2d(1, 24, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(24, 32, 3), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(800, 256), nn.ReLU(), nn.Linear(256, 10)),
    )


def example_network() -> nn.Module:
    """Return 1,199,882 parameters: two convolutions, one pooling, two dense layers, dropout."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten()),
        *(nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )


PEERS = {
    "one-epoch": Peer(
        one_epoch_network,
        batch=256,
        epochs=1,
        optimizer=lambda weights: torch.optim.Adam(weights, lr=1e-2, betas=(0.7, 0.9)),
        schedule=lambda optimizer, steps: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=1e-2, total_steps=steps, cycle_momentum=False
        ),
    ),
    "pytorch-example": Peer(
        example_network,
        batch=64,
        epochs=14,
        optimizer=lambda weights: torch.optim.Adadelta(weights, lr=1.0),
        # A factor of 0.7 after each epoch.
        schedule=lambda optimizer, steps: torch.optim.lr_scheduler.StepLR(optimizer, steps, 0.7),
    ),
}


def main() -> None:
    """Run the rounds and write the result, or train one peer in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="fast", help="digitnet's recipe")
    parser.add_argument("--peers", help="Python that has Keras and TensorFlow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=1, help="in which the examples train")
    parser.add_argument("--epochs", type=int, help="train the peers no longer than this")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--target", type=float, default=0.99)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("flags", nargs="*", help="after --: settings of digitnet's recipe")
    parser.add_argument("--own", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.own:
        torch.set_num_threads(args.threads)
        told = train(PEERS[args.own], load_dataset(args.data), args.seed, args.epochs)
        print(json.dumps(told | {"whole": time.time() - args.began - told["evaluating"]}))
        return
    write_json(args.out, compare(args))


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """Train every side in turn, round by round."""
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if args.peers:
            save(load_dataset(args.data), Path(folder) / "data.npz")
        for number in range(args.rounds):
            for name in ("digitnet", *PEERS, *["keras-example"] * bool(args.peers)):
                if name not in SLOW or number < args.slow_rounds:
                    runs.setdefault(name, []).append(trained(name, args, number, Path(folder)))
                    last = runs[name][-1]
                    print(
                        f"round {number + 1}/{args.rounds}, {name}: {last['accuracy'][-1]:.2%} "
                        f"after {last['seconds'][-1]:.1f} s",
                        file=sys.stderr,
                    )
    return {
        "schema_version": 1,
        "kind": "peers",
        "recipe": args.recipe,
        "rounds": args.rounds,
        "threads": args.threads,
        "target": args.target,
        "sides": {name: side(each, args.target) for name, each in runs.items()},
        "one_epoch_over_digitnet": summary(
            [
                theirs["seconds"][-1] / ours["seconds"][-1]
                for ours, theirs in zip(runs["digitnet"], runs["one-epoch"], strict=True)
            ]
        ),
        "environment": conditions(),
    }


def side(runs: list[dict[str, Any]], target: float) -> dict[str, Any]:
    """Return what the trainings of one side say together."""
    return {
        "parameters": runs[0]["parameters"],
        "epochs": len(runs[0]["accuracy"]),
        "accuracy": spread([run["accuracy"][-1] for run in runs]),
        "seconds": summary([run["seconds"][-1] for run in runs]),
        "whole": summary([run["whole"] for run in runs]),
        # Of each training, the seconds after the first epoch that reaches the target.
        "seconds_to_target": [
            next(
                (s for s, a in zip(run["seconds"], run["accuracy"], strict=True) if a >= target),
                None,
            )
            for run in runs
        ],
        "runs": runs,
    }


def trained(name: str, args: argparse.Namespace, seed: int, folder: Path) -> dict[str, Any]:
    """Return the figures of one training of a side."""
    if name == "digitnet":
        return digitnet(args, seed, folder / str(seed))
    if name == "keras-example":
        return keras(args, folder / "data.npz", seed)
    return peer(args, name, seed)


def digitnet(args: argparse.Namespace, seed: int, folder: Path) -> dict[str, Any]:
    """Train digitnet's recipe and return its figures in the form of a peer's."""
    command = [sys.executable, "-m", "digitnet", "bench", "train", "--recipe", args.recipe]
    command += ["--data", args.data, "--seeds", "1", "--seed", str(seed), "--out", str(folder)]
    command += ["--threads", str(args.threads), "--json", "--quiet", *args.flags]
    result = told_by(command)
    row, phases = result["runs"][0], result["runs"][0]["phases"]
    apart = phases["validating"] + phases["measuring"]
    return {
        "seed": seed,
        "parameters": result["parameters"],
        # Its test images are read once.
        "seconds": [row["seconds"]],
        "accuracy": [row["test_accuracy"]],
        "starting": phases["starting"],
        "evaluating": apart,
        "whole": sum(phases.values()) - apart,
    }


def peer(args: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """Train a peer in a process of its own."""
    command = [sys.executable, __file__, "--own", name, "--seed", str(seed), "--data", args.data]
    command += ["--threads", str(args.threads), "--began", str(time.time())]
    return told_by(command + (["--epochs", str(args.epochs)] if args.epochs else []))


def keras(args: argparse.Namespace, data: Path, seed: int) -> dict[str, Any]:
    """Train the example of Keras with the peers' own Python."""
    command = [args.peers, str(HERE / "peer_keras.py"), "example", str(data), str(args.threads)]
    return told_by([*command, str(seed), str(args.epochs or 15), str(time.time())])


def train(peer: Peer, dataset: Dataset, seed: int, epochs: int | None = None) -> dict[str, Any]:
    """Train a peer, reading the test images after each epoch."""
    images, labels = tensors(dataset.train_images, dataset.train_labels)
    test, test_labels = tensors(dataset.test_images, dataset.test_labels)
    torch.manual_seed(seed)
    network = peer.network()
    optimizer = peer.optimizer(network.parameters())
    schedule = peer.schedule(optimizer, -(-len(images) // peer.batch))
    seconds, evaluating, slow = [0.0], 0.0, 0.0
    accuracies: list[float] = []
    for epoch in range(min(peer.epochs, epochs or peer.epochs)):
        began = time.perf_counter()
        ends: list[float] = []
        network.train()
        for batch in torch.split(torch.randperm(len(images)), peer.batch):
            loss = F.cross_entropy(network(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            ends.append(time.perf_counter())
        slow = slow if epoch else starting(began, ends)
        seconds.append(seconds[-1] + ends[-1] - began - (0 if epoch else slow))
        accuracies.append(accuracy(network, test, test_labels))
        evaluating += time.perf_counter() - ends[-1]
    return {
        "seed": seed,
        "parameters": sum(weights.numel() for weights in network.parameters()),
        "seconds": seconds[1:],
        "accuracy": accuracies,
        "starting": slow,
        "evaluating": evaluating,
    }


def tensors(images: Any, labels: Any) -> tuple[Tensor, Tensor]:
    """Return images, float32 (N, 1, 28, 28), normalised; and their labels."""
    scaled = torch.from_numpy(images).unsqueeze(1).float().div_(255)
    return scaled.sub_(MEAN).div_(STD), torch.from_numpy(labels)


def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images that are read correctly."""
    network.eval()
    with torch.inference_mode():
        said = torch.cat([network(part).argmax(1) for part in torch.split(images, 1000)])
    return float((said == labels).double().mean())


def save(dataset: Dataset, path: Path) -> None:
    """Write all images and labels for a Python that has no digitnet."""
    parts = ("train_images", "train_labels", "test_images", "test_labels")
    np.savez(path, **{name: getattr(dataset, name) for name in parts})


if __name__ == "__main__":
    main()
