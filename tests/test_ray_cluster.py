"""Ray itself: on this machine alone, and a cluster that loses its nodes."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from digitnet.data.dataset import Dataset
from digitnet.errors import UsageError, reason
from digitnet.experiments import ray_engine
from digitnet.experiments.bulk_recognition import predict_all
from digitnet.experiments.study.trials import Event, run_trial, trials
from digitnet.reading.recognizer import Recognizer
from ray_nodes import Nodes, nodes
from tiny_study import TINY, tiny_study

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None and "DIGITNET_CI" not in os.environ,
    reason="needs digitnet[ray]",
)
# Two variants with one seed each, long enough to be interrupted.
STUDY = TINY.replace("seeds = 2", "seeds = 1").replace("epochs = 2", "epochs = 20")
STUDY = STUDY.replace("batch_size = 20", "batch_size = 2")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, sample: Dataset) -> Path:
    """1,500 digits, one of which is damaged."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(1500):
        image = Image.fromarray(255 - sample.train_images[number])
        image.save(folder / f"{number:04}.png", compress_level=1)
    (folder / "0001.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="session")
def cluster() -> Iterator[Nodes]:
    """Three nodes on this machine; each test may lose one of two."""
    with nodes(3) as found:
        yield found


@pytest.fixture
def joined(cluster: Nodes, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """The cluster, whose token this process has."""
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)
    return cluster


def wait_for(what: Callable[[], Any], process: "subprocess.Popen[str] | None" = None) -> None:
    end = time.monotonic() + 300
    while not what():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def parts_of(out: Path) -> list[Path]:
    return sorted(out.glob("part-*.parquet"))


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


def listening_beyond_this_machine() -> set[str]:
    """Return the sockets that listen on anything but the loopback interface."""
    loopback = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")
    lines = [
        line.split()
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
    ]
    return {line[1] for line in lines if line[3] == "0A" and line[1].split(":")[0] not in loopback}


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(900)  # a busy machine is no failure
@pytest.mark.filterwarnings("ignore")  # of Ray's, in this process
def test_recognition_survives_ctrl_c_and_the_loss_of_a_node(
    pictures: Path, tmp_path: Path, joined: Nodes, capfd: pytest.CaptureFixture[str]
) -> None:
    out, pattern = tmp_path / "answers", f"{pictures}/*.png"
    # Begun on this machine alone, by Ray of its own, and interrupted.
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = ["-m", "digitnet", "predict", "--engine", "ray", pattern, "--out", str(out)]
    before = listening_beyond_this_machine()
    with subprocess.Popen(
        [sys.executable, *command, "--processes", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**own, "HOME": str(tmp_path)},
    ) as process:  # fmt: skip
        wait_for(lambda: parts_of(out), process)
        (folder,) = Path("/tmp").glob(f"digitnet-ray-*/session_*_{process.pid}")
        private = listening_beyond_this_machine() <= before
        # At once, before the rest is done as well.
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=120)
    assert private
    assert (process.returncode, printed, "Traceback" in errors) == (130, "", False)
    assert "the same command continues it" in errors
    assert not folder.parent.exists()
    assert not (tmp_path / ".ray").exists()
    done = {part: part.stat().st_mtime_ns for part in parts_of(out)}

    # Continued on a cluster that loses a node.
    capfd.readouterr()
    calls = []

    def lose_one(count: int, total: int) -> None:
        calls.append((count, total))
        if len(calls) == 3:
            joined.lose_one()

    summary = predict_all(pattern, out, address=joined.address, on_progress=lose_one)
    assert (summary.rows, summary.unread) == (1500, 1)
    assert 3 < len(calls) < len(parts_of(out))
    assert calls[-1] == (1500, 1500)
    assert {part: part.stat().st_mtime_ns for part in done} == done
    # Nothing of Ray's own.
    assert capfd.readouterr() == ("", "")
    check_answers(out, pictures)


@needs_ray
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_trials_survive_the_loss_of_a_node_to_the_bit(tmp_path: Path, joined: Nodes) -> None:
    study = tiny_study(tmp_path, STUDY)
    there, here = (trials(study, tmp_path / name) for name in ("there", "here"))
    events: list[Event] = []

    def lose_one() -> None:
        wait_for(lambda: all((t.folder / "checkpoint.safetensors").exists() for t in there))
        joined.lose_one()

    loss = threading.Thread(target=lose_one)
    loss.start()
    ray_engine.run_trials(there, processes=2, address=joined.address, on_event=events.append)
    loss.join()
    # Each ended once; and to the bit as if nothing had happened.
    assert sorted(map(str, events)) == sorted(str(Event("finished", trial)) for trial in there)
    for trial, other in zip(here, there, strict=True):
        run_trial(trial)
        for name in ("predictions.csv", "model.safetensors"):
            assert (other.folder / name).read_bytes() == (trial.folder / name).read_bytes()


# ---- Ray that is not there


@needs_ray
@pytest.mark.parametrize("address", ["somewhere", "ray://127.0.0.1:1", "127.0.0.1:99999"])
def test_a_wrong_address_is_told_at_once(address: str) -> None:
    with (
        pytest.raises(UsageError, match=f"{address} cannot be joined.*must be HOST:PORT"),
        ray_engine.ray_session(address, 1, {}),
    ):
        pass


@needs_ray
def test_an_address_where_nothing_answers_is_told_in_a_sentence(
    tmp_path: Path, run_cli: Any
) -> None:
    (tmp_path / "one.png").write_bytes(b"no picture")
    args = ("--engine", "ray", "one.png", "--out", "out", "--address", "127.0.0.1:1")
    done = run_cli("predict", *args, cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    *_, told = done.stderr.splitlines()
    assert told.startswith("Error: The Ray cluster at --address 127.0.0.1:1 cannot be joined: ")


@needs_ray
@pytest.mark.parametrize("package", ["ray", "pyarrow", "fsspec"])
def test_a_missing_package_is_told_with_the_remedy(
    package: str, tmp_path: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package != "ray":
        # Ray is loaded when all the rest is, the others with these.
        for name in ("bulk_recognition", "picture_list"):
            monkeypatch.delitem(sys.modules, f"digitnet.experiments.{name}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    picture = tmp_path / "one.png"
    picture.write_bytes(b"no picture")
    done = run_cli("predict", "--engine", "ray", picture, "--out", tmp_path / "out")
    assert done.code == 1
    assert f"'{package}'" in done.stderr
    assert "pip install 'digitnet[ray]'" in done.stderr


def test_loading_the_engine_loads_no_heavy_library() -> None:
    heavy = {"ray", "pyarrow", "fsspec", "torch", "numpy"}
    code = f"import sys, digitnet.experiments.ray_engine; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "set()\n"


def test_reasons_are_sentences() -> None:
    assert reason(RuntimeError("\nfirst line\nsecond")) == "first line."
    assert reason(TimeoutError()) == "TimeoutError."
