"""What engines tell while a study runs, and how much of it is done.

Guarantees: nothing here does any work; the time left is an estimate from what has been measured,
and there is none before something has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from digitnet.experiments.study.trials import Trial

Kind = Literal["started", "note", "progress", "epoch", "finished", "failed", "stopped"]


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial."""

    kind: Kind
    trial: Trial
    done: float = 0.0
    """Epochs trained so far, with a fraction."""
    trained: float = 0.0
    """Those of them that were trained in this sitting."""
    seconds: float = 0.0
    """Time that this sitting has taken."""
    message: str = ""
    """What went wrong, or the figures of an epoch."""


Listener = Callable[[Event], None]


class Clock:
    """How far a study is, and when it will end.

    Args:
        trials: all trials of the study.
        finished: those of them that were finished before.
        processes: how many run at a time.
    """

    def __init__(self, trials: Sequence[Trial], finished: Sequence[Trial], processes: int) -> None:
        self._epochs = {trial.folder: float(trial.config.epochs) for trial in trials}
        self._variants = {trial.folder: trial.variant for trial in trials}
        self._done = dict.fromkeys(self._epochs, 0.0)
        self._over = {trial.folder for trial in finished}
        # Epochs trained and seconds taken in this sitting, of each trial.
        self._measured: dict[Path, tuple[float, float]] = {}
        self._processes = max(processes, 1)

    def note(self, event: Event) -> None:
        """Take in what happened."""
        place = event.trial.folder
        if event.kind in ("finished", "failed"):
            self._over.add(place)
        elif event.kind in ("progress", "epoch"):
            self._done[place] = event.done
            self._measured[place] = (event.trained, event.seconds)

    @property
    def runs_done(self) -> int:
        """Trials that have ended."""
        return len(self._over)

    @property
    def share(self) -> float:
        """The share of all epochs that is behind, from 0 to 1."""
        behind = sum(
            epochs if place in self._over else min(self._done[place], epochs)
            for place, epochs in self._epochs.items()
        )
        return behind / sum(self._epochs.values())

    def seconds_left(self) -> float | None:
        """Return how long the rest will take, None when nothing has been measured yet."""
        overall = self._seconds_an_epoch(self._epochs)
        if overall is None:
            return None
        left = [
            (self._epochs[place] - self._done[place]) * self._rate(place, overall)
            for place in self._epochs
            if place not in self._over
        ]
        # No sooner than the longest trial, however many processes there are.
        return max([sum(left) / self._processes, *left], default=0.0)

    def _rate(self, place: Path, overall: float) -> float:
        """Return seconds an epoch of a trial: of its variant if known, else of all that is."""
        variant = self._variants[place]
        alike = [other for other, name in self._variants.items() if name == variant]
        return self._seconds_an_epoch(alike) or overall

    def _seconds_an_epoch(self, places: Iterable[Path]) -> float | None:
        known = [self._measured[place] for place in places if place in self._measured]
        epochs = sum(done for done, _ in known)
        return sum(seconds for _, seconds in known) / epochs if epochs else None
