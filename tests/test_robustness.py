"""The bench: its sets repeat, its counting is right, foreign files are refused with a sentence."""

import dataclasses
import io
import json
import zipfile

import cv2
import numpy as np
import pytest

from digitnet.errors import InputError, UsageError
from digitnet.experiments.robustness import built_in, drawing, measure, placing, table, workflow
from digitnet.experiments.robustness.own import from_arrays, own
from digitnet.experiments.robustness.readers import (
    DigitnetReader,
    PlainReader,
    Readings,
    invert_and_resize,
)
from digitnet.experiments.robustness.results import DigitRow, NonDigitRow
from digitnet.experiments.robustness.sets import PictureSet, Plan, parts_by
from digitnet.reading.pictures import decode
from digitnet.synthesis.corruptions import CORRUPTIONS
from digitnet.synthesis.pens import can_be_redrawn


@dataclasses.dataclass(frozen=True)
class Answer:
    """As much of a prediction as the bench looks at."""

    digit: int
    confidence: float = 0.9
    ood_score: float = 0.0
    is_digit: bool = True
    reason: str | None = None
    image: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((28, 28), np.uint8))


class Fives:
    """A recogniser to whom every picture is a 5, and the darker the stranger."""

    def predict_many(self, pictures):
        return [self._answer(decode(each)) for each in pictures]

    def predict_inks(self, inks):
        return [self._answer(each) for each in inks]

    def _answer(self, picture):
        assert picture.dtype == np.uint8
        strange = 255.0 - float(picture.mean())
        return Answer(5, ood_score=strange, is_digit=strange < 250, reason=None)


def readings(digits, strangeness=None, rejected=None):
    count = len(digits)
    return Readings(
        digit=np.array(digits),
        confidence=np.full(count, 0.9),
        strangeness=np.zeros(count) if strangeness is None else np.array(strangeness, float),
        rejected=np.zeros(count, bool) if rejected is None else np.array(rejected),
    )


def measured(labels, ours, plain=None, parts=(), name="set"):
    made = PictureSet([b""] * len(ours.digit), labels and np.array(labels), parts)
    return measure.Measured(Plan("own", name, lambda: made), made, ours, plain)


@pytest.fixture(scope="module")
def plans(sample):
    return built_in.built_in(sample.test_images[:12], sample.test_labels[:12], seed=3)


# Sets


def test_groups_are_those_announced_and_names_are_unique_within_one(plans):
    assert {plan.group for plan in plans} == set(built_in.GROUPS)
    places = [(plan.group, plan.name) for plan in plans]
    assert len(set(places)) == len(places)
    kinds = [plan.name for plan in plans if plan.group == built_in.CORRUPTIONS_ALONE]
    assert len(kinds) == 15
    assert kinds == [plan.name for plan in plans if plan.group == built_in.CORRUPTIONS_FOUND]


@pytest.mark.parametrize("name", placing.PLACINGS)
def test_a_placed_picture_is_a_png_that_depends_on_its_own_index_only(name, sample):
    image = sample.test_images[0]
    content = placing.png_of(image, name, 0, 7)
    assert content.startswith(b"\x89PNG")
    assert content == placing.png_of(image.copy(), name, 0, 7)
    random = name in ("in_a_corner", "any_size_and_place")
    others = {placing.png_of(image, name, seed, 7) for seed in range(8)}
    assert (len(others) > 1) == random


def test_placings_show_the_same_digit(sample):
    image = sample.test_images[1]
    shown = {name: decode(placing.png_of(image, name, 0, 0)) for name in placing.PLACINGS}
    np.testing.assert_array_equal(shown["white_on_black"], image)
    np.testing.assert_array_equal(shown["black_on_white"], 255 - image)
    assert shown["ten_times"].shape == (280, 280)
    assert shown["any_size_and_place"].shape == (280, 280)
    for name in ("on_a_sheet", "in_a_corner", "any_size_and_place"):
        same = cv2.resize(inked(255 - shown[name]), (20, 20), interpolation=cv2.INTER_AREA)
        wanted = cv2.resize(inked(image), (20, 20), interpolation=cv2.INTER_LINEAR)
        assert np.corrcoef(same.ravel(), wanted.ravel())[0, 1] > 0.85, name


