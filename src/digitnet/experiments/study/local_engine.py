"""The local engine: the trials of a study in some processes of this machine.

Guarantees:

- A process that dies, of whatever cause, costs the trial it was in and no other; another process
  takes its place. One that cannot even start ends the study, whose runs can be continued.
- Ctrl-C and SIGTERM end every process cleanly, each with its run saved; a second one at once.
- No process outlives the call.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from digitnet.errors import DigitnetError, StoppedError
from digitnet.experiments.study.events import Event, Listener
from digitnet.experiments.study.trials import Trial
from digitnet.experiments.study.worker import READY, work
from digitnet.training import signals
from digitnet.training.signals import STOP_SIGNALS


def run_trials(
    trials: Sequence[Trial], *, processes: int, on_event: Listener, **where: Any
) -> None:
    """Run trials in processes of their own.

    Args:
        trials: what is left to do.
        processes: how many at a time, from 1.
        on_event: called in this process with everything that happens.
        **where: ``data_dir`` and ``offline``, as for ``run_trial``.

    Raises:
        StoppedError: a signal came; every run is whole and can be continued.
        DigitnetError: processes cannot be started.
    """
    with signals.noted() as received:
        engine = _Engine(list(trials), on_event, where)
        try:
            engine.run(processes, received)
        finally:
            engine.kill()
    if received:
        raise StoppedError("The study was stopped.", received[0])


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    ready: bool = False
    """Whether it has ever been heard of."""
    trial: Trial | None = None


@dataclass
class _Engine:
    waiting: list[Trial]
    on_event: Listener
    where: dict[str, Any]
    workers: list[_Worker] = field(default_factory=list)
    stopping: bool = False

    def run(self, processes: int, received: list[int]) -> None:
        """Keep the processes at work until all is done or a signal has come."""
        for _ in range(min(processes, len(self.waiting))):
            self._start()
        while self.workers:
            if received and not self.stopping:
                self._stop()
            # Wakes up for messages and for deaths, and now and then to look for signals.
            pipes = {worker.pipe: worker for worker in self.workers}
            for pipe in wait(list(pipes), timeout=0.3):
                self._hear(pipes[pipe])  # type: ignore[index]

    def kill(self) -> None:
        """End what still runs, at once: files are written in one step, so nothing is half."""
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.where), daemon=True)
        with _blocked():
            process.start()
        theirs.close()
        self.workers.append(_Worker(process, ours))

    def _stop(self) -> None:
        self.stopping = True
        self.waiting.clear()
        for worker in self.workers:
            worker.process.terminate()
            if worker.trial:
                self.on_event(
                    Event("note", worker.trial, message=f"{worker.trial} is being saved …")
                )

    def _hear(self, worker: _Worker) -> None:
        """Take a message from a worker, or note its end."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if message == READY:
            worker.ready = True
            self._give(worker)
            return
        if message.kind in ("finished", "failed", "stopped"):
            worker.trial = None
        self.on_event(message)

    def _give(self, worker: _Worker) -> None:
        """Hand over the next trial, or send the worker home."""
        if not self.waiting:
            worker.pipe.close()
            worker.process.join()
            self.workers.remove(worker)
            return
        worker.trial = self.waiting.pop(0)
        # Should it be dead by now, its end is the next that is heard of it.
        with contextlib.suppress(OSError):
            worker.pipe.send(worker.trial)

    def _bury(self, worker: _Worker) -> None:
        """Replace a process that ended by itself."""
        worker.process.join()
        worker.pipe.close()
        self.workers.remove(worker)
        if self.stopping:
            return
        code = worker.process.exitcode
        if not worker.ready:
            raise DigitnetError(
                f"A process for the runs could not be started (exit code {code}). In a script of "
                'your own, call run_study below `if __name__ == "__main__":`, because each new '
                "process loads the script again."
            )
        if worker.trial:
            why = f"signal {-code}" if code and code < 0 else f"exit code {code}"
            message = f"The process of this run ended by itself ({why})."
            self.on_event(Event("failed", worker.trial, message=message))
        if self.waiting:
            self._start()


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Hold signals back, also in a process that is started now, until it is ready for them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
