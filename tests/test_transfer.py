"""Transfer: what is kept, what is measured, what is refused; on small networks and shipped data."""

import functools
import json
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import digitnet
from digitnet.cli.app import app
from digitnet.data.dataset import Dataset
from digitnet.errors import DataUnavailableError, InputError, StoppedError, UsageError
from digitnet.experiments.transfer_results import (
    Repetition,
    TransferConfig,
    TransferResults,
    clear_gain,
    parse_budgets,
    read_results,
)
from digitnet.experiments.transfer_run import (
    accuracy_of,
    compare,
    fine_tune,
    no_results,
    transfer,
)
from digitnet.experiments.transfer_task import (
    TransferTask,
    in_a_row,
    known_task,
    load_pretrained,
    open_task,
)
from digitnet.experiments.tuning import Tuning, begin, probed
from digitnet.network.cnn import CNN
from digitnet.network.config import TrainConfig
from digitnet.network.recipes import RECIPES, recipe
from digitnet.training.calibration import ENOUGH_TO_CALIBRATE, calibration_images, set_aside
from digitnet.training.checkpoint import save_model
from digitnet.training.device import reproducible
from digitnet.training.loop import choose_images, fit
from digitnet.training.progress import Progress
from digitnet.training.trained import Options, open_trained

SMALL: dict[str, Any] = {
    "data": "sample",
    "epochs": 1,
    "batch_size": 100,
    "threads": 1,
    "channels": (4, 8),
    "dense": (16,),
    "batch_norm": True,
    "learning_rate": 5e-3,
}
FEW: dict[str, Any] = {"steps": 5, "threads": 1}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> digitnet.Run:
    """A small canonical network that refuses and reads the sample; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("source") / "run"
    return digitnet.train("plain", out=folder, **SMALL, canonical=True, reject=True)


@pytest.fixture(scope="module")
def tuned(source: digitnet.Run, tmp_path_factory: pytest.TempPathFactory) -> digitnet.Run:
    """The network after it learnt scikit-learn's digits."""
    folder = tmp_path_factory.mktemp("tuned") / "run"
    return fine_tune("digits8x8", source.path, out=folder, labels=10, **FEW)


def letters(sample: Dataset, names: tuple[str, ...]) -> Dataset:
    """Return the sample's first images under the names of other classes."""
    keep_train = np.flatnonzero(sample.train_labels < len(names))[:400]
    keep_test = np.flatnonzero(sample.test_labels < len(names))[:100]
    return Dataset(
        "letters",
        sample.train_images[keep_train],
        sample.train_labels[keep_train],
        sample.test_images[keep_test],
        sample.test_labels[keep_test],
        names,
        {},
    )


def test_what_is_kept_is_an_ordinary_run(
    tuned: digitnet.Run, source: digitnet.Run, tmp_path: Path
) -> None:
    metrics = digitnet.evaluate(tuned)
    assert metrics.images == 500
    exported = digitnet.export_run(tuned, tmp_path / "model.onnx")
    answer = digitnet.Recognizer(exported.path).predict_ink(np.eye(28))
    assert answer.probabilities.shape == (10,)
    page = digitnet.write_report(tuned).read_text(encoding="utf-8")
    command = re.search(r"digitnet transfer ([^<]*) --out again", page)
    assert command
    words = command[1].split()
    told = {flag: words[words.index(flag) + 1] for flag in ("--from", "--to", "--use", "--steps")}
    assert list(told.values()) == [str(source.path), "digits8x8", "10", "5"]
    assert "--fast" in words


def test_its_settings_say_what_it_learnt_from(tuned: digitnet.Run, source: digitnet.Run) -> None:
    assert tuned.config.data == "digits8x8"
    assert tuned.config.train_images == 100
    about = tuned.transfer
    assert source.transfer is None
    assert about is not None
    assert about["source"]["sha256"] == source.model_sha256
    assert about["images"] == 100
    assert about["old_data"] == "sample"
    assert 0 <= about["old_accuracy_after"] <= 1
    assert about["settings"]["replay"] == 0.4