def inked(picture):
    rows, columns = (np.flatnonzero((picture > 100).any(axis)) for axis in (1, 0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_any_size_and_place_covers_sizes_and_places():
    block = np.full((28, 28), 255, np.uint8)
    boxes = []
    for index in range(60):
        dark = decode(placing.png_of(block, "any_size_and_place", 0, index)) == 0
        rows = np.flatnonzero(dark.any(1))
        boxes.append((rows[0], np.ptp(rows) + 1))
    tops, sides = np.array(boxes).T
    assert sides.min() < 50 < 180 < sides.max() <= placing.LARGEST
    assert tops.min() < 30
    assert np.ptp(tops) > 120


@pytest.mark.parametrize("group", built_in.GROUPS)
def test_a_set_repeats_and_has_what_it_says(group, plans):
    plan = next(plan for plan in plans if plan.group == group)
    first, second = plan.make(), plan.make()
    assert len(first.pictures) == len(second.pictures) > 0
    np.testing.assert_array_equal(first.pictures[2], second.pictures[2])
    if group == built_in.NON_DIGITS:
        assert first.labels is None
        assert sum(part.chosen.sum() for part in first.parts) == len(first.pictures)
    else:
        assert first.labels.dtype == np.int64
        assert first.labels.shape == (len(first.pictures),)
    assert (first.route == "image") == (group == built_in.CORRUPTIONS_ALONE)


def test_the_nth_picture_does_not_depend_on_how_many_there_are(plans, sample):
    fewer = built_in.built_in(sample.test_images[:8], sample.test_labels[:8], seed=3)
    for few, many in zip(fewer, plans, strict=True):
        if few.group in (built_in.MNIST, built_in.PHOTOGRAPHS):
            assert few.make().pictures[3] == many.make().pictures[3]


def test_photographs_with_another_pen_are_of_digits_that_it_can_draw(plans, sample):
    able = [can_be_redrawn(image) for image in sample.test_images[:12]]
    expected = sample.test_labels[:12][able]
    assert len(expected) > 0
    for plan in plans:
        if plan.name in ("thin", "thick"):
            np.testing.assert_array_equal(plan.make().labels, expected)


# Choosing


def test_only_takes_names_and_groups(plans):
    chosen = measure.choose(plans, ["mnist", "fog"])
    assert {plan.group for plan in chosen} == {"mnist", "corruptions", "corruptions_found"}
    assert len(chosen) == len(placing.PLACINGS) + 2
    assert measure.choose(plans, []) == plans


def test_an_unknown_set_names_the_nearest(plans):
    with pytest.raises(UsageError, match="'shot_noise'"):
        measure.choose(plans, ["shot_nois"])


# Counting


def test_counts_of_a_set_and_its_parts():
    parts = parts_by(np.array(["a", "a", "b", "b"]))
    ours = readings([1, 2, -1, 4], rejected=[False, False, True, False])
    rows = measure.digit_rows(measured([1, 2, 3, 0], ours, readings([1, 0, 0, 0]), parts))
    assert [(row.part, row.pictures, row.right, row.plain_right) for row in rows] == [
        (None, 4, 2, 2),
        ("a", 2, 2, 1),
        ("b", 2, 0, 1),
    ]
    assert [row.rejected for row in rows] == [0.25, 0.0, 0.5]
    low, high = rows[0].interval
    assert low < rows[0].accuracy == 0.5 < high


def test_without_a_plain_network_there_are_no_figures_of_it():
    (row,) = measure.digit_rows(measured([1], readings([1])))
    assert row.plain_right is row.plain_accuracy is None


def test_auroc_is_the_share_of_pairs_in_order():
    strange, usual = np.array([3.0, np.inf, 1.0]), np.array([0.0, 1.0])
    pairs = [(s > u) + 0.5 * (s == u) for s in strange for u in usual]
    assert measure.auroc(strange, usual) == pytest.approx(np.mean(pairs))


def test_non_digits_are_told_from_the_digits_given():
    digits = measured([1, 2], readings([1, 2], [0.1, 0.2]), readings([1, 2], [0.5, 0.5]))
    kinds = parts_by(np.array(["far", "near"]))
    others = measured(
        None, readings([0, 0], [0.9, 0.15], [True, False]), readings([0, 0], [0.5, 0.5]), kinds
    )
    whole, far, near = measure.non_digit_rows(others, digits)
    assert (whole.auroc, far.auroc, near.auroc) == (0.75, 1.0, 0.5)
    assert (whole.rejected, far.rejected, near.rejected) == (0.5, 1.0, 0.0)
    assert whole.plain_auroc == 0.5


def test_a_blank_picture_is_read_as_nothing():
    class Blank(Fives):
        def _answer(self, picture):
            return Answer(None, is_digit=False, reason="blank")

    found = DigitnetReader(Blank()).read([np.zeros((9, 9), np.uint8)], "picture")
    assert found.digit.tolist() == [-1]
    assert found.rejected.tolist() == [True]


# The user's own sets


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_even_arrays(tmp_path):
    x = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    split = np.array([0, 1, 1])
    (plan,) = own([save(tmp_path / "mine.npz", x=x, y=np.array([7, 8, 9]), split=split)])
    assert (plan.group, plan.name) == ("own", "mine")
    made = plan.make()
    assert made.labels.tolist() == [7, 8, 9]
    np.testing.assert_array_equal(made.pictures[1], x[1])
    assert [(part.name, part.chosen.tolist()) for part in made.parts] == [
        ("test", [False, True, True])
    ]


def packed(**changes):
    arrays = {
        "data": np.arange(10, dtype=np.uint8),
        "offset": np.array([0, 6, 10]),
        "shape": np.array([[2, 3], [4, 1]], np.int32),
        "label": np.array([0, 9]),
        "source": np.array(["b", "a"]),
    }
    return arrays | changes


def test_packed_arrays(tmp_path):
    (plan,) = own([save(tmp_path / "photos.npz", **packed())])
    made = plan.make()
    np.testing.assert_array_equal(made.pictures[1], [[6], [7], [8], [9]])
    assert [part.name for part in made.parts] == ["a", "b"]


def test_arrays_without_labels_are_no_digits(tmp_path):
    x = np.zeros((2, 3, 3), np.uint8)
    (plan,) = own([save(tmp_path / "things.npz", x=x, kind=np.array(["shoe", "A"]))])
    assert plan.group == "non_digits"
    made = plan.make()
    assert made.labels is None
    assert {part.name for part in made.parts} == {"shoe", "A"}


GOOD = {"x": np.zeros((2, 3, 3), np.uint8), "y": np.array([1, 2])}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": GOOD["x"]}, "holds none of them"),
        ({"x": GOOD["x"]}, "what they show"),
        ({"y": GOOD["y"]}, "Needed are pictures"),
        (GOOD | {"x": np.zeros((2, 3, 3))}, "float64"),
        (GOOD | {"x": np.zeros((2, 3), np.uint8)}, r"\(2, 3\)"),
        (GOOD | {"x": np.zeros((0, 3, 3), np.uint8)}, r"\(0, 3, 3\)"),
        (GOOD | {"y": np.array([1])}, r"integers \(2,\)"),
        (GOOD | {"y": np.array([1, 10])}, "1 to 10"),
        (GOOD | {"y": np.array([1, -1])}, "-1 to 1"),
        (GOOD | {"y": np.array([1.0, 2.0])}, "float64"),
        (GOOD | {"split": np.array([[0, 1]])}, "'split'"),
        (packed(offset=np.array([0, 6])), "N from 1"),
        (packed(offset=np.array([0, 5, 10])), "picture 0 has shape"),
        (packed(offset=np.array([0, 6, 11])), "from 0 to the 10 pixels"),
        (packed(offset=np.array([0, 2**63 + 6, 10], np.uint64)), "from 0 to the 10 pixels"),
        (packed(shape=np.array([[2**62, 4], [4, 1]])), "sides in 'shape'"),
        (packed(shape=np.array([[-2, -3], [4, 1]])), "sides in 'shape'"),
        (packed(shape=np.zeros((0, 2), int)), "N from 1"),
        (packed(data=np.zeros((2, 5), np.uint8)), r"uint8 \(2, 5\)"),
        (packed(source=np.array(["a"])), "'source'"),
    ],
)
def test_arrays_that_fit_nothing_are_refused(arrays, words, tmp_path):
    path = tmp_path / "set.npz"
    with pytest.raises(InputError, match=words) as caught:
        from_arrays({n: a for n, a in arrays.items() if n != "images"}, path)
    assert str(path) in str(caught.value)


