"""The verbs of the Python API, on small networks and the sample."""

import dataclasses
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import digitnet
from digitnet.data.dataset import Dataset
from digitnet.errors import (
    InputError,
    IntegrityError,
    StoppedError,
    TrainingDivergedError,
    UsageError,
)
from digitnet.files import hold_lock
from digitnet.training.checkpoint import read_tensors, write_tensors
from digitnet.training.progress import Progress, show_progress

TINY = {
    "data": "sample",
    "epochs": 1,
    "batch_size": 250,
    "threads": 1,
    "channels": (4, 6),
    "dense": (8,),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> digitnet.Run:
    """A trained and evaluated run; tests leave it as it is."""
    run = digitnet.train("plain", out=tmp_path_factory.mktemp("runs") / "run", **TINY)
    digitnet.evaluate(run)
    return run


def test_a_run_holds_what_was_asked_for(run: digitnet.Run, sample: Dataset) -> None:
    config = run.config
    assert config.recipe == "plain"
    assert config.model.channels == (4, 6)
    assert config.data == "sample"
    assert run.data_sha256 == sample.sha256
    assert len(run.history) == 1
    assert run.environment["packages"]["torch"]


def test_a_signal_in_the_last_step_stops_what_comes_after_training(
    run: digitnet.Run, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.finished:
            signal.raise_signal(signal.SIGTERM)

    out = tmp_path / "run"
    with pytest.raises(StoppedError, match=f"after 1 of 1 epoch.*--resume {out}") as stopped:
        digitnet.train("plain", out=out, on_progress=stop, **TINY)
    assert stopped.value.exit_code == 143
    again = digitnet.resume(out, on_progress=lambda _: pytest.fail("nothing is left"))
    assert again.model_file.read_bytes() == run.model_file.read_bytes()


def test_metrics_hold_the_promised_keys(run: digitnet.Run) -> None:
    promised = {
        *("run", "recipe", "seed", "parameters", "epochs", "seconds"),
        *("val_accuracy", "test_accuracy", "test_loss", "misses", "schema_version"),
    }
    assert promised <= run.metrics.keys()
    assert run.metrics["epochs"] == 1
    assert run.metrics["parameters"] == digitnet.load_model(run.model_file).num_parameters


def test_evaluation_agrees_with_itself(run: digitnet.Run, sample: Dataset) -> None:
    """metrics.json, predictions.csv and the history tell one story."""
    predictions = run.predictions
    metrics = run.metrics
    assert np.array_equal(predictions.label, sample.test_labels)
    assert metrics["misses"] == int((predictions.predicted != predictions.label).sum())
    assert metrics["test_accuracy"] == pytest.approx(1 - metrics["misses"] / 1000)
    loss = -np.log(predictions.probability_label).mean()
    assert metrics["test_loss"] == pytest.approx(loss, rel=1e-6)
    assert metrics["val_accuracy"] == run.history[-1].val_accuracy


def test_evaluating_again_changes_nothing(run: digitnet.Run) -> None:
    before = run.metrics, (run.path / "predictions.csv").read_bytes()
    digitnet.evaluate(run.path)
    again = run.metrics
    timing = ("microseconds_per_image",)
    assert {k: v for k, v in again.items() if k not in timing} == {
        k: v for k, v in before[0].items() if k not in timing
    }
    assert (run.path / "predictions.csv").read_bytes() == before[1]


def test_training_never_reads_the_test_images(
    tmp_path: Path, sample: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    for number in range(2):
        spoiled = dataclasses.replace(
            sample,
            test_images=np.full_like(sample.test_images, 255 * number),
            test_labels=np.zeros_like(sample.test_labels),
        )
        monkeypatch.setattr("digitnet.training.trained.load_dataset", lambda *_, d=spoiled, **__: d)
        run = digitnet.train("plain", out=tmp_path / str(number), **TINY)
        weights.append(run.model_file.read_bytes())
    assert weights[0] == weights[1]


def test_default_folder_lies_under_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = digitnet.train("plain", **TINY)
    assert run.path.parent == Path("runs")
    assert run.path.name.startswith("plain-seed0-")


def test_a_network_that_cannot_be_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--channels"):
        digitnet.train("plain", out=tmp_path / "run", **{**TINY, "channels": (4,) * 6})
    assert not (tmp_path / "run").exists()


def test_a_giant_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="25,000,000"):
        digitnet.train("plain", out=tmp_path / "run", **{**TINY, "dense": (10**9,)})
    assert not (tmp_path / "run").exists()


def test_a_full_folder_is_not_overwritten(run: digitnet.Run) -> None:
    with pytest.raises(UsageError, match="--resume"):
        digitnet.train("plain", out=run.path, **TINY)


def stop_after(steps: int, number: int) -> object:
    count = iter(range(1, 10_000))

    def on_progress(_: Progress) -> None:
        if next(count) == steps:
            os.kill(os.getpid(), number)

    return on_progress


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_usable_run(tmp_path: Path, number: int, code: int) -> None:
    handler = signal.getsignal(number)
    settings = {**TINY, "epochs": 2}
    with pytest.raises(StoppedError, match=r"after 1 of 2 epochs\. .*--resume") as caught:
        digitnet.train("plain", out=tmp_path / "a", on_progress=stop_after(20, number), **settings)
    assert caught.value.exit_code == code
    assert signal.getsignal(number) is handler
    stopped = digitnet.open_run(tmp_path / "a")
    assert digitnet.evaluate(stopped).images == 1000
    assert stopped.metrics["epochs"] == 1
    whole = digitnet.train("plain", out=tmp_path / "b", **settings)
    resumed = digitnet.resume(tmp_path / "a")
    assert resumed.model_file.read_bytes() == whole.model_file.read_bytes()


def test_resuming_a_finished_run_changes_nothing(run: digitnet.Run) -> None:
    before = run.model_file.read_bytes(), (run.path / "history.csv").read_bytes()
    digitnet.resume(run)
    assert (run.model_file.read_bytes(), (run.path / "history.csv").read_bytes()) == before


def test_resuming_with_as_many_threads_as_cores_is_no_change(run: digitnet.Run) -> None:
    digitnet.resume(run, threads=0)


def test_resuming_a_finished_run_keeps_its_environment(run: digitnet.Run) -> None:
    before = (run.path / "environment.json").read_bytes()
    digitnet.resume(run)
    assert (run.path / "environment.json").read_bytes() == before


def test_a_network_of_an_earlier_interruption_is_not_evaluated(
    tmp_path: Path, run: digitnet.Run
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    killed = digitnet.open_run(tmp_path / "run")
    killed.write_history([*run.history, dataclasses.replace(run.history[0], epoch=2)])
    with pytest.raises(InputError, match="--resume"):
        digitnet.evaluate(killed)


def test_a_split_that_cannot_be_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="3 images cannot be taken evenly from 10 classes"):
        digitnet.train("plain", out=tmp_path / "run", **TINY | {"train_images": 3})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 9), ("batch_size", 7), ("dropout", 0.3), ("rotate", 5.0), ("channels", (3,))],
)
def test_resuming_with_another_setting_names_it(
    run: digitnet.Run, name: str, value: object
) -> None:
    with pytest.raises(UsageError, match=f"{name} is .* not "):
        digitnet.resume(run, **{name: value})


