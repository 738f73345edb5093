"""Ray itself: on this machine alone, and a cluster that loses its nodes."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from digitnet.data.dataset import Dataset
from digitnet.experiments.study.definition import load_study
from digitnet.experiments.study.trials import run_trial, trials
from digitnet.reading.recognizer import Recognizer
from ray_nodes import nodes

pytestmark = [
    pytest.mark.slow,
    # A minute on two free cores; a busy machine is no failure.
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None and "DIGITNET_CI" not in os.environ,
        reason="needs digitnet[ray]",
    ),
]

STUDY = """
title = "Dropout"
question = "Does it help?"
base = "plain"
data = "sample"
seeds = 2

[settings]
epochs = 4
train_images = 500

[variants.none]

[variants.half]
dropout = 0.5
"""

RUN_TRIALS = """
import sys
from pathlib import Path
from digitnet.experiments.ray_engine import run_trials
from digitnet.experiments.study.definition import load_study
from digitnet.experiments.study.trials import trials

if __name__ == "__main__":
    run_trials(
        trials(load_study(Path("study.toml")), Path("out")),
        processes=2, address=sys.argv[1],
        on_event=lambda event: print(event.trial, event.kind, flush=True),
    )
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, sample: Dataset) -> Path:
    """2,500 digits."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(2500):
        image = Image.fromarray(255 - sample.train_images[number])
        image.save(folder / f"{number:04}.png", compress_level=1)
    (folder / "0001.png").write_bytes(b"no picture")
    return folder


def wait_for(what: Callable[[], Any], process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 300
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def parts_of(out: Path) -> list[Path]:
    return sorted(out.glob("part-*.parquet"))


def started(*command: object, **settings: Any) -> "subprocess.Popen[str]":
    words = [sys.executable, *map(str, command)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, **pipes, text=True, **settings)


def check_answers(out: Path, pictures: Path) -> None:
    """Check that every picture has its answer, once."""
    import pyarrow.parquet as pq

    rows = pq.read_table(out).to_pylist()
    names = sorted(str(path) for path in pictures.iterdir())
    assert [row["path"] for row in rows] == names
    assert [row["path"] for row in rows if row["error"]] == [names[1]]
    some = [row for row in rows if not row["error"]][::40]
    expected = Recognizer().predict_many(row["path"] for row in some)
    assert [row["digit"] for row in some] == [answer.digit for answer in expected]
    for row, answer in zip(some, expected, strict=True):
        np.testing.assert_allclose(row["probabilities"], answer.probabilities, atol=1e-5)


def test_a_cluster_that_loses_nodes_loses_and_doubles_nothing(
    pictures: Path, tmp_path: Path
) -> None:
    with nodes(3) as cluster:
        out = tmp_path / "answers"
        command = ("-m", "digitnet", "predict", "--engine", "ray", pictures, "--out", out)
        process = started(*command, "--address", cluster.address, "--json", env=cluster.env)
        wait_for(lambda: len(parts_of(out)) >= 3, process)
        cluster.lose_one()
        assert len(parts_of(out)) < 50, "too late to show anything"
        printed, told = process.communicate(timeout=300)
        assert (process.returncode, "Traceback" in told) == (4, False), told
        assert json.loads(printed)["rows"] == 2500
        check_answers(out, pictures)

        (tmp_path / "study.toml").write_text(STUDY)
        process = started("-c", RUN_TRIALS, cluster.address, env=cluster.env, cwd=tmp_path)
        runs = tmp_path / "out" / "runs"
        wait_for(lambda: len(list(runs.glob("*/checkpoint.safetensors"))) >= 2, process)
        cluster.lose_one()
        printed, told = process.communicate(timeout=300)
        assert (process.returncode, "Traceback" in told) == (0, False), told
    here = trials(load_study(tmp_path / "study.toml"), tmp_path / "here")
    # Each ended once; and to the bit as if nothing had happened.
    assert sorted(printed.splitlines()) == sorted(f"{trial} finished" for trial in here)
    for trial in here:
        run_trial(trial)
        for name in ("predictions.csv", "model.safetensors"):
            there = runs / trial.folder.name / name
            assert there.read_bytes() == (trial.folder / name).read_bytes()


def listening_beyond_this_machine() -> set[str]:
    """Return the sockets that listen on anything but the loopback interface."""
    loopback = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")
    lines = [
        line.split()
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
    ]
    return {line[1] for line in lines if line[3] == "0A" and line[1].split(":")[0] not in loopback}


def test_on_this_machine_ray_is_private_and_ctrl_c_costs_nothing(
    pictures: Path, tmp_path: Path
) -> None:
    out, pattern = tmp_path / "answers", f"{pictures}/*.png"
    command = ("-m", "digitnet", "predict", "--engine", "ray", pattern, "--out", out)
    env = {**os.environ, "HOME": str(tmp_path)}
    before = listening_beyond_this_machine()
    process = started(*command, "--processes", "1", env=env)
    sessions = f"digitnet-ray-*/session_*_{process.pid}"
    wait_for(lambda: any(Path("/tmp").glob(sessions)), process)
    (folder,) = Path("/tmp").glob(sessions)
    wait_for(lambda: parts_of(out), process)
    # At once, before the rest is done as well.
    process.send_signal(signal.SIGINT)
    printed, told = process.communicate(timeout=120)
    assert (process.returncode, printed, "Traceback" in told) == (130, "", False)
    assert "the same command goes on" in told
    assert not folder.parent.exists()
    done = {part: part.stat().st_mtime_ns for part in parts_of(out)}
    assert 1 <= len(done) < 60

    process = started(*command, "--quiet", env=env)
    wait_for(lambda: len(parts_of(out)) > len(done), process)
    assert listening_beyond_this_machine() <= before
    printed, told = process.communicate(timeout=300)
    assert (process.returncode, told) == (4, "")
    assert "2,500 pictures, 1 of them unreadable" in printed
    assert {part: part.stat().st_mtime_ns for part in done} == done
    assert not (tmp_path / ".ray").exists()
    check_answers(out, pictures)
