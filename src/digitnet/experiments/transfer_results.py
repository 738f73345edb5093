"""Ways to learn a new task: what a comparison compares, and what it measured.

    zero-shot  the network as it is; only where the classes are the same
    probe      a new last layer, fitted to features that stay as they are
    head       the dense layers are tuned, the convolutions stay as they are
    all        every layer is tuned, early ones at a lower rate
    scratch    the same network, begun from nothing: the rival

    results.json   everything, with settings, source and data
    results.csv    one row for each repetition

Guarantees: the settings of a method are the same for every data set; a ``TransferConfig`` that
exists is valid; ``TransferResults.from_dict(results.as_dict())`` gives the same. Nothing here
imports torch.

Intervals are Student's t over the repetitions, which each draw other images (where there are more
than all take) and start from another seed: where the mean of many more repetitions may lie on the
same test images. What is the same in each repetition is measured once and has Wilson's interval,
which is over the test images. Lower rates for early layers are the discriminative fine-tuning of
Howard and Ruder, "Universal language model fine-tuning for text classification" (ACL 2018).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, Self, get_args

from digitnet.errors import InputError, UsageError, unknown_name
from digitnet.files import write_json
from digitnet.network.config import LEAST_RATE, WARM_UP, AugmentationConfig, TrainConfig
from digitnet.training.runs import write_csv
from digitnet.training.statistics import mean_interval, summarise, wilson_interval

Method = Literal["zero-shot", "probe", "head", "all", "scratch"]
METHODS: tuple[Method, ...] = get_args(Method)
TUNED: tuple[Method, ...] = ("head", "all", "scratch")
# Labels of each class; 0 stands for all there are.
BUDGETS = (10, 30, 100, 300, 1000, 0)

SCHEMA_VERSION = 1

# What every network that is tuned has in common. The distortions are milder than those a network is
# first trained with: it knows what pens and paper do.
TUNING = TrainConfig(
    recipe="transfer",
    batch_size=64,
    optimizer="adamw",
    schedule="warm-cosine",
    weight_decay=0.02,
    label_smoothing=0.05,
    augmentation=AugmentationConfig(
        rotate=8, scale=0.15, shear=8, elastic=0.6, stroke=0.3, faults=0.02
    ),
)
# How fast a method's layers learn: the rate of the last one at the top of the schedule, and what a
# rate is multiplied by for the layer before it; 0 leaves the convolutions as they are.
RATES: dict[str, dict[str, float]] = {
    "head": {"learning_rate": 3e-3, "layer_decay": 0.0},
    "all": {"learning_rate": 4e-3, "layer_decay": 0.8},
    "scratch": {"learning_rate": 4e-3, "layer_decay": 1.0},
}
# Fraction of the steps, the last ones, over which the weights are averaged.
AVERAGED = 0.5
# Weight of reading old images as the source reads them.
REMEMBERING = 2.0
_REPLAY, _REPLAY_CROPS = 0.4, 0.2
_FEWEST_STEPS, _MOST_STEPS = 40, 400
# Looking past neighbours and ruled lines is more to learn than another handwriting.
_CROPS_STEPS = 3.5
_LIMITS = {"labels": (0, 1_000_000), "seeds": (1, 100), "replay": (0, 0.9), "steps": (0, 100_000)}


@dataclass(frozen=True, kw_only=True)
class TransferConfig:
    """What a comparison compares, and how a network is tuned.

    Args:
        methods: some of ``METHODS``.
        labels: images of each class to learn from; 0 takes all.
        seeds: how many repetitions; each draws other images.
        replay: fraction of each batch that is taken from the old task, 0 to 0.9; None takes 0.4, or
            0.2 with ``crops``, where there is more to learn.
        steps: updates of the weights; 0 lets the number of images decide.
        crops: whether the pictures are cut from rows of writing, with parts of their neighbours:
            only their middle is read, and the network is shown such rows.
        threads: CPU threads; 0 takes one a core.
    """

    methods: tuple[Method, ...] = METHODS
    labels: tuple[int, ...] = BUDGETS
    seeds: int = 3
    replay: float | None = None
    steps: int = 0
    crops: bool = False
    threads: int = 0

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in METHODS:
                raise unknown_name("method", method, METHODS)
        values = vars(self) | {"replay": self.replayed, "labels": min(self.labels)}
        for name, (low, high) in _LIMITS.items():
            # Written so that NaN fails too.
            if not low <= values[name] <= high:
                raise UsageError(
                    f"--{name} cannot be {values[name]!r}; allowed: from {low} to {high:,}."
                )

    @property
    def replayed(self) -> float:
        """The fraction of each batch that is taken from the old task."""
        return self.replay if self.replay is not None else _REPLAY_CROPS if self.crops else _REPLAY

    def steps_for(self, images: int) -> int:
        """Return how many steps to take with so many images of the new task."""
        # Four times the images deserve twice the steps: each image teaches less than the last.
        wanted = max(4 * math.sqrt(images), _FEWEST_STEPS) * (_CROPS_STEPS if self.crops else 1)
        return self.steps or min(round(wanted), _MOST_STEPS)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with everything that is fixed."""
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}
        shared = ("batch_size", "weight_decay", "label_smoothing", "schedule")
        values |= {name: getattr(TUNING, name) for name in shared}
        return values | {
            "replay": self.replayed,
            "warm_up": WARM_UP,
            "least_rate": LEAST_RATE,
            "averaged": AVERAGED,
            "remembering": REMEMBERING,
            "rates": RATES,
            "augmentation": dataclasses.asdict(TUNING.augmentation),
        }