def test_a_run_can_be_extended_when_its_schedule_is_constant(
    tmp_path: Path, run: digitnet.Run
) -> None:
    longer = shutil.copytree(run.path, tmp_path / "run")
    whole = digitnet.train("plain", out=tmp_path / "whole", **{**TINY, "epochs": 2})
    extended = digitnet.resume(longer, epochs=2)
    assert extended.config.epochs == 2
    assert extended.model_file.read_bytes() == whole.model_file.read_bytes()
    assert len(extended.history) == 2
    digitnet.evaluate(extended)
    with pytest.raises(UsageError, match="epochs is 2, not 1"):
        digitnet.resume(extended, epochs=1)


def test_a_run_is_not_extended_where_it_would_have_been_another(
    tmp_path: Path, run: digitnet.Run
) -> None:
    copied = digitnet.open_run(shutil.copytree(run.path, tmp_path / "run"))
    copied.write_config(run.config.override(schedule="cosine"), run.data_sha256, "0123456789")
    with pytest.raises(UsageError, match=r"to 5 epochs: its schedule 'cosine'.*--epochs 5"):
        digitnet.resume(copied, epochs=5)
    copied.write_config(run.config.override(early_stopping=2), run.data_sha256, "0123456789")
    copied.write_history([dataclasses.replace(run.history[0], epoch=n + 1) for n in range(3)])
    with pytest.raises(UsageError, match="early stopping ended it after epoch 3"):
        digitnet.resume(copied, epochs=5)


