"""`digitnet predict` as a user meets it: what it prints where, and the code it ends with."""

import functools
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

import exported
from digitnet.cli import answers
from digitnet.cli.inputs import Answer, collect, page_names
from digitnet.data.dataset import Dataset
from digitnet.reading.recognizer import Prediction, Recognizer

PROMISED = {
    *("schema_version", "file", "digit", "label", "confidence", "probabilities", "ood_score"),
    *("is_digit", "reason", "box"),
}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(exported.model_file())
    return path


@pytest.fixture
def cli(model: Path, run_cli: Any) -> Any:
    """Run ``digitnet predict``; return its code, stdout and stderr."""
    return functools.partial(run_cli, "predict", "--model", model)


@pytest.fixture
def folder(tmp_path: Path, sample: Dataset) -> Path:
    """Three digits, a blank, and what is no picture."""
    place = tmp_path / "pictures"
    place.mkdir()
    for name, index in (("10.png", 0), ("2.png", 1), ("a.PNG", 2)):
        save(place / name, sample.test_images[index])
    save(place / "blank.png", np.zeros((40, 30), np.uint8))
    (place / ".hidden.png").write_bytes(b"no picture")
    (place / "notes.txt").write_text("no picture")
    return place


def save(path: Path, image: NDArray[np.uint8]) -> Path:
    """Write an image, bright ink on 0, as dark ink on paper."""
    Image.fromarray(255 - image).save(path)
    return path


def lines_of(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def prediction(**changes: Any) -> Prediction:
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 13:16] = 255
    probabilities = np.full(10, 0.02, np.float32)
    probabilities[1] = 0.82
    values: dict[str, Any] = {
        "digit": 1,
        "confidence": 0.82,
        "probabilities": probabilities,
        "ood_score": -1.0,
        "is_digit": True,
        "reason": None,
        "image": image,
    }
    return Prediction(**(values | changes))


# ---- what is printed


def test_json_has_one_line_a_picture_in_order(cli: Any, folder: Path, model: Path) -> None:
    code, out, err = cli("--json", folder)
    assert (code, "Traceback" in err) == (0, False)
    lines = lines_of(out)
    names = ["2.png", "10.png", "a.PNG", "blank.png"]
    assert [line["file"] for line in lines] == [f"{folder}/{name}" for name in names]
    assert all(line.keys() == PROMISED for line in lines)
    for line in lines[:3]:
        expected = Recognizer(model).predict(line["file"]).as_dict()
        np.testing.assert_allclose(
            line["probabilities"], expected["probabilities"], atol=1e-5, rtol=0
        )
        assert (line["digit"], line["box"]) == (expected["digit"], expected["box"])
    assert (lines[3]["is_digit"], lines[3]["reason"], lines[3]["box"]) == (False, "blank", None)


def test_the_table_tells_digit_confidence_and_what_is_odd(cli: Any, folder: Path) -> None:
    code, out, err = cli("--no-show", folder)
    assert code == 0
    header, *rows = out.splitlines()
    assert header.split() == ["file", "digit", "confidence", "note"]
    assert len(rows) == 4
    assert rows[0].split()[0] == f"{folder}/2.png"
    assert rows[0].split()[1].isdigit()
    assert "%" in rows[0]
    assert "no ink found" in rows[3]
    assert "1 file" in err
    assert "Skipped" in err


def test_quiet_prints_one_digit_a_line_or_a_dash(cli: Any, folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"\x89PNG")
    digits = [line["label"] for line in lines_of(cli("--json", folder)[1])[:3]]
    code, out, err = cli("--quiet", folder)
    assert code == 4
    # One line for each picture: the blank holds no digit, and the last cannot be read.
    assert out.splitlines() == [*digits, "-", "-"]
    (error,) = err.splitlines()
    assert "bad.png" in error
    code, out, err = cli("--quiet", folder / "2.png")
    assert (code, out, err) == (0, f"{digits[0]}\n", "")
    assert "█" in cli("--quiet", "--show", folder / "2.png")[1]


def test_one_picture_is_drawn_beside_its_ten_bars(cli: Any, folder: Path) -> None:
    _, out, _ = cli(folder / "2.png")
    assert out.count("%") == 11
    assert "confidence" not in out
    assert any(char in out for char in "▀▄█▓")
    _, bare, _ = cli(folder / "2.png", "--no-show")
    assert "confidence" in bare
    assert not any(char in bare for char in "▀▄█▓")


