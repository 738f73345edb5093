"""Showing how a study goes: one bar on a terminal, a line a run elsewhere, or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from digitnet.cli.console import is_terminal, say
from digitnet.experiments.study.events import Clock, Event, Listener
from digitnet.experiments.study.trials import Trial, is_finished, outcome

_PARTS = 1000  # of the bar


@contextlib.contextmanager
def study_progress(trials: Sequence[Trial], processes: int, quiet: bool) -> Iterator[Listener]:
    """Give a function to call with each event of a study.

    Args:
        trials: all of them.
        processes: how many run at a time.
        quiet: tell of failures only, which are told at the end anyway.
    """
    finished = [trial for trial in trials if is_finished(trial)]
    clock = Clock(trials, finished, processes)
    if quiet:
        yield lambda _: None
    elif not is_terminal():
        if finished:
            say(f"{len(finished)} of {len(trials)} runs are finished already")
        yield _listener(clock, len(trials), say)
    else:
        with _bar(clock, len(trials)) as listen:
            yield listen


def _listener(clock: Clock, total: int, tell: Callable[[str], None]) -> Listener:
    def listen(event: Event) -> None:
        clock.note(event)
        if event.kind == "finished":
            left = clock.seconds_left()
            tail = f", about {_time(left)} left" if left and clock.runs_done < total else ""
            tell(f"{clock.runs_done}/{total}  {event.trial}: {_told(event.trial)}{tail}")
        elif event.kind == "failed":
            tell(f"{event.trial} failed: {event.message}")
        elif event.kind == "note":
            tell(event.message)

    return listen


@contextlib.contextmanager
def _bar(clock: Clock, total: int) -> Iterator[Listener]:
    # Rich takes a tenth of a second to load, which --help should not pay.
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("run {task.fields[runs]}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[state]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        start = f"{clock.runs_done}/{total}"
        task = bars.add_task("", total=_PARTS, runs=start, state="")
        bars.update(task, completed=_PARTS * clock.share)
        lines = _listener(
            clock, total, lambda text: bars.console.print(text, highlight=False, markup=False)
        )
        working: dict[object, str] = {}

        def listen(event: Event) -> None:
            lines(event)
            if event.kind in ("started", "progress", "epoch"):
                working[event.trial.folder] = str(event.trial)
            elif event.kind != "note":
                working.pop(event.trial.folder, None)
            left = clock.seconds_left()
            tail = f"  about {_time(left)} left" if left else ""
            bars.update(
                task,
                completed=_PARTS * clock.share,
                runs=f"{clock.runs_done}/{total}",
                state=escape("; ".join(working.values())) + tail,
            )

        yield listen


def _told(trial: Trial) -> str:
    """Return how a trial ended, in a few words."""
    from digitnet.training.runs import Run

    ended = outcome(trial)
    if ended and ended["outcome"] == "diverged":
        return "diverged"
    return f"val accuracy {Run(trial.folder).metrics['val_accuracy']:.2%}"


def _time(seconds: float) -> str:
    """Return a time to wait, no finer than anybody can tell."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
