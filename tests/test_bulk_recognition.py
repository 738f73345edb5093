"""Bulk recognition: what is listed, what is written, and what interruptions leave."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pq = pytest.importorskip("pyarrow.parquet", reason="needs digitnet[ray]")
import pyarrow as pa  # noqa: E402
from fsspec.implementations.local import LocalFileSystem  # noqa: E402

import digitnet  # noqa: E402
from digitnet.data.dataset import Dataset  # noqa: E402
from digitnet.errors import (  # noqa: E402
    InputError,
    IntegrityError,
    StoppedError,
    StorageError,
    UsageError,
)
from digitnet.experiments import picture_list, ray_engine  # noqa: E402
from digitnet.experiments.bulk_recognition import predict_all  # noqa: E402
from digitnet.reading.recognizer import Recognizer  # noqa: E402
from fake_ray import FakeRay, install  # noqa: E402
from made_up_signs import find, signs, sure  # noqa: E402


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digitnet's own, as a file of the user's."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    own = Path(digitnet.__file__).parent / "assets" / "digitnet.onnx"
    path.write_bytes(own.read_bytes())
    return path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory, sample: Dataset) -> Path:
    """100 digits, a damaged file, and what is to be left out."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(100):
        Image.fromarray(255 - sample.test_images[number]).save(folder / f"{number:03}.png")
    (folder / "042b.PNG").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"no picture")
    deep = folder / "more" / "deep"
    deep.mkdir(parents=True)
    Image.fromarray(255 - sample.test_images[100]).save(deep / "100.png")
    return folder


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return install(monkeypatch)


def parts_of(ray: FakeRay) -> list[int]:
    """Return the numbers of the parts that were computed."""
    return [number for number, _ in ray.tasks]


def rows_of(out: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(out).to_pylist())


def listed(given: str, folder: Path, recursive: bool = False) -> list[str]:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        location = picture_list.locate(given)
        listing = picture_list.make_list(location, Path(scratch), None, recursive)
        parts = list(picture_list.read_parts(listing.file, range(len(listing.sizes))))
    assert listing.sizes == [len(rows) for _, rows in parts]
    return [os.fsdecode(name) for _, rows in parts for name, *_ in rows]


# ---- what is listed


def test_a_folder_gives_its_pictures_sorted(pictures: Path, tmp_path: Path) -> None:
    names = listed(str(pictures), tmp_path)
    assert names == sorted(names)
    assert {Path(name).name for name in names} == {f"{n:03}.png" for n in range(100)} | {"042b.PNG"}
    deeper = listed(str(pictures), tmp_path, recursive=True)
    assert set(deeper) - set(names) == {f"{pictures}/more/deep/100.png"}


@pytest.mark.parametrize(
    ("pattern", "count"), [("*.png", 100), ("0[1]*.png", 10), ("**/*.png", 101), ("*", 102)]
)
def test_a_pattern_gives_what_glob_gives(
    pictures: Path, tmp_path: Path, pattern: str, count: int
) -> None:
    names = listed(f"{pictures}/{pattern}", tmp_path)
    assert len(names) == count
    assert set(names) == {str(p) for p in pictures.glob(pattern) if p.is_file()} - {
        f"{pictures}/.hidden.png"
    }


def test_links_to_folders_are_followed_and_lead_in_no_circle(
    pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "there").symlink_to(pictures / "more")
    (folder / "back").symlink_to(folder)
    assert listed(f"{folder}/*/deep/*.png", tmp_path) == [f"{folder}/there/deep/100.png"]
    assert listed(f"{folder}//*//deep/*.png", tmp_path) == [f"{folder}/there/deep/100.png"]
    assert listed(f"{folder}/**/*.png", tmp_path) == [f"{folder}/there/deep/100.png"]
    assert listed(str(folder), tmp_path, recursive=True) == [f"{folder}/there/deep/100.png"]


