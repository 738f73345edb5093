"""The page of a study: the answer, its tables and figures, safe and for any screen."""

from __future__ import annotations

import numpy as np
import pytest

from digitnet.experiments.study.definition import load_study
from digitnet.experiments.study.study_page import (
    accuracy_figure,
    axis_figure,
    curves_figure,
    study_page,
)
from digitnet.experiments.study.study_results import StudyMaterial, gather
from digitnet.experiments.study.trials import trials
from digitnet.showing.scales import nines
from digitnet.showing.theme import PHONE_WIDTH, Drawing, theme
from made_up_runs import make_runs
from page_reader import Page

STUDY = """
title = "Dropout"
question = "How much <b>dropout</b>?"
data = "sample"
seeds = 2
test_on = ["usps"]
axis = "dropout"
[settings]
epochs = 3
[variants.none]
dropout = 0
[variants.half_of_all_the_units_there_are]
note = "half of <them>"
dropout = 0.5
[variants.most]
dropout = 0.9
"""
BLANK = Drawing(b"", b"")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> StudyMaterial:
    folder = tmp_path_factory.mktemp("study")
    file = folder / "dropout.toml"
    file.write_text(STUDY, encoding="utf-8")
    study = load_study(file)
    planned = trials(study, folder / "out")
    make_runs(study, planned, {"none": 60, "half_of_all_the_units_there_are": 15})
    return gather(study, planned, 4500)


def test_the_page_answers_its_question(material: StudyMaterial) -> None:
    page = Page(study_page(material, dict.fromkeys(("accuracy", "curves", "axis"), BLANK)))
    text = page.text()
    assert page.text("h1") == "How much <b>dropout</b>?"
    assert "half of <them>" in page.text("td")
    assert "Diverged, and so not compared: most." in text
    assert "sample: 400 test images." in text
    assert "0, 2 diverged" in page.text("td")
    assert "for the 2 comparisons on this page" in text
    assert not page.all("script", "b")
    links = {str(a["href"])[1:] for a in page.all("a")}
    assert links == {str(a["id"]) for a in page.all("section")}


def test_curves_show_the_mean_and_axes_the_values(material: StudyMaterial) -> None:
    with theme():
        above, _ = curves_figure(material).axes
        ax = axis_figure(material.results).axes[0]
    for variant in material.results.variants:
        histories = material.histories[variant.name]
        if not histories:
            continue
        mean = np.mean([[row.val_accuracy for row in rows] for rows in histories], axis=0)
        drawn = [line.get_ydata() for line in above.lines if len(line.get_ydata()) == len(mean)]
        assert any(np.allclose(each, nines(mean)) for each in drawn)
    assert [each.get_text() for each in ax.get_xticklabels()] == ["0", "0.5", "0.9"]


def test_sections_without_a_figure_are_left_out(material: StudyMaterial) -> None:
    page = Page(study_page(material, {}))
    assert {"axis", "curves"}.isdisjoint({str(a["id"]) for a in page.all("section")})
    assert not page.all("figure")


def test_a_phone_gets_rows_as_lists_with_every_value_named(material: StudyMaterial) -> None:
    page = Page(study_page(material, {}))
    tables = [a.get("class") for a in page.all("table")]
    assert tables.count("stacked") == len(tables) - 1  # but the one of two columns
    assert all(a["data-name"] for a in page.all("td"))


@pytest.mark.parametrize("width", [6.4, PHONE_WIDTH])
def test_names_and_numbers_lie_inside_the_figures(material: StudyMaterial, width: float) -> None:
    for draw in (
        lambda: accuracy_figure(material.results),
        lambda: axis_figure(material.results),
        lambda: curves_figure(material),
    ):
        with theme(width):
            figure = draw()
        assert figure.get_figwidth() == width
        figure.draw_without_rendering()
        for ax in figure.axes:
            for text in (*ax.texts, *ax.get_yticklabels(), ax.xaxis.label, ax.yaxis.label):
                if text.get_text() and text.get_visible():
                    box = text.get_window_extent()
                    assert box.x0 >= -1, text
                    assert box.x1 <= figure.bbox.x1 + 1, text
