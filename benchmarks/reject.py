"""Which score tells digits from everything else? Several methods on one trained network.

Validation digits of the run against non-digits: drawings of the kinds it was trained on, with
another seed, and kinds that it never saw (digits cut up and put together wrongly, or laid over each
other). No test image and no data set of the benchmarks is read.

Methods, on one forward pass:

- probability: 1 - the largest probability (Hendrycks and Gimpel, ICLR 2017)
- logit: minus the largest logit (Hendrycks et al., ICML 2022)
- energy: minus the log-sum-exp of the logits (Liu et al., NeurIPS 2020)
- neighbours: distance to the 50th nearest training digit, in normalised features (Sun et al.,
  ICML 2022)
- mahalanobis: relative Mahalanobis distance of the features (Ren et al., 2021)
- gram: deviation of channel correlations from those of the class (Sastry and Oore, ICML 2020), the
  second power, layer by layer
- extra class: log odds of the output that was trained on non-digits, against the digits
- extra class and energy: the sum of both
- extra class and half the energy: what is shipped
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor, nn

from conditions import conditions
from digitnet import load_dataset, load_model, open_run
from digitnet.data.dataset import split_train_val
from digitnet.experiments.robustness_scores import auroc
from digitnet.files import write_json
from digitnet.network.canonical import Canonical
from digitnet.network.cnn import CNN, to_float
from digitnet.network.ensemble import ENERGY
from digitnet.synthesis.nondigits import KINDS, draw_non_digits

ROOT = Path(__file__).parent.parent
SEED = 20_000
NEIGHBOURS = 50
Scores = dict[str, NDArray[np.float64]]


class Outputs:
    """What the methods use, for one set of inks."""

    def __init__(self, model: CNN, inks: NDArray[np.uint8]) -> None:
        logits, features, maps = [], [], []
        with torch.inference_mode():
            for batch in torch.split(torch.from_numpy(inks), 500):
                image = Canonical()(to_float(batch))
                maps.append(_gram(model, image))
                features.append(model.features_of(image))
                logits.append(model.head[-1](features[-1]))
        self.all_logits = torch.cat(logits).double().numpy()
        self.logits = self.all_logits[:, : model.config.num_classes]
        self.features = torch.cat(features).double().numpy()
        self.gram = [torch.cat(layer).numpy() for layer in zip(*maps, strict=True)]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The digit with the largest logit, (N,)."""
        return np.asarray(self.logits.argmax(1))


def _gram(model: CNN, image: Tensor) -> list[Tensor]:
    """Return the correlations of channels after each block, (N, pairs) each."""
    x = (image - model.mean) / model.std
    found = []
    for block in model.blocks:
        assert isinstance(block, nn.Sequential)
        x = block(x)
        flat = x.flatten(2)
        products = flat @ flat.transpose(1, 2)
        upper = torch.triu_indices(flat.shape[1], flat.shape[1])
        found.append((products[:, upper[0], upper[1]] / flat.shape[2]).half())
    return found