@pytest.mark.parametrize("given", ["a**.png", "zip://*.png::notes.txt"])
def test_what_is_no_pattern_or_archive_is_refused(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("no archive")
    with pytest.raises(InputError):
        listed(given, tmp_path)


def test_relative_names_stay_relative(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures)
    assert listed("more", tmp_path, recursive=True) == ["more/deep/100.png"]
    assert listed("042*", tmp_path) == ["042.png", "042b.PNG"]


def test_names_are_sorted_and_kept_whatever_they_are_made_of(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    wanted = [b"%03d.png" % n for n in range(40)] + [b"line\nbreak.png", b"\xff\xfe.png"]
    for name in wanted:
        (folder / os.fsdecode(name)).touch()
    names = listed(str(folder), tmp_path)
    assert [os.fsencode(Path(name).name) for name in names] == sorted(wanted)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nowhere", "There is no 'nowhere'"),
        ("none*.png", "There is no picture at"),
        ("empty", "There is no picture at.*--recursive"),
        ("nonsense://x/y", "cannot be opened"),
    ],
)
def test_what_leads_nowhere_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=told):
        listed(given, tmp_path)


@pytest.mark.parametrize("rows", [1, 31, 1000, 5_000, 10**6, 10**9])
def test_parts_are_neither_few_nor_tiny(rows: int) -> None:
    size = picture_list.part_size(rows)
    assert 32 <= size <= 1000
    assert -(-rows // size) >= min(64, rows // 32)


# ---- what is written


def test_every_picture_has_one_row_with_the_recognisers_answer(
    here: FakeRay, pictures: Path, tmp_path: Path, model: Path
) -> None:
    out = tmp_path / "out"
    summary = predict_all(str(pictures), out, model=model)
    assert (summary.rows, summary.unread, summary.computed) == (101, 1, 101)
    rows = rows_of(out)
    assert [row["path"] for row in rows] == listed(str(pictures), tmp_path)
    good = [row for row in rows if row["error"] is None]
    expected = Recognizer(model).predict_many(row["path"] for row in good)
    for row, answer in zip(good, expected, strict=True):
        assert (row["digit"], row["is_digit"], row["reason"]) == (
            answer.digit,
            answer.is_digit,
            answer.reason,
        )
        np.testing.assert_allclose(row["probabilities"], answer.probabilities, atol=1e-5)
        assert row["confidence"] == pytest.approx(answer.confidence, abs=1e-5)
    (bad,) = [row for row in rows if row["error"]]
    assert bad["path"].endswith("042b.PNG")
    assert "not a picture of a known format" in bad["error"]
    assert {bad[name] for name in ("digit", "confidence", "probabilities", "is_digit")} == {None}
    assert json.loads((out / "_summary.json").read_text())["rows"] == 101


def test_texts_have_rows_of_their_own(
    here: FakeRay, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    for width in (40, 123):
        Image.fromarray(np.full((30, width), 255, np.uint8)).save(folder / f"{width:03}.png")
    (folder / "bad.png").write_bytes(b"no picture")
    find(monkeypatch, lambda _, pixels, *__: signs(*sure(str(pixels.shape[1]))))
    summary = predict_all(str(folder), out, model=model, asked={"digits": 2})
    assert (summary.rows, summary.unread, summary.refused) == (3, 1, 1)
    first, second, bad = rows_of(out)
    assert (first["text"], first["reason"], first["turned"]) == ("40", None, 0)
    assert first["confidence"] > 0.9
    assert (second["text"], second["reason"]) == (None, "uncertain")
    assert "known format" in bad["error"]
    assert predict_all(str(folder), out, model=model, asked={"digits": 2}).computed == 0
    for other in (None, {"digits": 3}):
        with pytest.raises(UsageError, match="another task"):
            predict_all(str(folder), out, model=model, asked=other)
    with pytest.raises(UsageError, match="luhn"):
        predict_all(str(folder), tmp_path / "new", model=model, asked={"check": "isbn"})
    assert not (tmp_path / "new").exists()


def test_parquet_of_bytes_paths_and_structs_gives_what_the_files_give(
    here: FakeRay, pictures: Path, tmp_path: Path, model: Path
) -> None:
    files = sorted(pictures.glob("[0-9]*.png"))
    content = [file.read_bytes() for file in files]
    structs = [{"bytes": one, "path": file.name} for one, file in zip(content, files, strict=True)]
    columns = {
        "bytes": [None, *content[1:]],
        "path": [str(file) for file in files],
        "image": structs,
    }
    table = pa.table(columns)
    file = tmp_path / "digits.parquet"
    pq.write_table(table, file, row_group_size=70)
    predict_all(str(pictures), tmp_path / "direct", model=model)
    direct = {row["path"]: row["digit"] for row in rows_of(tmp_path / "direct")}
    answers = {}
    for column in (None, "path", "image"):
        out = tmp_path / f"out-{column}"
        predict_all(str(file), out, column=column, model=model)
        answers[column] = rows_of(out)
        assert len(answers[column]) == 100
    wanted = [direct[str(file)] for file in files]
    assert [row["digit"] for row in answers["path"]] == wanted
    assert [row["digit"] for row in answers["image"]] == wanted
    assert [row["path"] for row in answers["image"]] == [file.name for file in files]
    assert [row["digit"] for row in answers[None]] == [None, *wanted[1:]]
    assert "is empty (null)" in answers[None][0]["error"]


def test_a_large_row_group_is_cut_and_read_whole(
    here: FakeRay, pictures: Path, tmp_path: Path, model: Path
) -> None:
    content = [file.read_bytes() for file in sorted(pictures.glob("[0-9]*.png"))]
    pq.write_table(pa.table({"scan": content}), tmp_path / "one.parquet")
    predict_all(f"{tmp_path}/*.parquet", tmp_path / "out", column="scan", model=model)
    assert len(here.tasks) > 1
    names = [row["path"] for row in rows_of(tmp_path / "out")]
    assert names == [f"{tmp_path}/one.parquet#{n}" for n in range(100)]


def test_urls_are_read_as_fsspec_opens_them(
    here: FakeRay, pictures: Path, tmp_path: Path, model: Path
) -> None:
    archive = tmp_path / "scans.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        for file in sorted(pictures.glob("[0-9]*.*")):
            writer.write(file, f"in/{file.name}")
        writer.writestr("in/late.png", b"")
    for number, url in enumerate((f"zip://in/*.png::{archive}", f"file://{pictures}")):
        predict_all(url, tmp_path / f"out{number}", model=model)
    zipped, plain = (rows_of(tmp_path / f"out{number}") for number in range(2))
    assert zipped[0]["path"] == "zip://in/000.png"
    assert zipped[-1]["error"]
    assert [r["digit"] for r in zipped[:-1]] == [r["digit"] for r in plain if not r["error"]]


def test_one_odd_row_stops_no_other(here: FakeRay, pictures: Path, tmp_path: Path) -> None:
    good = str(pictures / "000.png")
    paths = [None, good, "foo::bar.png", "nosuch://bucket/a.png", good]
    pq.write_table(pa.table({"path": paths}), tmp_path / "odd.parquet")
    summary = predict_all(str(tmp_path / "odd.parquet"), tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert (summary.rows, summary.unread) == (5, 3)
    assert [row["error"] is None for row in rows] == [False, True, False, False, True]
    assert [row["path"] for row in rows][1:] == paths[1:]


def test_a_damaged_page_is_told_with_its_file(
    here: FakeRay, pictures: Path, tmp_path: Path
) -> None:
    content = [path.read_bytes() for path in sorted(pictures.glob("0*.png"))]
    file = tmp_path / "pages.parquet"
    pq.write_table(pa.table({"bytes": content}), file, compression="zstd")
    raw = bytearray(file.read_bytes())
    raw[200:4000] = bytes(3800)
    file.write_bytes(raw)
    with pytest.raises(InputError, match=r"pages\.parquet cannot be read as Parquet"):
        predict_all(str(file), tmp_path / "out")


def test_parquet_without_such_a_column_says_what_there_is(here: FakeRay, tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    pq.write_table(pa.table({"picture": [b"x"], "label": [1]}), file)
    for column, told in (
        (None, "no column 'bytes' or 'path'.*it has picture .binary., label .int64."),
        ("scan", "no column 'scan'"),
        ("label", "no column 'label' of bytes"),
    ):
        with pytest.raises(InputError, match=told):
            predict_all(str(file), tmp_path / "out", column=column)
    (tmp_path / "y.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        predict_all(str(tmp_path / "y.parquet"), tmp_path / "out")


# ---- interruptions


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_an_interrupted_recognition_goes_on_and_repeats_nothing(
    here: FakeRay, pictures: Path, tmp_path: Path, model: Path, stop_after: int
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    predict_all(str(pictures), whole, model=model)
    assert parts_of(here) == [0, 1, 2, 3]
    here.tasks = []

    def stop() -> None:
        if len(here.tasks) == stop_after:
            os.kill(os.getpid(), signal.SIGINT)

    here.before_each = stop
    with pytest.raises(StoppedError):
        predict_all(str(pictures), broken, model=model)
    (broken / ".part-000003.parquet.0123.tmp").write_bytes(b"half")
    # The one that ran when the signal came is kept as well.
    assert len(list(broken.glob("part-*.parquet"))) == stop_after + 1
    here.tasks, here.before_each = [], lambda: None
    predict_all(str(pictures), broken, model=model)
    assert parts_of(here) == [0, 1, 2, 3][stop_after + 1 :]
    assert rows_of(broken) == rows_of(whole)
    for part in whole.glob("part-*.parquet"):
        assert (broken / part.name).read_bytes() == part.read_bytes()
    here.tasks = []
    again = predict_all(str(pictures), broken, model=model)
    assert (here.tasks, again.rows, again.unread, again.computed) == ([], 101, 1, 0)


def test_a_kill_while_the_list_was_written_costs_the_list_only(
    here: FakeRay, pictures: Path, tmp_path: Path, model: Path
) -> None:
    out = tmp_path / "out"
    (out / ".listing-abc").mkdir(parents=True)
    (out / "_list.parquet").write_bytes(b"half")
    assert predict_all(str(pictures), out, model=model).rows == 101


def test_other_pictures_or_another_model_are_refused(
    here: FakeRay, pictures: Path, tmp_path: Path, model: Path
) -> None:
    out = tmp_path / "out"
    predict_all(str(pictures), out, model=model)
    with pytest.raises(UsageError, match=r"begun with other pictures.*101 pictures.*102"):
        predict_all(str(pictures), out, model=model, recursive=True)
    manifest = json.loads((out / "_manifest.json").read_text())
    (out / "_manifest.json").write_text(json.dumps(manifest | {"model_sha256": "0" * 64}))
    with pytest.raises(UsageError, match=r"begun with another model \(00000000000…"):
        predict_all(str(pictures), out, model=model)
    for damage in ("{", "[]", "{}"):
        (out / "_manifest.json").write_text(damage)
        with pytest.raises(IntegrityError, match=r"_manifest\.json is damaged"):
            predict_all(str(pictures), out, model=model)
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").touch()
    with pytest.raises(UsageError, match="is not empty and holds no answers"):
        predict_all(str(pictures), full)
    with pytest.raises(StorageError, match="is in the way"):
        predict_all(str(pictures), full / "thesis.txt")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda part: part.write_bytes(part.read_bytes()[:-100]), "is damaged"),
        (lambda part: pq.write_table(pq.read_table(part).slice(1), part), "instead of"),
    ],
)
def test_damaged_parts_are_found_by_the_final_count(
    here: FakeRay,
    pictures: Path,
    tmp_path: Path,
    model: Path,
    harm: Callable[[Path], None],
    told: str,
) -> None:
    out = tmp_path / "out"
    predict_all(str(pictures), out, model=model)
    harm(out / "part-000001.parquet")
    with pytest.raises(IntegrityError, match=told):
        predict_all(str(pictures), out, model=model)
    (out / "part-000001.parquet").unlink()
    assert predict_all(str(pictures), out, model=model).computed == 32


# ---- other nodes


def test_a_node_that_is_not_like_the_others_is_an_error_and_not_a_million_errors(
    here: FakeRay,
    pictures: Path,
    tmp_path: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = LocalFileSystem.exists
    seen: list[str] = []

    def seen_by_the_driver_only(system: Any, path: str) -> bool:
        if path.endswith(".png"):
            seen.append(path)
        return real(system, path) and len(seen) < 2

    monkeypatch.setattr(LocalFileSystem, "exists", seen_by_the_driver_only)
    with pytest.raises(InputError, match=r"does not see .*000\.png.*part 0"):
        predict_all(str(pictures), tmp_path / "out", model=model)
    monkeypatch.undo()
    with pytest.raises(IntegrityError, match="Install the same version"):
        ray_engine._task(print, 0, "0.0", tmp_path)


def test_it_needs_nothing_that_the_extra_for_training_has() -> None:
    code = (
        "import sys, digitnet.experiments.bulk_recognition;"
        "print(*{'torch', 'cv2', 'scipy', 'sklearn', 'matplotlib', 'onnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
