"""Trials of a study, and what the command line says of a study."""

import json
import re
import signal

import numpy as np
import pytest
from PIL import Image

from digitnet.errors import StoppedError, UsageError
from digitnet.experiments.study.study_run import run_study
from digitnet.experiments.study.trials import is_finished, outcome, run_trial, trials
from tiny_study import TINY, outcomes, tiny_study

DIVERGES = (
    '[variants.boom]\noptimizer = "sgd"\nlearning_rate = 100.0\nactivation = "leaky_relu"\n'
    "batch_size = 10\n"
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """The outcome of the first trial, run at once in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    trial, *_ = trials(tiny_study(folder), folder / "out")
    run_trial(trial)
    return outcomes([trial])


def test_a_trial_goes_on_from_where_it_stands(tmp_path, undisturbed):
    trial, *_ = trials(tiny_study(tmp_path), tmp_path / "out")

    def stop(progress):
        if progress.step == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        run_trial(trial, on_progress=stop)
    assert not is_finished(trial)
    steps = []
    run_trial(trial, on_progress=lambda progress: steps.append(progress.step))
    assert steps[0] == 4
    assert outcomes([trial]) == undisturbed


@pytest.mark.parametrize("part", ["config.json", "checkpoint.safetensors"])
def test_a_damaged_run_is_begun_anew(tmp_path, undisturbed, part):
    trial, *_ = trials(tiny_study(tmp_path), tmp_path / "out")
    run_trial(trial)
    trial.outcome_file.unlink()
    (trial.folder / part).write_bytes(b"damaged")
    notes = []
    run_trial(trial, on_message=notes.append)
    assert notes[0].startswith("plain, seed 0 is trained again from the start: ")
    assert outcomes([trial]) == undisturbed


def test_a_run_of_other_settings_is_refused_and_kept(tmp_path):
    trial, other, *_ = trials(tiny_study(tmp_path), tmp_path / "out")
    run_trial(trial)
    trial.outcome_file.unlink()
    trial.folder.rename(other.folder)
    with pytest.raises(UsageError, match=r"dropout is 0\.0, not 0\.5"):
        run_trial(other)
    assert (other.folder / "model.safetensors").is_file()


def test_a_folder_of_pictures_may_be_named_from_where_one_stands(tmp_path, monkeypatch, sample):
    for label in (0, 1):
        (tmp_path / "mine" / str(label)).mkdir(parents=True)
        for index in np.flatnonzero(sample.train_labels == label)[:15]:
            page = np.pad(255 - sample.train_images[index], 10, constant_values=255)
            Image.fromarray(page).save(tmp_path / "mine" / str(label) / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    text = TINY.replace('"sample"', '"mine"').replace('test_on = ["digits8x8"]', "")
    text = text.replace("train_images = 200", "").replace("0.02", "0.2")
    trial, *_ = trials(tiny_study(tmp_path, text), tmp_path / "out")
    run_trial(trial)
    trial.outcome_file.unlink()
    run_trial(trial)
    assert is_finished(trial)


def test_data_are_loaded_once_for_many_trials(tmp_path, monkeypatch):
    from digitnet.data import catalogue

    names = []
    real = catalogue.load_dataset

    def load(name, **options):
        names.append(name)
        return real(name, **options)

    monkeypatch.setattr(catalogue, "load_dataset", load)
    # A folder of its own, from which no other test has loaded anything.
    for trial in trials(tiny_study(tmp_path), tmp_path / "out")[:2]:
        run_trial(trial, data_dir=tmp_path)
    assert names == ["sample", "digits8x8"]


def test_divergence_is_an_outcome(tmp_path):
    study = tiny_study(tmp_path, TINY + DIVERGES)
    trial = trials(study, tmp_path / "out")[2]
    run_trial(trial)
    ended = outcome(trial)
    assert ended is not None
    assert ended["outcome"] == "diverged"
    steps: list[object] = []
    run_trial(trial, on_progress=steps.append)
    assert steps == []


def test_data_of_other_classes_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    import dataclasses

    from digitnet.data import catalogue

    real = catalogue.load_dataset

    def load(name, **places):
        found = real(name, **places)
        return (
            found
            if name == "sample"
            else dataclasses.replace(found, class_names=tuple("abcdefghij"))
        )

    monkeypatch.setattr(catalogue, "load_dataset", load)
    with pytest.raises(UsageError, match="'test_on' cannot have digits8x8"):
        run_study(tiny_study(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_study_runs_from_the_command_line(tmp_path, run_cli):
    tiny_study(tmp_path)
    done = run_cli("study", "tiny.toml", "--processes", 1, "--json", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert done.stderr.count("val accuracy") == 4
    assert "4/4  dropout, seed 1: val accuracy" in done.stderr
    assert "left" in done.stderr
    told = json.loads(done.stdout)
    assert told["schema_version"] == 1
    assert [len(told[key]) for key in ("runs", "variants", "comparisons")] == [4, 2, 2]
    assert "Does it run?" in (tmp_path / "studies" / "tiny" / "report.html").read_text()
    # A finished study is shown again, and nothing is trained.
    shown = run_cli("study", "tiny.toml", "--quiet", cwd=tmp_path)
    for word in ("plain", "dropout", "Verdict", "the base"):
        assert word in shown.stdout
    assert re.search(r"\d\.\d ± \d\.\d", shown.stdout), "seconds of short trainings have a decimal"
    assert shown.stderr == ""


def test_a_device_that_is_not_there_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(UsageError, match="Unknown device 'tpu'"):
        run_study(tiny_study(tmp_path), tmp_path / "out", device="tpu")
    assert not (tmp_path / "out").exists()


def test_what_would_be_trained_is_shown(tmp_path, run_cli):
    done = run_cli("study", "dropout", "--dry-run", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert "55 runs in studies/dropout, 0 of them finished" in done.stdout
    assert not list(tmp_path.iterdir())


def test_shipped_studies_are_listed(tmp_path, run_cli):
    done = run_cli("study", "--list", cwd=tmp_path)
    assert "augmentation: Which" in done.stdout
    assert "on one core" in done.stdout
    told = json.loads(run_cli("study", "--list", "--json", cwd=tmp_path).stdout)
    assert {"name", "title", "question", "cost", "runs"} == set(told["studies"][0])


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ((), "--list shows the shipped ones"),
        (("dropuot",), "Did you mean 'dropout'"),
        (("sample", "--processes", "0"), "--processes cannot be 0"),
        (("sample", "--processes", "9999"), "--processes cannot be 9999"),
        (("sample", "--engine", "rey"), "Unknown engine 'rey'. Did you mean 'ray'?"),
        (("sample", "--address", "auto"), "--engine ray"),
    ],
)
def test_a_wrong_argument_is_a_sentence(tmp_path, args, word, run_cli):
    done = run_cli("study", *args, cwd=tmp_path)
    assert done.code == 2
    assert word in done.stderr
    assert not list(tmp_path.iterdir())
