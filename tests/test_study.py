"""Studies: what a file may say, what a folder may hold, and what is made of finished runs."""

import csv
import json
import re
from pathlib import Path

import pytest

from digitnet.errors import DigitnetError, InputError, UsageError
from digitnet.experiments.study.definition import Study, load_study, shipped_studies
from digitnet.experiments.study.study_page import write_results
from digitnet.experiments.study.study_results import VAL, gather, headline, verdict
from digitnet.experiments.study.study_run import plan_study, write_description
from digitnet.experiments.study.trials import is_finished, trials
from digitnet.training.runs import Run
from made_up_runs import IMAGES, make_runs, write_outcome

PLAIN = """
title = "Try"
question = "Which?"
data = "sample"
seeds = 3
test_on = ["usps"]
axis = "dropout"
[settings]
epochs = 4
[variants.none]
dropout = 0
[variants.half]
note = "half of <them>"
dropout = 0.5
[variants.most]
dropout = 0.9
"""


def study_of(folder: Path, text: str = PLAIN) -> Study:
    file = folder / "try.toml"
    file.write_text(text, encoding="utf-8")
    return load_study(file)


def refuse(folder: Path, text: str, *words: str, error: type[DigitnetError] = UsageError) -> None:
    with pytest.raises(error) as caught:
        study_of(folder, text)
    for word in words:
        assert word in str(caught.value)


def test_a_file_becomes_a_study(tmp_path):
    study = study_of(tmp_path)
    assert study.name == "try"
    assert study.seeds == (0, 1, 2)
    assert study.base_variant == "none"
    none, half, _ = study.variants
    assert half.note == "half of <them>"
    # Variants differ from the base in what they say, and in nothing else.
    assert half.config == none.config.override(dropout=0.5)
    assert (half.config.recipe, half.config.data, half.config.epochs) == ("reference", "sample", 4)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "Try"', "", ["'title' is missing", "try.toml"]),
        ('title = "Try"', "title = 3", ["'title' cannot be 3", "text"]),
        ('title = "Try"', 'titel = "Try"', ["Unknown key 'titel'", "'title'"]),
        ('title = "Try"', 'title = ""\nepochs = 3', ["belongs in the table [settings]"]),
        ("seeds = 3", "seeds = 0", ["'seeds' cannot be 0"]),
        ("seeds = 3", "seeds = [1, 1]", ["'seeds' cannot be [1, 1]", "different"]),
        ("seeds = 3", "seeds = true", ["'seeds' cannot be True"]),
        ("seeds = 3", 'base = "referense"', ["Unknown recipe", "reference"]),
        ("seeds = 3", 'base_variant = "non"', ["Unknown base_variant 'non'", "'none'"]),
        ('axis = "dropout"', 'axis = "dropuot"', ["Unknown setting", "'dropout'"]),
        ('axis = "dropout"', 'axis = "channels"', ["'axis' cannot be 'channels'", "a number in"]),
        ('axis = "dropout"', 'axis = "rotate"', ["'axis' cannot be 'rotate'", "not the same"]),
        ('["usps"]', '["sample"]', ["'test_on' cannot be", "'sample'"]),
        ('["usps"]', '"usps"', ["'test_on' cannot be 'usps'", "list"]),
        ("dropout = 0.9", "dropout = 9", ["[variants.most]", "--dropout cannot be 9"]),
        ("dropout = 0.9", "dropuot = 0.9", ["[variants.most]", "Did you mean 'dropout'?"]),
        ("dropout = 0.9", "dropout = 0.5", ["'half' and 'most' have the same settings"]),
        ("dropout = 0.9", "seed = 3", ["[variants.most] cannot set 'seed'", "'seeds'"]),
        ("dropout = 0.9", "num_classes = 3", ["cannot set 'num_classes'", "single settings"]),
        ("[variants.most]", '[variants."a/b"]', ["'a/b'", "40 letters"]),
    ],
)
def test_what_a_file_may_not_say(tmp_path, old, new, words):
    assert old in PLAIN
    refuse(tmp_path, PLAIN.replace(old, new), *words)


def test_a_file_without_variants_and_files_that_are_none(tmp_path):
    refuse(tmp_path, PLAIN[: PLAIN.index("[variants")], "no variants")
    refuse(tmp_path, "title = ", "not valid TOML", error=InputError)
    with pytest.raises(
        InputError, match=r"Cannot read the study file .*nothing\.toml.*studies\.md"
    ):
        load_study(tmp_path / "nothing.toml")
    with pytest.raises(UsageError, match=r"Unknown study 'dropuot'\. Did you mean 'dropout'\?"):
        load_study("dropuot")


