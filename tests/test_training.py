"""The loop: it learns, repeats itself bit for bit, and goes on after any interruption."""

import dataclasses
import hashlib
import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from digitnet.data.dataset import Dataset
from digitnet.errors import IntegrityError, TrainingDivergedError, UsageError
from digitnet.network.cnn import predict_logits, to_float
from digitnet.network.config import Schedule, TrainConfig
from digitnet.network.recipes import recipe
from digitnet.training import loop
from digitnet.training.checkpoint import load_model, read_tensors, write_tensors
from digitnet.training.device import reproducible, resolve_device, resolve_threads
from digitnet.training.loop import Training, rate_factor
from digitnet.training.loop import fit as fit_training
from digitnet.training.progress import Progress
from digitnet.training.runs import Epoch, Run

TINY = TrainConfig().override(
    epochs=2,
    batch_size=100,
    threads=1,
    channels=(4, 6),
    dense=(8,),
    dropout=0.2,
    rotate=10.0,
    elastic=0.5,
    schedule="cosine",
    learning_rate=5e-3,
)


@pytest.fixture(scope="module")
def digits(sample: Dataset) -> Dataset:
    """A tenth of the sample, enough for a few steps."""
    return dataclasses.replace(
        sample, train_images=sample.train_images[:500], train_labels=sample.train_labels[:500]
    )


def run_in(folder: Path, config: TrainConfig, digits: Dataset) -> Run:
    folder.mkdir()
    run = Run(folder)
    run.write_config(config, digits.sha256, digits.class_names)
    return run


def fit(run: Run, config: TrainConfig, digits: Dataset, **listeners: Any) -> bool:
    """Train in a run folder from where it stands."""
    with reproducible(config):
        training = Training(config, digits)
        training.restore(run)
        return fit_training(training, run, **listeners)


def rows(run: Run) -> list[Epoch]:
    """The history without the seconds, which no two runs share."""
    return [dataclasses.replace(row, seconds=0.0) for row in run.history]


def fingerprint(run: Run) -> str:
    return hashlib.sha256(run.model_file.read_bytes()).hexdigest()


def test_learns(tmp_path: Path, sample: Dataset) -> None:
    settings = {"batch_size": 32, "dropout": 0.0, "elastic": 0.0, "rotate": 0.0}
    config = TINY.override(epochs=3, channels=(8, 16), dense=(32,), **settings)
    some = dataclasses.replace(
        sample, train_images=sample.train_images[:2000], train_labels=sample.train_labels[:2000]
    )
    run = run_in(tmp_path / "run", config, some)
    assert fit(run, config, some)
    first, *_, last = run.history
    assert last.train_loss < first.train_loss
    assert last.val_accuracy > 0.85


def test_one_epoch_of_few_images_is_enough_for_the_recipe_fast(sample: Dataset) -> None:
    config = recipe("fast").override(batch_size=32, val_fraction=0.2, threads=1)
    with reproducible(config):
        training = Training(config, sample)
        fit_training(training)
    assert len(training.history) == 1
    assert training.history[0].val_accuracy > 0.93


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_remembers_as_long_as_it_is_told(digits: Dataset, optimizer: str) -> None:
    config = TINY.override(optimizer=optimizer, beta1=0.6, beta2=0.8)
    (group,) = Training(config, digits).optimizer.param_groups
    assert group["betas"] == (0.6, 0.8)
    (usual,) = Training(TINY.override(optimizer=optimizer), digits).optimizer.param_groups
    assert usual["betas"] == (0.9, 0.999)


