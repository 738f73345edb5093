"""Where the seconds of a training go: the phases add up, and slow first steps are told apart."""

import pytest

from digitnet.experiments.study import phases
from digitnet.experiments.study.phases import Phases
from digitnet.training.progress import Progress
from digitnet.training.runs import Epoch

ROW = Epoch(1, 1e-3, 0.1, 0.9, 0.1, 0.9, 1.0)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved: ``clock[0] += 1``."""
    now = [100.0]
    monkeypatch.setattr(phases.time, "perf_counter", lambda: now[0])
    return now


def progress(*, over):
    return Progress(1, 1, 1, 3, 0.1, 0.9, ROW if over else None)


def test_steps_are_told_from_what_comes_before_after_and_between(clock):
    watch, seen = Phases(), []
    note = watch.noting(seen.append)
    with watch.during("loading"):
        clock[0] += 2
    with watch.during("training"):
        clock[0] += 5
        for gap, over in ((10 + 1, False), (1, False), (1 + 3, True), (1, False), (1 + 3, True)):
            clock[0] += gap
            note(progress(over=over))
        clock[0] += 0.5
    assert watch.seconds() == {
        "loading": 2,
        "starting": 15,
        "training": 5,
        "validating": 6,
        "saving": 0.5,
    }
    assert len(seen) == 5


def test_a_single_step_and_none_at_all_are_counted_too(clock):
    watch = Phases()
    note = watch.noting(lambda _: None)
    with watch.during("training"):
        clock[0] += 4
    assert watch.seconds()["starting"] == 4
    assert watch.seconds()["training"] == 0
    with watch.during("training"):
        clock[0] += 3
        note(progress(over=True))
    assert sum(watch.seconds().values()) == 3


def test_a_phase_that_fails_has_no_seconds(clock):
    watch = Phases()
    with pytest.raises(ValueError, match="no"), watch.during("loading"):
        raise ValueError("no")
    assert watch.seconds() == {}
