"""The results of the bench as people read them, from the command to its files."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from digitnet.experiments.robustness import run_bench
from digitnet.experiments.robustness_views import (
    numbers_table,
    remarks,
    results_table,
    robustness_figure,
    write_misses,
    write_results,
)
from digitnet.reading import recognizer
from digitnet.reading.pictures import decode
from made_up_bench import Fives


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Results of a short bench with a set of the user's, and the folder of its misses."""
    folder = tmp_path_factory.mktemp("bench")
    np.savez(folder / "mine[1].npz", x=np.zeros((2, 8, 8), np.uint8), y=np.array([5, 6]))
    misses = folder / "misses"
    results = run_bench(
        Fives(),
        [folder / "mine[1].npz"],
        data="sample",
        limit=12,
        only=["white_on_black", "fog", "scale", "touching", "drawn", "mine[1]"],
        on_measured=lambda found: write_misses(found, misses),
    )
    return results, misses


def printed(results):
    console = Console(width=120, file=io.StringIO())
    console.print(results_table(results))
    return console.file.getvalue()


def test_results_are_written_whole(measured, tmp_path):
    values, picture = write_results(measured[0], tmp_path / "out")
    assert json.loads(values.read_text()) == json.loads(json.dumps(measured[0]))
    assert decode(picture).shape[1] == 960


def test_misses_are_drawn_for_each_set_of_digits(measured):
    names = {path.name for path in measured[1].iterdir()}
    assert {"mnist-white_on_black.png", "own-mine[1].png", "corruptions-fog.png"} <= names
    assert not any("drawn" in name for name in names)


def test_nothing_is_drawn_where_nothing_was_misread(tmp_path):
    np.savez(tmp_path / "fives.npz", x=np.zeros((2, 8, 8), np.uint8), y=np.array([5, 5]))
    files = []
    run_bench(
        Fives(),
        [tmp_path / "fives.npz"],
        data="sample",
        on_measured=lambda found: files.append(write_misses(found, tmp_path)),
    )
    assert files == [None]


def test_the_table_shows_names_as_they_are_and_only_what_was_measured(measured):
    text = printed(measured[0])
    assert "mine[1]" in text
    assert "50.00" in text
    assert "mean of these 2" in text
    assert "plain" not in text
    assert "refused" in " ".join(remarks(measured[0]))


def test_a_plain_network_has_a_column_of_its_own(measured):
    settings = measured[0]["settings"] | {"plain": "run"}
    rows = [row | {"plain_right": 1, "plain_accuracy": 0.125} for row in measured[0]["digits"]]
    text = printed(measured[0] | {"digits": rows, "settings": settings})
    assert "plain CNN" in text
    assert text.count("12.50") == len(rows)


def test_numbers_have_a_table_of_their_own(measured):
    console = Console(width=140, file=io.StringIO())
    console.print(numbers_table(measured[0]))
    text = console.file.getvalue()
    assert "the same, touching" in text
    assert "surest" in text


def made_up(results, share, plain):
    def row(group, name):
        scores = {"accuracy": share, "plain_accuracy": plain, "interval": (share, share)}
        return {"group": group, "name": name, "part": None, **scores}

    kinds = [("mnist", "set"), ("corruptions", "fog"), ("corruptions_found", "fog")]
    strange = {"group": "non_digits", "name": "set", "part": None}
    return results | {
        "digits": [row(*kind) for kind in kinds],
        "non_digits": [strange | {"auroc": share, "plain_auroc": plain}],
        "means": {"corruptions": {"sets": 2, "accuracy": share, "plain_accuracy": plain}},
    }


@pytest.mark.parametrize("plain", [None, 0.0])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_figure_has_room_for_every_share(share, plain, measured):
    _, ax = robustness_figure(made_up(measured[0], share, plain)).axes
    low, high = ax.get_xlim()
    drawn = [
        x for line in ax.lines for x in line.get_xdata() if line.get_transform() == ax.transData
    ]
    assert all(low <= x <= high for x in drawn if not np.isnan(x))


def test_a_corruption_has_one_line_for_both_ways_to_read_it(measured):
    sheet, _ = robustness_figure(made_up(measured[0], 0.5, 0.25)).axes
    texts = [text.get_text() for text in sheet.texts]
    assert [text for text in texts if text in ("set", "fog", "mean of these 2")] == [
        *("set", "fog", "mean of these 2", "set"),
    ]


# The command


@pytest.fixture
def command(monkeypatch, run_cli):
    class Named(Fives):
        sha256 = "0" * 64

        def __init__(self, model):
            assert model is None

    monkeypatch.setattr(recognizer, "Recognizer", Named)
    start = ("bench", "robustness", "--data", "sample", "--limit", "5")
    return lambda *args: run_cli(*start, *args)


def test_the_command_prints_a_table(command):
    code, out, errors = command("--only", "white_on_black", "--quiet")
    assert (code, errors) == (0, "")
    assert "white on black" in out


def test_the_command_prints_json_and_writes_files(command, tmp_path):
    out = tmp_path / "out"
    code, printed, errors = command("--only", "white_on_black", "--json", "--out", out, "--misses")
    assert code == 0
    values = json.loads(printed)
    assert values["schema_version"] == 1
    assert values["settings"]["model_sha256"] == "0" * 64
    assert [row["name"] for row in values["digits"]] == ["white_on_black"]
    files = {path.relative_to(out) for path in out.rglob("*.*")}
    assert files == {
        Path("robustness.json"),
        Path("robustness.png"),
        Path("misses/mnist-white_on_black.png"),
    }
    assert "white_on_black" in errors


def test_misses_need_a_folder(command):
    code, _, errors = command("--misses")
    assert code == 2
    assert "--out" in errors
