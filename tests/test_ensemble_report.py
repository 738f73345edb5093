"""An ensemble on the command line, from training to its report page."""

import json
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import digitnet
from digitnet.errors import InputError
from digitnet.training import checkpoint
from digitnet.training.runs import Run
from page_reader import Page

SETTINGS = (
    *("--recipe", "plain", "--data", "sample", "--epochs", 1, "--batch-size", 250),
    *("--learning-rate", 0.01, "--threads", 1, "--channels", "4,6", "--dense", 8, "--seed", 3),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, run_cli: Any) -> tuple[Path, Any]:
    """The folder of two members, and what the command printed."""
    out = tmp_path_factory.mktemp("runs") / "ensemble"
    return out, run_cli("train", *SETTINGS, "--members", 2, "--out", out)


def test_train_ends_with_a_table_of_all_and_makes_every_file(trained: tuple[Path, Any]) -> None:
    out, done = trained
    assert done.code == 0, done.stderr
    assert "Member 2 of 2, seed 4" in done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    metrics = Run(out).metrics
    assert f"{metrics['test_accuracy']:.2%}" in next(row for row in rows if row[0:1] == ["seeds"])
    for member in metrics["members"]:
        row = next(row for row in rows if row[:2] == ["seed", str(member["seed"])])
        assert row[2:4] == [f"{member['accuracy']:.2%}", str(member["misses"])]
    for name in ("report.html", "model.onnx", "predictions.csv"):
        assert (out / name).is_file()


def test_evaluate_gives_the_same_as_json(trained: tuple[Path, Any], run_cli: Any) -> None:
    out, _ = trained
    told = json.loads(run_cli("evaluate", out, "--json").stdout)
    assert told["folder"] == str(out)
    assert told["seeds"] == [3, 4]
    assert told["groups"] == [[3, 4]]
    assert told["ensembles"] == [Run(out).metrics["test"]]
    assert (out / "report.html").is_file(), "it is of the same networks"
    loose = run_cli("evaluate", out / "seed4", out / "seed3", "--json").stdout
    assert json.loads(loose)["groups"] == [[4, 3]]


def test_each_network_is_loaded_once_to_be_measured_reported_and_exported(
    trained: tuple[Path, Any], run_cli: Any
) -> None:
    out, _ = trained
    read = "digitnet.training.trained.read_model"
    with mock.patch(read, wraps=checkpoint.read_model) as loaded:
        assert run_cli("train", "--resume", out).code == 0
    networks = [call.args[0] for call in loaded.call_args_list]
    assert networks == [out / f"seed{seed}" / "model.safetensors" for seed in (3, 4)]


def test_resume_trains_nothing_anew_and_takes_no_other_settings(
    trained: tuple[Path, Any], run_cli: Any
) -> None:
    out, first = trained
    before = Run(out).model_sha256
    done = run_cli("train", "--resume", out, "--no-report")
    assert done.stdout == first.stdout
    assert "epoch" not in done.stderr
    assert Run(out).model_sha256 == before
    refused = run_cli("train", "--resume", out, "--members", 3)
    assert (refused.code, "--members" in refused.stderr) == (2, True)
    refused = run_cli("train", *SETTINGS, "--members", 2, "--out", out)
    assert (refused.code, f"--resume {out}" in refused.stderr) == (2, True)


def test_wrong_numbers_and_folders_are_sentences(
    trained: tuple[Path, Any], run_cli: Any, tmp_path: Path
) -> None:
    out, _ = trained
    for code, words, args in (
        (2, "allowed: 2 and more", ("train", *SETTINGS, "--members", 1, "--out", tmp_path / "a")),
        (2, "allowed: 2 to 2", ("evaluate", out, "--members", 3)),
        (3, "is no ensemble", ("evaluate", out / "seed3", "--members", 2)),
        (2, "same seed", ("evaluate", out / "seed3", out / "seed3")),
        (2, "--out", ("export", out / "seed3", out / "seed4")),
        (3, "holds an ensemble", ("transfer", "--from", out, "--to", "sample", "--fast")),
    ):
        done = run_cli(*args)
        assert done.code == code, done.stderr
        assert words in done.stderr


def test_the_page_tells_of_each_and_of_all(trained: tuple[Path, Any]) -> None:
    out, _ = trained
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    text, metrics = page.text().replace("\N{NO-BREAK SPACE}", " "), Run(out).metrics
    assert f"{100 * metrics['test_accuracy']:.2f} % of 1,000 test images" in text
    # The first table has a row for each seed: accuracy, misses, and three more.
    cells = [word.replace("\N{NO-BREAK SPACE}", " ") for word in page.words["td"]]
    for row, told in enumerate([*metrics["members"], metrics["test"]]):
        assert cells[5 * row] == f"{100 * told['accuracy']:.2f} %"
        assert cells[5 * row + 1] == str(told["misses"])
    assert "Seed 3 Seed 4 Together" in page.text("th")
    assert "--seed 3" in text
    assert "--members 2 --out again" in text
    assert "None" not in text
    assert {path.name for path in (out / "figures").iterdir()} == {
        *("confusion_matrix.png", "correct.png", "misses.png", "reliability.png")
    }
    anchors = {each["id"] for each in page.all("section", "dt") if each.get("id")}
    assert {str(each["href"])[1:] for each in page.all("a")} <= anchors
    before = (out / "report.html").read_bytes()
    assert digitnet.write_report(out).read_bytes() == before


def test_metrics_of_other_members_are_refused(trained: tuple[Path, Any], tmp_path: Path) -> None:
    out = shutil.copytree(trained[0], tmp_path / "copy")
    shutil.copyfile(out / "seed3" / "model.safetensors", out / "seed4" / "model.safetensors")
    with pytest.raises(InputError, match="another network"):
        digitnet.write_report(out)
    digitnet.evaluate_ensemble(out)
    assert not (out / "report.html").exists()
