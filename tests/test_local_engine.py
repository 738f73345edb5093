"""The local engine: what it does when processes die and signals come."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from digitnet.errors import StoppedError
from digitnet.experiments.study.definition import load_study
from digitnet.experiments.study.study_run import run_study
from digitnet.experiments.study.trials import is_finished, run_trial, trials
from digitnet.training.runs import Run
from tiny_study import TINY, outcomes, tiny_study

PARENT = """
import multiprocessing, sys
from pathlib import Path
from digitnet.experiments.study.definition import load_study
from digitnet.experiments.study.local_engine import run_trials
from digitnet.experiments.study.trials import trials

def show(event):
    if event.kind == "progress":
        print(*[process.pid for process in multiprocessing.active_children()], flush=True)

if __name__ == "__main__":
    planned = trials(load_study(Path(sys.argv[1])), Path(sys.argv[2]))
    run_trials(planned[:1], processes=1, on_event=show)
"""

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
    with pytest.raises(StoppedError, match="The study was stopped with") as caught:
        run_study(study, out, processes=2, on_event=disturb)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    (failed,) = (event.message for event in told if event.kind == "failed")
    assert "died (signal 9)" in failed
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


def test_a_worker_whose_parent_is_gone_saves_its_run_and_ends(tmp_path):
    """In a process of its own, killed in the middle of a training of many epochs."""
    text = TEXT.replace("epochs = 2", "epochs = 10000")
    tiny_study(tmp_path, text)
    command = [sys.executable, "-c", PARENT, str(tmp_path / "tiny.toml"), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        parent.kill()
    end = time.monotonic() + 60
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    trial, *_ = trials(load_study(tmp_path / "tiny.toml"), tmp_path / "out")
    # Saved when it was stopped, which no epoch and no 200 steps need have ended before.
    assert Run(trial.folder).model_file.is_file()
    assert not is_finished(trial)