def test_resuming_leaves_it_as_it_is(tuned: digitnet.Run) -> None:
    before = tuned.model_file.read_bytes()
    digitnet.resume(tuned)
    assert tuned.model_file.read_bytes() == before


def test_the_source_is_not_changed(source: digitnet.Run, tuned: digitnet.Run) -> None:
    about = tuned.transfer or {}
    again = load_pretrained(source.path)
    assert again.about == about["source"]


def task(source: Path, target: Dataset, **settings: Any) -> TransferTask:
    return open_task(target, source, TransferConfig(**{**FEW, **settings}))


def test_validation_images_are_never_learnt_from(source: digitnet.Run, sample: Dataset) -> None:
    made = task(source.path, sample)
    config = made.train_config("all", 0, 0)
    with reproducible(config):
        tuning = Tuning(made, "all", config)
    _, val = choose_images(config, sample)
    learnt = {image.tobytes() for image in tuning.batches.images.numpy()}
    assert not learnt & {image.tobytes() for image in sample.train_images[val]}
    assert len(learnt) + len(val) == len(sample.train_images)


def test_few_pictures_are_filled_up_to_calibrate_with(
    source: digitnet.Run, sample: Dataset, tmp_path: Path
) -> None:
    for label in range(10):
        (tmp_path / "mine" / str(label)).mkdir(parents=True)
        for index in np.flatnonzero(sample.test_labels == label)[:5]:
            page = np.pad(255 - sample.test_images[index], 20, constant_values=255)
            Image.fromarray(page).save(tmp_path / "mine" / str(label) / f"{index}.png")
    run = fine_tune(tmp_path / "mine", source.path, out=tmp_path / "run", **FEW)
    mine = digitnet.load_dataset(tmp_path / "mine")
    (first, _), (second, _), (hands, _) = calibration_images(open_trained(run))
    images = np.concatenate([first, second])
    enough = min(ENOUGH_TO_CALIBRATE, 10 + len(set_aside(sample)))
    assert len(first) == 10
    assert len(images) == enough
    assert len(hands) > 1000
    own = {image.tobytes() for image in mine.train_images}
    # None of the recipes learned from what is set aside.
    for name in RECIPES:
        validated = choose_images(recipe(name), sample)[1]
        assert set(set_aside(sample)) <= set(validated)
    kept = {image.tobytes() for image in sample.train_images[set_aside(sample)]}
    found = [image.tobytes() for image in images]
    assert sum(image in own for image in found) == 10
    assert sum(image in kept for image in found) == enough - 10
    replayed = task(source.path, mine).replayed
    assert replayed is not None
    assert not kept & {image.tobytes() for image in replayed[0]}


def learn(made: TransferTask, method: Any, labels: int) -> Tuning:
    """Tune a network in memory."""
    config = made.train_config(method, labels, 0)
    with reproducible(config):
        tuning = Tuning(made, method, config, validated=False)
        fit(tuning)
    return tuning


