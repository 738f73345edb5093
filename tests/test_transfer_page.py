"""The page of a transfer: whether tuning helped, what the pictures are, and no raw numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digitnet.data.dataset import Dataset
from digitnet.experiments.transfer_page import write_page
from digitnet.experiments.transfer_results import (
    Repetition,
    TransferConfig,
    TransferResults,
)
from digitnet.training.evaluation import measure, predictions
from digitnet.training.runs import Run
from page_reader import Page

CLASSES = ("a<b", "c")
IMAGES = 200


def results(**final: Any) -> TransferResults:
    """Return made-up results of a comparison and of a network that was kept."""
    logits = np.eye(2, dtype=np.float32)[np.arange(IMAGES) % 2]
    logits[:10] = logits[:10, ::-1]
    labels = np.arange(IMAGES) % 2
    rows = [
        Repetition("zero-shot", 0, 0, 0, 0, 0.0, 0.9, 20),
        *(Repetition("all", 10, s, 20, 40, 1.0, 0.95 + s / 500, 10) for s in range(3)),
        *(Repetition("scratch", 10, s, 20, 40, 1.0, 0.7 + s / 500, 60) for s in range(3)),
    ]
    kept = {
        "run": "model",
        "method": "all",
        "images": 1,
        "steps": 1,
        "seconds": 0.5,
        "old_data": "sample",
        "old_test_images": 1000,
        "old_accuracy_before": 0.9,
        "old_accuracy_after": 0.9,
        "old_last_layer": False,
        "accuracy_before": 0.8,
        "test": measure(logits, labels, CLASSES, ()).as_dict(),
    }
    return TransferResults(
        source={"name": "old", "data": "sample", "sha256": "0" * 64},
        target={
            "data": "new",
            "classes": list(CLASSES),
            "test_images": IMAGES,
            "data_sha256": {"new.npz": "1" * 64},
        },
        settings=TransferConfig(labels=(10,), threads=0, steps=0).as_dict(),
        repetitions=rows,
        final=kept | final,
    )


def page_of(folder: Path, of: TransferResults) -> Page:
    """Return the page, with pictures of noise of which the network misreads three."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, 28, 28), dtype=np.uint8)
    labels = np.arange(IMAGES) % 2
    target = Dataset("new", images, labels, images, labels, CLASSES, {})
    logits = np.eye(2, dtype=np.float32)[labels]
    logits[:3] = logits[:3, ::-1]
    (folder / "model").mkdir()
    Run(folder / "model").write_predictions(predictions(logits, labels))
    return Page(write_page(of, folder, target).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("before", "p", "said"),
    [
        (0.8, 0.001, "Tuning helped, by 15.00 points (McNemar's exact test, p = 0.001)"),
        (0.99, 0.04, "Tuning made it worse, by 4.00 points"),
        (0.8, 0.06, "15.00 points more, a difference that the choice of test images alone may"),
        (0.95, 1.0, "Tuning changed nothing"),
    ],
)
def test_the_page_says_whether_tuning_helped(
    tmp_path: Path, before: float, p: float, said: str
) -> None:
    text = page_of(tmp_path, results(accuracy_before=before, p=p)).text()
    assert said in text
    assert f"the network read {100 * before:.2f} % of them; now it reads 95.00 %" in text


def test_what_takes_no_labels_stands_beside_any_number_of_them(tmp_path: Path) -> None:
    assert "90.0 %" in page_of(tmp_path, results()).text("td")


@pytest.mark.parametrize(
    ("scratch", "said"),
    [
        ((0.7,), "What the network knew helps everywhere: the interval"),
        ((0.99,), "What the network knew hinders everywhere: the interval"),
        ((0.954,), "Whether what the network knew helps is open: with every number of labels"),
        ((0.7, 0.99), "helps with 10 labels a class: the interval of tuning all layers lies above"),
        ((0.7, 0.99), "from scratch. What the network knew hinders with 30 labels a class: the"),
    ],
)
def test_the_page_says_which_way_to_learn_is_ahead(
    tmp_path: Path, scratch: tuple[float, ...], said: str
) -> None:
    rows = [
        Repetition(method, budget, seed, 20, 40, 1.0, accuracy + seed / 500, 10)
        for budget, rival in zip((10, 30), scratch, strict=False)
        for method, accuracy in (("all", 0.95), ("scratch", rival))
        for seed in range(3)
    ]
    assert said in page_of(tmp_path, dataclasses.replace(results(), repetitions=rows)).text()


def test_no_sentence_about_tuning_where_it_was_not_measured(tmp_path: Path) -> None:
    bare = dataclasses.replace(results(accuracy_before=None), repetitions=[])
    assert "Before and after" not in page_of(tmp_path, bare).text()


def test_values_that_stand_for_something_are_written_out(tmp_path: Path) -> None:
    page = page_of(tmp_path, results())
    assert {"by the number of images", "one a core"} <= set(page.words["td"])
    assert "0" not in page.words["td"]
    text = page.text()
    assert "Highest learning rate" in text
    assert "takes no steps" in text
    assert "from 1 image in 1 step." in text
    assert "It is the same as before. 40 % of each batch" in text


def test_the_figure_and_pictures_are_on_the_page(tmp_path: Path) -> None:
    page = page_of(tmp_path, results())
    assert (tmp_path / "figures" / "accuracy_against_labels.png").is_file()
    shapes = [a.get("class") for a in page.all("img")]
    assert shapes.count("wide") == shapes.count("narrow") == 1
    assert shapes.count("ink") == len(CLASSES) + 3
    assert "Training images of class a<b" in [a["alt"] for a in page.all("img")]
    assert "What the network knew helps everywhere" in page.text()