def test_history_has_one_row_an_epoch_with_plausible_figures(
    tmp_path: Path, digits: Dataset
) -> None:
    run = run_in(tmp_path / "run", TINY, digits)
    fit(run, TINY, digits)
    assert [row.epoch for row in run.history] == [1, 2]
    for row in run.history:
        assert 0 <= row.train_accuracy <= 1
        assert 0 <= row.val_accuracy <= 1
        assert math.isfinite(row.train_loss)
        assert row.seconds > 0


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "muon"])
def test_same_config_same_bits(tmp_path: Path, digits: Dataset, optimizer: str) -> None:
    config = TINY.override(optimizer=optimizer)
    first = run_in(tmp_path / "first", config, digits)
    second = run_in(tmp_path / "second", config, digits)
    fit(first, config, digits)
    torch.rand(7)  # The caller's random state must not matter.
    fit(second, config, digits)
    assert fingerprint(first) == fingerprint(second)
    assert rows(first) == rows(second)


def test_steps_of_muon_are_orthogonal(digits: Dataset) -> None:
    """Every direction of a matrix moves as far, also of filters, of which each is a row."""
    training = Training(TINY.override(optimizer="muon", weight_decay=0.0), digits)
    weights = [each for each in training.model.parameters() if each.ndim > 1]
    before = [each.detach().flatten(1).clone() for each in weights]
    for _ in range(2):
        training.optimizer.zero_grad()
        assert all(each.grad is None for each in weights)
        batch = training.batches.batch(training.order()[:100])
        training.loss(training.forward(batch), batch).backward()
        training.optimizer.step()
    for weight, old in zip(weights[1:], before[1:], strict=True):
        moved = torch.linalg.svdvals((weight.detach().flatten(1) - old).float())
        assert moved[1] > 0.5 * moved[0]


def test_another_seed_gives_other_weights(tmp_path: Path, digits: Dataset) -> None:
    first = run_in(tmp_path / "first", TINY, digits)
    second = run_in(tmp_path / "second", TINY, digits)
    fit(first, TINY, digits)
    fit(second, TINY.override(seed=1), digits)
    assert fingerprint(first) != fingerprint(second)


# Distorted in the first of two epochs, validated and saved with averaged weights.
AVERAGED = TINY.override(
    averaging=0.9, plain_fraction=0.5, batch_norm=True, norm_scale=False, early_stopping=3
)


