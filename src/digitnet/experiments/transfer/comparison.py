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
than all take) and start from another seed: how far another repetition may lie on the same test
images. What is the same in each repetition is measured once and has Wilson's interval, which is
over the test images. Lower rates for early layers are the discriminative fine-tuning of Howard and
Ruder, "Universal language model fine-tuning for text classification" (ACL 2018).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from digitnet.errors import InputError, UsageError, unknown_name
from digitnet.files import storage_errors, write_json
from digitnet.network.config import LEAST_RATE, WARM_UP, AugmentationConfig
from digitnet.training.runs import write_csv
from digitnet.training.statistics import mean_interval, summarise, wilson_interval

Method = Literal["zero-shot", "probe", "head", "all", "scratch"]
METHODS: tuple[Method, ...] = ("zero-shot", "probe", "head", "all", "scratch")
TUNED: tuple[Method, ...] = ("head", "all", "scratch")
# Labels of each class; 0 stands for all there are.
BUDGETS = (10, 30, 100, 300, 1000, 0)

SCHEMA_VERSION = 1
RESULTS_FILE = "results.json"

BATCH_SIZE = 64
WEIGHT_DECAY = 0.02
LABEL_SMOOTHING = 0.05
# Fraction of the steps, the last ones, over which the weights are averaged.
AVERAGED = 0.5
# Weight of reading old images as the source reads them, and the temperature it is compared at.
REMEMBERING, TEMPERATURE = 2.0, 2.0
_REPLAY, _REPLAY_CROPS = 0.4, 0.2
_FEWEST_STEPS, _MOST_STEPS = 40, 400
# Looking past neighbours and ruled lines is more to learn than another handwriting.
_CROPS_STEPS = 3.5

# Milder than a network is first trained with: it knows what pens and paper do.
AUGMENTATION = AugmentationConfig(
    rotate=8, scale=0.15, shear=8, elastic=0.6, stroke=0.3, faults=0.02
)


# How fast a method's layers learn: the rate of the last one at the top of the schedule, and what a
# rate is multiplied by for the layer before it; 0 leaves the convolutions as they are.
RATES: dict[str, dict[str, float]] = {
    "head": {"learning_rate": 3e-3, "layer_decay": 0.0},
    "all": {"learning_rate": 4e-3, "layer_decay": 0.8},
    "scratch": {"learning_rate": 4e-3, "layer_decay": 1.0},
}


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
                raise unknown_name("method", str(method), METHODS)
        if len(set(self.methods)) < max(len(self.methods), 1):
            raise UsageError("--methods names none, or one twice; name each at most once.")
        if not self.labels or any(type(n) is not int or n < 0 for n in self.labels):
            raise UsageError(
                f"--labels cannot be {list(self.labels)}; allowed: numbers of images of each "
                "class, from 1, and 'all'."
            )
        # Written so that NaN fails too.
        if not 0 <= self.replayed <= 0.9:
            raise UsageError(f"--replay cannot be {self.replay}; allowed: from 0 to 0.9.")
        for name, low, high in (("seeds", 1, 100), ("steps", 0, 100_000), ("threads", 0, 1024)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise UsageError(f"--{name} cannot be {value!r}; allowed: from {low} to {high:,}.")

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
        fixed = {
            "batch_size": BATCH_SIZE,
            "weight_decay": WEIGHT_DECAY,
            "label_smoothing": LABEL_SMOOTHING,
            "schedule": "warm-cosine",
            "warm_up": WARM_UP,
            "least_rate": LEAST_RATE,
            "averaged": AVERAGED,
            "remembering": REMEMBERING,
            "rates": RATES,
            "augmentation": dataclasses.asdict(AUGMENTATION),
        }
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}
        return values | {"replay": self.replayed} | fixed


