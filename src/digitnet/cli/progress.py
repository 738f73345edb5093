"""Showing how far work is: training, with a line an epoch off a terminal, and pictures read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from digitnet.cli.console import is_terminal, say

if TYPE_CHECKING:
    from digitnet.training.loop import Progress
    from digitnet.training.runs import Epoch


@contextlib.contextmanager
def training_progress(quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Give a function to call after each step of training."""
    if quiet:
        yield lambda _: None
    elif not is_terminal():
        yield _line
    else:
        with _bar() as advance:
            yield advance


def _line(progress: Progress) -> None:
    if progress.finished:
        say(_epoch_text(progress.finished, progress.epochs))


def _epoch_text(row: Epoch, epochs: int) -> str:
    return (
        f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}  "
        f"loss {row.train_loss:.4f}  accuracy {row.train_accuracy:.2%}  "
        f"val loss {row.val_loss:.4f}  val accuracy {row.val_accuracy:.2%}  "
        f"{row.seconds:.1f} s"
    )


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    # Rich takes a tenth of a second to load, which --help should not pay.
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[state]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None, epoch=0, epochs=0, state="")

        def advance(progress: Progress) -> None:
            bars.update(
                task,
                total=progress.epochs * progress.steps,
                completed=(progress.epoch - 1) * progress.steps + progress.step,
                epoch=progress.epoch,
                epochs=progress.epochs,
                state=f"loss {progress.loss:.4f}  accuracy {progress.accuracy:.2%}",
            )
            if progress.finished:
                text = _epoch_text(progress.finished, progress.epochs)
                bars.console.print(text, highlight=False)

        yield advance


@contextlib.contextmanager
def pictures_bar(total: int | None = None) -> Iterator[Callable[[int, int | None], None]]:
    """Show on the terminal how many pictures are done.

    Yields:
        What takes how many are done, and of how many (None: as before). There is no bar before a
        total is known.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    console = Console(stderr=True)
    # Answers go on to stdout; redirected they would come out with the bar, on stderr.
    with Bars(*columns, console=console, transient=True, redirect_stdout=False) as bars:
        task = bars.add_task("", total=total, visible=total is not None)
        yield lambda done, total: bars.update(task, completed=done, total=total, visible=True)