@pytest.fixture(scope="module", params=["adam", "sgd", "muon", "averaged"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, digits: Dataset
) -> Run:
    """A run with batch statistics that was never stopped."""
    config = AVERAGED
    if request.param != "averaged":
        config = TINY.override(optimizer=request.param, batch_norm=True, early_stopping=3)
    run = run_in(tmp_path_factory.mktemp("whole") / "run", config, digits)
    assert fit(run, config, digits)
    return run


@pytest.mark.parametrize("stops", [[1], [5], [7], [2, 4, 9]])
def test_stopped_and_resumed_is_never_stopped(
    tmp_path: Path, digits: Dataset, stops: list[int], whole: Run
) -> None:
    """In the first step, at the end of an epoch, in the middle of one, and several times."""
    config = whole.config
    broken = run_in(tmp_path / "broken", config, digits)
    done = 0
    for stop in stops:
        count = iter(range(done + 1, 100))
        assert not fit(broken, config, digits, should_stop=lambda c=count, s=stop: next(c) >= s)
        done = stop
    assert fit(broken, config, digits)
    assert fingerprint(broken) == fingerprint(whole)
    assert rows(broken) == rows(whole)


def test_learning_from_other_hands_in_16_bits_is_resumed_to_the_bit(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_HANDS", "_SIGNS", "_FOUND"):
        monkeypatch.setattr(f"digitnet.training.batches.{name}", 60)
    others = {"hands": 0.5, "signs": 0.2, "found": 0.5}
    config = TINY.override(
        canonical=True, reject=True, bfloat16=True, padding=True, epochs=1, **others
    )
    whole = run_in(tmp_path / "whole", config, digits)
    assert fit(whole, config, digits)
    broken = run_in(tmp_path / "broken", config, digits)
    assert not fit(broken, config, digits, should_stop=lambda: True)
    assert fit(broken, config, digits)
    assert fingerprint(broken) == fingerprint(whole)
    assert rows(broken) == rows(whole)


def test_other_hands_wrote_digits_and_nothing_else(digits: Dataset) -> None:
    letters = dataclasses.replace(digits, class_names=tuple("ABCDEFGHIJ"))
    with pytest.raises(UsageError, match=r"--hands cannot be 0.5.*A, B, C"):
        Training(TINY.override(canonical=True, hands=0.5), letters)


def test_writers_who_are_set_aside_are_validated_on(digits: Dataset) -> None:
    alone = Training(TINY.override(canonical=True), digits)
    more = Training(TINY.override(canonical=True, hands=0.5), digits)
    assert len(more.val_images) > len(alone.val_images) + 1000
    assert torch.equal(more.val_images[: len(alone.val_images)], alone.val_images)


def test_killed_at_any_step_ends_with_the_same_bits(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first checkpoint, on one, between two, and at the end of an epoch."""
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 2)
    config = TINY.override(batch_size=50, epochs=2)
    whole = run_in(tmp_path / "whole", config, digits)
    fit(whole, config, digits)
    killed = run_in(tmp_path / "killed", config, digits)
    for epoch, step in ((1, 1), (1, 2), (1, 5), (1, 9), (2, 4)):
        seen = []

        def kill(at: Progress, seen: list[Any] = seen, victim: Any = (epoch, step)) -> None:
            # What a kill leaves behind: what is on disk, and nothing that memory held.
            seen.append((at.epoch, at.step))
            if seen[-1] == victim:
                raise Killed

        with pytest.raises(Killed):
            fit(killed, config, digits, on_progress=kill)
        assert seen[-1] == (epoch, step)
    assert not killed.model_file.exists()
    assert fit(killed, config, digits)
    assert fingerprint(killed) == fingerprint(whole)
    assert rows(killed) == rows(whole)


class Killed(BaseException):
    """Ends a training in the middle of a step, without any chance to save."""


CHILD = """
import os, signal, sys
from pathlib import Path
import digitnet.training.loop as loop
from digitnet.data.catalogue import load_dataset
from digitnet.training.device import reproducible
from digitnet.training.runs import Run
loop.CHECKPOINT_STEPS = 2
run = Run(Path(sys.argv[1]))
steps = iter(range(100))

def kill(progress):
    if next(steps) == 5:
        os.kill(os.getpid(), signal.SIGKILL)

with reproducible(run.config):
    training = loop.Training(run.config, load_dataset("sample"))
    training.restore(run)
    loop.fit(training, run, on_progress=kill)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing kills like that here")
def test_a_process_killed_after_six_steps_leaves_the_checkpoint_of_four(
    tmp_path: Path, sample: Dataset
) -> None:
    config = TINY.override(batch_size=500)
    whole = run_in(tmp_path / "whole", config, sample)
    fit(whole, config, sample)
    killed = run_in(tmp_path / "killed", config, sample)
    done = subprocess.run([sys.executable, "-c", CHILD, str(killed.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    _, about = read_tensors(killed.checkpoint_file, "checkpoint")
    assert about["position"]["step"] == 4
    assert fit(killed, config, sample)
    assert fingerprint(killed) == fingerprint(whole)
    assert rows(killed) == rows(whole)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path, digits: Dataset) -> None:
    run = run_in(tmp_path / "run", TINY, digits)
    fit(run, TINY, digits, should_stop=lambda: True)
    with pytest.raises(IntegrityError, match="seed is 0, not 5"):
        fit(run, TINY.override(seed=5), digits)
    other = dataclasses.replace(digits, sha256={"file": "0" * 64})
    with pytest.raises(IntegrityError, match="data_sha256 is"):
        fit(run, TINY, other)


def test_a_kill_between_checkpoint_and_history_loses_no_row(
    tmp_path: Path, digits: Dataset
) -> None:
    run = run_in(tmp_path / "run", TINY, digits)
    fit(run, TINY, digits)
    before = (run.path / "history.csv").read_bytes()
    (run.path / "history.csv").unlink()
    assert fit(run, TINY, digits)
    assert (run.path / "history.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["generator", "model.mean", "optimizer.0.exp_avg"])
def test_a_checkpoint_without_a_part_is_refused(tmp_path: Path, digits: Dataset, name: str) -> None:
    run = run_in(tmp_path / "run", TINY, digits)
    fit(run, TINY, digits, should_stop=lambda: True)
    tensors, about = read_tensors(run.checkpoint_file, "checkpoint")
    tensors[name] = torch.zeros(3)
    write_tensors(run.checkpoint_file, "checkpoint", tensors, about)
    with pytest.raises(IntegrityError, match=r"checkpoint\.safetensors"):
        fit(run, TINY, digits)


def test_leaves_random_state_and_threads_alone(tmp_path: Path, digits: Dataset) -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    fit(run_in(tmp_path / "run", TINY, digits), TINY.override(threads=1), digits)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_early_stopping_keeps_the_best_epoch(tmp_path: Path, digits: Dataset) -> None:
    # So large a step size makes validation worse sooner or later.
    config = TINY.override(epochs=40, early_stopping=2, schedule="constant", learning_rate=0.05)
    run = run_in(tmp_path / "run", config, digits)
    assert fit(run, config, digits)
    losses = [row.val_loss for row in run.history]
    best = int(np.argmin(losses))
    assert len(losses) < 40
    assert len(losses) == best + 1 + 2
    # The saved network is that of the best epoch: training anew up to there gives the same.
    with reproducible(config):
        trainer = Training(config, digits)
        fit_training(trainer, should_stop=lambda: len(trainer.history) == best + 1)
        assert trainer.history[-1].val_loss == min(losses)
        trainer_weights = trainer.model.state_dict()
    for name, value in load_model(run.model_file).state_dict().items():
        assert torch.equal(value, trainer_weights[name]), name


@pytest.mark.parametrize("name", ["fast", "tiny", "small", "best", "best-gpu"])
def test_a_recipe_for_records_is_resumed_to_the_bit(
    tmp_path: Path, digits: Dataset, name: str
) -> None:
    small = {"train_images": 60, "batch_size": 20, "epochs": 2, "threads": 1}
    config = recipe(name).override(**small)
    if name == "best-gpu":
        # Made for other machines; all but its size is tried.
        config = config.override(stem=8, channels=(8, 16))
    whole, broken = (run_in(tmp_path / each, config, digits) for each in ("whole", "broken"))
    assert fit(whole, config, digits)
    count = iter(range(1, 100))
    assert not fit(broken, config, digits, should_stop=lambda: next(count) == 4)
    assert fit(broken, config, digits)
    assert fingerprint(broken) == fingerprint(whole)
    assert rows(broken) == rows(whole)
    assert load_model(whole.model_file).config == config.model


def test_the_average_follows_the_weights_and_is_what_is_kept(
    tmp_path: Path, digits: Dataset
) -> None:
    config = AVERAGED.override(early_stopping=0)
    run = run_in(tmp_path / "run", config, digits)
    seen: list[dict[str, torch.Tensor]] = []
    with reproducible(config):
        training = Training(config, digits)

        def keep(_: Progress) -> None:
            state = training.model.state_dict()
            seen.append({name: value.clone() for name, value in state.items()})

        assert fit_training(training, run, on_progress=keep)
    kept = load_model(run.model_file).state_dict()
    for name, last in seen[-1].items():
        mean = seen[0][name].double()
        for state in seen[1:]:
            mean = 0.9 * mean + 0.1 * state[name]
        if last.is_floating_point():
            torch.testing.assert_close(kept[name].double(), mean, rtol=1e-5, atol=1e-6)
    moved = [name for name, last in seen[-1].items() if not torch.equal(kept[name], last)]
    assert len(moved) >= len(list(training.model.parameters()))
    logits = predict_logits(load_model(run.model_file), training.val_images)
    right = (logits.argmax(1) == training.val_labels).double().mean().item()
    assert run.history[-1].val_accuracy == right


def test_the_last_epochs_are_not_distorted(digits: Dataset) -> None:
    config = TINY.override(epochs=3, plain_fraction=0.67, pen=0.5)
    with reproducible(config):
        training = Training(config, digits)
        indices = torch.arange(50)
        stored = to_float(training.train_images[:50])
        for epoch, changed in enumerate((True, False, False)):
            training.position.epoch = epoch
            training.begin_epoch()
            images = training.batches.batch(indices).images
            assert torch.equal(images, stored) is not changed


def test_every_image_is_seen_once_an_epoch(digits: Dataset) -> None:
    with reproducible(TINY):
        trainer = Training(TINY, digits)
        order = trainer.order()
    assert sorted(order.tolist()) == list(range(len(trainer.batches)))
    assert len(trainer.batches) + len(trainer.val_images) == len(digits.train_images)


def test_fewer_images_are_taken_evenly_by_the_seed(digits: Dataset) -> None:
    trainers = [Training(TINY.override(train_images=40, seed=seed), digits) for seed in (1, 1, 2)]
    first, again, other = ((t.train_images, t.train_labels) for t in trainers)
    assert torch.bincount(first[1]).tolist() == [4] * 10
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
    whole = Training(TINY, digits)
    assert torch.equal(whole.val_images, trainers[2].val_images)
    kept = {image.tobytes() for image in whole.train_images.numpy()}
    assert all(image.tobytes() in kept for image in first[0].numpy())


def test_divergence_is_told_and_spares_the_checkpoint(tmp_path: Path, digits: Dataset) -> None:
    config = TINY.override(optimizer="sgd", learning_rate=100.0, epochs=30)
    run = run_in(tmp_path / "run", config, digits)
    fit(run, config, digits, should_stop=lambda: True)
    before = run.checkpoint_file.read_bytes()
    with pytest.raises(TrainingDivergedError, match="--learning-rate"):
        fit(run, config, digits)
    assert run.checkpoint_file.read_bytes() == before


def test_progress_counts_every_step(tmp_path: Path, digits: Dataset) -> None:
    seen: list[Progress] = []
    fit(run_in(tmp_path / "run", TINY, digits), TINY, digits, on_progress=seen.append)
    steps = math.ceil(450 / 100)
    assert [(p.epoch, p.step) for p in seen] == [(e, s + 1) for e in (1, 2) for s in range(steps)]
    last = [p.step == steps for p in seen]
    assert [p.finished is not None for p in seen] == last


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_learning_rate_stays_between_nothing_and_its_setting(schedule: Schedule) -> None:
    factors = [rate_factor(schedule, done / 300) for done in range(300)]
    assert all(0 < factor <= 1 for factor in factors)
    assert max(factors) == pytest.approx(1, rel=0.04)
    if schedule != "constant":
        assert factors[-1] < 0.2


def test_zero_threads_becomes_a_real_number() -> None:
    assert resolve_threads(TrainConfig()).threads >= 1
    assert resolve_threads(TrainConfig(threads=3)).threads == 3


def test_a_device_that_is_not_there_is_an_error_that_names_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(UsageError, match=r"--device cuda cannot be used.* auto, cpu"):
        resolve_device("cuda")
    with pytest.raises(UsageError, match="Did you mean 'cuda'"):
        resolve_device("cude")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")


def test_a_checkpoint_of_another_device_is_taken_but_for_its_random_state(
    tmp_path: Path, digits: Dataset
) -> None:
    run = run_in(tmp_path / "run", TINY, digits)
    fit(run, TINY, digits, should_stop=lambda: True)
    tensors, about = read_tensors(run.checkpoint_file, "checkpoint")
    tensors["generator"] = torch.zeros(16, dtype=torch.uint8)
    write_tensors(run.checkpoint_file, "checkpoint", tensors, about | {"device": "cuda"})
    assert fit(run, TINY, digits)
    assert run.environment["device"] == "cpu"
