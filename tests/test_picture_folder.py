"""A folder of the user's own pictures as a data set."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import canonical_images, split_train_val
from digitnet.errors import InputError
from digitnet.network.config import TrainConfig
from digitnet.reading.recognizer import Recognizer
from digitnet.showing.report import write_report
from digitnet.training.calibration import export_run
from digitnet.training.run_evaluation import evaluate
from digitnet.training.run_training import train


def draw(path, image, *, side=90):
    """Write an image as somebody would photograph it: dark on light, larger, off the middle."""
    page = np.full((side, side), 255, np.uint8)
    page[20:76, 30:86] = 255 - np.kron(image, np.ones((2, 2), np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(page).save(path)


@pytest.fixture(scope="module")
def drawn(sample, tmp_path_factory):
    """A folder with ten pictures each of three classes, which must not be changed."""
    folder = tmp_path_factory.mktemp("drawn") / "mine"
    for label, name in ((0, "10"), (1, "9"), (7, "seven")):
        for index in np.flatnonzero(sample.train_labels == label)[:10]:
            draw(folder / name / f"{index}.png", sample.train_images[index])
    return folder


@pytest.fixture(scope="module")
def rows(sample, tmp_path_factory):
    """Folders of digits: alone, and each in the middle of a row, beside larger ones."""
    place = tmp_path_factory.mktemp("rows")
    for label in (0, 7, 9):
        for index in np.flatnonzero(sample.train_labels == label)[:10]:
            alone = np.zeros((130, 440), np.uint8)
            alone[34:90, 190:246] = np.kron(sample.train_images[index], np.ones((2, 2), np.uint8))
            row = alone.copy()
            for left in (20, 310):
                row[10:122, left : left + 112] = np.kron(
                    sample.train_images[3], np.ones((4, 4), np.uint8)
                )
            for name, page in (("alone", alone), ("row", row)):
                path = place / name / str(label) / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(255 - page).save(path)
    return place


@pytest.fixture
def folder(drawn, tmp_path):
    """A copy of it that may be changed."""
    return shutil.copytree(drawn, tmp_path / "mine")


def test_each_subfolder_is_a_class_and_a_fifth_is_for_testing(drawn):
    dataset = load_dataset(str(drawn))
    assert dataset.class_names == ("9", "10", "seven")
    assert np.bincount(dataset.train_labels).tolist() == [8, 8, 8]
    assert np.bincount(dataset.test_labels).tolist() == [2, 2, 2]
    assert dataset.name == str(drawn.resolve())
    assert list(dataset.sha256) == ["pictures"]


@pytest.mark.parametrize("name", ["./mnist", Path("mnist"), Path("sample")])
def test_a_folder_may_be_called_like_a_data_set(name, drawn, tmp_path, monkeypatch):
    (tmp_path / Path(name).name).symlink_to(drawn)
    monkeypatch.chdir(tmp_path)
    assert load_dataset(name).class_names == ("9", "10", "seven")


def test_a_picture_in_the_folders_of_two_classes_is_told(folder):
    shutil.copy(next((folder / "9").iterdir()), folder / "seven" / "copy.png")
    told = []
    load_dataset(folder, progress=told.append)
    assert any("1 picture" in line and "9 and seven" in line for line in told)


def test_of_digits_the_network_learns_from_what_the_recogniser_sees(rows):
    dataset = load_dataset(rows / "alone")
    images = np.concatenate([dataset.train_images, dataset.test_images])
    labels = np.concatenate([dataset.train_labels, dataset.test_labels])
    seen = Recognizer(threads=1).predict_many(sorted((rows / "alone" / "7").iterdir()))
    for prediction in seen:
        difference = np.abs(images[labels == 1].astype(int) - prediction.image).max((1, 2))
        assert difference.min() <= 1


def test_of_things_it_learns_from_all_that_is_in_the_picture(drawn, sample):
    """A class whose name has more than one letter is no sign that the finder knows."""
    dataset = load_dataset(drawn)
    images = np.concatenate([dataset.train_images, dataset.test_images])
    expected = canonical_images(sample.train_images[sample.train_labels == 7][:10])
    for image in expected:
        assert np.abs(images.astype(int) - image).mean((1, 2)).min() < 1


def test_pictures_cut_from_rows_are_read_and_learnt_from_alike(rows, tmp_path):
    """The setting travels: from the training to the model file, and to whoever reads with it."""
    cut = rows / "row"
    config = TrainConfig(data=str(cut)).override(
        epochs=1, batch_size=8, channels=(4,), dense=(8,), threads=1, val_fraction=0.2, crops=True
    )
    run = train(config, out=tmp_path / "run")
    evaluate(run)
    export_run(run)
    learnt = load_dataset(cut, crops=True)
    images = np.concatenate([learnt.train_images, learnt.test_images])
    own, shipped = Recognizer(run.path, threads=1), Recognizer(threads=1)
    for path in sorted((cut / "7").iterdir()):
        seen = own.predict(path).image
        alone = shipped.predict(rows / "alone" / "7" / path.name).image
        assert np.abs(images.astype(int) - seen).max((1, 2)).min() <= 1
        # Beside other things the finder gives and takes a little ink; another digit is far off.
        assert np.abs(seen.astype(int) - alone).mean() < 15
        assert np.abs(seen.astype(int) - shipped.predict(path).image).mean() > 20


def test_names_of_files_do_not_matter_and_their_content_does(folder):
    before = load_dataset(folder)
    for number, path in enumerate(sorted((folder / "9").iterdir(), reverse=True)):
        path.rename(path.with_name(f"renamed {number}.png"))
    again = load_dataset(folder)
    assert again.sha256 == before.sha256
    np.testing.assert_array_equal(again.test_images, before.test_images)
    next((folder / "9").iterdir()).unlink()
    assert load_dataset(folder).sha256 != before.sha256


def test_a_name_of_a_class_is_part_of_the_data(folder):
    before = load_dataset(folder)
    (folder / "seven").rename(folder / "eight")
    assert load_dataset(folder).sha256 != before.sha256


def test_train_and_test_are_kept_as_they_are(folder, tmp_path):
    both = tmp_path / "both"
    for name in ("9", "10", "seven"):
        shutil.copytree(folder / name, both / "train" / name)
    shutil.copytree(folder / "9", both / "test" / "9")
    dataset = load_dataset(both)
    assert np.bincount(dataset.train_labels).tolist() == [10, 10, 10]
    assert dataset.test_labels.tolist() == [0] * 10
    shutil.copytree(folder / "9", both / "test" / "other")
    with pytest.raises(InputError, match="the class other only to test with"):
        load_dataset(both)
    shutil.rmtree(both / "test")
    with pytest.raises(InputError, match="must both be there"):
        load_dataset(both)


@pytest.mark.parametrize("names", [("training", "testing"), ("train", "testing")])
def test_the_splits_may_be_called_training_and_testing(names, folder, tmp_path):
    for split, name in zip(("train", "test"), names, strict=True):
        shutil.copytree(folder, tmp_path / "usual" / split)
        shutil.copytree(folder, tmp_path / "other" / name)
    usual, other = load_dataset(tmp_path / "usual"), load_dataset(tmp_path / "other")
    assert other.sha256 == usual.sha256
    np.testing.assert_array_equal(other.test_images, usual.test_images)


def test_two_training_folders_are_refused(folder, tmp_path):
    for name in ("train", "training", "test"):
        shutil.copytree(folder, tmp_path / "both" / name)
    with pytest.raises(InputError, match="test, train, training"):
        load_dataset(tmp_path / "both")


class TestTable:
    """A flat folder with labels.csv."""

    @pytest.fixture
    def flat(self, drawn, tmp_path):
        """The same pictures in one folder, with a table of their classes."""
        flat = tmp_path / "flat"
        flat.mkdir()
        rows = ["file,label"]
        for path in sorted(drawn.rglob("*.png")):
            name = f"{path.parent.name}-{path.name}"
            shutil.copy(path, flat / name)
            rows.append(f"{name}, {path.parent.name}")
        self.write(flat, *rows)
        return flat

    def write(self, flat, *rows, encoding="utf-8"):
        (flat / "labels.csv").write_text("\n".join(rows) + "\n", encoding=encoding)

    def rows(self, flat):
        return (flat / "labels.csv").read_text().splitlines()

    def test_it_is_the_data_set_of_the_folders(self, flat, drawn):
        lines = []
        table, folders = load_dataset(flat, progress=lines.append), load_dataset(drawn)
        assert table.class_names == folders.class_names == ("9", "10", "seven")
        assert table.sha256 == folders.sha256
        np.testing.assert_array_equal(table.train_images, folders.train_images)
        assert lines == [f"Reading 30 pictures of 3 classes in {flat} …"]

    def test_columns_may_be_exchanged_and_excel_marks_its_encoding(self, flat, drawn):
        rows = [",".join(reversed(row.split(","))) for row in self.rows(flat)]
        self.write(flat, *rows, encoding="utf-8-sig")
        assert load_dataset(flat).sha256 == load_dataset(drawn).sha256

    def test_pictures_may_lie_deeper_and_those_not_listed_are_told(self, flat):
        (flat / "deep").mkdir()
        _, first, *rest = self.rows(flat)
        name = first.split(",")[0]
        (flat / name).rename(flat / "deep" / name)
        self.write(flat, "file,label", f"deep/{first}", *rest[:-1])
        lines = []
        dataset = load_dataset(flat, progress=lines.append)
        assert len(dataset.train_labels) + len(dataset.test_labels) == 29
        assert lines[0].startswith(f"note: 1 file in {flat} left out, {rest[-1].split(',')[0]}")

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ("none.png,9", "there is no file 'none.png' in the folder"),
            ("../mine/9.png,9", r"there is no file '../mine/9.png' in the folder"),
            ("/etc/hostname,9", "there is no file '/etc/hostname' in the folder"),
            ("FIRST,9", "is listed twice"),
            ("./FIRST,9", "is listed twice"),
            ("just-one", "does not have two values"),
            ("a.png,9,more", "does not have two values"),
        ],
    )
    def test_a_row_that_cannot_be_used_is_named(self, row, words, flat):
        rows = self.rows(flat)
        row = row.replace("FIRST", rows[1].split(",")[0])
        self.write(flat, *rows, row)
        with pytest.raises(
            InputError, match=rf"(?s)^1 of the rows of .*labels\.csv .*row 31.*{words}"
        ):
            load_dataset(flat)

    @pytest.mark.parametrize(
        ("head", "words"),
        [
            ("file,label,writer", "the columns file, label, writer; expected file and label"),
            ("name,label", "the columns name, label; expected"),
            ("file;label", "the columns file;label; expected"),
            ("", "expected file and label"),
        ],
    )
    def test_other_columns_are_refused(self, head, words, flat):
        self.write(flat, head)
        with pytest.raises(InputError, match=words):
            load_dataset(flat)

    def test_another_encoding_is_refused(self, flat):
        (flat / "labels.csv").write_bytes(b"file,label\n\xff.png,9\n")
        with pytest.raises(InputError, match="not a CSV table in UTF-8"):
            load_dataset(flat)

    def test_a_class_needs_a_name(self, flat):
        rows = self.rows(flat)
        self.write(flat, *rows[:-1], rows[-1].split(",")[0] + ",")
        with pytest.raises(InputError, match="a class called ''"):
            load_dataset(flat)


def test_each_picture_is_decoded_once(folder, monkeypatch):
    from digitnet.reading import pictures

    decoded, load = [], pictures.load
    monkeypatch.setattr(pictures, "load", lambda path: decoded.append(path) or load(path))
    load_dataset(folder)
    assert sorted(decoded) == sorted(folder.rglob("*.png"))


def test_three_pictures_of_each_class_are_the_least(folder):
    for name in ("9", "10", "seven"):
        for path in sorted((folder / name).iterdir())[3:]:
            path.unlink()
    assert np.bincount(load_dataset(folder).train_labels).tolist() == [2, 2, 2]
    next((folder / "10").iterdir()).unlink()
    with pytest.raises(InputError, match=r"The class 10 in .* has 1 picture to learn from"):
        load_dataset(folder)


def test_six_pictures_of_each_class_are_enough_to_train_and_validate(folder):
    for name in ("9", "10", "seven"):
        for path in sorted((folder / name).iterdir())[6:]:
            path.unlink()
    dataset = load_dataset(folder)
    train, val = split_train_val(dataset.train_labels)
    assert np.bincount(dataset.train_labels[train]).tolist() == [4, 4, 4]
    assert np.bincount(dataset.train_labels[val]).tolist() == [1, 1, 1]


def test_what_is_no_picture_is_told_and_left_out(folder):
    before = load_dataset(folder)
    (folder / "9" / "notes.txt").write_text("hello")
    (folder / "9" / ".DS_Store").write_bytes(b"\0")
    (folder / ".git").mkdir()
    (folder / "readme.md").write_text("hello")
    lines = []
    assert load_dataset(folder, progress=lines.append).sha256 == before.sha256
    assert lines[0].startswith(f"note: 2 files in {folder} left out, notes.txt first")
    assert lines[1].startswith("Reading 30 pictures of 3 classes in ")


def test_copies_of_a_picture_are_never_learnt_from_and_tested_with(folder):
    for path in sorted(folder.rglob("*.png")):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    dataset = load_dataset(folder)
    train, test = (
        {image.tobytes() for image in images}
        for images in (dataset.train_images, dataset.test_images)
    )
    assert test
    assert not train & test
    # Names sort copies first, so the last three are pictures that differ.
    *rest, one, two, other = sorted(
        (folder / "9").iterdir(), key=lambda path: "copy" not in path.name
    )
    for path in rest:
        path.unlink()
    for number in range(8):
        shutil.copy(other, folder / "9" / f"{number} again.png")
    assert np.bincount(load_dataset(folder).test_labels)[0] in (1, 9)
    one.unlink()
    two.unlink()
    with pytest.raises(InputError, match=r"The class 9 .* has 0 pictures to learn from"):
        load_dataset(folder)


def test_pictures_beside_the_classes_are_told(folder, drawn):
    shutil.copy(next((drawn / "9").iterdir()), folder / "lost.png")
    lines = []
    load_dataset(folder, progress=lines.append)
    assert lines[0].startswith(f"note: 1 file in {folder} left out, lost.png first")


def test_pictures_below_a_list_of_labels_are_told(folder, drawn):
    pictures = iter(sorted(path for path in drawn.rglob("*") if path.is_file()))
    (folder / "flat" / "more").mkdir(parents=True)
    rows = ["file,label"]
    for label in "ab":
        for number in range(6):
            name = f"{label}{number}.png"
            shutil.copy(next(pictures), folder / "flat" / name)
            rows.append(f"{name},{label}")
    (folder / "flat" / "labels.csv").write_text("\n".join(rows))
    shutil.copy(next(pictures), folder / "flat" / "more" / "x.png")
    lines = []
    load_dataset(folder / "flat", progress=lines.append)
    assert lines[0].startswith(f"note: 1 file in {folder / 'flat'} left out, x.png first")
    (folder / "flat" / "labels.csv").write_text("\n".join([*rows, "n" * 300 + ".png,a"]))
    with pytest.raises(InputError, match="row 13"):
        load_dataset(folder / "flat")


def test_splits_that_teach_or_test_nothing_are_refused(folder, tmp_path):
    both, lines = tmp_path / "both", []
    shutil.copytree(folder, both / "train")
    (both / "test" / "9").mkdir(parents=True)
    with pytest.raises(InputError, match="test holds no picture"):
        load_dataset(both)
    for path in list((both / "train" / "9").iterdir())[:3]:
        shutil.copy(path, both / "test" / "9")
    load_dataset(both, progress=lines.append)
    assert any("3 pictures in" in line and "both in train" in line for line in lines)
    shutil.rmtree(both / "train" / "seven")
    (both / "train" / "seven").mkdir()
    with pytest.raises(InputError, match=r"class seven has no picture"):
        load_dataset(both)


def test_a_user_that_is_not_there_is_a_sentence():
    with pytest.raises(InputError, match="There is no folder ~nosuch"):
        load_dataset("~nosuchuser/digits")


def test_one_error_tells_of_every_picture_that_cannot_be_used(folder):
    (folder / "9" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    Image.new("L", (50, 50), 200).save(folder / "10" / "blank.png")
    with pytest.raises(InputError, match=r"(?s)^2 of the .*broken\.png.*blank\.png holds no"):
        load_dataset(folder)


def test_many_bad_pictures_are_counted(folder):
    for number in range(9):
        (folder / "9" / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"(?s)^9 of the pictures.*and 4 more$"):
        load_dataset(folder)


def test_other_layouts_are_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds 0 classes.*one subfolder for each class"):
        load_dataset(tmp_path / "empty")
    (folder / "few").mkdir()
    with pytest.raises(InputError, match=r"The class few has no picture"):
        load_dataset(folder)
    (folder / "few").rename(folder / "seven" / "deeper")
    with pytest.raises(InputError, match="another folder, deeper"):
        load_dataset(folder)


@pytest.mark.parametrize("name", ["a\nb", "x" * 101])
def test_a_class_whose_name_cannot_be_shown_is_refused(name, folder):
    (folder / "seven").rename(folder / name)
    with pytest.raises(InputError, match="Rename it"):
        load_dataset(folder)


def test_a_named_pipe_does_not_hang(folder):
    os.mkfifo(folder / "9" / "pipe.png")
    with pytest.raises(InputError, match=r"pipe\.png"):
        load_dataset(folder)


def test_a_folder_is_trained_on_and_reported_under_its_own_names(drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(drawn.parent)
    config = TrainConfig(data=drawn.name).override(
        epochs=1, batch_size=8, channels=(4,), dense=(8,), threads=1, val_fraction=0.2
    )
    run = train(config, out=tmp_path / "run")
    # Found again from anywhere.
    assert run.config.data == str(drawn.resolve())
    assert run.config.model.num_classes == 3
    monkeypatch.chdir(tmp_path)
    metrics = evaluate(run)
    assert [row.name for row in metrics.per_class] == ["9", "10", "seven"]
    page = write_report(run).read_text()
    assert "tell 3 classes apart" in page
    assert "Each class" in page
    assert "each digit" not in page