def test_a_network_learns_on_with_other_settings(tmp_path: Path, run: digitnet.Run) -> None:
    settings = {**TINY, "learning_rate": 1e-8, "start_from": str(run.path)}
    slow = digitnet.train("plain", out=tmp_path / "on", **settings)
    assert slow.history[0].val_loss == pytest.approx(run.history[-1].val_loss, abs=1e-4)
    averaged = digitnet.train(
        "plain", out=tmp_path / "averaged", **{**settings, "averaging": 0.5, "epochs": 2}
    )
    assert averaged.history[0].val_loss == pytest.approx(run.history[-1].val_loss, abs=1e-4)
    # Once it has begun, a run needs nothing but its own folder.
    moved = digitnet.open_run(shutil.copytree(slow.path, tmp_path / "copy"))
    elsewhere = slow.config.override(start_from="gone")
    moved.write_config(elsewhere, slow.data_sha256, "0123456789")
    about = read_tensors(slow.checkpoint_file, "checkpoint")
    write_tensors(
        moved.checkpoint_file, "checkpoint", about[0], about[1] | {"config": elsewhere.as_dict()}
    )
    assert digitnet.resume(moved).history == slow.history


def test_other_hands_beside_other_things_are_refused_before_there_is_a_folder(
    tmp_path: Path,
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(4):
            picture = Image.new("L", (28, 28), 255)
            picture.paste(0, (8, 4, 10 + number, 24))
            picture.save(tmp_path / name / f"{number}.png")
    out, settings = tmp_path / "run", {**TINY, "data": str(tmp_path), "canonical": True}
    with pytest.raises(UsageError, match=r"--hands cannot be 0\.5; .* classes cat, dog, because"):
        digitnet.train("plain", out=out, **settings, hands=0.5)
    assert not out.exists()


def test_what_cannot_learn_on_is_refused_before_there_is_a_folder(
    tmp_path: Path, run: digitnet.Run
) -> None:
    out = tmp_path / "run"
    with pytest.raises(UsageError, match=r"another network: its dense is \(8,\), not"):
        digitnet.train("plain", out=out, **{**TINY, "dense": (9,), "start_from": str(run.path)})
    with pytest.raises(InputError, match="There is no model file"):
        digitnet.train("plain", out=out, **TINY, start_from=str(tmp_path / "gone.safetensors"))
    finder = {"data": "sample", "pages": 16, "batch_size": 8, "threads": 1, "epochs": 1}
    with pytest.raises(IntegrityError, match="finder"):
        digitnet.train("finder", out=out, **finder, start_from=str(run.model_file))
    with pytest.raises(InputError, match="what is needed here is a finder"):
        digitnet.train("finder", out=out, **finder, start_from=str(run.path))
    assert not out.exists()


def test_a_diverged_run_and_its_evaluation_agree_on_what_to_do(tmp_path: Path) -> None:
    settings = {**TINY, "optimizer": "sgd", "learning_rate": 100.0, "activation": "elu"}
    with pytest.raises(TrainingDivergedError, match="new run with a smaller --learning-rate"):
        digitnet.train("plain", out=tmp_path / "run", **settings)
    with pytest.raises(InputError, match="new run with a smaller --learning-rate than 100"):
        digitnet.evaluate(tmp_path / "run")


def test_a_folder_of_six_pictures_a_class_is_enough(crosses_and_bars: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(crosses_and_bars, tmp_path / "signs")
    for picture in sorted(folder.rglob("*.png")):
        if int(picture.stem) >= 6:
            picture.unlink()
    run = digitnet.train("plain", out=tmp_path / "run", **{**TINY, "data": str(folder)})
    digitnet.evaluate(run)
    assert run.metrics["val_accuracy"] in (0, 0.5, 1)


def test_progress_is_shown_on_a_terminal_and_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digitnet.train("plain", out=tmp_path / "quiet", **TINY)
    assert capsys.readouterr() == ("", "")
    digitnet.train("plain", out=tmp_path / "lines", progress=True, **TINY)
    assert capsys.readouterr().err.startswith("epoch 1/1  loss ")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with show_progress() as show:
        show(Progress(1, 3, 2, 4, 0.5, 0.75))
    assert "0/0" not in capsys.readouterr().err
    with show_progress(wanted=False) as show:
        show(Progress(1, 3, 2, 4, 0.5, 0.75))
    assert capsys.readouterr() == ("", "")


def test_resuming_with_other_data_names_the_file(
    run: digitnet.Run, sample: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(sample, sha256={"mnist_sample.npz": "0" * 64})
    monkeypatch.setattr("digitnet.training.trained.load_dataset", lambda *_, **__: other)
    with pytest.raises(UsageError, match=r"mnist_sample\.npz"):
        digitnet.resume(run)


def test_two_trainings_in_one_folder_exclude_each_other(tmp_path: Path) -> None:
    refused = []

    def intrude(progress: Progress) -> None:
        if progress.step == 1:
            try:
                digitnet.resume(tmp_path / "run")
            except UsageError as error:
                refused.append(str(error))

    digitnet.train("plain", out=tmp_path / "run", on_progress=intrude, **TINY)
    assert len(refused) == 1
    assert "Another process" in refused[0]


def test_trains_outside_the_main_thread(tmp_path: Path) -> None:
    thread = threading.Thread(
        target=lambda: digitnet.train("plain", out=tmp_path / "run", **TINY), daemon=True
    )
    thread.start()
    thread.join(60)
    assert digitnet.open_run(tmp_path / "run").model_file.is_file()


def test_evaluating_without_a_model_says_what_to_do(tmp_path: Path, run: digitnet.Run) -> None:
    (tmp_path / "config.json").write_bytes((run.path / "config.json").read_bytes())
    with pytest.raises(InputError, match="--resume"):
        digitnet.evaluate(tmp_path)


def test_evaluating_a_damaged_model_is_an_integrity_error(
    tmp_path: Path, run: digitnet.Run
) -> None:
    for name in ("config.json", "history.csv"):
        (tmp_path / name).write_bytes((run.path / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes(run.model_file.read_bytes()[:-100])
    with pytest.raises(IntegrityError, match=r"model\.safetensors"):
        digitnet.evaluate(tmp_path)


def test_metrics_file_is_plain_json(run: digitnet.Run) -> None:
    text = (run.path / "metrics.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["test"]["images"] == 1000


@pytest.fixture(scope="module")
def crosses_and_bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of pictures that any network can tell apart."""
    folder = tmp_path_factory.mktemp("signs") / "signs"
    for name, shift in (("cross", 1), ("bar", 0)):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            page = np.full((60, 60), 255, np.uint8)
            page[10 + number : 14 + number, 10:50] = 0
            page[8:52, 28:32] = 0 if shift else 255
            Image.fromarray(page).save(folder / name / f"{number}.png")
    return folder


def test_evaluating_on_other_data_is_refused_and_writes_nothing(
    crosses_and_bars: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(crosses_and_bars, tmp_path / "signs")
    settings = {**TINY, "data": str(folder), "batch_size": 4, "val_fraction": 0.3}
    run = digitnet.train("plain", out=tmp_path / "run", **settings)
    digitnet.evaluate(run)
    before = (run.path / "metrics.json").read_bytes()
    (folder / "cross").rename(folder / "other")
    (folder / "bar").rename(folder / "cross")
    (folder / "other").rename(folder / "bar")
    for work in (digitnet.evaluate, digitnet.export_run, digitnet.write_report, digitnet.resume):
        with pytest.raises(UsageError, match=r"run .* pictures .*Put its pictures back"):
            work(run)
    folder.rename(tmp_path / "moved")
    for work in (digitnet.evaluate, digitnet.export_run, digitnet.write_report, digitnet.resume):
        with pytest.raises(
            InputError, match=r"run .* was trained on .*signs.* Put that folder back"
        ):
            work(run)
    assert (run.path / "metrics.json").read_bytes() == before


@pytest.mark.parametrize("name", ["evaluate", "export_run", "write_report"])
def test_what_writes_into_a_run_waits_for_no_other_process(run: digitnet.Run, name: str) -> None:
    before = {file: file.stat().st_mtime_ns for file in run.path.rglob("*.*")}
    with hold_lock(run.path), pytest.raises(UsageError, match="Another process"):
        getattr(digitnet, name)(run)
    assert before == {file: file.stat().st_mtime_ns for file in run.path.rglob("*.*")}
