"""A process that runs trials, one after the other, as its parent hands them over.

Guarantees:

- Ctrl-C on the terminal reaches the parent only, which tells each worker once, by SIGTERM.
- When told, a worker saves the run it is in and ends; when its parent dies, it does the same.
- Nothing is raised: every error is sent to the parent as a sentence.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from digitnet.errors import DigitnetError, StoppedError
from digitnet.experiments.study.events import Event, Kind
from digitnet.experiments.study.trials import Trial, run_trial
from digitnet.training.signals import STOP_SIGNALS

if TYPE_CHECKING:
    from digitnet.training.loop import Progress

_PROGRESS_SECONDS = 0.5  # between two messages of progress

READY = "ready"


def work(parent: Connection, where: dict[str, Any]) -> None:
    """Run the trials that come from ``parent`` until it closes, sending events back.

    Args:
        parent: sends trials, takes ``READY`` whenever there is nothing to do, and events.
        where: ``data_dir`` and ``offline``, as for ``run_trial``.
    """
    received: list[int] = []
    os.setsid()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _frame: received.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    try:
        while not received:
            parent.send(READY)
            while not parent.poll(0.2) and not received:
                pass
            if received:
                return
            _run(parent, parent.recv(), received, where)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        # The parent is gone, and whatever was under way can be continued.
        return


def _run(parent: Connection, trial: Trial, received: list[int], where: dict[str, Any]) -> None:
    parent.send(Event("started", trial))
    teller = _Teller(parent, trial, received)
    try:
        run_trial(trial, on_progress=teller.progress, on_message=teller.message, **where)
    except StoppedError:
        parent.send(Event("stopped", trial))
        raise SystemExit from None
    except DigitnetError as error:
        parent.send(Event("failed", trial, message=str(error)))
    except (ConnectionError, EOFError):
        raise
    except Exception as error:
        # A defect, told as such; the other trials go on.
        reason = traceback.format_exception_only(error)[-1].strip()
        if os.environ.get("DIGITNET_DEBUG"):
            traceback.print_exception(error)
        message = f"digitnet met an error it did not expect: {reason}"
        parent.send(Event("failed", trial, message=message))
    else:
        parent.send(Event("finished", trial))


class _Teller:
    """Sends how a trial goes to the parent, not more often than people look."""

    def __init__(self, parent: Connection, trial: Trial, received: list[int]) -> None:
        self._parent, self._trial, self._received = parent, trial, received
        self._started = self._sent = time.perf_counter()
        self._start: float | None = None
        self._alone = False

    def progress(self, progress: Progress) -> None:
        if self._received:
            # It came before training listened for it.
            signal.raise_signal(self._received.pop())
        now = time.perf_counter()
        done = progress.epoch - 1 + progress.step / progress.steps
        if self._start is None:
            self._start = done - 1 / progress.steps
        if not progress.finished and now < self._sent + _PROGRESS_SECONDS:
            return
        self._sent = now
        row = progress.finished
        message = (
            f"loss {row.train_loss:.4f}  val accuracy {row.val_accuracy:.2%}  {row.seconds:.1f} s"
            if row
            else ""
        )
        kind: Kind = "epoch" if row else "progress"
        trained, seconds = done - self._start, now - self._started
        self._send(Event(kind, self._trial, done, trained, seconds, message))

    def message(self, text: str) -> None:
        self._send(Event("note", self._trial, message=text))

    def _send(self, event: Event) -> None:
        """Tell the parent; if it is gone, stop as if it had said so, which saves the run."""
        try:
            self._parent.send(event)
        except (BrokenPipeError, ConnectionResetError):
            if not self._alone:
                self._alone = True
                signal.raise_signal(signal.SIGTERM)
