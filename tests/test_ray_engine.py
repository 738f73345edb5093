"""The trials of a study on Ray, but for Ray itself."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fake_ray
from digitnet.errors import (
    DigitnetError,
    InputError,
    StoppedError,
    UsageError,
)
from digitnet.experiments import ray_engine
from digitnet.experiments.study.trials import Event, Trial
from digitnet.files import hold_lock
from digitnet.network.config import TrainConfig


def some_trials(folder: Path, threads: int = 1) -> list[Trial]:
    config = TrainConfig().override(threads=threads)
    return [Trial(f"v{n}", 0, config, folder / "runs" / f"v{n}") for n in range(3)]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in this process what Ray would run elsewhere."""
    fake_ray.install(monkeypatch)
    # It may change to another folder, as on a node; go back to this one.
    monkeypatch.chdir(Path.cwd())


def test_each_trial_is_run_once_and_reported(
    here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[Trial, Any]] = []
    events: list[Event] = []
    monkeypatch.setattr(
        ray_engine, "run_trial", lambda trial, **options: ran.append((trial, options))
    )
    planned = some_trials(tmp_path)
    options = {"data_dir": tmp_path, "offline": True}
    ray_engine.run_trials(planned, on_event=events.append, **options)
    assert ran == [(trial, options) for trial in planned]
    assert events == [Event("finished", trial) for trial in planned]
    assert list(tmp_path.rglob(".*")) == []


def test_a_failed_trial_stops_no_other(
    here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_second(trial: Trial, **_: Any) -> None:
        if trial.variant == "v1":
            raise InputError("It is broken.")

    events: list[Event] = []
    monkeypatch.setattr(ray_engine, "run_trial", fail_second)
    first, second, third = planned = some_trials(tmp_path)
    ray_engine.run_trials(planned, on_event=events.append)
    assert events == [
        Event("finished", first),
        Event("failed", second, message="It is broken."),
        Event("finished", third),
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_an_interruption_that_says_which(
    here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    events: list[Event] = []
    first, *_ = planned = some_trials(tmp_path)
    monkeypatch.setattr(ray_engine, "run_trial", lambda *_, **__: os.kill(os.getpid(), number))
    with pytest.raises(StoppedError) as caught:
        ray_engine.run_trials(planned, on_event=events.append)
    assert caught.value.exit_code == code
    assert events == [Event("finished", first)]


def test_a_trial_that_no_node_can_run_is_refused_rather_than_waited_for(
    here: None, tmp_path: Path
) -> None:
    with pytest.raises(DigitnetError, match=r"the 3 processors for this; the largest has 2"):
        ray_engine.run_trials(some_trials(tmp_path, threads=3))


def test_a_node_that_sees_other_folders_is_an_error(tmp_path: Path) -> None:
    trial = some_trials(tmp_path)[0]
    with pytest.raises(InputError, match="does not see the folder"):
        ray_engine.run_one(trial, folder=tmp_path, witness=tmp_path / "not there", options={})


HOLD = """
import sys, time
from pathlib import Path
from digitnet.files import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="Another process"), hold_lock(tmp_path):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with hold_lock(tmp_path):
            pass