def test_objects_are_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    path = tmp_path / "evil.npz"
    np.savez(path, x=np.array([Trap()], object), y=np.array([1]))
    with pytest.raises(InputError, match=r"no \.npz file of plain arrays"):
        own([path])


def test_a_file_that_unpacks_to_too_much_is_refused_before(tmp_path, monkeypatch):
    monkeypatch.setattr("digitnet.experiments.robustness.own.MAX_BYTES", 1000)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((100, 28, 28), np.uint8))
    with pytest.raises(InputError, match="the limit is 1,000"):
        own([path])


@pytest.mark.parametrize("promised", [b"(9999999,),}", b"(99999999999999999,),}"])
def test_a_header_that_promises_too_much_is_refused(promised, tmp_path):
    path = tmp_path / "liar.npz"
    np.savez(path, **GOOD)
    with zipfile.ZipFile(path) as archive:
        content = archive.read("x.npy")
    true = b"(2, 3, 3), }".ljust(len(promised))
    assert true in content
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content.replace(true, promised))
    with pytest.raises(InputError, match=r"no \.npz file"):
        own([path])


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + b"\0" * 40, b"\x80\x04."])
def test_what_is_no_npz_is_refused(content, tmp_path):
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"no \.npz file"):
        own([path])


def write_picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(placing.as_png(np.zeros((9, 9), np.uint8)))


