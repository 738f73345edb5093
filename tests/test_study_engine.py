"""The local engine: what it does when processes die and signals come."""

import multiprocessing
import os
import signal

import pytest

from digitnet.errors import StoppedError
from digitnet.experiments.study import worker
from digitnet.experiments.study.study_run import run_study
from digitnet.experiments.study.trials import is_finished, run_trial, trials
from digitnet.training import signals
from tiny_study import TINY, outcomes, tiny_study

# One variant, three seeds.
TEXT = TINY[: TINY.index("[variants.dropout]")].replace("seeds = 2", "seeds = 3")
TEXT = TEXT.replace('test_on = ["digits8x8"]', "")


def test_a_study_that_is_killed_and_stopped_ends_as_if_undisturbed(tmp_path, monkeypatch):
    study, out = tiny_study(tmp_path, TEXT), tmp_path / "out"
    alone = trials(study, tmp_path / "alone")
    for trial in alone:
        run_trial(trial)
    told = []

    def disturb(event):
        told.append(event)
        if event.kind != "started":
            return
        started = [each.kind for each in told].count("started")
        if started == 2:
            # Another process takes the place of the one that dies here, and starts the third run.
            child, *_ = multiprocessing.active_children()
            os.kill(child.pid, signal.SIGKILL)
        elif started == 3:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("digitnet.experiments.study.study_run.usable_cores", lambda: 2)
    with pytest.raises(StoppedError, match="The study stopped with") as caught:
        run_study(study, out, processes=2, on_event=disturb)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    (failed,) = (event.message for event in told if event.kind == "failed")
    assert "ended by itself (signal 9)" in failed
    assert not multiprocessing.active_children()

    planned = trials(study, out)
    files = [trial.folder / "metrics.json" for trial in planned if is_finished(trial)]
    assert len(files) < len(planned)
    before = [file.stat().st_mtime_ns for file in files]
    results = run_study(study, out, processes=1)
    assert len(results.runs) == results.expected_runs == 3
    assert outcomes(planned) == outcomes(alone)
    # What was finished is not touched again.
    assert [file.stat().st_mtime_ns for file in files] == before
    assert (out / "report.html").is_file()


def test_a_run_whose_parent_is_gone_is_stopped_once():
    """Training then saves it; a second signal would end it in the middle."""
    here, there = multiprocessing.Pipe()
    there.close()
    with signals.noted() as received:
        teller = worker._Teller(here, None, [])
        teller.message("lost")
        teller.message("lost")
        assert received == [signal.SIGTERM]
