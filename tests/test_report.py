"""The report page: whole, safe, readable, and true to the run."""

import dataclasses
import itertools
import json
import re
import shlex
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import digitnet
from digitnet.cli.app import app
from digitnet.data.catalogue import load_dataset
from digitnet.errors import InputError, StoppedError, StorageError, UsageError
from digitnet.network.cnn import CNN, layer_table, predict_logits
from digitnet.network.config import ModelConfig, Optimizer, Schedule, TrainConfig
from digitnet.network.recipes import recipe
from digitnet.showing.report import compose, train_command, transfer_command, write_report
from digitnet.showing.report_facts import EvaluatedRun, ending, read_evaluated
from digitnet.showing.report_figures import ReportFigures, layer_outputs
from digitnet.showing.theme import LIGHT, Drawing
from digitnet.training.checkpoint import load_model
from digitnet.training.evaluation import measure, predictions
from digitnet.training.runs import Epoch, Run
from digitnet.training.trained import Options, open_trained
from page_reader import Page

TINY: dict[str, Any] = {"data": "sample", "channels": (4, 8), "dense": (8,), "threads": 1}
FIGURES = {
    *("examples", "network", "learning_curves", "augmentation", "confusion_matrix", "misses"),
    *("correct", "filters", "feature_maps", "reliability"),
}
EVIL = "<img src=x onerror=alert(1)>"
BLOCKS = {"p", "div", "table", "figure", "section", "ol", "dl", "pre", "h1", "h2", "h3"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run") / "tiny"
    trained = digitnet.train("reference", out=folder, epochs=1, **TINY)
    digitnet.evaluate(trained)
    write_report(trained)
    return trained


@pytest.fixture(scope="module")
def page(run: Run) -> Page:
    return Page(run.report_file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def evaluated(run: Run) -> EvaluatedRun:
    return read_evaluated(open_trained(run, Options(offline=True)))


@pytest.fixture(scope="module")
def odd_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run that was interrupted in its first epoch and is full of hostile names."""
    folder = tmp_path_factory.mktemp("run") / f'"><script>alert(1){EVIL}'

    def stop(_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedError):
        digitnet.train("plain", out=folder, on_progress=stop, epochs=3, **TINY)
    digitnet.evaluate(folder)
    run = Run(folder)
    edit(folder / "config.json", recipe=f'"{EVIL}')
    edit(folder / "environment.json", cpu=f"</td>{EVIL}", command=[EVIL, "'"])
    test = run.metrics["test"]
    test["per_class"][3]["name"] = f"<b>{EVIL}"
    edit(folder / "metrics.json", test=test)
    write_report(run)
    return run


@pytest.fixture(scope="module")
def odd(odd_run: Run) -> Page:
    return Page(odd_run.report_file.read_text(encoding="utf-8"))


def copy(run: Run, folder: Path) -> Run:
    shutil.copytree(run.path, folder)
    return Run(folder)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def row(epoch: int, val_loss: float = 0.1, accuracy: float = 0.9, val: float = 0.95) -> Epoch:
    return Epoch(epoch, 1e-3, 0.2, accuracy, val_loss, val, 60.0)


# The page


def test_every_figure_is_saved_under_its_name(run: Run) -> None:
    assert {file.name for file in run.figures.iterdir()} == {f"{name}.png" for name in FIGURES}
    for file in run.figures.iterdir():
        assert file.read_bytes().startswith(b"\x89PNG")


def test_nothing_is_loaded_and_nothing_runs(run: Run, page: Page) -> None:
    text = run.report_file.read_text(encoding="utf-8")
    assert not page.all("script", "iframe", "object", "embed", "form", "base")
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert (attributes.get("src") or "data:").startswith("data:")
        assert "srcset" not in attributes
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
    assert not re.search(r"https?://|@import|url\(|javascript:", text)
    policies = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert policies
    assert "default-src 'none'" in str(policies[0])


def test_the_page_is_well_formed(page: Page) -> None:
    for (tag, _), parents in zip(page.elements, page.parents, strict=True):
        assert not (tag in BLOCKS and "p" in parents), f"<{tag}> inside <p>"
        assert not (tag == "a" and "a" in parents)
        assert tag != "li" or parents[-1] in {"ol", "ul"}
        assert tag not in {"td", "th"} or parents[-1] == "tr"
        assert tag not in {"dt", "dd"} or parents[-1] in {"dl", "div"}
    ids = Counter(a["id"] for _, a in page.elements if "id" in a)
    assert max(ids.values()) == 1
    links = {str(a["href"])[1:] for a in page.all("a")}
    assert links <= set(ids)
    assert {str(a["aria-labelledby"]) for a in page.all("section")} <= set(ids)


def test_the_page_can_be_read_without_seeing_it(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in page.elements if tag in {"h1", "h2", "h3"}]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(page.all("figcaption")) == len(page.all("figure")) == 8
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a.get("scope") in {"row", "col"} for a in page.all("th"))
    for image in page.all("img"):
        assert len(str(image["alt"])) > 20
        assert image["width"]
        assert image["height"]
    for box in (a for a in page.all("div") if a.get("class") == "scroll"):
        assert box["tabindex"] == "0"
        assert box["role"] == "region"
        assert box["aria-label"]
    sections = [a["id"] for a in page.all("section")]
    assert [f"#{anchor}" for anchor in sections] == [
        a["href"] for a in page.all("a") if a.get("class") is None
    ]


def test_every_figure_comes_for_screens_and_phones(page: Page) -> None:
    shapes = Counter(a.get("class") for a in page.all("img"))
    assert shapes["wide"] == shapes["narrow"] == 5
    assert all(int(str(a["width"])) == 960 for a in page.all("img") if a["class"] == "wide")
    assert all(int(str(a["width"])) == 570 for a in page.all("img") if a["class"] == "narrow")


def test_numbers_are_those_of_the_metrics(run: Run, page: Page) -> None:
    metrics = run.metrics
    test = metrics["test"]
    text = page.text()
    assert f"{100 * test['accuracy']:.2f} % of 1,000 test images" in page.text("h1")
    low, high = test["interval"]
    facts = page.text("dd")
    for fact in (
        f"{100 * low:.2f}–{100 * high:.2f} %",
        f"{test['misses']} of 1,000",
        f"{100 * metrics['val_accuracy']:.2f} %",
        f"{test['loss']:.4f}",
        f"{metrics['parameters']:,}",
        "1 of 1",
    ):
        assert fact in facts
    for each in test["per_class"]:
        for name in ("precision", "recall", "f1"):
            assert f"{100 * each[name]:.2f} %" in page.text("td")
        assert f"{each['support']}" in page.text("td")
    for count in np.array(test["confusion_matrix"]).diagonal():
        assert str(count) in page.words["td"]
    assert f"{100 * test['expected_calibration_error']:.2f} %" in text
    assert next(iter(run.data_sha256.values())) in page.text("code")


def test_misses_are_shown_worst_first(run: Run, page: Page) -> None:
    told = run.predictions
    missed = np.flatnonzero(told.label != told.predicted)
    shown = [re.search(r"Test image (\d+): labelled (.),", str(a["alt"])) for a in page.all("img")]
    found = [(int(m[1]), int(m[2])) for m in shown if m]
    assert len(found) == min(40, len(missed))
    indices = [index for index, _ in found]
    assert set(indices) <= set(missed.tolist())
    confidence = told.probability_predicted[indices]
    assert (np.diff(confidence) <= 0).all()
    assert confidence[0] == told.probability_predicted[missed].max()
    assert all(told.label[index] == label for index, label in found)


def test_the_same_run_gives_the_same_bytes(run: Run) -> None:
    files = [run.report_file, *sorted(run.figures.iterdir())]
    before = [file.read_bytes() for file in files]
    assert write_report(str(run.path)) == run.report_file
    assert [run.report_file, *sorted(run.figures.iterdir())] == files
    assert [file.read_bytes() for file in files] == before


def test_the_page_is_small(run: Run) -> None:
    assert run.report_file.stat().st_size < 3_000_000


def test_names_from_files_stay_text(odd: Page) -> None:
    assert not odd.all("script", "b")
    assert all(str(a["src"]).startswith("data:") for a in odd.all("img"))
    assert f"<script>alert(1){EVIL}" in odd.text("p")
    assert f'"{EVIL}' in odd.text("dd")
    assert f"</td>{EVIL}" in odd.text("td")
    assert f"<b>{EVIL}" in odd.text("th")


# Runs that are not as they should be


def test_a_run_without_metrics_says_how_to_get_them(run: Run, tmp_path: Path) -> None:
    bare = copy(run, tmp_path / "bare")
    (bare.path / "metrics.json").unlink()
    with pytest.raises(InputError, match="digitnet evaluate"):
        write_report(bare)


def test_no_run_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run folder"):
        write_report(tmp_path / "nowhere")


def test_metrics_of_an_earlier_network_are_refused(run: Run, tmp_path: Path) -> None:
    trained_on = copy(run, tmp_path / "on")
    trained_on.write_metrics({**run.metrics, "model_sha256": "0" * 64})
    with pytest.raises(InputError, match="measured on another network"):
        write_report(trained_on)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("predictions.csv", "\n0,", "\n7,"),
        ("config.json", "mnist_sample.npz", "other.npz"),
        ("metrics.json", '"val_accuracy"', '"old"'),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(
    run: Run, tmp_path: Path, name: str, old: str, new: str
) -> None:
    mixed = copy(run, tmp_path / "mixed")
    text = (mixed.path / name).read_text()
    assert old in text
    (mixed.path / name).write_text(text.replace(old, new, 1))
    with pytest.raises((InputError, UsageError), match=re.escape(str(mixed.path))):
        write_report(mixed)


def test_a_full_disk_is_a_storage_error(run: Run, tmp_path: Path) -> None:
    blocked = copy(run, tmp_path / "blocked")
    shutil.rmtree(blocked.figures)
    blocked.figures.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="figures"):
        write_report(blocked)


def test_a_run_interrupted_in_its_first_epoch_gets_its_report(odd_run: Run, odd: Page) -> None:
    assert "interrupted inside its first epoch of 3" in odd.text("p")
    assert "0 of 3" in odd.text("dd")
    assert f"digitnet train --resume {shlex.quote(str(odd_run.path))}" in odd.text("code")
    figures = {file.stem for file in odd_run.figures.iterdir()}
    assert figures == FIGURES - {"learning_curves", "augmentation"}
    assert len(odd.all("figure")) == 6
    assert "There was no" in odd.text("p")


# Sentences


def said(evaluated: EvaluatedRun) -> str:
    """Return the words of the page of a run, whose figures are left blank."""
    blank = ReportFigures(dict.fromkeys(FIGURES, Drawing(b"", b"")))
    return Page(compose(evaluated, blank)).text()


def changed(evaluated: EvaluatedRun, history: list[Epoch], **settings: Any) -> EvaluatedRun:
    config = evaluated.config.override(**settings)
    trained = dataclasses.replace(evaluated.trained, config=config)
    return dataclasses.replace(evaluated, trained=trained, history=history)


def measured(evaluated: EvaluatedRun, logits: np.ndarray) -> EvaluatedRun:
    labels, names = evaluated.dataset.test_labels, evaluated.dataset.class_names
    return dataclasses.replace(
        evaluated,
        metrics=measure(logits, labels, names, (0, 1)),
        predictions=predictions(logits, labels),
    )


def right_logits(evaluated: EvaluatedRun) -> np.ndarray:
    return 20 * np.eye(10, dtype=np.float32)[evaluated.dataset.test_labels]


def test_how_training_ended(evaluated: EvaluatedRun) -> None:
    history = [row(1, 0.3), row(2, 0.2), row(3, 0.25), row(4, 0.22)]
    whole = changed(evaluated, history, epochs=4)
    assert ending(whole.history, whole.config)["how"] == "complete"
    assert "interrupted" not in said(whole)
    stopped = said(changed(evaluated, history, epochs=9, early_stopping=2))
    assert "after 4 of at most 9 epochs" in stopped
    assert "The network of epoch 2 was kept" in stopped
    interrupted = said(changed(evaluated, history, epochs=9, early_stopping=3))
    assert "interrupted after 4 of 9 epochs" in interrupted


def test_one_epoch_is_one_epoch(evaluated: EvaluatedRun) -> None:
    for history, epochs in (([row(1)], 1), ([row(1)], 2), ([], 1)):
        assert not re.search(r"\b1 \w*(epochs|images|steps|misses|times)\b",
                             said(changed(evaluated, history, epochs=epochs)))  # fmt: skip


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_every_schedule_has_its_sentence(evaluated: EvaluatedRun, schedule: str) -> None:
    text = said(changed(evaluated, evaluated.history, schedule=schedule, learning_rate=0.125))
    assert len(re.findall(r"The learning rate \w+ [^.]*0\.125[^.]*\.", text)) == 1


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_every_optimizer_has_its_sentence(evaluated: EvaluatedRun, optimizer: str) -> None:
    text = said(changed(evaluated, evaluated.history, optimizer=optimizer))
    assert (
        len(re.findall(r"The weights were updated by \w+[^.]* after every \d+ images", text)) == 1
    )


def test_what_was_learned_beside_the_images_is_told(evaluated: EvaluatedRun) -> None:
    history = evaluated.history
    assert "Beside these images" not in said(evaluated)
    drawn = dict.fromkeys(("hands", "found", "signs", "non_digits"), 0.25)
    text = said(changed(evaluated, history, canonical=True, reject=True, **drawn))
    assert text.count("0.25") >= len(drawn)
    for words in ("digits of other hands", "what the finder finds", "letters", "what is no digit"):
        assert words in text
    assert "one for what is none" in text


def test_the_last_epochs_without_distortion_are_told(evaluated: EvaluatedRun) -> None:
    history = [row(1, 0.1), row(2, 0.1), row(3, 0.2), row(4, 0.1)]
    settings: dict[str, Any] = {"epochs": 4, "schedule": "cosine"}
    assert "in every epoch" in said(changed(evaluated, history, **settings))
    ends = said(changed(evaluated, history, **settings, plain_fraction=0.25, averaging=0.999))
    assert "in the first 3 epochs" in ends
    assert "comes from distorted images" not in ends
    assert "a moving average" in ends


def test_what_the_curves_say(evaluated: EvaluatedRun) -> None:
    leads = changed(evaluated, [row(1, 0.2), row(2, 0.1)], epochs=2)
    text = said(leads)
    assert "lowest in the last epoch" in text
    assert "5.00 points above training" in text
    assert "with dropout on" in text
    assert "comes from distorted images" in text
    plain = said(
        changed(
            leads,
            leads.history,
            dropout=0.0,
            **dict.fromkeys(("shift", "rotate", "scale", "shear"), 0.0),
        )
    )
    assert "with dropout on" not in plain
    assert "comes from distorted images" not in plain
    lags = said(changed(evaluated, [row(1, 0.1), row(2, 0.2, accuracy=0.99, val=0.96)], epochs=2))
    assert "3.00 points above validation" in lags
    assert "lowest in epoch 1" in lags


def test_a_perfect_network_has_nothing_to_show_for_misses(evaluated: EvaluatedRun) -> None:
    text = said(measured(evaluated, right_logits(evaluated)))
    assert "100.00 % of 1,000 test images read correctly" in text
    assert "misread none" in text
    assert "No digit was taken for another." in text
    assert "nothing to show" in text
    assert "equally well" in text
    assert "guessing:" not in text


def test_one_kind_of_mistake_is_named(evaluated: EvaluatedRun) -> None:
    logits = right_logits(evaluated)
    fours = np.flatnonzero(evaluated.dataset.test_labels == 4)[:3]
    logits[fours, 9] = 40
    text = said(measured(evaluated, logits))
    assert "4 read as 9 (3)." in text
    assert "4 and 9 are confused most, 3" in text
    assert "in 0 % of the misses" in text
    assert "does not tell them apart" in text
    assert "too sure of itself" in text


def test_a_network_that_guesses_is_called_one(evaluated: EvaluatedRun) -> None:
    logits = np.zeros((1000, 10), dtype=np.float32)
    logits[:, 1] = 1
    text = said(measured(evaluated, logits))
    assert "cannot be told from guessing" in text
    assert "no image was ever read as it" in text


def test_a_network_that_is_always_wrong_still_gets_its_sentences(evaluated: EvaluatedRun) -> None:
    text = said(measured(evaluated, np.roll(right_logits(evaluated), 1, axis=1)))
    assert "Every single" in text
    assert "Not one was read correctly." in text
    assert "one in" not in text


def test_modest_confidence_is_called_modest(evaluated: EvaluatedRun) -> None:
    text = said(measured(evaluated, right_logits(evaluated) / 10))
    assert "right more often than it claims" in text


def test_hesitation_that_tells_misses_apart_is_called_a_warning(evaluated: EvaluatedRun) -> None:
    logits = right_logits(evaluated)
    logits[:50] = np.roll(logits[:50], 1, axis=1) / 8
    run = measured(evaluated, logits)
    assert run.metrics.misses == 50
    assert "a useful warning" in said(run)


def test_disputed_labels_are_explained(evaluated: EvaluatedRun) -> None:
    logits = right_logits(evaluated)
    logits[0] = np.roll(logits[0], 1)
    text = said(measured(evaluated, logits))
    assert "2 test images carry labels" in text
    assert "for 1 of them" in text
    assert "100.00" in text
    assert "998" in text
    plain = dataclasses.replace(evaluated.metrics, undisputed=None)
    assert "Labels in doubt" not in said(dataclasses.replace(evaluated, metrics=plain))


# Tuned networks

ORIGIN = {
    "source": {"name": "old run", "data": "fashion_mnist"},
    "method": "all",
    "labels": 30,
    "seed": 3,
    "steps": 120,
    "old_data": "fashion_mnist",
    "old_test_images": 10_000,
    "old_accuracy_before": 0.9,
    "old_accuracy_after": 0.875,
    "old_last_layer": True,
    "accuracy_before": 0.25,
    "settings": {
        "replay": 0.4,
        "steps": 0,
        "threads": 0,
        "crops": False,
        "averaged": 0.5,
        "rates": {"all": {"learning_rate": 4e-3, "layer_decay": 0.8}},
    },
}


@pytest.fixture
def tuned(run: Run, tmp_path: Path) -> EvaluatedRun:
    folder = copy(run, tmp_path / "tuned")
    folder.write_transfer(ORIGIN)
    return read_evaluated(open_trained(folder, Options(offline=True)))


def test_a_tuned_run_says_how_it_was_tuned(tuned: EvaluatedRun) -> None:
    text = said(changed(tuned, tuned.history, schedule="cosine", learning_rate=4e-3))
    for part in (
        "it continues old run, which had learned fashion_mnist",
        "40 % of them from the old task, to keep it, in 120 steps",
        "The learning rate of the last layer rose to 0.004 over the first 12 % of the steps",
        "down to 10 % of that",
        "at 0.8 times the rate of the next one",
        "the mean over the last 50 % of the steps",
        "read 25.00 % of the same test images correctly; this one reads",
        "90.00 % before and 87.50 % after, with its old last layer",
    ):
        assert part in text
    assert "to zero" not in text


def test_a_run_tuned_before_it_was_measured_says_less(tuned: EvaluatedRun) -> None:
    tuned.trained.run.write_transfer({k: v for k, v in ORIGIN.items() if k != "accuracy_before"})
    assert "of the same test images" not in said(tuned)


def test_the_command_tunes_the_same_network(tuned: EvaluatedRun) -> None:
    words = transfer_command(ORIGIN, tuned.config)
    assert words == (
        "digitnet transfer --from 'old run' --to sample --fast --method all --seed 3 --use 30 "
        "--old-data fashion_mnist --replay 0.4 --threads 1"
    )
    assert f"{words} --out again" in said(tuned)
    settings = {**ORIGIN["settings"], "steps": 9, "crops": True}  # type: ignore[dict-item]
    crops = transfer_command({**ORIGIN, "settings": settings, "old_data": None}, tuned.config)
    assert crops.endswith("--use 30 --replay 0.4 --threads 1 --steps 9 --crops")


# Commands and parts


@pytest.mark.parametrize(
    "config",
    [
        recipe("reference").override(epochs=3, seed=7, threads=2),
        recipe("plain").override(channels=(4, 8, 16), dense=(), padding=True, rotate=12.5),
        recipe("reference").override(schedule="one-cycle", weight_decay=1e-5, shift=0.0),
        TrainConfig(
            recipe="my own; name", data="sample", model=ModelConfig(batch_norm=True, dense=(9, 7))
        ),
    ],
    ids=["reference", "plain", "floats", "own"],
)
def test_the_command_trains_the_same_network(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TrainConfig] = []

    def record(start: TrainConfig, *_: Any, **settings: Any) -> None:
        known = start.flat()
        seen.append(start.override(**{k: v for k, v in settings.items() if k in known}))
        raise InputError("enough")

    monkeypatch.setattr("digitnet.training.run_training.run_training", record)
    CliRunner().invoke(app, shlex.split(train_command(config))[1:])
    assert seen, "the command line was refused"
    assert dataclasses.replace(seen[0], recipe="") == dataclasses.replace(config, recipe="")


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(channels=(3, 5), dense=(6,), dropout=0.5, conv_dropout=0.1),
        ModelConfig(channels=(3,), dense=(), activation="gelu"),
        ModelConfig(channels=(2, 3, 4), dense=(6, 5), padding=True, batch_norm=True),
        ModelConfig(channels=(2, 3), convs_per_block=2, kernel_size=2),
        ModelConfig(border=2, stem=2, channels=(3,), global_pooling="max-mean", squeeze_excite=2),
    ],
)
def test_layer_outputs_end_in_the_answer_and_fit_the_table(config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = CNN(config).eval()
    image = load_dataset("sample").test_images[0]
    outputs = layer_outputs(model, image)
    logits = predict_logits(model, torch.from_numpy(image[None])).numpy()
    np.testing.assert_allclose(outputs[-2][1].ravel(), logits[0], rtol=1e-4, atol=1e-5)
    assert outputs[-1][1].sum() == pytest.approx(1, abs=1e-5)
    pooled = [row.output_shape for row in layer_table(config) if row.name.startswith("max pool")]
    assert len(outputs) == len(pooled) + len(config.dense) + 2
    dense = [(units, 1, 1) for units in (*config.dense, 10, 10)]
    assert [values.shape for _, values in outputs] == [*pooled, *dense]


def test_the_model_of_the_run_is_followed_through(run: Run, evaluated: EvaluatedRun) -> None:
    first = int((evaluated.predictions.predicted == evaluated.predictions.label).argmax())
    outputs = layer_outputs(load_model(run.model_file), evaluated.dataset.test_images[first])
    assert outputs[-1][1].argmax() == evaluated.predictions.predicted[first]


def test_text_stands_out_from_its_ground(run: Run) -> None:
    style = re.findall(r"<style>(.*?)</style>", run.report_file.read_text("utf-8"), re.DOTALL)[0]
    blocks = re.findall(r":root\s*\{(.*?)\}", style, re.DOTALL)
    values = [dict(re.findall(r"--(\w+):\s*(#\w{6})", block)) for block in blocks]
    light, dark = values[0] | values[1], values[0] | values[2]
    assert light["page"] == LIGHT.page
    assert dark["page"] != LIGHT.page
    for colours in (light, dark):
        for ground in ("page", "panel", "note", "few", "most"):
            assert contrast(colours["text"], colours[ground]) >= 4.5
        for text in ("muted", "blue"):
            assert contrast(colours[text], colours["page"]) >= 4.5


def contrast(first: str, second: str) -> float:
    bright, dim = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
