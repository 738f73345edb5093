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
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from digitnet.errors import DigitnetError, StoppedError
from digitnet.experiments.study.trials import Event, Listener, Trial, failure, run_trial
from digitnet.training.progress import STOP_SIGNALS, collect_signals

if TYPE_CHECKING:
    from digitnet.data.dataset import Dataset
    from digitnet.training.progress import Progress

_PROGRESS_SECONDS = 0.5  # between two events of progress
_POLL_SECONDS = 0.2  # between two looks at events and signals


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
    workers = [_Worker(options) for _ in range(min(processes, len(trials)))]
    with collect_signals() as received:
        try:
            _run(list(trials), list(workers), on_event, received)
        finally:
            for worker in workers:
                worker.close()
    if received:
        raise StoppedError("The study was stopped.", received[0])


def _run(
    waiting: list[Trial], workers: list[_Worker], on_event: Listener, received: list[int]
) -> None:
    """Keep the workers busy until all is done or a signal has come."""
    running: dict[Future[None], _Worker] = {}
    stopping = False
    while running or (waiting and not received):
        while workers and waiting and not received:
            worker = workers.pop()
            running[worker.submit(waiting.pop(0))] = worker
        if received and not stopping:
            stopping = True
            for worker in running.values():
                on_event(worker.stop())
        done, _ = wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        for worker in running.values():
            for event in worker.events():
                on_event(event)
        for future in done:
            worker = running.pop(future)
            on_event(worker.ended(future, stopping))
            workers.append(worker)


class _Worker:
    """A process that runs one trial at a time.

    It is an executor of its own: in a larger one, the death of a process ends all the others.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._trial: Trial | None = None
        self._prepare_process()

    def _prepare_process(self) -> None:
        """Have a new process; it starts with its first trial."""
        context = multiprocessing.get_context("spawn")
        self._responds = False
        self._pipe, self._far_end = context.Pipe()
        self._executor = ProcessPoolExecutor(
            1, mp_context=context, initializer=_begin, initargs=(self._far_end,)
        )

    def submit(self, trial: Trial) -> Future[None]:
        """Start a trial."""
        self._trial = trial
        with _signals_blocked():
            future = self._executor.submit(_work, trial, self._options)
        # Only the process has this end now, so the pipe ends when the process does.
        self._far_end.close()
        (self._process,) = self._executor._processes.values()
        return future

    def events(self) -> Iterator[Event]:
        """Yield what the process has reported since the last call."""
        assert self._trial
        with contextlib.suppress(EOFError, OSError):
            while self._pipe.poll():
                kind, done, message = self._pipe.recv()
                self._responds = True
                yield Event(kind, self._trial, done, message)

    def stop(self) -> Event:
        """Have the process save its run and end."""
        assert self._trial
        self._pipe.close()
        return Event("note", self._trial, message=f"{self._trial} is being saved …")

    def ended(self, future: Future[None], stopping: bool) -> Event:
        """Return how a trial ended; replace the process if it did not survive."""
        trial, self._trial = self._trial, None
        assert trial
        error = future.exception()
        if error is None:
            return Event("finished", trial)
        if not isinstance(error, BrokenProcessPool):
            return Event("failed", trial, message=failure(error))
        self._executor.shutdown()
        if stopping:
            return Event("stopped", trial)
        code = self._process.exitcode
        if not self._responds:
            raise DigitnetError(
                f"A process for the runs could not be started (exit code {code}). In a script of "
                'your own, call run_study below `if __name__ == "__main__":`, because each new '
                "process loads the script again."
            )
        self._pipe.close()
        self._prepare_process()
        why = f"signal {-code}" if code and code < 0 else f"exit code {code}"
        return Event("failed", trial, message=f"The process of this run died ({why}).")

    def close(self) -> None:
        """End the process: at once if it is at work."""
        if self._trial:
            self._process.kill()
        self._executor.shutdown()
        self._pipe.close()


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Hold signals back, also in a process that starts in the block, until it is ready for them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- in a worker process

_parent: Connection
_loaded: dict[tuple[str, bool], Dataset] = {}


def _begin(parent: Connection) -> None:
    """Prepare a process: it reports to ``parent``, and ends when the other end is closed."""
    global _parent  # noqa: PLW0603
    _parent = parent
    if hasattr(os, "setsid"):
        # Ctrl-C on the terminal reaches the parent only.
        os.setsid()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    with contextlib.suppress(EOFError, OSError):
        _parent.recv()
    # Training saves its run at this signal; whatever else is under way can be done again.
    signal.raise_signal(signal.SIGTERM)


def _work(trial: Trial, options: dict[str, Any]) -> None:
    """Run a trial and report how it goes."""
    sent = 0.0

    def report(kind: str, done: float = 0.0, message: str = "") -> None:
        # If the parent is gone, this process is about to end.
        with contextlib.suppress(OSError):
            _parent.send((kind, done, message))

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
            loaded=_loaded,
            **options,
        )
    except StoppedError:
        # The run is saved. Only the end of this process tells the parent that it was not finished.
        signal.raise_signal(signal.SIGTERM)
