"""Ensembles: trained, stopped and resumed, measured, exported, and refused where they are none."""

import dataclasses
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import digitnet
from digitnet.data.dataset import Dataset
from digitnet.errors import InputError, StoppedError, UsageError
from digitnet.files import hold_lock
from digitnet.reading.model_file import load_model_file
from digitnet.training.ensemble_runs import EnsembleMetrics
from digitnet.training.progress import Progress
from digitnet.training.runs import Run

TINY: dict[str, Any] = {
    "data": "sample",
    "epochs": 1,
    "batch_size": 250,
    "learning_rate": 0.01,
    "threads": 1,
    "channels": (4, 6),
    "dense": (8,),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three members, evaluated together; tests leave it as it is."""
    out = tmp_path_factory.mktemp("runs") / "ensemble"
    digitnet.train_ensemble("plain", 3, seed=4, out=out, **TINY)
    digitnet.evaluate_ensemble(out)
    return out


@pytest.fixture(scope="module")
def metrics(folder: Path) -> EnsembleMetrics:
    return digitnet.evaluate_ensemble(folder)


@pytest.fixture(scope="module")
def model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, exported."""
    return digitnet.export_run(folder, tmp_path_factory.mktemp("files") / "model.onnx").path


def test_members_are_ordinary_runs_with_seeds_of_their_own(folder: Path) -> None:
    runs = [digitnet.open_run(folder / f"seed{seed}") for seed in (4, 5, 6)]
    assert [run.config.seed for run in runs] == [4, 5, 6]
    assert len({run.model_sha256 for run in runs}) == 3
    for run in runs:
        assert digitnet.evaluate(run).misses == run.metrics["misses"]
    alone = digitnet.train("plain", seed=5, out=folder.parent / "alone", **TINY)
    assert alone.model_file.read_bytes() == runs[1].model_file.read_bytes()


def test_each_is_measured_alone_and_all_as_one(
    folder: Path, metrics: EnsembleMetrics, sample: Dataset
) -> None:
    alone = [Run(folder / f"seed{seed}").metrics["test"] for seed in (4, 5, 6)]
    assert metrics.seeds == (4, 5, 6)
    assert metrics.groups == ((4, 5, 6),)
    assert [each.misses for each in metrics.members] == [each["misses"] for each in alone]
    assert metrics.alone.mean == pytest.approx(np.mean([each["accuracy"] for each in alone]))
    (together,) = metrics.ensembles
    # Of a mean of probabilities, the loss is at most the mean of the losses (Jensen).
    assert together.loss < np.mean([each["loss"] for each in alone])
    told = Run(folder).predictions
    assert np.array_equal(told.label, sample.test_labels)
    assert together.misses == int((told.predicted != told.label).sum())
    assert together.loss == pytest.approx(-np.log(told.probability_label).mean(), rel=1e-6)


def test_the_folder_holds_what_was_measured(folder: Path, metrics: EnsembleMetrics) -> None:
    held = Run(folder).metrics
    assert held["test"] == json.loads(json.dumps(metrics.ensembles[0].as_dict()))
    assert held["test_accuracy"] == metrics.together.mean
    assert [row["seed"] for row in held["members"]] == [4, 5, 6]
    members = [Run(folder / f"seed{seed}") for seed in (4, 5, 6)]
    assert held["parameters"] == sum(run.metrics["parameters"] for run in members)
    assert held["epochs"] == 3
    assert sorted(run.model_sha256 for run in members) == held["model_sha256"].split(", ")
    assert 0.1 < held["val_accuracy"] < 1


def test_on_mnist_all_are_measured_without_disputed_labels_too(
    folder: Path, sample: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mnist = dataclasses.replace(sample, name="mnist")
    monkeypatch.setattr("digitnet.training.trained.load_dataset", lambda *_, **__: mnist)
    monkeypatch.setattr("digitnet.training.ensemble_runs.DISPUTED_MNIST_TEST", (1, 2, 3))
    runs = [Run(shutil.copytree(folder / f"seed{seed}", tmp_path / f"{seed}")) for seed in (4, 5)]
    for run in runs:
        run.write_config(run.config.override(data="mnist"), run.data_sha256, "0123456789")
    found = digitnet.evaluate_ensemble(runs)
    for metrics in (*found.members, *found.ensembles):
        assert metrics.undisputed is not None
        assert (metrics.undisputed.images, metrics.undisputed.removed) == (997, (1, 2, 3))


def test_runs_that_lie_anywhere_are_measured_in_disjoint_groups(
    folder: Path, metrics: EnsembleMetrics, tmp_path: Path
) -> None:
    runs = [Run(folder / f"seed{seed}") for seed in (6, 4, 5)]
    said: list[str] = []
    before = Run(folder).metrics
    pairs = digitnet.evaluate_ensemble(runs, 2, on_message=said.append)
    assert pairs.groups == ((6, 4),)
    assert pairs.folder is None
    assert "the last 1" in said[0]
    assert [each.misses for each in pairs.members] == [metrics.members[k].misses for k in (2, 0, 1)]
    assert Run(folder).metrics == before
    assert digitnet.evaluate_ensemble(runs).ensembles[0].misses == metrics.ensembles[0].misses
    told = json.loads(json.dumps(pairs.as_dict()))
    assert told["together"]["count"] == len(told["ensembles"]) == 1


@pytest.mark.parametrize("size", [0, 1, 4, -1])
def test_groups_of_a_size_that_cannot_be_are_refused(folder: Path, size: int) -> None:
    with pytest.raises(UsageError, match=f"--members cannot be {size}; allowed: 2 to 3"):
        digitnet.evaluate_ensemble(folder, size)


def test_runs_that_differ_in_more_than_the_seed_are_no_ensemble(
    folder: Path, tmp_path: Path
) -> None:
    other = Run(tmp_path / "other")
    shutil.copytree(folder / "seed5", other.path)
    config = other.config.override(learning_rate=0.5)
    other.write_config(config, other.data_sha256, "0123456789")
    with pytest.raises(UsageError, match=r"learning_rate is 0\.01, not 0\.5"):
        digitnet.evaluate_ensemble([folder / "seed4", other])
    with pytest.raises(UsageError, match="have the same seed, 4"):
        digitnet.evaluate_ensemble([folder / "seed4", folder / "seed5", folder / "seed4"])
    with pytest.raises(UsageError, match="two runs or more"):
        digitnet.evaluate_ensemble([folder / "seed4"])


def test_a_run_that_was_interrupted_is_no_member(folder: Path, tmp_path: Path) -> None:
    begun = Run(tmp_path / "begun")
    shutil.copytree(folder / "seed5", begun.path)
    begun.write_config(begun.config.override(epochs=2), begun.data_sha256, "0123456789")
    first = Run(tmp_path / "first")
    shutil.copytree(folder / "seed4", first.path)
    first.write_config(first.config.override(epochs=2), first.data_sha256, "0123456789")
    with pytest.raises(InputError, match=f"--resume {first.path}"):
        digitnet.evaluate_ensemble([first, begun])
    part = shutil.copytree(folder, tmp_path / "part")
    shutil.rmtree(part / "seed6")
    with pytest.raises(InputError, match=f"--resume {part}$"):
        digitnet.evaluate_ensemble(part)


def test_what_needs_one_network_refuses_an_ensemble_and_the_other_way_round(folder: Path) -> None:
    for work in (digitnet.evaluate, digitnet.resume, digitnet.open_run):
        with pytest.raises(InputError, match="holds an ensemble"):
            work(folder)
    with pytest.raises(InputError, match="is no ensemble"):
        digitnet.resume_ensemble(folder / "seed4")


@pytest.mark.parametrize("content", ['{"seeds": [1, 2]}', '{"seeds": "ab"}', "[]", "{"])
def test_a_damaged_file_is_an_input_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "ensemble.json").write_text(content)
    with pytest.raises(InputError, match=r"ensemble\.json"):
        digitnet.evaluate_ensemble(tmp_path)


def test_a_stopped_ensemble_goes_on_where_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Progress] = []

    def stop_in_the_second(progress: Progress) -> None:
        steps.append(progress)
        if len(steps) == 20:
            signal.raise_signal(signal.SIGINT)

    out = tmp_path / "ensemble"
    settings = {"seed": 4, "out": out, "on_progress": stop_in_the_second, **TINY}
    with pytest.raises(StoppedError, match=f"member 2 of 3.*--resume {out}") as stop:
        digitnet.train_ensemble("plain", 3, **settings)
    assert stop.value.exit_code == 130
    first = (out / "seed4" / "checkpoint.safetensors").stat().st_mtime_ns
    with pytest.raises(UsageError, match="epochs is 1, not 2"):
        digitnet.resume_ensemble(out, epochs=2)
    assert digitnet.resume_ensemble(out, threads=0) == out
    assert (out / "seed4" / "checkpoint.safetensors").stat().st_mtime_ns == first
    for seed in (4, 5, 6):
        name = f"seed{seed}/model.safetensors"
        assert (out / name).read_bytes() == (folder / name).read_bytes()
        assert Run(out / f"seed{seed}").metrics["misses"] > 0
    again = digitnet.resume_ensemble(out, on_progress=lambda _: pytest.fail("nothing is left"))
    assert again == out


