"""What a comparison measured.

    results.json   everything, with settings, source and data
    results.csv    one row a repetition

Guarantees: ``Results.from_dict(results.as_dict())`` gives the same; intervals are Student's t over
the repetitions, which each draw other images, where there are more than all take, and start from
another seed. They say how far another repetition may fall on the same test images. What is the same
in each repetition is measured once and has Wilson's interval, which is over the test images.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from digitnet.errors import InputError
from digitnet.experiments.transfer.methods import METHODS
from digitnet.files import storage_errors, write_json
from digitnet.training.runs import write_csv
from digitnet.training.statistics import mean_interval, summarise, wilson_interval

SCHEMA_VERSION = 1
RESULTS_FILE = "results.json"


@dataclass(frozen=True)
class Repetition:
    """One network, measured on the test images of the new task and of the old one."""

    method: str
    labels: int
    """Images of each class it learnt from; 0 stands for all, or for none with zero-shot."""
    seed: int
    images: int
    """Images it learnt from."""
    steps: int
    seconds: float
    accuracy: float
    misses: int
    old_accuracy: float | None
    """On the old task; None where it was not measured."""


@dataclass(frozen=True)
class Summary:
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
class Results:
    """A comparison, whole or in part."""

    source: dict[str, Any]
    target: dict[str, Any]
    settings: dict[str, Any]
    repetitions: tuple[Repetition, ...]
    old_data: str | None = None
    old_accuracy: float | None = None
    """Of the source, before anything was tuned."""
    final: dict[str, Any] | None = field(default=None)
    """The network that was kept: where it is, what it learnt from, how good it is."""

    def budgets(self) -> list[int]:
        """Return the label budgets, smallest first and all (0) last."""
        found = {r.labels for r in self.repetitions if r.method != "zero-shot"}
        return sorted(found, key=lambda labels: (labels == 0, labels))

    def of(self, method: str, labels: int) -> list[Repetition]:
        """Return the repetitions of a method with a budget."""
        return [r for r in self.repetitions if (r.method, r.labels) == (method, labels)]

    def summary(self, method: str, labels: int) -> Summary | None:
        """Return mean and interval of a method with a budget, None where nothing was measured."""
        found = self.of(method, labels)
        if not found:
            return None
        summarised = summarise([r.accuracy for r in found])
        if len(found) > 1:
            low, high = mean_interval([r.accuracy for r in found])
        else:
            trials = self.target["test_images"]
            low, high = wilson_interval(trials - found[0].misses, trials)
        old = [r.old_accuracy for r in found if r.old_accuracy is not None]
        return Summary(
            method,
            labels,
            found[0].images,
            len(found),
            summarised.mean,
            summarised.sd,
            max(low, 0.0),
            min(high, 1.0),
            summarise(old).mean if old else None,
            summarise([r.seconds for r in found]).mean,
        )

    def summaries(self) -> list[Summary]:
        """Return all of them, in the order of methods and budgets."""
        learnt = [(m, b) for m in METHODS if m != "zero-shot" for b in self.budgets()]
        found = [self.summary(m, b) for m, b in (("zero-shot", 0), *learnt)]
        return [each for each in found if each]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        summaries = [dataclasses.asdict(each) for each in self.summaries()]
        return {
            "schema_version": SCHEMA_VERSION,
            **dataclasses.asdict(self),
            "repetitions": [dataclasses.asdict(r) for r in self.repetitions],
            "summary": summaries,
        }

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


def read_results(file: Path) -> Results:
    """Read ``results.json``.

    Raises:
        InputError: it is no such file.
    """
    with storage_errors(file, "read"):
        content = file.read_bytes()
    try:
        return Results.from_dict(json.loads(content))
    except ValueError as error:
        raise InputError(f"{file} is not readable JSON: {error}.") from error


def intervals_apart(results: Results, labels: int, method: str = "all") -> bool | None:
    """Return whether a method beats the start from scratch with the intervals apart.

    None where one of them was not measured.
    """
    ours, rival = results.summary(method, labels), results.summary("scratch", labels)
    if not (ours and rival):
        return None
    return ours.low > rival.high
