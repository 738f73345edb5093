"""Recipe ``finder``: from pages to a run folder, stopped, killed, resumed; what refuses it."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import digitnet
from digitnet.data.dataset import Dataset
from digitnet.errors import InputError, IntegrityError, StoppedError, UsageError
from digitnet.experiments.transfer_task import load_pretrained
from digitnet.network.recipes import recipe
from digitnet.reading.model_file import load_model_file
from digitnet.training import elsewhere, loop
from digitnet.training.checkpoint import load_finder
from digitnet.training.progress import Progress
from digitnet.training.run_training import run_training
from digitnet.training.runs import Epoch
from digitnet.training.trained import Options
from tiny_finder import SETTINGS, TEST_PAGES, few_pages

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True, scope="module")
def _few_pages() -> Iterator[None]:
    with few_pages():
        yield


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Processes that were begun to draw."""
    begun: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def begin(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = popen(*args, **options)
        # What the environment of a run says is asked of other programs.
        begun.extend([process] if "serve()" in str(args) else [])
        return process

    monkeypatch.setattr(elsewhere.subprocess, "Popen", begin)
    return begun


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, run_cli: Callable[..., Any]) -> digitnet.Run:
    """A finder trained by the command line; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("finder") / "run"
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    done = run_cli("train", "--recipe", "finder", "--out", folder, *flags)
    assert done.code == 0, done.stderr
    assert "pages right" in done.stdout
    assert "signs found" in done.stdout
    assert "val loss" in done.stderr
    return digitnet.open_run(folder)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> digitnet.Run:
    """A network that reads."""
    tiny = {"data": "sample", "epochs": 1, "batch_size": 250, "threads": 1, "channels": (4, 6)}
    return digitnet.train("plain", out=tmp_path_factory.mktemp("plain") / "run", **tiny)


def test_a_run_holds_what_every_run_holds(run: digitnet.Run) -> None:
    names = {path.name for path in run.path.iterdir()}
    assert names >= {
        *("config.json", "environment.json", "history.csv", "checkpoint.safetensors"),
        *("model.safetensors", "model.onnx", "metrics.json", "report.html", "figures"),
    }
    assert run.config.pages == SETTINGS["pages"]
    assert load_finder(run.model_file).num_parameters == run.metrics["parameters"]


def test_the_history_says_nothing_of_what_was_not_counted(run: digitnet.Run) -> None:
    text = (run.path / "history.csv").read_text(encoding="utf-8")
    assert "nan" not in text
    assert [row.train_accuracy for row in run.history] == [None, None]
    assert all(0 <= row.val_accuracy <= 1 and row.train_loss > 0 for row in run.history)


def test_metrics_hold_the_promised_keys(run: digitnet.Run) -> None:
    promised = {"recipe", "data", "seed", "parameters", "epochs", "seconds", "schema_version"}
    assert promised <= run.metrics.keys()
    assert run.metrics["val_loss"] == run.history[-1].val_loss
    assert run.metrics["test"]["total"]["pages"] == TEST_PAGES


def test_evaluating_again_changes_nothing(run: digitnet.Run, run_cli: Callable[..., Any]) -> None:
    before = run.metrics
    metrics = digitnet.evaluate_finder(run.path)
    assert run.metrics == before
    assert metrics.exact == before["pages_exact"]
    assert run_cli("evaluate", run.path, "--json").code == 0
    assert run.metrics == before


def test_stopped_and_killed_it_ends_with_the_same_bits(
    run: digitnet.Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    drawing: list[subprocess.Popen[bytes]],
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 1)

    def stop(progress: Progress) -> None:
        if progress.step == 2:
            signal.raise_signal(signal.SIGINT)

    def die(progress: Progress) -> None:
        if (progress.epoch, progress.step) == (2, 2):
            raise RuntimeError("made up")

    folder = tmp_path / "again"
    with pytest.raises(StoppedError, match="--resume"):
        digitnet.train("finder", out=folder, on_progress=stop, **SETTINGS)
    assert load_finder(folder / "model.safetensors")
    with pytest.raises(RuntimeError, match="made up"):
        digitnet.resume(folder, on_progress=die)
    again = digitnet.resume(folder)
    assert again.model_file.read_bytes() == run.model_file.read_bytes()
    assert _but_for_the_seconds(again) == _but_for_the_seconds(run)
    assert len(drawing) == 3
    assert all(process.poll() is not None for process in drawing)


def _but_for_the_seconds(run: digitnet.Run) -> list[Epoch]:
    return [dataclasses.replace(row, seconds=0.0) for row in run.history]


def test_extended_it_is_as_if_it_had_been_that_long(run: digitnet.Run, tmp_path: Path) -> None:
    constant = {**SETTINGS, "schedule": "constant"}
    whole = digitnet.train("finder", out=tmp_path / "whole", **constant)
    digitnet.train("finder", out=tmp_path / "part", **{**constant, "epochs": 1})
    part = digitnet.resume(tmp_path / "part", epochs=2)
    assert part.model_file.read_bytes() == whole.model_file.read_bytes()


def test_exported_it_reads_with_the_shipped_network(run: digitnet.Run) -> None:
    file = load_model_file(run.path)
    assert file.metadata["finder_sha256"] == run.model_sha256
    assert file.metadata["recipe"] == "robust"
    assert file.class_names == tuple("0123456789")


def test_a_reader_is_exported_with_a_finder_that_is_named(
    run: digitnet.Run, reader: digitnet.Run, tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    done = run_cli("export", reader.path, "--finder", run.path, "--out", tmp_path / "one.onnx")
    assert done.code == 0, done.stderr
    digitnet.export_run(reader, tmp_path / "other.onnx", finder=run.model_file)
    one, other = ((tmp_path / name).read_bytes() for name in ("one.onnx", "other.onnx"))
    assert one == other
    assert load_model_file(tmp_path / "one.onnx").metadata["finder_sha256"] == run.model_sha256


def test_whatever_needs_a_reader_refuses_a_finder(run: digitnet.Run, reader: digitnet.Run) -> None:
    for refuses in (
        lambda: digitnet.evaluate(run),
        lambda: load_pretrained(run.path),
    ):
        with pytest.raises(InputError, match=r"holds a finder, .* needed here is a network"):
            refuses()
    with pytest.raises(IntegrityError, match="is a digitnet finder, but a model is needed"):
        load_pretrained(run.model_file)
    with pytest.raises(IntegrityError, match="is a digitnet finder, but a model is needed"):
        digitnet.load_model(run.model_file)
    with pytest.raises(UsageError, match="holds a finder itself"):
        digitnet.export_run(run, finder=reader.path)


def test_whatever_needs_a_finder_refuses_a_reader(reader: digitnet.Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds a network .* needed here is a finder"):
        digitnet.evaluate_finder(reader)
    with pytest.raises(InputError, match="needed here is a finder"):
        digitnet.export_run(reader, finder=reader.path)
    with pytest.raises(IntegrityError, match="is a digitnet model, but a finder is needed"):
        digitnet.export_run(reader, finder=reader.model_file)


def test_a_study_of_finders_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "finders.toml"
    file.write_text(
        'title = "T"\nquestion = "Q?"\nbase = "finder"\ndata = "sample"\nseeds = 1\n'
        'base_variant = "a"\n[variants.a]\nepochs = 1\n'
    )
    with pytest.raises(UsageError, match="'a' is a finder"):
        digitnet.load_study(file)


@pytest.mark.parametrize(
    "settings",
    [{"pages": 3}, {"early_stopping": 2}, {"train_images": 10}, {"channels": (4,)}, {"rotate": 5}],
)
def test_settings_that_would_do_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="pages"):
        recipe("finder").override(**settings)


def test_pages_are_made_of_digits(sample: Dataset, tmp_path: Path) -> None:
    letters = dataclasses.replace(sample, name="letters", class_names=tuple("abcdefghij"))
    with pytest.raises(InputError, match="'letters' has the classes a, b, c"):
        run_training("finder", tmp_path / "run", Options(dataset=letters), **SETTINGS)
    assert not (tmp_path / "run").exists()


def test_a_script_without_a_main_guard_trains(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from digitnet.training import finder_training\n"
        "import digitnet\n"
        "finder_training.VAL_BATCHES = finder_training.VAL_PAGES = 1\n"
        f"settings = {SETTINGS | {'epochs': 1, 'pages': 4}!r}\n"
        f"print(len(digitnet.train('finder', out={str(tmp_path / 'run')!r}, **settings).history))\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