def test_shipped_studies_say_what_they_cost():
    studies = {study.name: study for study in shipped_studies()}
    assert {"activations", "augmentation", "depth_width", "dropout", "optimizer"} <= set(studies)
    for study in studies.values():
        assert study.question.endswith("?")
        assert "one core" in study.cost
        assert len(study.seeds) >= 3
    assert len(studies["activations"].variants) == 7
    assert studies["training_images"].axis == "train_images"


def test_the_example_of_the_documents_is_a_study(tmp_path):
    text = (Path(__file__).parent.parent / "docs" / "studies.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    study = study_of(tmp_path, example)
    assert [variant.name for variant in study.variants] == ["none", "ten", "ninety"]


def test_trials_are_every_variant_with_every_seed(tmp_path):
    study = study_of(tmp_path)
    planned = trials(study, tmp_path / "out", threads=2)
    assert [(t.variant, t.seed) for t in planned[:4]] == [
        ("none", 0), ("half", 0), ("most", 0), ("none", 1),
    ]  # fmt: skip
    assert len({t.folder for t in planned}) == 9
    assert {t.config.threads for t in planned} == {2}
    assert all(t.config.seed == t.seed for t in planned)
    assert not any(map(is_finished, planned))


def test_a_folder_holds_one_study_which_may_grow(tmp_path):
    out = tmp_path / "out"
    study = study_of(tmp_path)
    write_description(study, out, 1)
    larger = PLAIN.replace("seeds = 3", "seeds = 5") + "[variants.more]\ndropout = 0.7\n"
    plan_study(study_of(tmp_path, larger.replace('["usps"]', '["usps", "digits8x8"]')), out)
    for old, new, word in (
        ("dropout = 0.9", "dropout = 0.8", "in variant 'most', dropout is 0.9, not 0.8"),
        ("seeds = 3", "seeds = [0, 1]", "it has the seed 2"),
        ("[variants.most]", "[variants.lots]", "it has a variant 'most'"),
    ):
        with pytest.raises(UsageError, match="holds another study") as caught:
            plan_study(study_of(tmp_path, PLAIN.replace(old, new)), out)
        assert word in str(caught.value)


def test_a_folder_with_something_else_is_refused(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    threads = PLAIN.replace("epochs = 4", "threads = 1")
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no study"):
        plan_study(study_of(tmp_path, threads), out)
    (out / "study.json").write_text("{}")
    with pytest.raises(InputError, match="is not the description of a study"):
        plan_study(study_of(tmp_path), out)


@pytest.mark.parametrize(
    ("cores", "processes", "expected"),
    [(8, None, (8, 1)), (8, 2, (2, 4)), (8, 3, (3, 2)), (1, None, (1, 1)), (32, None, (9, 3))],
)
def test_cores_are_divided_and_never_oversubscribed(
    tmp_path, monkeypatch, cores, processes, expected
):
    monkeypatch.setattr("digitnet.experiments.study.study_run.usable_cores", lambda: cores)
    plan = plan_study(study_of(tmp_path), tmp_path / "out", processes=processes)
    assert (plan.processes, plan.threads) == expected
    assert {trial.config.threads for trial in plan.trials} == {plan.threads}


def test_runs_keep_the_threads_with_which_the_study_began(tmp_path, monkeypatch):
    study, out = study_of(tmp_path), tmp_path / "out"
    write_description(study, out, 2)
    monkeypatch.setattr("digitnet.experiments.study.study_run.usable_cores", lambda: 4)
    plan = plan_study(study, out)
    assert (plan.processes, plan.threads) == (2, 2)
    assert plan_study(study, out, processes=1).threads == 2
    with pytest.raises(UsageError, match=r"takes 2 threads; .* the threads that it began with"):
        plan_study(study, out, processes=3)


def test_results_of_finished_runs(tmp_path):
    study, out = study_of(tmp_path), tmp_path / "out"
    planned = trials(study, out)
    make_runs(study, planned, {"none": 60, "half": 15})
    assert all(map(is_finished, planned))
    material = gather(study, planned, 4500)
    results = material.results
    none, half, most = results.variants
    assert none.accuracy["sample"].mean == pytest.approx(1 - 60 / IMAGES)
    assert none.accuracy[VAL].count == 3
    assert (half.axis_value, half.diverged) == (0.5, 0)
    assert (most.accuracy, most.diverged) == ({}, 3)
    found = results.comparison("half", "sample")
    assert found is not None
    assert found.verdict == "better"
    assert found.difference == pytest.approx(45 / IMAGES)
    assert found.p_corrected >= found.p
    # What diverged is told, and counts for no comparison.
    lost = results.comparison("most", "usps")
    assert lost is not None
    assert (lost.verdict, lost.p) == ("not compared", None)


def test_results_are_written_for_people_and_programs(tmp_path):
    study, out = study_of(tmp_path), tmp_path / "out"
    planned = trials(study, out)
    make_runs(study, planned, {"none": 60, "half": 15})
    write_results(gather(study, planned, 4500), out)
    told = json.loads((out / "results.json").read_text())
    assert [row["name"] for row in told["variants"]] == ["none", "half", "most"]
    rows = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert float(rows[1]["usps_accuracy"]) == told["variants"][1]["accuracy"]["usps"]["mean"]
    assert rows[1]["sample_vs_base_verdict"] == "better"
    page = (out / "report.html").read_text()
    assert "half of &lt;them&gt;" in page
    assert "Better than none: half." in page
    assert "<script" not in page
    pictures = {file.name for file in (out / "figures").iterdir()}
    assert pictures == {"accuracy.png", "curves.png", "axis.png"}
    write_results(gather(study, planned, 4500), out)
    assert (out / "report.html").read_text() == page


def test_variants_may_share_a_place_on_the_axis(tmp_path):
    study = study_of(tmp_path, PLAIN + "[variants.turned]\ndropout = 0.5\nrotate = 9\n")
    planned = trials(study, tmp_path / "out")
    make_runs(study, planned, {"none": 60, "half": 15, "most": 50, "turned": 15})
    write_results(gather(study, planned, 4500), tmp_path / "out")
    assert (tmp_path / "out" / "figures" / "axis.png").is_file()


def test_a_study_that_is_not_whole_says_so(tmp_path):
    study, out = study_of(tmp_path), tmp_path / "out"
    planned = trials(study, out)
    make_runs(study, planned[:4], {"none": 60, "half": 15, "most": 50})
    write_results(gather(study, planned, 4500), out)
    assert "5 of 9 runs are not finished" in (out / "report.html").read_text()
    # One seed of each is not compared.
    told = json.loads((out / "results.json").read_text())
    assert {c["verdict"] for c in told["comparisons"]} == {"not compared"}


@pytest.mark.parametrize(
    "missing", ["model.safetensors", "metrics.json", "predictions.csv", "predictions-usps.csv"]
)
def test_a_run_without_a_part_is_not_finished(tmp_path, missing):
    study = study_of(tmp_path)
    trial, *_ = planned = trials(study, tmp_path / "out")
    make_runs(study, planned[:1], {"none": 60})
    assert is_finished(trial)
    (trial.folder / missing).unlink()
    assert not is_finished(trial)


def test_runs_on_other_images_are_not_compared(tmp_path):
    study = study_of(tmp_path)
    planned = trials(study, tmp_path / "out")
    make_runs(study, planned, {"none": 60, "half": 50, "most": 40})
    changed = Run(planned[1].folder)
    changed.write_config(planned[1].config, {"images": "others"}, tuple("0123456789"))
    with pytest.raises(InputError, match="not measured on the same images of"):
        gather(study, planned, 4500)


def test_predictions_of_each_data_set_have_a_file_of_their_own(tmp_path):
    trial = trials(study_of(tmp_path), tmp_path / "out")[0]
    names = ("usps", "a/b", "a-b", "/a/b", "a/b/")
    assert len({trial.predictions_file(name) for name in names}) == len(names)


def test_runs_that_diverged_are_counted_and_told(tmp_path):
    study = study_of(tmp_path)
    planned = trials(study, tmp_path / "out")
    make_runs(study, planned, {"none": 60, "half": 50, "most": 40})
    write_outcome(planned[0], outcome="diverged", message="made up")
    results = gather(study, planned, 4500).results
    base = next(v for v in results.variants if v.name == study.base_variant)
    assert verdict(None, base) == "diverged (1 of 3)"
    assert f"Diverged, and so not compared: {base.name}." in headline(results)


def test_a_run_with_a_damaged_part_is_not_finished(tmp_path):
    study = study_of(tmp_path)
    planned = trials(study, tmp_path / "out")
    make_runs(study, planned[:3], {"none": 60, "half": 50, "most": 40})
    (planned[0].folder / "model.safetensors").write_bytes(b"another network")
    planned[1].outcome_file.write_text('{"schema_version": 1')
    planned[2].outcome_file.write_text("[]")
    assert not any(map(is_finished, planned[:3]))


def test_a_data_set_added_to_a_study_makes_its_runs_unfinished(tmp_path):
    study = study_of(tmp_path)
    make_runs(study, trials(study, tmp_path / "out")[:1], {"none": 60})
    more = study_of(tmp_path, PLAIN.replace('["usps"]', '["usps", "digits8x8"]'))
    assert not is_finished(trials(more, tmp_path / "out")[0])
