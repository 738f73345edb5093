"""What engines report while a study runs, and how much of it is done.

Guarantees: nothing here does any work; the time left is an estimate from what has been measured,
and there is none before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from digitnet.experiments.study.trials import Trial


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial."""

    kind: Literal["started", "note", "progress", "finished", "failed", "stopped"]
    trial: Trial
    done: float = 0.0
    """Of progress: epochs trained so far, with a fraction."""
    message: str = ""
    """Of a note, its text; of a failure, the reason."""


Listener = Callable[[Event], None]


class Clock:
    """How far a study is, and how long the rest will take.

    Args:
        trials: all trials of the study.
        finished: those of them that were finished before.
        processes: how many run at a time.
        now: tells the time in seconds.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        finished: Sequence[Trial],
        processes: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trials = {trial.folder: trial for trial in trials}
        self._done = dict.fromkeys(self._trials, 0.0)
        self._over = {trial.folder for trial in finished}
        self._processes = max(processes, 1)
        self._now = now
        # Where each trial stood when it was first heard of, and the epochs and seconds since.
        self._first: dict[Path, tuple[float, float]] = {}
        self._measured: dict[Path, tuple[float, float]] = {}

    def note(self, event: Event) -> None:
        """Take in what happened."""
        folder = event.trial.folder
        if event.kind in ("finished", "failed"):
            self._over.add(folder)
        if event.kind in ("finished", "progress"):
            done = event.done if event.kind == "progress" else float(event.trial.config.epochs)
            start, began = self._first.setdefault(folder, (done, self._now()))
            self._done[folder] = done
            self._measured[folder] = (done - start, self._now() - began)

    @property
    def runs_done(self) -> int:
        """Trials that have ended."""
        return len(self._over)

    @property
    def share(self) -> float:
        """The fraction of all epochs that is done, from 0 to 1."""
        epochs = {folder: trial.config.epochs for folder, trial in self._trials.items()}
        left = sum(epochs[folder] - self._done[folder] for folder in self._left())
        return 1 - left / sum(epochs.values())

    def seconds_left(self) -> float | None:
        """Return how long the rest will take, None before anything has been measured."""
        overall = self._seconds_an_epoch(self._trials)
        if overall is None:
            return None
        left = [
            (self._trials[folder].config.epochs - self._done[folder])
            * (self._seconds_an_epoch(self._alike(folder)) or overall)
            for folder in self._left()
        ]
        # No sooner than the longest trial, however many processes there are.
        return max([sum(left) / self._processes, *left], default=0.0)

    def _left(self) -> list[Path]:
        return [folder for folder in self._trials if folder not in self._over]

    def _alike(self, folder: Path) -> list[Path]:
        """Return the trials of the same variant, which take as long an epoch."""
        variant = self._trials[folder].variant
        return [other for other, trial in self._trials.items() if trial.variant == variant]

    def _seconds_an_epoch(self, folders: Iterable[Path]) -> float | None:
        known = [self._measured[folder] for folder in folders if folder in self._measured]
        epochs = sum(done for done, _ in known)
        return sum(seconds for _, seconds in known) / epochs if epochs else None