def test_few_pictures_are_drawn_and_many_only_when_asked(cli: Any, folder: Path) -> None:
    few = cli(folder)[1]
    assert "confidence" in few
    assert "█" in few
    many = [folder] * 2
    assert "█" not in cli(*many)[1]
    assert "█" in cli(*many, "--show")[1]


def test_a_long_list_is_one_table_and_keeps_its_order(cli: Any, folder: Path) -> None:
    pictures = [folder / "2.png", folder / "10.png"] * 40
    _, out, err = cli("--no-show", *pictures)
    lines = out.splitlines()
    assert err == ""
    assert len(lines) == 1 + len(pictures)
    assert [line.split()[0] for line in lines[1:]] == [str(path) for path in pictures]
    assert len({line.index("%") for line in lines[1:]}) == 1
    assert [line["file"] for line in lines_of(cli("--json", *pictures)[1])] == [
        str(path) for path in pictures
    ]


# ---- what can go wrong


def test_one_bad_picture_does_not_stop_the_others(cli: Any, folder: Path) -> None:
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff and no more")
    args = (folder / "2.png", folder / "bad.jpg", folder / "nowhere.png", folder / "10.png")
    code, out, err = cli(*args)
    assert code == 4
    assert "2.png" in out
    assert "10.png" in out
    assert "bad.jpg" not in out
    assert "bad.jpg" in err
    assert "nowhere.png" in err
    assert "2 of 4" in err
    code, out, _ = cli("--json", *args)
    assert code == 4
    lines = lines_of(out)
    assert [line["file"] for line in lines] == [str(path) for path in args]
    assert [set(line) - {"schema_version", "file"} == {"error"} for line in lines] == [
        *(False, True, True, False)
    ]
    assert lines[1]["error"]["type"] == "InputError"
    assert "bad.jpg" in lines[1]["error"]["message"]


def test_nothing_that_can_be_read_is_bad_input(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a_explained.png").write_bytes(b"")
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 16)
    for args, word in (
        ([tmp_path / "nowhere.png"], "nowhere.png"),
        ([tmp_path / "*.png"], "No file matches"),
        ([tmp_path / "pages" / "*.png"], "Nothing but pages of --explain matches"),
        ([tmp_path / "empty"], "--recursive"),
        ([tmp_path / "photo.heic"], "HEIC"),
        ([tmp_path / "nowhere.png", tmp_path / "*.png"], "2 of 2"),
        ([""], "Error: "),
    ):
        code, out, err = cli(*args)
        assert (code, out) == (3, ""), args
        assert word in err


def test_wrong_options_are_usage_errors(cli: Any, folder: Path) -> None:
    assert cli(folder, "--threads", "0")[0] == 2
    assert cli(folder, "--threads", "many")[0] == 2
    assert cli()[0] == 2
    code, _, err = cli("-", folder, "-")
    assert code == 2
    assert "more than once" in err


def test_a_model_that_is_none_has_its_own_code(cli: Any, folder: Path) -> None:
    code, out, err = cli(folder / "2.png", "--model", folder / "nowhere.onnx")
    assert (code, out) == (3, "")
    assert "nowhere.onnx" in err
    assert cli(folder / "2.png", "--model", folder / "a.PNG")[0] == 5


def test_strange_names_are_printed_safely_and_found_again(cli: Any, folder: Path) -> None:
    names = ["two\nlines.png", "red\x1b[31m.png", "größe 七.png", "[bold]x.png", "a[1].png"]
    if sys.platform == "linux":
        names.append(os.fsdecode(b"\xff\xfe.png"))
    strange = [folder / name for name in names]
    for path in strange:
        path.write_bytes((folder / "2.png").read_bytes())
    code, out, _ = cli(*strange, "--no-show")
    assert code == 0
    assert len(out.splitlines()) == 1 + len(names)
    assert "\x1b" not in out
    assert "[bold]x.png" in out
    _, out, _ = cli("--json", *strange)
    assert [line["file"] for line in lines_of(out)] == [str(path) for path in strange]