def test_a_folder_of_digits(tmp_path):
    for name in ("3/b.png", "3/a.png", "0/x.png", "3/.hidden"):
        write_picture(tmp_path / "mine" / name)
    (plan,) = own([tmp_path / "mine"])
    made = plan.make()
    assert plan.name == "mine"
    assert [path.name for path in made.pictures] == ["x.png", "a.png", "b.png"]
    assert made.labels.tolist() == [0, 3, 3]


@pytest.mark.parametrize(
    ("name", "words"),
    [("10/a.png", "'10'"), ("a.png", "'a.png'"), ("3/deep/a.png", "is no file")],
)
def test_a_folder_with_anything_else_is_refused(name, words, tmp_path):
    write_picture(tmp_path / "mine" / "1" / "a.png")
    write_picture(tmp_path / "mine" / name)
    with pytest.raises(InputError, match=words):
        own([tmp_path / "mine"])


def test_an_empty_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no pictures"):
        own([tmp_path])
    with pytest.raises(InputError, match="no file or folder"):
        own([tmp_path / "none.npz"])


def test_two_sets_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        write_picture(tmp_path / folder / "mine" / "1" / "a.png")
    with pytest.raises(UsageError, match="'mine'"):
        own([tmp_path / "a" / "mine", tmp_path / "b" / "mine"])


# The rival


def test_invert_and_resize_does_no_more():
    picture = np.full((56, 280), 255, np.uint8)
    picture[:, :10] = 0
    found = invert_and_resize(picture)
    assert found.shape == (28, 28)
    assert (found[:, 0] == 255).all()
    assert not found[:, 1:].any()
    image = np.zeros((28, 28), np.uint8)
    image[3, 4] = 9
    np.testing.assert_array_equal(invert_and_resize(image), image)


def test_the_plain_network_reads_images_as_its_run_did(tmp_path, sample):
    from digitnet import recipe
    from digitnet.training import trained as training

    config = recipe("plain").override(data="sample", epochs=1, channels=(4, 6), dense=(8,))
    run = training.train(config, out=tmp_path / "run")
    training.evaluate(run)
    found = PlainReader(run.path).read(list(sample.test_images), "image")
    np.testing.assert_array_equal(found.digit, run.predictions.predicted)
    assert not found.rejected.any()
    np.testing.assert_allclose(found.strangeness, 1 - found.confidence)
    as_pictures = PlainReader(run.path).read(list(sample.test_images), "picture")
    np.testing.assert_array_equal(as_pictures.digit, found.digit)


# From end to end

QUICK = ("white_on_black", "ten_times", "corner", "fog", "scale", "drawn")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    x = np.zeros((2, 8, 8), np.uint8)
    mine = save(folder / "mine[1].npz", x=x, y=np.array([5, 6]))
    told = []
    results = workflow.bench(
        Fives(),
        [mine],
        data="sample",
        limit=40,
        only=[*QUICK, "mine[1]"],
        misses=folder / "misses",
        on_message=told.append,
    )
    return results, folder, told


def test_every_set_has_its_row(finished):
    results, _, told = finished
    places = [(row.group, row.name) for row in results.digits]
    kinds = [name for name in CORRUPTIONS if name in QUICK]
    assert places == [
        ("mnist", "white_on_black"),
        ("mnist", "ten_times"),
        ("photographs", "corner"),
        *((group, name) for group in ("corruptions", "corruptions_found") for name in kinds),
        ("own", "mine[1]"),
    ]
    fives = results.digits[0].right
    assert 0 < fives < 40
    assert {row.right for row in results.digits[:-1]} == {fives}
    assert (results.digits[-1].right, results.digits[-1].pictures) == (1, 2)
    assert results.non_digits[0].part is None
    assert results.spread is None
    assert results.means["corruptions"].accuracy == pytest.approx(fives / 40)
    assert results.reference.pictures == 40
    assert results.reference.expected_calibration_error == pytest.approx(0.9 - fives / 40)
    assert sum(line.startswith("mnist/") for line in told) == 2


def test_results_are_written_whole(finished):
    results, folder, _ = finished
    values, picture = workflow.write(results, folder / "out")
    read = json.loads(values.read_text())
    assert read["schema_version"] == 1
    assert read == json.loads(json.dumps(workflow.as_json(results)))
    assert {"environment", "seconds", "settings", "digits", "non_digits"} <= read.keys()
    assert {"name", "group", "pictures", "right", "accuracy", "interval", "rejected"} <= read[
        "digits"
    ][0].keys()
    assert decode(picture).shape[1] == 960