def test_an_ensemble_that_cannot_be_leaves_no_folder(tmp_path: Path) -> None:
    out = tmp_path / "ensemble"
    impossible: list[dict[str, Any]] = [
        {"members": 1},
        {"members": 2, "seed": 2**32 - 1},
        {"members": 2, "channels": (4,) * 6},
        {"members": 2, "recipe": "finder", "channels": (32, 64), "dense": (64,)},
    ]
    for settings in impossible:
        with pytest.raises(UsageError):
            digitnet.train_ensemble(out=out, **{"recipe": "plain", **TINY, **settings})
        assert not out.exists()


def test_other_data_are_refused(
    folder: Path, sample: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(sample, sha256=dict.fromkeys(sample.sha256, "0" * 64))
    monkeypatch.setattr("digitnet.training.trained.load_dataset", lambda *_, **__: other)
    for work in (digitnet.evaluate_ensemble, digitnet.resume_ensemble, digitnet.export_run):
        with pytest.raises(UsageError, match="used other data"):
            work(folder)


def test_one_process_at_a_time_works_in_the_folder(folder: Path) -> None:
    with hold_lock(folder):
        for work in (digitnet.evaluate_ensemble, digitnet.resume_ensemble, digitnet.export_run):
            with pytest.raises(UsageError, match="Another process"):
                work(folder)


def test_the_file_answers_with_the_calibrated_mean(
    folder: Path, model: Path, sample: Dataset
) -> None:
    file = load_model_file(model)
    assert file.metadata["seed"] == "4, 5, 6"
    assert file.metadata["model_sha256"] == Run(folder).model_sha256
    digits = sample.test_images[:300, None].astype(np.float32) / 255
    probabilities, image = file.of_inks(("probabilities", "image"), digits)
    mean = np.zeros_like(probabilities)
    for seed in (4, 5, 6):
        network = digitnet.load_model(folder / f"seed{seed}" / "model.safetensors")
        mean += _softmax(network.logits_of(torch.from_numpy(image)).detach().numpy()) / 3
    raised = mean ** (1 / float(file.metadata["temperature"]))
    expected = raised / raised.sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    answers = digitnet.Recognizer(model).predict_inks(list(sample.test_images[:300]))
    assert [answer.digit for answer in answers] == probabilities.argmax(1).tolist()


def test_a_run_folder_of_an_ensemble_is_a_model_until_a_member_changes(
    folder: Path, model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(InputError, match=f"`digitnet export {copy}` makes it"):
        load_model_file(copy)
    shutil.copyfile(model, copy / "model.onnx")
    assert load_model_file(copy).content == model.read_bytes()
    shutil.copyfile(folder / "seed4" / "model.safetensors", copy / "seed5" / "model.safetensors")
    with pytest.raises(InputError, match="was not made from the weights"):
        load_model_file(copy)


def test_several_runs_are_exported_as_one_where_a_file_is_named(
    folder: Path, model: Path, tmp_path: Path
) -> None:
    runs = [folder / f"seed{seed}" for seed in (4, 5, 6)]
    with pytest.raises(UsageError, match="--out"):
        digitnet.export_run(runs)
    exported = digitnet.export_run(runs, tmp_path / "model.onnx")
    assert exported.path.read_bytes() == model.read_bytes()


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    raised: NDArray[np.float32] = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)
