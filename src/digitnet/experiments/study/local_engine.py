"""The local engine: the trials of a study in worker processes of this machine.

Guarantees:

- A worker that dies, for whatever reason, fails the trial it was running and no other; a new worker
  takes its place. One that cannot even start ends the study, which can be continued.
- Ctrl-C and SIGTERM reach this process, which stops every worker once: its run is saved. A second
  signal kills them all; files are written in one step, so that none is half written.
- No worker outlives the call. One whose parent was killed saves its run and ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from digitnet.errors import DigitnetError, StoppedError
from digitnet.experiments.study.trials import Event, Listener, Trial, failure, run_trial
from digitnet.training.progress import collect_signals

if TYPE_CHECKING:
    from digitnet.training.progress import Progress

_PROGRESS_SECONDS = 0.5  # between two events of progress
_POLL_SECONDS = 0.2  # between two looks for signals


def run_trials(
    trials: Sequence[Trial], *, processes: int, on_event: Listener, **options: Any
) -> None:
    """Run trials in processes of their own.

    Args:
        trials: what is left to do.
        processes: how many at a time, from 1.
        on_event: called in this process with everything that happens.
        **options: of ``run_trial``: ``device``, ``data_dir``, ``offline``.

    Raises:
        StoppedError: a signal came; every run can be continued.
        DigitnetError: no process can be started.
    """
    waiting, stopping = list(trials), False
    idle: list[_Worker] = []
    busy: list[_Worker] = []
    with collect_signals() as received:
        try:
            while busy or (waiting and not received):
                while waiting and len(busy) < processes and not received:
                    busy.append(idle.pop() if idle else _Worker(options))
                    busy[-1].begin(waiting.pop(0))
                if received and not stopping:
                    stopping = True
                    for worker in busy:
                        on_event(worker.stop())
                ready = connection.wait([worker.pipe for worker in busy], _POLL_SECONDS)
                for worker in [each for each in busy if each.pipe in ready]:
                    event = worker.receive(bool(received))
                    if event.kind in ("finished", "failed", "stopped"):
                        busy.remove(worker)
                        idle += [worker] if worker.process.is_alive() else []
                    on_event(event)
        finally:
            for worker in (*idle, *busy):
                worker.end()
    if received:
        raise StoppedError("The study was stopped.", received[0])


class _Worker:
    """A process that runs one trial at a time, and the pipe to it."""

    def __init__(self, options: dict[str, Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, far_end = context.Pipe()
        self.process = context.Process(target=_work, args=(far_end, options))
        self._responds = False
        with _interrupts_blocked():
            self.process.start()
        # Only the process has this end now, so the pipe ends when the process does.
        far_end.close()

    def begin(self, trial: Trial) -> None:
        """Start a trial."""
        self._trial = trial
        # If the process has died, that shows when its events are read.
        with contextlib.suppress(OSError):
            self.pipe.send(trial)

    def stop(self) -> Event:
        """Have the process save its run and end."""
        with contextlib.suppress(OSError):
            self.pipe.send(None)
        return Event("note", self._trial, message=f"{self._trial} is being saved …")

    def receive(self, stopping: bool) -> Event:
        """Return what the process has reported, or that it ended without finishing its trial."""
        try:
            event: Event = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            self.end()
        else:
            self._responds = True
            return event
        if stopping:
            return Event("stopped", self._trial)
        code = self.process.exitcode or 0
        if not self._responds:
            raise DigitnetError(
                f"A process for the runs could not be started (exit code {code}). In a script of "
                'your own, call run_study below `if __name__ == "__main__":`, because each new '
                "process loads the script again."
            )
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Event("failed", self._trial, message=f"The process of this run died ({why}).")

    def end(self) -> None:
        """End the process, if it lives: at once."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C from a process that starts in the block, and from this one until its end."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # The first process would start the tracker, which unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- in a worker process


def _work(parent: Connection, options: dict[str, Any]) -> None:
    """Run the trials that ``parent`` sends, until it sends None or is gone."""
    if hasattr(os, "setsid"):
        # What a terminal sends when it is closed reaches the parent only.
        os.setsid()
    trials: queue.SimpleQueue[Trial] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(parent, trials), daemon=True).start()
    while True:
        _run(trials.get(), parent, options)


def _listen(parent: Connection, trials: queue.SimpleQueue[Trial]) -> None:
    with contextlib.suppress(EOFError, OSError):
        for trial in iter(parent.recv, None):
            trials.put(trial)
    # Training saves its run at this signal; whatever else is under way can be done again.
    signal.raise_signal(signal.SIGTERM)


def _run(trial: Trial, parent: Connection, options: dict[str, Any]) -> None:
    """Run a trial and report how it goes."""
    sent = 0.0

    def report(kind: Any, done: float = 0.0, message: str = "") -> None:
        # If the parent is gone, this process is about to end.
        with contextlib.suppress(OSError):
            parent.send(Event(kind, trial, done, message))

    def on_progress(progress: Progress) -> None:
        nonlocal sent
        if progress.finished or time.monotonic() >= sent + _PROGRESS_SECONDS:
            sent = time.monotonic()
            report("progress", progress.epoch - 1 + progress.step / progress.steps)

    report("started")
    try:
        run_trial(
            trial,
            on_progress=on_progress,
            on_message=lambda text: report("note", message=text),
            **options,
        )
        report("finished")
    except StoppedError:
        # The run is saved. Only the end of this process tells the parent that it was not finished.
        signal.raise_signal(signal.SIGTERM)
    except Exception as error:
        report("failed", message=failure(error))