class Methods:
    """The scores, fitted on training digits where they need fitting."""

    def __init__(self, train: Outputs, labels: NDArray[np.int64]) -> None:
        self.train, self.labels = train, labels
        self.unit = _unit(train.features)
        means = np.stack([train.features[labels == c].mean(0) for c in range(10)])
        self.within = (means, _precision(train.features - means[labels]))
        middle = train.features.mean(0)
        self.whole = (middle[None], _precision(train.features - middle))
        self.ranges = [_ranges(layer, train.predicted) for layer in train.gram]

    def scores(self, outputs: Outputs) -> Scores:
        """Return each method's score, (N,), larger is stranger."""
        energy = -logsumexp(outputs.logits, axis=1)
        probability = np.exp(outputs.logits.max(1) + energy)
        extra = outputs.all_logits[:, -1] + energy
        return {
            "probability": 1 - probability,
            "logit": -outputs.logits.max(1),
            "energy": energy,
            "neighbours": self._neighbours(outputs.features),
            "mahalanobis": _mahalanobis(outputs.features, *self.within).min(1)
            - _mahalanobis(outputs.features, *self.whole)[:, 0],
            "gram": self._gram(outputs),
            "extra class": extra,
            "extra class and energy": extra + energy,
            "extra class and half the energy": extra + ENERGY * energy,
        }

    def _neighbours(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        distances = np.concatenate(
            [
                np.sort(2 - 2 * part @ self.unit.T, axis=1)[:, NEIGHBOURS - 1]
                for part in np.array_split(_unit(features), max(1, len(features) // 500))
            ]
        )
        return np.asarray(np.sqrt(np.maximum(distances, 0)))

    def _gram(self, outputs: Outputs) -> NDArray[np.float64]:
        total = np.zeros(len(outputs.logits))
        for layer, (low, high) in zip(outputs.gram, self.ranges, strict=True):
            values = layer.astype(np.float32)
            bottom, top = low[outputs.predicted], high[outputs.predicted]
            below = np.maximum(bottom - values, 0) / np.maximum(np.abs(bottom), 1e-3)
            above = np.maximum(values - top, 0) / np.maximum(np.abs(top), 1e-3)
            total += (below + above).mean(1)
        return total


def _ranges(layer: NDArray[np.float16], predicted: NDArray[np.int64]) -> Any:
    low = np.stack([layer[predicted == c].min(0) for c in range(10)]).astype(np.float32)
    high = np.stack([layer[predicted == c].max(0) for c in range(10)]).astype(np.float32)
    return low, high


def _unit(features: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, 1e-9))


def _precision(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    covariance = centred.T @ centred / len(centred)
    return np.asarray(np.linalg.pinv(covariance + 1e-6 * np.eye(len(covariance))))


def _mahalanobis(
    features: NDArray[np.float64], means: NDArray[np.float64], precision: NDArray[np.float64]
) -> NDArray[np.float64]:
    distances = []
    for mean in means:
        away = features - mean
        distances.append((away @ precision * away).sum(1))
    return np.stack(distances, 1)


def unseen(digits: NDArray[np.uint8], seed: int, count: int) -> dict[str, NDArray[np.uint8]]:
    """Return non-digits of kinds that training does not use, made from validation digits."""
    random = np.random.default_rng(seed)
    chosen = digits[random.integers(len(digits), size=count)]
    quarters = [chosen[:, y : y + 14, x : x + 14] for y in (0, 14) for x in (0, 14)]
    order = (3, 0, 1, 2)
    rows = [np.concatenate([quarters[i] for i in pair], 2) for pair in (order[:2], order[2:])]
    other = digits[random.integers(len(digits), size=count)]
    return {
        "quarters exchanged": np.concatenate(rows, 1),
        "two laid over each other": np.maximum(np.rot90(chosen, 1, (1, 2)), other),
        "halves of two digits": np.concatenate(
            (chosen[:, :14], np.rot90(other, 1, (1, 2))[:, 14:]), 1
        ),
    }


def measure(run_path: Path) -> dict[str, Any]:
    """Return the AUROC of each method for each kind of non-digit."""
    run = open_run(run_path)
    model, dataset = load_model(run.model_file), load_dataset(run.config.data)
    train, val = split_train_val(
        dataset.train_labels, val_fraction=run.config.val_fraction, seed=run.config.split_seed
    )
    train = train[:20_000]
    methods = Methods(Outputs(model, dataset.train_images[train]), dataset.train_labels[train])
    digits = methods.scores(Outputs(model, dataset.train_images[val]))
    drawn, names = draw_non_digits(len(KINDS) * 300, SEED, dataset.train_images[val])
    sets = {kind: drawn[[name == kind for name in names]] for kind in KINDS}
    seen, new = list(sets), unseen(dataset.train_images[val], SEED, 600)
    rows = {}
    for kind, inks in (sets | new).items():
        scores = methods.scores(Outputs(model, inks))
        rows[kind] = {name: auroc(scores[name], digits[name]) for name in scores}
    return {
        "schema_version": 1,
        "environment": conditions(),
        "recipe": run.config.recipe,
        "model_sha256": run.model_sha256,
        "digits": len(val),
        "seen": seen,
        "unseen": list(new),
        "auroc": rows,
    }


def main() -> None:
    """Measure and write docs/results/reject.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path, help="a finished run of a recipe with --reject")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "reject.json")
    arguments = parser.parse_args()
    result = measure(arguments.run)
    write_json(arguments.out, result)
    for kind, row in result["auroc"].items():
        print(f"{kind:26}", json.dumps({name: round(value, 4) for name, value in row.items()}))


if __name__ == "__main__":
    main()
