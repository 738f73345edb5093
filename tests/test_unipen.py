"""UNIPEN's own files, made small: statements, includes, components, segments, writers."""

import numpy as np
import pytest

from digitnet.data.catalogue import load_dataset
from digitnet.data.unipen import read_release
from digitnet.errors import InputError, IntegrityError

# Y points up. Pen-up movements are components where they have points, and only there.
POINTS = """.COORD X Y T
.WRITER_ID Ann Other
.COUNTRY japan
.WRITER_INFO
    Native language: Japanese
.PEN_UP
.DT 930
.PEN_DOWN
 0 100 1
 0 50 2
 0 0 3
.PEN_UP
 10 90 4
.PEN_DOWN
 20 100 5
 40 100 6
 60 100 7
 20 0 8
.PEN_UP
.PEN_DOWN
 5 5 9
"""
SEGMENTS = """.VERSION 1.0
.INCLUDE abc/about.doc
.INCLUDE abc/points.dat
.SEGMENT CHARACTER 0 OK "1"
.SEGMENT CHARACTER 1-2 ? "7"
.SEGMENT CHARACTER 2:0-2:2 ? "\\"
.SEGMENT CHARACTER 3,0 BAD "4"
.SEGMENT CHARACTER 1 OK "."
.SEGMENT TEXT 0-3 OK "no character"
"""


def release(folder, segments=SEGMENTS, points=POINTS, contributor="abc"):
    for path, text in (
        (f"data/1a/{contributor}/0001.dat", segments),
        ("include/abc/about.doc", ".COMMENT pens\n.HIERARCHY TEXT CHARACTER\n"),
        ("include/abc/points.dat", points),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="latin-1")
    return folder


def test_segments_are_strokes_of_components_counted_with_pen_up_movements_that_have_points(
    tmp_path,
):
    hands = read_release(release(tmp_path))
    assert hands.label.tolist() == ["1", "7", "\\", "4"]
    assert set(hands.writer) == {"abc-00"}
    assert set(hands.country) == {"japan"}
    assert set(hands.contributor) == {"abc"}
    (one,) = hands.strokes(0)
    np.testing.assert_allclose(one[[0, -1]], [(0, 0), (0, 1)], atol=0.01)
    (seven,) = hands.strokes(1)
    np.testing.assert_allclose(seven[[0, -1]], [(0, 0), (0, 1)], atol=0.02)
    (dash,) = hands.strokes(2)
    assert np.ptp(dash, axis=0) == pytest.approx((1, 0), abs=0.01)
    assert [len(stroke) > 1 for stroke in hands.strokes(3)] == [False, True]


def test_sites_that_share_people_are_one_and_writers_are_numbered(tmp_path):
    release(tmp_path, contributor="apa")
    release(tmp_path, contributor="app")
    other = SEGMENTS.replace("points.dat", "other.dat")
    release(tmp_path, contributor="apb", segments=other)
    points = POINTS.replace("Ann Other", "Bo Another")
    (tmp_path / "include/abc/other.dat").write_text(points)
    hands = read_release(tmp_path)
    assert hands.contributor.tolist() == ["apa"] * 4 + ["apb"] * 4 + ["app"] * 4
    assert hands.writer.tolist() == ["apple-00"] * 4 + ["apple-01"] * 4 + ["apple-00"] * 4


@pytest.mark.parametrize(
    ("segments", "points", "error", "words"),
    [
        (SEGMENTS.replace("3,0", "9"), POINTS, IntegrityError, "0001.dat"),
        (SEGMENTS, POINTS.replace("20 100 5", "20 100"), IntegrityError, "0001.dat"),
        (SEGMENTS, POINTS.replace("20 100 5", "20 x 5"), IntegrityError, "0001.dat"),
        (SEGMENTS, POINTS.replace("20 100 5", "nan 1e400 5"), IntegrityError, "0001.dat"),
        (".VERSION 1.0", POINTS, IntegrityError, "hold no sign"),
        (SEGMENTS, ".INCLUDE abc/points.dat", IntegrityError, "includes itself"),
        (SEGMENTS.replace("about", "none"), POINTS, InputError, "none.doc, which is not there"),
    ],
)
def test_a_broken_copy_is_refused(tmp_path, segments, points, error, words):
    with pytest.raises(error, match=words):
        read_release(release(tmp_path, segments, points))


def test_a_folder_without_the_release_is_refused(tmp_path):
    with pytest.raises(InputError, match="no UNIPEN files"):
        read_release(tmp_path)


@pytest.mark.disable_socket
def test_load_dataset_draws_a_copy_that_is_named(tmp_path):
    digits = "".join(f'.SEGMENT CHARACTER 2 OK "{digit}"\n' for digit in range(10))
    for number in range(5):
        text = f".WRITER_ID {number}\n.INCLUDE abc/points.dat\n.WRITER_ID {number}\n{digits}"
        path = release(tmp_path / "unipen") / f"data/1a/abc/{number}.dat"
        path.write_text(text)
    (tmp_path / "unipen/data/1a/abc/0001.dat").unlink()
    dataset = load_dataset("unipen", data_dir=tmp_path)
    assert len(dataset.train_labels) == 40
    assert sorted(dataset.test_labels.tolist()) == list(range(10))
    assert list(dataset.sha256) == ["unipen-points"]
    assert (dataset.train_images == dataset.train_images[0]).all()
    assert load_dataset("unipen", data_dir=tmp_path / "unipen").sha256 == dataset.sha256