def test_the_same_seed_gives_the_same_weights(source: digitnet.Run, sample: Dataset) -> None:
    made = task(source.path, sample)
    one, two = (learn(made, "all", 5).model.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_methods_change_what_they_say(source: digitnet.Run, sample: Dataset) -> None:
    made = task(source.path, sample)
    before = made.source.model.state_dict()
    changed = {}
    for method in ("probe", "head", "all"):
        if method == "probe":
            model = probed(made, made.train_config(method, 10, 0))
        else:
            model = learn(made, method, 10).model
        after = model.state_dict()
        changed[method] = {n for n, value in before.items() if not torch.equal(value, after[n])}
        # What batches look like is never learnt anew.
        assert not [name for name in changed[method] if "running" in name]
    assert all(name.startswith("head") for name in changed["head"])
    assert any(name.startswith("blocks") for name in changed["all"])
    assert {name.split(".")[1] for name in changed["probe"]} == {"2"}


def test_other_classes_get_a_last_layer_of_their_own(source: digitnet.Run, sample: Dataset) -> None:
    made = task(source.path, letters(sample, ("a", "b", "c")))
    learnt, model = learn(made, "all", 10), made.train_config("all", 10, 0).model
    assert learnt.model.head[-1].out_features == 3
    assert model.num_classes == 3
    # Drawings of no digit say nothing about what is no letter.
    assert not model.reject
    assert learnt.knowing_old().head[-1].out_features == 11


def test_reading_crops_changes_no_layer(source: digitnet.Run, sample: Dataset) -> None:
    made = task(source.path, sample, crops=True)
    config = made.train_config("all", 10, 0)
    tasks = begin(made, config.model, "all")
    assert tasks.model.config.crops
    assert not tasks.old
    before, after = made.source.model.state_dict(), tasks.model.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_other_classes_get_a_new_layer_though_they_are_as_many(
    source: digitnet.Run, sample: Dataset
) -> None:
    made = task(source.path, letters(sample, tuple("abcdefghij")))
    config = made.train_config("all", 10, 0)
    tasks = begin(made, config.model, "all")
    assert [layer.out_features for layer in tasks.old] == [11]
    assert tasks.model.head[-1].out_features == 10


def test_the_old_task_is_measured_before_and_after_alike(
    source: digitnet.Run, sample: Dataset
) -> None:
    made = task(source.path, letters(sample, ("a", "b", "c")))
    config = made.train_config("all", 10, 0)
    with reproducible(config):
        untouched = Tuning(made, "all", config).knowing_old()
    assert made.old is not None
    before, after = (
        accuracy_of(model, made.old, made.device) for model in (made.source.model, untouched)
    )
    assert before == after


def test_an_interrupted_comparison_goes_on(source: digitnet.Run, tmp_path: Path) -> None:
    config = TransferConfig(methods=("probe", "all"), labels=(5,), seeds=2, **FEW)
    first: list[Repetition] = []

    def stop(repetition: Repetition) -> None:
        first.append(repetition)
        if len(first) == 2:
            raise KeyboardInterrupt

    where: dict[str, Any] = {"out": tmp_path / "out", "labels": 5}
    with pytest.raises(StoppedError, match=r"same command and --out"):
        transfer("digits8x8", source.path, config, on_repetition=stop, **where)
    other = TransferConfig(**{**vars(config), "steps": 6})
    with pytest.raises(UsageError, match=r"holds another transfer: steps is \d+, not 6\."):
        transfer("digits8x8", source.path, other, **where)
    second: list[Repetition] = []
    _, results = transfer("digits8x8", source.path, config, on_repetition=second.append, **where)
    assert results.repetitions == [*first, *second]
    assert len(second) == 2
    assert results.final
    # A finished one is read, unless another network was to be kept.
    assert transfer("digits8x8", source.path, config, **where) == (tmp_path / "out", results)
    with pytest.raises(UsageError, match="labels is 5, not 10"):
        transfer("digits8x8", source.path, config, **{**where, "labels": 10})


@pytest.mark.parametrize("labels", [-1, 1000])
def test_so_many_labels_of_each_class_there_are_not(
    source: digitnet.Run, tmp_path: Path, labels: int
) -> None:
    where: dict[str, Any] = {"out": tmp_path / "out", "labels": labels}
    with pytest.raises(UsageError, match=rf"^--use cannot be {labels} \(labels=.* smallest class"):
        fine_tune("digits8x8", source.path, **where)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_taken_is_named_briefly(source: digitnet.Run, tmp_path: Path) -> None:
    for tune in (fine_tune, transfer):
        with pytest.raises(UsageError, match=r"Name a new folder\.$"):
            tune("digits8x8", source.path, out=source.path)
    began = no_results(open_task("digits8x8", source.path))
    began.write(tmp_path)
    with pytest.raises(UsageError, match=r"transfer: data is 'digits8x8', not 'sample'\. Repeat"):
        transfer("sample", source.path, out=tmp_path)


def stopping(at: tuple[int, int]) -> Any:
    """Return a listener that sends Ctrl-C at an epoch and a step."""

    def listen(progress: Progress) -> None:
        if (progress.epoch, progress.step) == at:
            signal.raise_signal(signal.SIGINT)

    return listen


def test_an_interrupted_tuning_goes_on_from_its_checkpoint(
    source: digitnet.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first step, between two epochs, and when weights are averaged already."""
    how: dict[str, Any] = {"labels": 10, "threads": 1, "steps": 12}
    whole = fine_tune("digits8x8", source.path, out=tmp_path / "whole", **how)
    for number, at in enumerate([(1, 1), (1, 3), (3, 3)]):
        folder = tmp_path / str(number)
        with monkeypatch.context() as patch:
            patch.setattr(
                "digitnet.experiments.transfer_run.Options",
                functools.partial(Options, on_progress=stopping(at)),
            )
            with pytest.raises(StoppedError, match=re.escape(f"out={str(folder)!r}")):
                fine_tune("digits8x8", source.path, out=folder, **how)
        with pytest.raises(UsageError, match=r"digitnet transfer.* interrupted"):
            digitnet.resume(folder)
        with pytest.raises(UsageError, match="not empty"):
            fine_tune("digits8x8", source.path, out=folder, **{**how, "labels": 5})
        again = fine_tune("digits8x8", source.path, out=folder, **how)
        assert again.model_file.read_bytes() == whole.model_file.read_bytes()
        assert [r.val_loss for r in again.history] == [r.val_loss for r in whole.history]


def test_the_fast_way_goes_on_too(
    source: digitnet.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TransferConfig(**{**FEW, "steps": 12})
    how: dict[str, Any] = {"out": tmp_path / "out", "labels": 10, "comparison": False}
    with pytest.raises(StoppedError, match=r"same command and --out .*out\.$") as stopped:
        transfer("digits8x8", source.path, config, on_progress=stopping((2, 1)), **how)
    assert stopped.value.exit_code == 130
    _, results = transfer("digits8x8", source.path, config, **how)
    assert results.final
    whole = fine_tune("digits8x8", source.path, out=tmp_path / "w", labels=10, steps=12, threads=1)
    model = tmp_path / "out" / "model"
    assert (model / "model.safetensors").read_bytes() == whole.model_file.read_bytes()
    assert (model / "model.onnx").is_file()


def test_a_tuned_run_says_how_it_was_made_and_whether_it_helped(
    tuned: digitnet.Run, source: digitnet.Run
) -> None:
    about = tuned.transfer or {}
    assert about["finished"]
    assert tuned.config.schedule == about["schedule"] == "warm-cosine"
    assert (about["steps"], about["threads"]) == (5, 1)
    assert about["learning_rate"] == tuned.config.learning_rate
    zero = open_task("digits8x8", source.path, TransferConfig(methods=("zero-shot",), **FEW))
    assert about["accuracy_before"] == next(compare(zero)).accuracy
    assert about["accuracy_after"] == tuned.metrics["test_accuracy"]
    assert len(tuned.history) == tuned.config.epochs
    with pytest.raises(UsageError, match="cannot be extended"):
        digitnet.resume(tuned, epochs=50)


def test_from_scratch_with_other_classes_nothing_is_said_of_the_old_task(
    source: digitnet.Run, tmp_path: Path, sample: Dataset
) -> None:
    for name in ("cross", "bar"):
        (tmp_path / "signs" / name).mkdir(parents=True)
        for number in range(6):
            page = np.full((60, 60), 255, np.uint8)
            page[10 + 3 * number : 16 + 3 * number, 10:50] = 0
            page[8:52, 28:32] = 0 if name == "cross" else 255
            Image.fromarray(page).save(tmp_path / "signs" / name / f"{number}.png")
    run = fine_tune(tmp_path / "signs", source.path, out=tmp_path / "run", method="scratch", **FEW)
    about = run.transfer or {}
    assert about["old_last_layer"]
    assert about["old_accuracy_before"] is about["old_accuracy_after"] is None
    assert about["accuracy_before"] is None


def test_tuning_is_the_one_loop(source: digitnet.Run, sample: Dataset) -> None:
    made = task(source.path, letters(sample, ("a", "b", "c")), steps=7)
    config = made.train_config("all", 10, 0)
    with reproducible(config):
        tuning = Tuning(made, "all", config)
        rates = []
        fit(tuning, on_progress=lambda _: rates.append(tuning.optimizer.param_groups[0]["lr"]))
    assert len(rates) == tuning.done == 7
    # Up, then down, but not below a tenth.
    assert rates[0] < max(rates) <= config.learning_rate
    assert min(rates[1:]) >= 0.1 * config.learning_rate
    images = len(tuning.train_images)
    assert tuning.order()[:images].sort().values.equal(torch.arange(images))
    assert all(len(tuning.batches.batch(tuning.order()[:n]).labels) == n + 26 for n in (1, 38))


def test_zero_shot_needs_the_same_classes(source: digitnet.Run, sample: Dataset) -> None:
    told: list[str] = []
    config = TransferConfig(methods=("zero-shot", "probe"), labels=(5,), seeds=1, **FEW)
    other = letters(sample, ("a", "b"))
    made = open_task(other, source.path, config, options=Options(on_message=told.append))
    assert [r.method for r in compare(made)] == ["probe"]
    assert any("Zero-shot is left out" in line for line in told)


def test_a_comparison_measures_everything_once(source: digitnet.Run, sample: Dataset) -> None:
    config = TransferConfig(labels=(5, 100_000), seeds=2, **FEW)
    small = letters(sample, tuple("0123456789"))
    told: list[str] = []
    made = open_task(small, source.path, config, options=Options(on_message=told.append))
    results = no_results(made)
    results.repetitions += compare(made)
    assert len(results.repetitions) == 1 + 4 * 2
    assert any("100000" in line for line in told)
    assert not list(compare(made, results.repetitions))
    saved = json.loads(json.dumps(results.as_dict()))
    # Earlier versions had a column more, which nothing was ever written to.
    saved["repetitions"] = [row | {"old_accuracy": None} for row in saved["repetitions"]]
    assert TransferResults.from_dict(saved) == results


def test_too_few_pictures_are_an_error_that_names_the_class(
    source: digitnet.Run, sample: Dataset
) -> None:
    few = letters(sample, ("a", "b"))
    one = np.concatenate((np.flatnonzero(few.train_labels == 0), [few.train_labels.argmax()]))
    bare = Dataset(
        "bare",
        few.train_images[one],
        few.train_labels[one],
        few.test_images,
        few.test_labels,
        few.class_names,
        {},
    )
    with pytest.raises(InputError, match="Class 1 has 1 image"):
        list(compare(task(source.path, bare, labels=(0,))))


def test_old_data_must_be_what_the_network_knows(source: digitnet.Run, tmp_path: Path) -> None:
    opened = load_pretrained(source.path)
    with pytest.raises(DataUnavailableError):
        known_task(opened, "mnist", Options(offline=True))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"methods": ("prob",)}, "probe"),
        ({"labels": (-1,)}, "--labels"),
        ({"replay": 1.5}, "--replay"),
        ({"replay": float("nan")}, "--replay"),
        ({"seeds": 0}, "--seeds"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        TransferConfig(**settings)


def test_crops_leave_more_of_a_batch_to_the_new_task() -> None:
    assert TransferConfig().replayed > TransferConfig(crops=True).replayed > 0
    for replay in (0.0, 0.7):
        config = TransferConfig(crops=True, replay=replay)
        assert config.replayed == config.as_dict()["replay"] == replay


def test_a_network_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no network"):
        load_pretrained(tmp_path / "nothing")
    with pytest.raises(InputError, match="cannot be trained on"):
        load_pretrained("model.onnx")


def test_a_network_that_nothing_can_be_drawn_for_is_refused(
    tmp_path: Path, sample: Dataset
) -> None:
    config = TrainConfig().override(reject=True)
    file = tmp_path / "model.safetensors"
    names = list(sample.class_names)
    save_model(file, CNN(config.model), config, {"class_names": names, "epochs": 1})
    with pytest.raises(UsageError, match=r"^--from cannot be .*--canonical\.$"):
        task(file, sample)


def test_the_shipped_network_is_known_by_name() -> None:
    shipped = load_pretrained()
    assert shipped.class_names == tuple("0123456789")
    assert shipped.about["data"] == "mnist"


def test_budgets_are_read() -> None:
    assert parse_budgets("10, 30,all") == (10, 30, 0)
    for text in ("", "0", "ten", "-3", "1.5"):
        with pytest.raises(UsageError, match="--labels"):
            parse_budgets(text)


def test_intervals_are_compared() -> None:
    def row(method: str, seed: int, accuracy: float) -> Repetition:
        return Repetition(method, 30, seed, 300, 9, 1.0, accuracy, 0)

    rows = [row("all", s, 0.9 + s / 100) for s in range(3)]
    low = [row("scratch", s, 0.5 + s / 100) for s in range(3)]
    near = [row("scratch", s, 0.88 + s / 100) for s in range(3)]
    high = [row("scratch", s, 0.96 + s / 1000) for s in range(3)]
    for others, gain in ((low, 1), (near, 0), (high, -1), ([], None)):
        results = TransferResults({}, {"test_images": 10}, {}, [*rows, *others])
        assert clear_gain(results, 30) == gain


def test_rows_keep_the_digit_in_the_middle(sample: Dataset) -> None:
    digits = torch.from_numpy(sample.train_images[:50])[:, None].float() / 255
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rows = in_a_row(digits)
        torch.manual_seed(0)
        again = in_a_row(digits)
    assert rows.shape == (50, 1, 40, 64)
    assert torch.equal(rows, again)
    assert 0 <= float(rows.min()) <= float(rows.max()) <= 1
    # Slanting moves ink sideways and takes none away.
    assert (rows.sum((1, 2, 3)) > 0.9 * digits.sum((1, 2, 3))).all()
    assert in_a_row(torch.zeros(3, 1, 28, 28)).isfinite().all()


def test_the_command_writes_everything(source: digitnet.Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app,
        [
            *("transfer", "--from", str(source.path), "--to", "digits8x8", "--out", str(out)),
            *("--labels", "5", "--seeds", "2", "--methods", "all,scratch", "--steps", "3"),
            *("--use", "10", "--threads", "1", "--quiet", "--json"),
        ],
    )
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["final"]["images"] == 100
    results = read_results(out)
    assert results
    assert len(results.repetitions) == 4
    assert (out / "results.csv").read_text().count("\n") == 5
    assert (out / "figures" / "accuracy_against_labels.png").read_bytes()[:4] == b"\x89PNG"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "http" not in page.split("</style>")[1]
    assert digitnet.open_run(out / "model").metrics["test"]["images"] == 500


def test_the_command_names_what_is_wrong(source: digitnet.Run, tmp_path: Path) -> None:
    for words, code in (
        (["--labels", "ten"], UsageError),
        (["--methods", "al"], UsageError),
        (["--from", str(tmp_path)], InputError),
        (["--use", "100000"], UsageError),
    ):
        done = CliRunner().invoke(
            app, ["transfer", "--to", "digits8x8", "--from", str(source.path), *words]
        )
        assert isinstance(done.exception, code), (words, done.exception)
