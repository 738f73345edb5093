"""The trials of a study on Ray: each a task that makes or continues one run folder.

Run folders must lie where every node sees them, under the same path: a trial whose node was lost is
continued from its checkpoint on another.

Guarantees:

- A trial runs in one process at a time, and ends as it would have undisturbed.
- A node that does not see the folders is an error, not a second study in a place nobody looks.
- Paths may be relative: tasks run in the folder that this process runs in.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet import extras
from digitnet.errors import (
    DigitnetError,
    InputError,
    StoppedError,
    StorageError,
    UsageError,
)
from digitnet.experiments.cluster.session import ray_session
from digitnet.files import hold_lock, make_folder, storage_errors

if TYPE_CHECKING:
    from digitnet.experiments.study.trials import Trial

# A process on a node that was lost may outlive it by so much.
_LOCK_SECONDS = 60.0
_OWN_SETTINGS = "DIGITNET_"


def run_trials(
    trials: Sequence[Trial],
    *,
    processes: int | None = None,
    address: str | None = None,
    on_done: Callable[[Trial], None] = lambda _: None,
    on_failed: Callable[[Trial, DigitnetError], None] | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
) -> None:
    """Bring trials to their end, several at a time, in no certain order.

    Args:
        trials: what is left to do; a finished one is left as it is.
        processes: how many at a time; by default as many as the processors allow, at the threads
            of each.
        address: HOST:PORT of a Ray cluster to join; by default Ray is started on this machine.
        on_done: called in this process with each trial that has ended.
        on_failed: called with each that could not; by default they are told together at the end.
        data_dir: as for ``workflow.train``; a path that every node sees.
        offline: as for ``workflow.train``.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: the cluster cannot be joined, or has no node with the processors that a trial
            takes.
        StoppedError: a signal came; the same call goes on.
        DigitnetError: trials failed; the others are finished.
    """
    if not trials:
        return
    threads = max(1, *(trial.config.threads for trial in trials))
    with extras.needed():
        from digitnet.machine import usable_cores
    # What is asked for is given, though there be fewer cores than that takes.
    places = processes or max(1, usable_cores() // threads)
    failed: list[tuple[Trial, DigitnetError]] = []
    with (
        ray_session(address, cores=places * threads, env=_settings()) as received,
        _meeting_place(trials) as meeting,
    ):
        where = {"data_dir": data_dir, "offline": offline}
        for trial, error in _ended(trials, threads, processes, received, meeting, where):
            if error is None:
                on_done(trial)
            elif on_failed:
                on_failed(trial, error)
            else:
                failed.append((trial, error))
    if received:
        raise StoppedError("The study was stopped.", received[0])
    if failed:
        told = " ".join(f"{trial}: {error}" for trial, error in failed)
        raise DigitnetError(f"{len(failed)} of {len(trials)} trials failed. {told}")


def _ended(
    trials: Sequence[Trial],
    threads: int,
    processes: int | None,
    received: list[int],
    meeting: Path,
    where: dict[str, Any],
) -> Iterator[tuple[Trial, DigitnetError | None]]:
    """Yield each trial when it has ended, with its error if there was one."""
    from digitnet.experiments.cluster import flow

    if flow.largest_node() < threads:
        raise UsageError(
            f"A trial takes {threads} threads, and no node of the cluster has as many processors "
            f"(the largest has {flow.largest_node()}). Set 'threads' in the study, or join others."
        )
    common = {"folder": Path.cwd(), "meeting": meeting, "where": where}
    found = flow.results(
        run_one,
        trials,
        common=common,
        threads=threads,
        limit=lambda: processes or flow.processors() // threads,
        should_stop=lambda: bool(received),
    )
    with contextlib.closing(found) as ended:
        yield from ended


def run_one(trial: Trial, *, folder: Path, meeting: Path, where: dict[str, Any]) -> None:
    """Bring one trial to its end, on whichever node this runs.

    Args:
        trial: the trial.
        folder: where the study was started; relative paths are below it.
        meeting: a file that is there if this node sees what the others see.
        where: ``data_dir`` and ``offline``.
    """
    from digitnet.experiments.study.trials import run_trial

    if not meeting.exists():
        raise InputError(
            f"The node {os.uname().nodename} does not see the folder {meeting.parent}, where the "
            "runs of the study are. Put the study where every node sees it under this path."
        )
    if folder.is_dir():
        os.chdir(folder)
    elif not trial.folder.is_absolute():
        raise InputError(
            f"The node {os.uname().nodename} has no folder {folder}, where the study was started. "
            "Name the folder of the study by a path that begins with /."
        )
    _wait_for_lock(trial.folder)
    run_trial(trial, **where)


def _wait_for_lock(folder: Path) -> None:
    """Wait for the process of a lost node to let go of a run; what comes then tells if it has."""
    end = time.monotonic() + _LOCK_SECONDS
    while folder.is_dir() and time.monotonic() < end:
        try:
            with hold_lock(folder):
                return
        except UsageError:
            time.sleep(0.5)


@contextlib.contextmanager
def _meeting_place(trials: Sequence[Trial]) -> Iterator[Path]:
    """Have a file above all run folders, by which nodes know that they see what others see."""
    common = Path(os.path.commonpath([trial.folder.absolute().parent for trial in trials]))
    file = make_folder(common) / f".ray-{secrets.token_hex(6)}"
    with storage_errors(file):
        file.touch()
    try:
        yield file
    finally:
        with contextlib.suppress(OSError, StorageError):
            file.unlink()


def _settings() -> dict[str, str]:
    """Return digitnet's settings in the environment, which tasks see as this process does."""
    return {name: value for name, value in os.environ.items() if name.startswith(_OWN_SETTINGS)}
