"""`digitnet read` as a user meets it: what it prints where, and the code it ends with."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import exported
from digitnet.cli import read_command
from digitnet.errors import UsageError
from made_up_signs import find, signs, sure


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(exported.model_file())
    return path


@pytest.fixture
def cli(model: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run ``digitnet read`` on pictures whose width is the number that is written on them."""

    def its_width(_model: Any, pixels: Any, *_: Any) -> Any:
        height, width = pixels.shape
        rows = sure(str(width)) if height == 30 else []
        return signs(*(rows if height != 31 else sure("??")))

    find(monkeypatch, its_width)
    return functools.partial(run_cli, "read", "--model", model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "pictures"
    place.mkdir()
    for name, width in (("a.png", 40), ("b.png", 18), ("c.png", 123)):
        save(place / name, 30, width)
    return place


def save(path: Path, height: int, width: int) -> Path:
    Image.fromarray(np.full((height, width), 255, np.uint8)).save(path)
    return path


def lines_of(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_it_prints_a_line_a_picture(cli: Any, folder: Path) -> None:
    assert cli(folder) == (0, "40\n18\n123\n", "")


def test_what_holds_nothing_is_an_empty_line_and_told(cli: Any, tmp_path: Path) -> None:
    blank, letters = save(tmp_path / "blank.png", 29, 40), save(tmp_path / "letters.png", 31, 40)
    code, out, err = cli(blank, letters)
    assert (code, out) == (0, "\n??\n")
    assert err.splitlines() == [
        f"{blank}: nothing is written there",
        f"{letters}: no digit among what is written there",
    ]
    assert cli("-q", blank) == (0, "\n", "")


def test_lines_of_a_picture_are_separated_by_a_space(
    cli: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = signs(*sure("1234"))
    found.boxes[2:] += np.array([0, 60, 0, 60], np.float32)
    find(monkeypatch, lambda *_: found)
    assert cli(folder / "a.png")[1] == "12 34\n"
    (line,) = lines_of(cli("--json", folder / "a.png")[1])
    assert line["text"] == "12\n34"


def test_json_has_text_lines_boxes_and_confidences(cli: Any, folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"\x89PNG")
    code, out, _ = cli("--json", folder)
    assert code == 4
    first, second, bad, third = lines_of(out)
    assert first.keys() == {
        *("schema_version", "file", "text", "confidence", "odds", "reason", "refusal", "turned"),
        "lines",
    }
    assert (first["text"], second["text"], third["text"]) == ("40", "18", "123")
    assert first["confidence"] > 0.9
    (line,) = first["lines"]
    assert line["confidence"] > 0.9
    assert [digit["digit"] for digit in line["digits"]] == [4, 0]
    assert line["digits"][1]["box"] == {"left": 30, "top": 10, "width": 20, "height": 30}
    assert bad["error"]["type"] == "InputError"


def test_texts_that_do_not_fit_are_empty_and_end_with_4(cli: Any, folder: Path) -> None:
    code, out, err = cli(folder, "--digits", "2")
    assert (code, out) == (4, "40\n18\n\n")
    assert err == f"{folder}/c.png: no number of 2 digits fits; seen: 123\n"
    assert cli(folder, "--digits", "2-3")[:2] == (0, "40\n18\n123\n")
    assert cli(folder / "b.png", "--check", "luhn")[:2] == (0, "18\n")
    code, out, _ = cli(folder, "--min-confidence", "0.9999")
    assert (code, out) == (4, "\n\n\n")
    (line,) = lines_of(cli("--json", folder / "a.png", "--min-confidence", "0.9999")[1])
    assert (line["text"], line["reason"], line["lines"][0]["text"]) == ("", "uncertain", "40")


def test_nothing_that_can_be_read_is_bad_input(cli: Any, tmp_path: Path) -> None:
    code, out, err = cli(tmp_path / "nowhere.png")
    assert (code, out) == (3, "\n")
    assert "nowhere.png" in err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--digits", "six"], "--digits cannot be 'six'"),
        (["--digits", "6-4"], "1 to 100"),
        (["--check", "isbn"], "luhn, mod97, ean13"),
        (["--check", "ean13", "--digits", "6"], "needs 13"),
        (["--min-confidence", "95"], "0 to 1"),
        (["--out", "answers"], "--engine ray"),
        (["--engine", "ray", "--threads", "2"], "--engine local"),
        (["--engine", "spark"], "local, ray"),
    ],
)
def test_wrong_options_are_usage_errors(cli: Any, folder: Path, flags: Any, says: str) -> None:
    code, out, err = cli(folder, *flags)
    assert (code, out) == (2, "")
    assert says in err


def test_ranges_of_digits() -> None:
    assert read_command.count_of_digits(None) is None
    assert read_command.count_of_digits("6") == 6
    assert read_command.count_of_digits("4-6") == (4, 6)
    for wrong in ("", "4-", "-6", "4–6", "4 - 6", "1e3"):
        with pytest.raises(UsageError, match="4-6"):
            read_command.count_of_digits(wrong)


def test_explain_writes_a_page_for_each_picture(cli: Any, folder: Path, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    code, out, err = cli(folder, "--explain", pages, "--digits", "2")
    assert (code, out) == (4, "40\n18\n\n")
    assert "Wrote 3 pictures" in err
    assert sorted(page.name for page in pages.iterdir()) == [
        f"{name}_explained.png" for name in "abc"
    ]
    (line,) = lines_of(cli("--json", folder / "a.png", "--explain", pages)[1])
    assert line["explanation"]["words"].startswith("read as 40")