def parse_budgets(text: str, flag: str = "--labels") -> tuple[int, ...]:
    """Return the label budgets of a text such as "10,30,all".

    Raises:
        UsageError: a part is neither a number from 1 nor "all".
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts or ["nothing"]:
        if part != "all" and not (part.isdecimal() and int(part)):
            raise UsageError(
                f"{flag} cannot have {part!r}; allowed: numbers of images of each class from 1, "
                "and 'all', such as 10,30,all."
            )
    return tuple(0 if part == "all" else int(part) for part in parts)


def budget_name(labels: int) -> str:
    """Return a label budget in words: "30", or "all"."""
    return f"{labels:,}" if labels else "all"


@dataclass(frozen=True)
class Repetition:
    """One network, measured on the test images of the new task and of the old one."""

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
    old_accuracy: float | None = None
    """On the old task; None where it was not measured."""


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
    old_accuracy: float | None
    seconds: float


@dataclass(frozen=True)
class TransferResults:
    """A comparison, complete or not."""

    source: dict[str, Any]
    target: dict[str, Any]
    settings: dict[str, Any]
    repetitions: tuple[Repetition, ...]
    old_data: str | None = None
    old_accuracy: float | None = None
    """Of the source, before anything was tuned."""
    final: dict[str, Any] | None = None
    """The network that was kept: where it is, what it learned from, how good it is."""

    def budgets(self) -> list[int]:
        """Return the label budgets, smallest first and all (0) last."""
        learned = {r.labels for r in self.repetitions if r.method != "zero-shot"}
        return sorted(learned, key=lambda labels: (labels == 0, labels))

    def of(self, method: str, labels: int) -> list[Repetition]:
        """Return the repetitions of a method with a budget."""
        return [r for r in self.repetitions if (r.method, r.labels) == (method, labels)]

    def summary(self, method: str, labels: int) -> MethodSummary | None:
        """Return mean and interval of a method with a budget, None where nothing was measured."""
        rows = self.of(method, labels)
        if not rows:
            return None
        accuracies = [r.accuracy for r in rows]
        mean, images = summarise(accuracies), self.target["test_images"]
        if len(rows) > 1:
            low, high = mean_interval(accuracies)
        else:
            low, high = wilson_interval(images - rows[0].misses, images)
        old = [r.old_accuracy for r in rows if r.old_accuracy is not None]
        return MethodSummary(
            method,
            labels,
            rows[0].images,
            len(rows),
            mean.mean,
            mean.sd,
            max(low, 0.0),
            min(high, 1.0),
            summarise(old).mean if old else None,
            summarise([r.seconds for r in rows]).mean,
        )

    def summaries(self) -> list[MethodSummary]:
        """Return all of them, in the order of methods and budgets."""
        learned = [(m, b) for m in METHODS if m != "zero-shot" for b in self.budgets()]
        made = [self.summary(m, b) for m, b in (("zero-shot", 0), *learned)]
        return [each for each in made if each]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        summaries = [dataclasses.asdict(each) for each in self.summaries()]
        values = dataclasses.asdict(self) | {"repetitions": list(map(vars, self.repetitions))}
        return {"schema_version": SCHEMA_VERSION, **values, "summary": summaries}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from ``as_dict``, also after a trip through JSON.

        Raises:
            InputError: the values are not those of a comparison.
        """
        try:
            known = {f.name: values[f.name] for f in dataclasses.fields(cls)}
            rows = tuple(Repetition(**row) for row in known.pop("repetitions"))
            return cls(**known, repetitions=rows)
        except (KeyError, TypeError) as error:
            raise InputError(f"These are not the results of a transfer: {error}.") from error

    def write(self, folder: Path) -> None:
        """Write ``results.json`` and ``results.csv``."""
        write_json(folder / RESULTS_FILE, self.as_dict())
        names = [f.name for f in dataclasses.fields(Repetition)]
        write_csv(folder / "results.csv", names, map(dataclasses.astuple, self.repetitions))


def read_results(file: Path) -> TransferResults:
    """Read ``results.json``.

    Raises:
        InputError: it is not the results of a transfer.
    """
    with storage_errors(file, "read"):
        content = file.read_bytes()
    try:
        return TransferResults.from_dict(json.loads(content))
    except ValueError as error:
        raise InputError(f"{file} is not readable JSON: {error}.") from error


def intervals_apart(results: TransferResults, labels: int, method: str = "all") -> bool | None:
    """Return whether a method beats the start from scratch with the intervals apart.

    None where one of them was not measured.
    """
    ours, rival = results.summary(method, labels), results.summary("scratch", labels)
    return ours.low > rival.high if ours and rival else None
