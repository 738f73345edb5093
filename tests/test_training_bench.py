"""The training bench: every seed is trained once and told, from the command to the file."""

import functools
import json
import signal

import pytest

from digitnet.errors import DigitnetError, StoppedError, UsageError
from digitnet.experiments import training_bench
from digitnet.experiments.arithmetic import product_peak
from digitnet.experiments.study.trials import Event, run_trial
from digitnet.experiments.training_bench import run_seeds, seed_trials
from digitnet.network.recipes import recipe
from digitnet.training import batches
from digitnet.training.runs import Run

TINY = recipe("plain").override(
    data="sample", channels=(4,), dense=(8,), train_images=200, epochs=2, batch_size=20, threads=1
)
FLAGS = (
    *("bench", "train", "--recipe", "plain", "--data", "sample", "--channels", 4, "--dense", 8),
    *("--train-images", 200, "--epochs", 2, "--batch-size", 20, "--threads", 1),
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Measure the peak with small matrices."""
    small = functools.partial(product_peak, size=64, repeats=1)
    monkeypatch.setattr(training_bench, "product_peak", small)


@pytest.fixture
def here(monkeypatch):
    """Train in this process, and note which trials were trained."""
    trained = []

    def run(trials, *, processes, on_event, **options):
        for trial in trials:
            trained.append(trial.seed)
            run_trial(trial, **options)
            on_event(Event("finished", trial))

    monkeypatch.setattr(training_bench, "run_trials", run)
    return trained


def bench(folder, seeds, config=TINY, **options):
    return run_seeds(seed_trials(config, seeds, folder), folder, **options)


def test_every_seed_is_told_and_none_is_trained_twice(tmp_path, here):
    two = bench(tmp_path, 2, TINY.override(seed=3))
    three = bench(tmp_path, 3, TINY.override(seed=3), target=0.05)
    assert here == [3, 4, 5]
    assert [row["misread"] for row in three["runs"][:2]] == [row["misread"] for row in two["runs"]]
    assert json.loads((tmp_path / "bench.json").read_text()) == three
    rows = three["runs"]
    assert [row["seed"] for row in rows] == [3, 4, 5]
    for row in rows:
        run = Run(tmp_path / f"plain-seed{row['seed']}")
        assert row["test_accuracy"] == run.metrics["test_accuracy"]
        assert len(row["misread"].split()) == row["misses"] == run.metrics["misses"]
        assert row["seconds"] == row["phases"]["training"] > 0
    accuracies = [row["test_accuracy"] for row in rows]
    summary = three["summary"]["test_accuracy"]
    assert summary["mean"] == pytest.approx(sum(accuracies) / 3)
    assert (summary["low"], summary["high"]) == (min(accuracies), max(accuracies))
    assert three["target"]["reached"]
    # 200 images of two epochs, each three times forward, two operations a multiply-add.
    adds = three["arithmetic"]["multiply_adds"]
    assert three["arithmetic"]["pflop"] == pytest.approx(200 * 2 * 3 * 2 * adds / 1e15)
    # The sample has no labels that are known to be disputed.
    assert "undisputed_accuracy" not in three["summary"]


def test_a_broken_seed_is_continued_and_says_so(tmp_path, here):
    trial, *_ = seed_trials(TINY, 1, tmp_path)

    def stop(progress):
        if progress.step == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        run_trial(trial, on_progress=stop)
    result = bench(tmp_path, 1)
    assert result["runs"][0]["resumed"]
    # With validation, which the history counts.
    assert result["runs"][0]["seconds"] == Run(trial.folder).metrics["seconds"]
    assert result["summary"]["test_accuracy"]["interval"] is None


def test_runs_of_other_settings_are_refused_and_kept(tmp_path, here):
    bench(tmp_path, 1)
    for change, words in (({"threads": 2}, "threads is 1, not 2"), ({"epochs": 3}, "epochs is 2")):
        with pytest.raises(UsageError, match=words):
            bench(tmp_path, 1, TINY.override(**change))
    assert here == [0]


def test_what_is_not_allowed_is_refused(tmp_path):
    for seeds in (0, 1001):
        with pytest.raises(UsageError, match="--seeds cannot be"):
            seed_trials(TINY, seeds, tmp_path)
    with pytest.raises(UsageError, match="--recipe cannot be 'finder'"):
        seed_trials(recipe("finder"), 1, tmp_path)
    for target in (99.0, float("nan")):
        with pytest.raises(UsageError, match="--target cannot be"):
            bench(tmp_path, 1, target=target)
    with pytest.raises(UsageError, match="shrinks"):
        bench(tmp_path, 1, TINY.override(channels=(4,) * 9))
    with pytest.raises(UsageError, match="makes one step"):
        bench(tmp_path, 1, TINY.override(batch_size=400))
    assert not list(tmp_path.iterdir())


def test_drawings_count_as_images(tmp_path, here, monkeypatch):
    monkeypatch.setattr(batches, "_SIGNS", 60)
    drawing = TINY.override(canonical=True, reject=True, signs=0.5)
    plain, drawn = (
        bench(tmp_path / name, 1, config)["arithmetic"]["images_per_epoch"]
        for name, config in (("plain", TINY), ("drawn", drawing))
    )
    assert drawn == 1.5 * plain


def test_seeds_that_diverge_are_named_and_not_counted(tmp_path, here):
    boom = TINY.override(optimizer="sgd", learning_rate=100.0, activation="leaky_relu", epochs=4)
    with pytest.raises(DigitnetError, match="diverged with every seed"):
        bench(tmp_path, 1, boom)


@pytest.mark.parametrize("kind", ["failed", "stopped"])
def test_a_seed_that_cannot_be_trained_ends_the_bench(tmp_path, monkeypatch, kind):
    def run(trials, *, processes, on_event, **options):
        if kind == "stopped":
            raise StoppedError("The study was stopped.", 2)
        on_event(Event("failed", trials[0], message="No disk."))

    monkeypatch.setattr(training_bench, "run_trials", run)
    error, words = (
        (StoppedError, "the same command continues")
        if kind == "stopped"
        else (DigitnetError, "plain, seed 0 could not be trained: No disk.")
    )
    with pytest.raises(error, match=words):
        bench(tmp_path, 1)


def test_the_command_trains_in_a_process_and_shows_a_table(tmp_path, run_cli):
    done = run_cli(*FLAGS, "--seeds", 1, "--out", tmp_path / "a", "--target", 0.05)
    assert done.code == 0, done.stderr
    (row,) = (line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["0"])
    result = json.loads((tmp_path / "a" / "bench.json").read_text())
    assert row[1] == f"{result['runs'][0]['test_accuracy']:.2%}"[:-1]
    assert "target 5.00 %: reached" in done.stdout
    assert "multiply-adds an image" in done.stdout
    assert "val accuracy" in done.stderr
    # In a process of its own, which had to load torch.
    assert result["runs"][0]["phases"]["importing"] > 0.1

    again = run_cli(*FLAGS, "--seeds", 1, "--out", tmp_path / "a", "--json", "--quiet")
    assert json.loads(again.stdout)["runs"][0]["misses"] == result["runs"][0]["misses"]
    assert again.stderr == ""
    both = run_cli("bench", "compare", tmp_path / "a", tmp_path / "a" / "bench.json")
    assert both.stdout.split()[-4:] == ["0", "0", "0", "1"]
    assert json.loads(run_cli("bench", "compare", tmp_path / "a", tmp_path / "a", "--json").stdout)
