"""How far a training is, how that is shown, and how Ctrl-C and SIGTERM stop it.

Guarantees:

- Nothing is written to stdout except in a notebook.
- The first signal is only collected, so that work can stop where nothing is lost; the second one
  raises KeyboardInterrupt at once; afterwards the handlers are as before.
- Importing this loads neither torch nor rich.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from digitnet.training.runs import Epoch

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def collect_signals() -> Iterator[list[int]]:
    """Collect the numbers of the stop signals that come inside the block."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt

    # Only the main thread may set handlers; elsewhere signals keep doing what they did.
    mine = STOP_SIGNALS if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, note) for number in mine}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class Progress:
    """Where training stands; given to ``on_progress`` after every step."""

    epoch: int
    """The current epoch, from 1."""
    epochs: int
    step: int
    """Steps done in this epoch."""
    steps: int
    loss: float
    """Mean training loss of this epoch so far."""
    accuracy: float | None
    """Training accuracy of this epoch so far; None where it is not counted."""
    finished: Epoch | None = None
    """The epoch's row of the history, after its last step."""


@contextlib.contextmanager
def show_progress(wanted: bool | None = None) -> Iterator[Callable[[Progress], None]]:
    """Yield a function that shows each step of a training.

    Args:
        wanted: True shows a bar on a terminal and in a notebook, and elsewhere a line an epoch;
            None shows the bar only; False shows nothing.
    """
    in_notebook = "ipykernel" in sys.modules
    screen = in_notebook or (sys.stderr.isatty() and os.environ.get("TERM") != "dumb")
    # Without ipywidgets a notebook has nothing that could be drawn over.
    drawn = screen and (not in_notebook or importlib.util.find_spec("ipywidgets") is not None)
    if wanted is False or (wanted is None and not screen):
        yield lambda _: None
        return
    # Rich takes a tenth of a second to load, which --help should not pay.
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[state]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    stream = sys.stdout if in_notebook else sys.stderr
    console = Console(file=stream, force_jupyter=in_notebook and drawn)
    with Bars(*columns, console=console, transient=True, disable=not drawn) as bars:
        task = bars.add_task("starting", total=None, state="")

        def show(progress: Progress) -> None:
            bars.update(
                task,
                description=f"epoch {progress.epoch}/{progress.epochs}",
                total=progress.epochs * progress.steps,
                completed=(progress.epoch - 1) * progress.steps + progress.step,
                state=_means("loss", progress.loss, "accuracy", progress.accuracy),
            )
            if progress.finished:
                text = _epoch_text(progress.finished, progress.epochs)
                bars.console.print(text, highlight=False, soft_wrap=True)

        yield show


def _epoch_text(row: Epoch, epochs: int) -> str:
    return (
        f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}  "
        f"{_means('loss', row.train_loss, 'accuracy', row.train_accuracy)}  "
        f"{_means('val loss', row.val_loss, 'val accuracy', row.val_accuracy)}  "
        f"{row.seconds:.1f} s"
    )


def _means(loss_name: str, loss: float, accuracy_name: str, accuracy: float | None) -> str:
    text = f"{loss_name} {loss:.4f}"
    return text if accuracy is None else f"{text}  {accuracy_name} {accuracy:.2%}"