def test_a_picture_comes_from_the_standard_input(cli: Any, model: Path, folder: Path) -> None:
    content = (folder / "2.png").read_bytes()
    # Once for real: bytes that come through a pipe.
    command = [sys.executable, "-m", "digitnet", "predict", "-", "--model", str(model), "--json"]
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    assert json.loads(done.stdout)["file"] == "-"
    # A terminal that knows only ASCII gets ASCII.
    assert "<stdin>" in cli("-", stdin=content, encoding="ascii")[1]
    code, out, err = cli("-", stdin=b"")
    assert code == 3
    assert "<stdin> is empty" in out + err


def test_a_terminal_is_no_picture(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = cli("-", stdin=None)
    assert (code, out) == (2, "")
    assert "< four.png" in err


def test_progress_is_drawn_on_a_terminal_only(cli: Any, folder: Path) -> None:
    pictures = [folder / "2.png"] * 70
    code, out, err = cli("--json", *pictures, terminal=True, env={"TERM": "xterm"})
    assert code == 0
    # Answers must not come out where the bar is.
    assert len(out.splitlines()) == len(pictures)
    assert "70" in err


def test_a_reader_that_goes_away_is_no_error(model: Path, folder: Path) -> None:
    command = f"{sys.executable} -m digitnet predict --model {model} {folder} --show | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "did not expect" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("form", ["--json", "--no-show"])
def test_a_full_disk_is_told(cli: Any, folder: Path, form: str) -> None:
    # Closing tries again to write what could not be written.
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("w") as full:
        code, _, err = cli(folder, form, stdout=full)
    assert code == 1
    assert "could not be written: No space left on device." in err


def test_codes_in_the_name_of_a_folder_do_not_reach_the_terminal(cli: Any, tmp_path: Path) -> None:
    evil = tmp_path / "e\x1b[31mvil"
    evil.mkdir()
    _, out, err = cli(evil)
    assert "\x1b[31m" not in out + err
    assert r"e\x1b[31mvil" in err


def test_pages_of_explain_are_none_of_the_folders_pictures(cli: Any, folder: Path) -> None:
    before = cli("--no-show", folder, "--explain", folder)
    again = cli("--no-show", folder, "--explain", folder)
    assert len(before[1].splitlines()) == len(again[1].splitlines())
    assert not list(folder.glob("*_explained_explained*"))


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['digitnet', 'predict', '--help']\n"
        "from digitnet.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = ('torch', 'numpy', 'onnxruntime', 'cv2', 'PIL', 'matplotlib', 'rich.table')\n"
        "print('LOADED', [m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout
    assert "Exit code: 0" in done.stdout


# ---- which pictures


def names_of(*arguments: object, recursive: bool = False) -> list[str]:
    inputs = collect([str(a) for a in arguments], recursive=recursive, on_message=lambda _: None)
    return [each.name for each in inputs if not each.error]


def test_folders_inside_folders_are_read_when_asked(folder: Path, tmp_path: Path) -> None:
    deep = folder / "b" / "c"
    deep.mkdir(parents=True)
    save(deep / "x.jpeg", np.zeros((9, 9), np.uint8))
    (folder / ".git").mkdir()
    save(folder / ".git" / "y.png", np.zeros((9, 9), np.uint8))
    assert not any("x.jpeg" in name for name in names_of(folder))
    found = names_of(tmp_path, recursive=True)
    assert found == [*names_of(folder), str(deep / "x.jpeg")]


def test_a_pattern_follows_no_link_in_a_circle_and_takes_no_page(tmp_path: Path) -> None:
    deep = tmp_path / "sub" / "real"
    deep.mkdir(parents=True)
    for name in ("a.png", "b_explained.png"):
        (deep / name).write_bytes(b"")
    (tmp_path / "sub" / "linked").symlink_to("real")
    (deep / "up").symlink_to("..")
    for pattern in ("sub/**/*.png", "sub/**", "**/a.png", "**/real/*"):
        found = collect([f"{tmp_path}/{pattern}"], on_message=lambda _: None)
        assert [each.name for each in found] == [str(deep / "a.png")], pattern


def test_patterns_are_sorted_and_a_name_may_look_like_one(folder: Path) -> None:
    assert names_of(folder / "*.png") == [f"{folder}/{n}" for n in ("2.png", "10.png", "blank.png")]
    assert names_of(f"{folder.parent}/**/1*.png") == [f"{folder}/10.png"]
    odd = save(folder / "[2].png", np.zeros((9, 9), np.uint8))
    assert names_of(odd) == [str(odd)]


def test_a_folder_that_cannot_be_listed_is_told(folder: Path, monkeypatch: Any) -> None:
    def refuse(path: Any, **_: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    (only,) = collect([str(folder)], on_message=lambda _: None)
    assert "Permission denied" in str(only.error)


# ---- pages of explanations


def test_pages_of_two_folders_never_overwrite_each_other_or_a_picture(tmp_path: Path) -> None:
    names = ["a/x.png", "b/x.png", "b/x.jpg", "b/X.png", str(tmp_path / "x_explained.png"), "-"]
    names.append(str(tmp_path / ("y" * 250 + ".png")))
    pages = list(page_names([Answer(name) for name in names], tmp_path))
    assert len({str(page).casefold() for page in pages}) == len(names)
    assert not {str(page) for page in pages} & set(names)
    assert pages == list(page_names([Answer(name) for name in names], tmp_path))
    assert pages[5].name == "stdin_explained.png"
    for page in pages:
        assert page.parent == tmp_path
        page.touch()


def test_links_that_lead_back_to_themselves_get_a_page_too(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    named = [Answer(str(tmp_path / "loop" / "a.png"))]
    assert list(page_names(named, tmp_path)) == [tmp_path / "a_explained.png"]


def test_explain_writes_a_page_for_each_picture(
    cli: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It takes seconds, once a process.
    monkeypatch.setattr("digitnet.reading.explanation.nearest", lambda *_: ())
    (folder / "bad.png").write_bytes(b"\x89PNG")
    pages = tmp_path / "new" / "pages"
    args = (folder / "bad.png", folder / "2.png", folder / "blank.png", "--explain", pages)
    code, out, _ = cli("--json", *args)
    assert code == 4
    _, two, blank = lines_of(out)
    assert two["explanation"]["file"] == str(pages / "2_explained.png")
    assert two["explanation"]["words"].startswith("read")
    assert "no ink" in blank["explanation"]["words"]
    assert sorted(path.name for path in pages.iterdir()) == [
        *("2_explained.png", "blank_explained.png")
    ]
    code, out, err = cli(folder / "blank.png", "--no-show", "--explain", pages)
    assert "nothing to read" in out
    assert "Wrote 1 picture to " in err


# ---- drawings


@pytest.mark.parametrize("system", ["truecolor", None])
def test_an_image_takes_28_columns_and_14_rows(system: Any) -> None:
    console = Console(file=io.StringIO(), color_system=system, force_terminal=bool(system))
    lines = answers.draw_image(prediction().image, console).plain.split("\n")
    assert [cell_len(line) for line in lines] == [28] * 14


def test_without_colours_the_blocks_themselves_show_the_ink(monkeypatch: Any) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), color_system="truecolor", force_terminal=True)
    rows = answers.draw_image(prediction().image, console).plain.split("\n")
    assert [row.strip() for row in rows] == ["", "", *["███"] * 10, "", ""]


def test_bars_grow_with_probability_and_show_the_least() -> None:
    bars = answers.draw_bars(prediction(), 20).plain.split("\n")
    assert len(bars) == 10
    full = [bar.count("█") for bar in bars]
    assert full[1] == 16
    assert max(full[:1] + full[2:]) == 0
    tiny = np.array([0.9989, 0.0006, *[0.0] * 7, 0.0005], np.float32)
    bars = answers.draw_bars(prediction(probabilities=tiny, digit=0), 20).plain.split("\n")
    assert "▏" in bars[1]
    assert "▏" not in bars[2]


@pytest.mark.parametrize("width", [30, 50, 80, 200])
def test_drawings_fit_the_terminal(width: int) -> None:
    for show in (
        lambda c: answers.draw_one([], prediction(), c),
        lambda c: answers.draw_several([([], prediction())] * 3, c),
    ):
        out = io.StringIO()
        console = Console(file=out, width=width, color_system=None)
        console.print(show(console))
        assert max(cell_len(line) for line in out.getvalue().splitlines()) <= width