def test_misses_are_drawn_for_each_set_of_digits(finished):
    _, folder, _ = finished
    names = {path.name for path in (folder / "misses").iterdir()}
    assert {"mnist-ten_times.png", "own-mine[1].png", "corruptions-fog.png"} <= names
    assert not any("drawn" in name for name in names)


def test_the_table_tells_names_as_they_are(finished):
    from rich.console import Console

    console = Console(width=120, file=io.StringIO())
    for each in table.tables(finished[0]):
        console.print(each)
    text = console.file.getvalue()
    assert "mine[1]" in text
    assert "50.00" in text
    assert "plain" not in text
    assert "refused" in " ".join(table.remarks(finished[0]))


def test_the_same_arguments_give_the_same_figures(finished):
    again = workflow.bench(Fives(), data="sample", limit=40, only=QUICK)
    assert again.digits == finished[0].digits[:-1]
    assert again.non_digits == finished[0].non_digits


def test_non_digits_alone_still_have_digits_to_be_told_from():
    results = workflow.bench(Fives(), data="sample", limit=20, only=["non_digits"])
    assert results.digits == ()
    assert results.reference.pictures == 20
    assert 0 <= results.non_digits[0].auroc <= 1


def test_five_sets_make_a_spread():
    results = workflow.bench(Fives(), data="sample", limit=10, only=["mnist"])
    assert results.spread == 0


@pytest.mark.parametrize(
    ("settings", "words"), [({"limit": 0}, "--limit"), ({"seed": -1}, "--seed")]
)
def test_settings_that_are_not_allowed(settings, words):
    with pytest.raises(UsageError, match=words):
        workflow.bench(Fives(), data="sample", **settings)


@pytest.mark.parametrize("plain", [None, 0.0])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_figure_has_room_for_every_share(share, plain):
    row = DigitRow("mnist", "set", None, 9, 9, share, (share, share), 0.0, plain and 0, plain)
    other = NonDigitRow("non_digits", "set", None, 9, share, 0.0, plain)
    results = dataclasses.replace(
        workflow.bench(Fives(), data="sample", limit=1, only=["white_on_black"]),
        digits=(row,),
        non_digits=(other,),
    )
    ax = drawing.robustness_figure(results).axes[0]
    low, high = ax.get_xlim()
    drawn = [
        x for line in ax.lines for x in line.get_xdata() if line.get_transform() == ax.transData
    ]
    assert all(low <= x <= high for x in drawn)


# The command


@pytest.fixture
def command(monkeypatch):
    from typer.testing import CliRunner

    from digitnet.cli.app import app
    from digitnet.reading import recognizer

    class Named(Fives):
        sha256 = "0" * 64

        def __init__(self, model):
            assert model is None

    monkeypatch.setattr(recognizer, "Recognizer", Named)
    start = ["bench", "robustness", "--data", "sample", "--limit", "5"]
    return lambda *args: CliRunner().invoke(app, [*start, *map(str, args)])


def test_the_command_prints_a_table(command):
    done = command("--only", "white_on_black", "--quiet")
    assert done.exit_code == 0, done.output
    assert "white on black" in done.stdout
    assert done.stderr == ""


def test_the_command_prints_json_and_writes_files(command, tmp_path):
    out = tmp_path / "out"
    done = command("--only", "white_on_black", "--json", "--out", out, "--misses")
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert values["schema_version"] == 1
    assert values["settings"]["model_sha256"] == "0" * 64
    assert [row["name"] for row in values["digits"]] == ["white_on_black"]
    assert {path.name for path in out.iterdir()} == {
        "robustness.json",
        "robustness.png",
        "misses",
    }
    assert "white_on_black" in done.stderr


def test_misses_need_a_folder(command):
    done = command("--misses")
    assert isinstance(done.exception, UsageError)
    assert "--out" in str(done.exception)


def test_the_drawn_non_digits_are_none_that_networks_are_trained_on(sample):
    from digitnet.experiments.robustness.built_in import _drawn
    from digitnet.synthesis.nondigits import draw_non_digits

    trained, _ = draw_non_digits(300, 0, sample.train_images)
    known = {drawing.tobytes() for drawing in trained}
    measured = _drawn(sample.test_images[:300], 0).pictures
    # Blocks and bars have few forms, so some meet again by chance.
    assert sum(np.asarray(drawing).tobytes() in known for drawing in measured) < 15
