"""The Ray engine: each trial of a study is a task that makes or continues one run folder.

Run folders must lie where every node sees them, under the same path: a trial whose node was lost
continues from its checkpoint on another. Relative paths are below the folder of this process.

Guarantees:

- A trial runs in one process at a time, and ends as it would have undisturbed.
- A node that does not see the folders is an error, not a second study where nobody looks.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet.errors import InputError, StoppedError, StorageError, UsageError
from digitnet.experiments import ray_tasks
from digitnet.experiments.study.trials import Event, Listener, Trial, run_trial
from digitnet.files import hold_lock, make_folder, storage_errors
from digitnet.machine import usable_cores

if TYPE_CHECKING:
    from digitnet.data.dataset import Dataset

# A process on a lost node may outlive it by this much.
_LOCK_SECONDS = 60.0


def run_trials(
    trials: Sequence[Trial],
    *,
    processes: int | None = None,
    address: str | None = None,
    on_event: Listener = lambda _: None,
    **options: Any,
) -> None:
    """Finish trials, several at a time, in no certain order.

    Args:
        trials: what is left to do, at least one.
        processes: how many at a time; by default as many as the processors allow, at the threads
            of each.
        address: HOST:PORT of a Ray cluster to join; by default Ray is started on this machine.
        on_event: called in this process with each trial that has finished or failed.
        **options: of ``run_trial``; every node must see ``data_dir``.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: the cluster cannot be joined, or has no node with the processors that a trial
            takes.
        StoppedError: a signal came; the same call continues.
        DigitnetError: no node is left.
    """
    threads = max(1, *(trial.config.threads for trial in trials))
    # What is asked for is granted, even on fewer cores.
    cores = threads * (processes or max(1, usable_cores() // threads))
    with (
        ray_tasks.ray_session(address, cores=cores, env=_digitnet_settings()) as received,
        _witness(trials) as witness,
    ):
        if ray_tasks.largest_node() < threads:
            raise UsageError(
                f"A trial takes {threads} threads, and no node of the cluster has as many "
                f"processors (the largest has {ray_tasks.largest_node()}). Set 'threads' in the "
                "study, or join larger nodes."
            )
        common = {"folder": Path.cwd(), "witness": witness, "options": options}
        with contextlib.closing(
            ray_tasks.results(
                run_one,
                trials,
                common=common,
                threads=threads,
                limit=lambda: processes or ray_tasks.processors() // threads,
                should_stop=lambda: bool(received),
            )
        ) as ended:
            for trial, error in ended:
                on_event(
                    Event("failed", trial, message=str(error))
                    if error
                    else Event("finished", trial)
                )
    if received:
        raise StoppedError("The study was stopped.", received[0])


# Of a process that runs trials, from one to the next.
_loaded: dict[tuple[str, bool], Dataset] = {}


def run_one(trial: Trial, *, folder: Path, witness: Path, options: dict[str, Any]) -> None:
    """Finish one trial, on whichever node this runs.

    Args:
        trial: the trial.
        folder: where the study was started; relative paths are below it.
        witness: a file that exists if this node sees what the others see.
        options: of ``run_trial``.

    Raises:
        InputError: this node does not see the folders.
        DigitnetError: as for ``run_trial``.
    """
    if not witness.exists():
        raise InputError(
            f"The node {platform.node()} does not see the folder {witness.parent}, where the "
            "runs of the study are. Put the study where every node sees it under this path."
        )
    if folder.is_dir():
        os.chdir(folder)
    elif not trial.folder.is_absolute():
        raise InputError(
            f"The node {platform.node()} has no folder {folder}, where the study was started. "
            "Name the folder of the study by a path that begins with /."
        )
    _wait_for_lock(trial.folder)
    run_trial(trial, loaded=_loaded, **options)


def _wait_for_lock(folder: Path) -> None:
    """Wait until the process of a lost node lets go of a run; training complains if it does not."""
    end = time.monotonic() + _LOCK_SECONDS
    while folder.is_dir() and time.monotonic() < end:
        try:
            with hold_lock(folder):
                return
        except UsageError:
            time.sleep(0.5)


@contextlib.contextmanager
def _witness(trials: Sequence[Trial]) -> Iterator[Path]:
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


def _digitnet_settings() -> dict[str, str]:
    """Return digitnet's own environment variables, which tasks see as this process does."""
    return {name: value for name, value in os.environ.items() if name.startswith("DIGITNET_")}