def parse_budgets(text: str, flag: str = "--labels") -> tuple[int, ...]:
    """Return the label budgets of a text such as "10,30,all".

    Raises:
        UsageError: a part is neither a number from 1 nor "all".
    """
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part != "all" and not (part.isdecimal() and int(part)):
            raise UsageError(
                f"{flag} cannot have {part!r}; allowed: numbers of images of each class from 1, "
                "and 'all', such as 10,30,all."
            )
    return tuple(0 if part == "all" else int(part) for part in parts)


def budget_name(labels: int) -> str:
    """Return a label budget in words: "30", or "all"."""
    return f"{labels:,}" if labels else "all"


def in_order(budgets: set[int]) -> list[int]:
    """Return label budgets, smallest first and all (0) last."""
    return sorted(budgets, key=lambda labels: labels or math.inf)


@dataclass(frozen=True)
class Repetition:
    """One network, measured on the test images of the new task."""

    method: str
    labels: int
    """Images of each class it learned from; 0 stands for all, or for none with zero-shot."""
    seed: int
    images: int
    """Images it learned from."""
    steps: int
    seconds: float
    accuracy: float
    misses: int


@dataclass(frozen=True)
class MethodSummary:
    """The repetitions of a method with so many labels."""

    method: str
    labels: int
    images: int
    count: int
    accuracy: float
    sd: float
    low: float
    high: float
    """95 % interval: of the mean over repetitions, or, of a single network, Wilson's."""
    seconds: float


@dataclass
class TransferResults:
    """A comparison, complete or not; it grows while one runs."""

    source: dict[str, Any]
    target: dict[str, Any]
    settings: dict[str, Any]
    repetitions: list[Repetition] = field(default_factory=list)
    old_data: str | None = None
    old_accuracy: float | None = None
    """Of the source, before anything was tuned."""
    final: dict[str, Any] | None = None
    """The network that was kept: where it is, what it learned from, how good it is."""

    def budgets(self) -> list[int]:
        """Return the label budgets, smallest first and all (0) last."""
        return in_order({r.labels for r in self.repetitions if r.method != "zero-shot"})

    def summary(self, method: str, labels: int) -> MethodSummary | None:
        """Return mean and interval of a method with a budget, None where nothing was measured."""
        rows = [r for r in self.repetitions if (r.method, r.labels) == (method, labels)]
        if not rows:
            return None
        accuracies, images = [r.accuracy for r in rows], self.target["test_images"]
        low, high = wilson_interval(images - rows[0].misses, images)
        if len(rows) > 1:
            low, high = mean_interval(accuracies)
        return MethodSummary(
            **{name: getattr(rows[0], name) for name in ("method", "labels", "images")},
            count=len(rows),
            accuracy=fmean(accuracies),
            sd=summarise(accuracies).sd,
            low=max(low, 0.0),
            high=min(high, 1.0),
            seconds=fmean(r.seconds for r in rows),
        )

    def summaries(self) -> list[MethodSummary]:
        """Return all of them, in the order of methods and budgets."""
        budgets = in_order({r.labels for r in self.repetitions})
        return [each for m in METHODS for b in budgets if (each := self.summary(m, b))]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        summaries = [dataclasses.asdict(each) for each in self.summaries()]
        return {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self), "summary": summaries}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from ``as_dict``, also after a trip through JSON; other keys are ignored."""
        known = {f.name: values[f.name] for f in dataclasses.fields(cls)}
        names = [f.name for f in dataclasses.fields(Repetition)]
        rows = [Repetition(**{name: row[name] for name in names}) for row in known["repetitions"]]
        return cls(**known | {"repetitions": rows})

    def write(self, folder: Path) -> None:
        """Write ``results.json`` and ``results.csv``."""
        write_json(folder / "results.json", self.as_dict())
        names = [f.name for f in dataclasses.fields(Repetition)]
        write_csv(folder / "results.csv", names, map(dataclasses.astuple, self.repetitions))


def read_results(folder: Path) -> TransferResults | None:
    """Read ``results.json``; return None where there is none.

    Raises:
        InputError: it is not the results of a transfer.
    """
    file = folder / "results.json"
    if not file.is_file():
        return None
    try:
        return TransferResults.from_dict(json.loads(file.read_bytes()))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} does not hold the results of a transfer: {error}.") from error


def clear_gain(results: TransferResults, labels: int) -> int | None:
    """Return 1 if tuning all layers is clearly better than the start from scratch, -1 if worse.

    0 where their intervals overlap; None where one of them was not measured.
    """
    ours, rival = results.summary("all", labels), results.summary("scratch", labels)
    if not ours or not rival:
        return None
    return (ours.low > rival.high) - (rival.low > ours.high)
