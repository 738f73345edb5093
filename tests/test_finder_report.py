"""The report of a finder's run: complete, of this run, and true."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

import digitnet
from digitnet.data.dataset import Dataset
from digitnet.errors import InputError
from digitnet.network.finder import Finder
from digitnet.network.recipes import recipe
from digitnet.showing.finder_report import LAYOUT_NAMES, page_png
from digitnet.showing.report import report_trained
from digitnet.showing.theme import LIGHT
from digitnet.synthesis.page_scenes import LAYOUTS
from digitnet.training.checkpoint import save_network
from digitnet.training.finder_evaluation import Look, evaluation_maker, evaluation_page
from digitnet.training.run_evaluation import measure_trained
from digitnet.training.runs import Epoch, create_run
from digitnet.training.trained import Trained
from page_reader import Page as Html
from tiny_finder import SETTINGS, few_pages


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, sample: Dataset) -> Trained:
    """A finder that knows nothing, evaluated, with a made-up history."""
    config = recipe("finder").override(**SETTINGS)
    run = create_run(tmp_path_factory.mktemp("finder") / "run", "finder")
    run.write_config(config, sample.sha256, sample.class_names)
    run.write_environment({"command": ["digitnet"], "python": "3"})
    torch.manual_seed(0)
    finder = Finder().eval()
    save_network(run.model_file, finder, config, {"epochs": 2})
    run.write_history([Epoch(n, 1e-3, 3.0 / n, None, 2.0 / n, 0.2 * n, 60.0) for n in (1, 2)])
    trained = Trained(run, config, sample, finder)
    with few_pages():
        measure_trained(trained)
    return trained


def test_the_page_tells_the_run(trained: Trained) -> None:
    html = report_trained(trained).read_text(encoding="utf-8")
    page = Html(html)
    text = page.text()
    assert "0.00 % of signs found" in text
    assert "from 20.00 % to 40.00 %" in text
    assert "None" not in text
    assert "--recipe finder --data sample --seed 0" in text
    for gone in ("channels", "rotate"):
        assert gone not in page.text("code")
    figures = {path.name for path in trained.run.figures.iterdir()}
    assert "learning_curves.png" in figures
    assert len(page.all("img")) == len(figures) + 1  # the curves are there twice, once for phones
    anchors = {each["id"] for each in page.all("section", "dt") if each.get("id")}
    links = {str(each["href"])[1:] for each in page.all("a")}
    assert links <= anchors


def test_the_same_run_gives_the_same_bytes(trained: Trained) -> None:
    first, second = (report_trained(trained).read_bytes() for _ in range(2))
    assert first == second


def test_every_kind_of_page_has_a_name() -> None:
    assert LAYOUT_NAMES.keys() >= LAYOUTS.keys()


def test_a_run_without_an_epoch_has_no_curves(trained: Trained, tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", "finder")
    run.write_config(trained.config, trained.dataset.sha256, trained.dataset.class_names)
    run.write_environment({"command": []})
    run.write_history([])
    save_network(run.model_file, trained.finder, trained.config, {"epochs": 0})
    fresh = dataclasses.replace(trained, run=run)
    with few_pages():
        measure_trained(fresh)
    page = Html(report_trained(fresh).read_text(encoding="utf-8"))
    assert "interrupted inside its first epoch" in page.text()
    assert not page.all("figure")


def test_metrics_of_another_network_are_refused(trained: Trained, tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", "finder")
    run.write_config(trained.config, trained.dataset.sha256, trained.dataset.class_names)
    run.write_environment({"command": []})
    save_network(run.model_file, Finder(), trained.config, {"epochs": 2})
    run.write_metrics(trained.run.metrics)
    with pytest.raises(InputError, match="another network"):
        report_trained(dataclasses.replace(trained, run=run))


def test_boxes_are_blue_where_they_are_right_and_orange_where_not(trained: Trained) -> None:
    maker = evaluation_maker(trained.dataset)
    page = next(p for n in range(50) if len((p := evaluation_page(maker, n)[1]).labels) == 1)
    nothing = np.zeros_like(page.ink)
    colours = {
        (0,): LIGHT.blue,
        (-1,): LIGHT.orange,
    }
    for match, colour in colours.items():
        boxes = page.boxes[: 1 + match[0]]
        look = Look(
            boxes, page.labels[: len(boxes)] < 10, nothing, np.array(match), np.zeros(1, bool)
        )
        picture = np.asarray(Image.open(io.BytesIO(page_png(page, look))).convert("RGB"))
        present = [bool((picture == ImageColor.getrgb(c)).all(2).any()) for c in colours.values()]
        assert present == [c == colour for c in colours.values()]


def test_write_report_opens_a_finder(trained: Trained) -> None:
    assert digitnet.write_report(trained.run) == trained.run.report_file
    assert re.search(r"pages?\s(has|have) a mistake", trained.run.report_file.read_text("utf-8"))
