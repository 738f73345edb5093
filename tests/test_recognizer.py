import copy
import dataclasses
import io
import json
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from digitnet.errors import InputError, IntegrityError, UsageError
from digitnet.reading import pictures, recognizer
from digitnet.reading.inks import MAX_INK_SIDE
from digitnet.reading.prediction import Box, Prediction
from digitnet.reading.recognizer import Recognizer
from digitnet.reading.strokes import from_strokes
from exported import CALIBRATION, model_file
from made_up_signs import find, signs, sure

in_one_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(model_file())
    return path


@pytest.fixture(scope="module")
def reader(file):
    return Recognizer(file, threads=1)


@pytest.fixture(scope="module")
def digits(sample):
    """Inks of several sizes: digits enlarged and cut out of their frames."""
    inks = []
    for number, image in enumerate(sample.test_images[:60]):
        times = 1 + number % 5
        large = np.kron(image, np.ones((times, times), np.uint8))
        inks.append(large[: 22 * times, 3 * times :].astype(np.float32) / 255)
    return inks


def drawing(size=(280, 280), line=((140, 40), (140, 240)), width=18):
    """Return a picture of a 1, black on white, as an array."""
    image = Image.new("L", size, 255)
    ImageDraw.Draw(image).line(line, 0, width)
    return np.asarray(image)


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def same(one, other):
    """Assert that two predictions are the same but for rounding."""
    assert one.digit == other.digit
    assert np.abs(one.probabilities - other.probabilities).max() <= TOLERANCE
    assert abs(one.ood_score - other.ood_score) <= TOLERANCE * max(1, abs(one.ood_score))
    assert (one.is_digit, one.reason, one.box) == (other.is_digit, other.reason, other.box)
    # A grey value may round up here and down there.
    assert np.abs(one.image.astype(int) - other.image).max() <= 1
    return True


# ---- answers


def test_it_reads_digits(reader, sample):
    answers = reader.predict_inks(sample.test_images)
    right = [a.digit == label for a, label in zip(answers, sample.test_labels, strict=True)]
    assert np.mean(right) > 0.8
    assert np.mean([answer.is_digit for answer in answers]) > 0.95


def test_an_answer_is_whole_and_cannot_be_changed(reader, sample):
    answer = reader.predict_ink(sample.test_images[0])
    assert isinstance(answer, Prediction)
    assert answer.probabilities.shape == (10,)
    assert answer.probabilities.dtype == np.float32
    assert answer.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert answer.digit == answer.probabilities.argmax()
    assert type(answer.digit) is int
    assert answer.confidence == answer.probabilities.max()
    assert type(answer.confidence) is type(answer.ood_score) is float
    assert (answer.image.shape, answer.image.dtype) == ((28, 28), np.uint8)
    assert answer.image.max() == 255
    assert answer.box is None
    for array in (answer.probabilities, answer.image):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        answer.digit = 3
    assert answer != reader.predict_ink(sample.test_images[0])


def test_an_answer_is_json(reader):
    picture = drawing()
    values = reader.predict(picture).as_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    fields = "digit label confidence probabilities ood_score is_digit reason box"
    assert list(values) == fields.split()
    assert len(values["probabilities"]) == 10
    assert list(values["box"]) == ["left", "top", "width", "height"]
    assert reader.predict_ink(np.zeros((3, 3))).as_dict()["box"] is None


def test_an_answer_says_itself_in_a_line(reader, sample):
    answer = reader.predict_ink(sample.test_images[0])
    text = repr(answer)
    assert f"Prediction {answer.digit} " in text
    assert "array" not in text
    assert "\n" not in text
    assert "blank" in repr(reader.predict_ink(np.zeros((3, 3))))


@pytest.mark.parametrize("blank", [np.zeros((1, 1)), np.zeros((200, 3), np.uint8)])
def test_no_ink_is_an_answer_without_a_digit(blank, reader):
    answer = reader.predict_ink(blank)
    assert (answer.digit, answer.label) == (None, None)
    assert (answer.as_dict()["digit"], answer.as_dict()["label"]) == (None, None)
    assert (answer.is_digit, answer.reason, answer.box) == (False, "blank", None)
    assert not answer.image.any()
    assert np.isfinite(answer.ood_score)


def test_white_paper_is_blank(reader):
    answer = reader.predict(np.full((80, 90), 255, np.uint8))
    assert (answer.digit, answer.reason, answer.box) == (None, "blank", None)


def test_noise_is_not_a_digit(reader):
    noise = np.random.default_rng(0).random((20, 30, 30), np.float32)
    for answer in reader.predict_inks(noise):
        assert (answer.is_digit, answer.reason) == (False, "not_a_digit")
        assert answer.ood_score > reader.ood_threshold


def test_reasons_follow_the_numbers(reader, digits):
    # Digits laid over each other, from clear to strange.
    mixed = [np.clip(a + s * b, 0, 1) for a, b in zip(digits[::5], digits[5::5], strict=False)
             for s in (0, 0.4, 0.7, 1) if a.shape == b.shape]  # fmt: skip
    found = set()
    for answer in reader.predict_inks([*mixed, *digits]):
        strange = answer.ood_score > reader.ood_threshold
        unsure = answer.confidence < 0.5
        assert answer.reason == ("not_a_digit" if strange else "ambiguous" if unsure else None)
        assert answer.is_digit == (not strange)
        found.add(answer.reason)
    assert {None, "ambiguous"} <= found


# ---- the same answer everywhere


@in_one_folder
@given(st.lists(st.integers(0, 59), min_size=1, max_size=80), st.randoms())
def test_an_ink_is_answered_alike_alone_and_in_any_batch(reader, digits, places, shuffle):
    alone = {place: reader.predict_ink(digits[place]) for place in set(places)}
    together = reader.predict_inks(digits[place] for place in places)
    assert len(together) == len(places)
    assert all(map(same, together, (alone[place] for place in places)))
    other = shuffle.sample(places, len(places))
    assert all(map(same, reader.predict_inks([digits[p] for p in other]), map(alone.get, other)))


@in_one_folder
@given(st.integers(0, 59), st.tuples(*[st.integers(0, 40)] * 4))
def test_zeros_around_ink_change_nothing(reader, digits, place, around):
    top, bottom, left, right = around
    framed = np.pad(digits[place], ((top, bottom), (left, right)))
    same(reader.predict_ink(framed), reader.predict_ink(digits[place]))


def test_large_and_small_inks_in_one_call(reader, digits):
    huge = np.pad(digits[0], ((0, MAX_INK_SIDE - digits[0].shape[0]), (0, 0)))
    inks = [huge, np.ones((1, 1)), digits[1], np.zeros((1, MAX_INK_SIDE)), huge, digits[2]]
    assert all(map(same, reader.predict_inks(inks), map(reader.predict_ink, inks)))


def test_many_more_than_a_window(reader, sample):
    images = np.tile(sample.test_images[:7], (100, 1, 1))
    answers = reader.predict_inks(images)
    assert len(answers) == 700
    assert all(same(answer, answers[place % 7]) for place, answer in enumerate(answers))


def test_number_types_of_an_ink_make_no_difference(reader, sample):
    image = sample.test_images[3]
    grey = image / 255
    for ink_of_type in (image, grey, grey.astype(np.float32), np.asfortranarray(image)):
        same(reader.predict_ink(ink_of_type), reader.predict_ink(image))
    bits = image > 127
    same(reader.predict_ink(bits), reader.predict_ink(bits.astype(float)))
    same(reader.predict_ink(bits), reader.predict_ink(bits.astype(np.float16)))


def test_leading_axes_lists_and_tensors_make_no_difference(reader, sample):
    image = sample.test_images[3] / 255
    expected = reader.predict_ink(image)
    tensor = torch.from_numpy(image).requires_grad_()
    for ink in (image[None], image[None, None], image.tolist(), tensor, tensor[None, None]):
        same(reader.predict_ink(ink), expected)
    same(reader.predict_inks(image[None, None])[0], expected)


def test_it_can_be_pickled(reader, digits, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file())
    original = Recognizer(path, threads=2)
    content = pickle.dumps(original)
    path.unlink()
    for again in (pickle.loads(content), copy.deepcopy(original), copy.copy(original)):
        assert repr(again) == repr(original)
        assert again.metadata == original.metadata
        assert all(map(same, again.predict_inks(digits[:3]), reader.predict_inks(digits[:3])))


def test_threads_may_share_it(reader, digits):
    expected = reader.predict_inks(digits)
    barrier = threading.Barrier(4)

    def read(_):
        barrier.wait()
        return [reader.predict_ink(one) for one in digits]

    with ThreadPoolExecutor(4) as pool:
        for answers in pool.map(read, range(4)):
            assert all(map(same, answers, expected))


def test_threads_of_the_runtime_make_no_difference(file, reader, digits):
    assert all(
        map(same, Recognizer(file, threads=3).predict_inks(digits), reader.predict_inks(digits))
    )


# ---- pictures


def test_every_source_of_a_picture_gives_the_same_answer(reader, tmp_path, monkeypatch):
    picture = drawing()
    content = png(picture)
    path = tmp_path / "one.png"
    path.write_bytes(content)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    sources = [content, path, str(path), io.BytesIO(content), Image.open(path), "-"]
    answers = [reader.predict(source) for source in sources]
    assert all(same(answer, reader.predict(picture)) for answer in answers)


def test_pictures_are_answered_in_their_order(reader, sample):
    lines = [((60, 30), (60, 250)), ((200, 40), (150, 240)), ((90, 90), (92, 190))]
    given = [drawing(line=line) for line in lines] + [np.full((9, 9), 255, np.uint8)]
    given += list(sample.test_images[:5])
    answers = reader.predict_many(iter(given))
    assert all(map(same, answers, map(reader.predict, given)))
    assert reader.predict_many([]) == []


def test_pictures_are_taken_one_by_one(reader, monkeypatch):
    alive, most = 0, 0

    class Tracked:
        def __init__(self):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __del__(self):
            nonlocal alive
            alive -= 1

    blank = reader.predict_ink(np.zeros((4, 4)))
    monkeypatch.setattr(recognizer, "load", lambda picture: picture)
    monkeypatch.setattr(reader, "prediction_of", lambda picture: blank)
    for threads, allowed in ((1, 2), (3, 10)):
        monkeypatch.setattr(reader, "_threads", threads)
        most = 0
        assert len(reader.predict_many(Tracked() for _ in range(300))) == 300
        assert most <= allowed


@pytest.mark.parametrize("method", ["predict_many", "predict_each"])
def test_threads_look_at_several_pictures_at_a_time(file, monkeypatch, method):
    reader, picture = Recognizer(file, threads=2), drawing()
    expected = reader.predict(picture)
    find, both = recognizer.find_signs, threading.Barrier(2)

    def find_together(model, pixels, zoom):
        both.wait(timeout=20)  # raises where the other one is not being read meanwhile
        return find(model, pixels, zoom)

    monkeypatch.setattr(recognizer, "find_signs", find_together)
    answers = list(getattr(reader, method)([picture] * 6))
    assert len(answers) == 6
    assert all(same(answer, expected) for answer in answers)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_keep_the_order_and_name_the_first_bad_picture(file, reader, threads):
    lines = [((60 + 9 * n, 30), (60, 250)) for n in range(12)]
    given = [drawing(line=line) for line in lines]
    several = Recognizer(file, threads=threads)
    assert all(map(same, several.predict_many(given), map(reader.predict, given)))
    with pytest.raises(InputError, match=r"^Picture 3: "):
        several.predict_many([*given[:2], b"no picture", given[3], b"", *given[4:]])
    found = list(several.predict_each([given[0], b"", given[1]]))
    assert isinstance(found[1], InputError)
    assert all(map(same, found[::2], map(reader.predict, given[:2])))


def test_a_box_unpacks_and_crops(reader):
    picture = drawing()
    box = reader.predict(picture).box
    left, top, right, bottom = box
    assert (box.width, box.height) == (right - left, bottom - top)
    cropped = picture[box.slices]
    assert np.array_equal(np.asarray(Image.fromarray(picture).crop(box)), cropped)
    assert cropped.shape == (box.height, box.width)
    outside = picture.copy()
    outside[box.slices] = 255
    # All ink but its softest edge is inside.
    assert outside.min() > 128 > cropped.min()


def test_the_box_is_in_pixels_of_the_original(reader):
    large = drawing((3000, 5000), ((1000, 1200), (1000, 3200)), 200)
    assert pictures.load(large).scale > 1
    box = reader.predict(large).box
    for value, wanted in zip(box, (900, 1200, 1100, 3200), strict=True):
        assert abs(value - wanted) <= 40  # two pixels of the page
    assert all(type(value) is int for value in box)
    small = drawing((140, 140), ((70, 30), (70, 110)), 10)
    for value, wanted in zip(reader.predict(small).box, (65, 30, 75, 110), strict=True):
        assert abs(value - wanted) <= 3


def test_a_bad_picture_is_named(reader, tmp_path):
    good, bad = png(drawing()), tmp_path / "bad.png"
    bad.write_bytes(good[:200])
    with pytest.raises(InputError, match=r"bad\.png"):
        reader.predict_many([good, bad, good])
    with pytest.raises(InputError, match=r"gone\.png"):
        reader.predict(tmp_path / "gone.png")


def test_one_picture_is_refused_where_several_are_expected(reader):
    for one in ("photo.png", png(drawing())):
        with pytest.raises(UsageError, match="predict takes one"):
            reader.predict_many(one)
        with pytest.raises(UsageError, match="predict takes one"):
            next(reader.predict_each(one))


@pytest.mark.parametrize("single", ["io", "bytearray", "image", "array", "nothing", "number"])
def test_what_is_not_several_pictures_is_refused(reader, single):
    one = {
        "io": io.BytesIO(b"P1 1 1 0"),
        "bytearray": bytearray(b"P1 1 1 0"),
        "image": Image.new("L", (28, 28)),
        "array": np.zeros((28, 28)),
        "nothing": None,
        "number": 3,
    }[single]
    with pytest.raises(UsageError, match=r"predict takes one|list or a generator"):
        reader.predict_many(one)


@pytest.mark.parametrize("inks", [None, 3])
def test_what_is_not_several_inks_is_refused(reader, inks):
    with pytest.raises(InputError, match="Expected a list of inks"):
        reader.predict_inks(inks)


def test_an_ink_of_uneven_rows_is_refused(reader):
    with pytest.raises(InputError, match="rows of one length"):
        reader.predict_ink([[1.0], [1.0, 0.0]])


def test_each_picture_has_an_answer_or_why_there_is_none(reader, tmp_path):
    good, gone = png(drawing()), InputError("It could not be fetched.")
    answers = list(reader.predict_each([good, b"no picture", gone, good] * 100))
    assert len(answers) == 400
    alone = reader.predict(good)
    for first, unreadable, passed_on, last in zip(*[iter(answers)] * 4, strict=True):
        assert (first.digit, first.box) == (last.digit, last.box) == (alone.digit, alone.box)
        assert isinstance(unreadable, InputError)
        assert passed_on is gone


def test_strokes_are_read_as_the_ink_that_they_draw(reader):
    strokes = [[(10, 10), (10, 60), (11, 90)]]
    answer = reader.predict_strokes(strokes)
    expected = reader.predict_ink(from_strokes(strokes).pixels)
    same(answer, expected)
    assert reader.predict_strokes([]).reason == "blank"


# ---- what is no ink


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((2, 5, 5)), r"shape \(2, 5, 5\)"),
        (np.zeros((1, 2, 5, 5)), r"shape \(2, 5, 5\)"),
        (np.zeros((0, 5)), r"shape \(0, 5\)"),
        (np.zeros((5, MAX_INK_SIDE + 1)), "each of 1 to 1,024 pixels"),
        (np.full((3, 3), np.nan), "from nan to nan"),
        (np.full((3, 3), np.inf), "from inf to inf"),
        (np.full((3, 3), 1.01), "must be in 0 to 1"),
        (np.full((3, 3), -0.01), "must be in 0 to 1"),
        (np.full((3, 3), 3, np.int64), "of type int64"),
        (np.full((3, 3), "3"), "of type"),
        (np.full((3, 3), 1j), "of type complex"),
        (np.full((3, 3), None), "of type object"),
        ("photo.png", "shape"),
        (3, "shape"),
        (object(), "of type object|shape"),
    ],
)
def test_what_is_not_ink_is_an_input_error(array, says, reader):
    with pytest.raises(InputError, match=says):
        reader.predict_ink(array)
    with pytest.raises(InputError, match=says):
        reader.features([np.ones((3, 3)), array])


def test_features_are_those_of_the_last_hidden_layer(reader, digits):
    found = reader.features(digits)
    assert found.shape == (len(digits), 32)
    assert found.dtype == np.float32
    alone = np.concatenate([reader.features([one]) for one in digits])
    assert np.allclose(found, alone, rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="at least one"):
        reader.features([])


# ---- reading all that is written


@pytest.fixture
def writes(monkeypatch):
    """Make the finder see what the test says."""

    def see(text):
        find(monkeypatch, lambda *_: signs(*sure(text)))

    return see


def test_it_reads_all_that_is_written(reader, writes):
    writes("20?4")
    reading = reader.read(drawing())
    assert reading.text == "20?4"
    assert [one.label for one in reading.lines[0].digits if one.is_digit] == ["2", "0", "4"]
    assert reading.lines[0].digits[0].class_names == reader.class_names
    writes("18")
    assert reader.read(drawing(), digits=2, check="luhn").text == "18"
    assert reader.read(drawing(), digits=2, check=lambda text: text == "81").text == ""
    refused = reader.read(drawing(), min_confidence=0.9999)
    assert (refused.text, refused.accepted, refused.lines[0].text) == ("", False, "18")
    assert refused.confidence > 0.9
    assert reader.read(drawing(), min_confidence=0.9).text == "18"
    writes("")
    assert reader.read(drawing()).reason == "blank"


def test_numbers_of_fewer_digits_are_read_sign_by_sign(reader, monkeypatch):
    found = signs(*sure("204"))
    few = dataclasses.replace(found, probabilities=found.probabilities[:, :5])
    find(monkeypatch, lambda *_: few)
    monkeypatch.setattr(reader, "class_names", tuple("01234"))
    assert reader.read(drawing()).text == "204"


@pytest.mark.parametrize(("text", "read"), [("7", "?"), ("71", "71")])
def test_a_lone_digit_is_refused_as_predict_refuses_it(reader, monkeypatch, text, read):
    strange = np.full(len(text), reader.ood_threshold + 2, np.float32)
    find(monkeypatch, lambda *_: signs(*sure(text), ood_score=strange))
    assert reader.read(drawing()).text == read
    assert reader.predict(drawing()).reason == "not_a_digit"
    # Whoever knows that there are digits gets the likeliest.
    assert reader.read(drawing(), digits=len(text)).text == text


def test_boxes_of_a_reading_are_of_the_original(reader, writes):
    writes("7")
    # It is halved before it is read.
    large = np.full((100, 4000), 255, np.uint8)
    assert reader.read(large).lines[0].digits[0].box == Box(0, 20, 40, 80)


def test_many_are_read_in_their_order_each_with_its_error(file, monkeypatch):
    def one_wide(model, pixels, *_):
        return signs(*sure(str(pixels.shape[1])))

    find(monkeypatch, one_wide)
    given = [np.full((9, width), 255, np.uint8) for width in range(11, 30)]
    for threads in (1, 3):
        several = Recognizer(file, threads=threads)
        assert [one.text for one in several.read_many(iter(given))] == list(map(str, range(11, 30)))
        gone = InputError("gone")
        found = list(several.read_each([given[0], b"no picture", gone, given[1]], digits=2))
        assert isinstance(found[1], InputError)
        assert found[2] is gone
        assert (found[0].text, found[3].text) == ("11", "12")
        with pytest.raises(InputError, match=r"^Picture 2: "):
            several.read_many([given[0], b"no picture"])


def test_what_cannot_be_asked_for_is_a_usage_error(reader):
    with pytest.raises(UsageError, match="luhn, mod97, ean13"):
        reader.read(drawing(), check="isbn")
    with pytest.raises(UsageError, match="1 to 100"):
        reader.read_many([drawing()], digits=0)
    with pytest.raises(UsageError, match="read takes one picture"):
        reader.read_many(drawing())


# ---- the one digit of a picture


def test_several_plain_digits_are_not_one(reader, writes):
    writes("47")
    answer = reader.predict(drawing())
    assert (answer.is_digit, answer.reason) == (False, "several")
    assert answer.digit in (4, 7)
    writes("?4?")
    answer = reader.predict(drawing())
    assert (answer.digit, answer.is_digit, answer.reason) == (4, True, None)
    assert answer.box == Box(30, 10, 50, 40)
    writes("??")
    assert reader.predict(drawing()).reason == "not_a_digit"
    writes("")
    answer = reader.predict(drawing())
    assert (answer.digit, answer.reason, answer.box) == (None, "blank", None)


def test_of_a_picture_from_a_row_the_middle_is_learnt(reader, writes):
    loaded = pictures.Picture(np.full((50, 80), 255, np.uint8), 1.0)
    writes("47?")
    seen = reader.seen_in(loaded, crops=True, signs=True)
    assert (seen.shape, seen.dtype) == ((28, 28), np.uint8)
    writes("")
    assert reader.seen_in(loaded, crops=True, signs=True) is None
    assert reader.seen_in(loaded, crops=False, signs=True) is None
    assert reader.seen_in(loaded, crops=False, signs=False) is None


def test_a_network_for_things_reads_all_that_is_in_the_picture(reader, monkeypatch):
    monkeypatch.setattr(reader, "_reads_signs", False)
    monkeypatch.setattr(recognizer, "find_signs", None)  # it would fail
    thing = np.zeros((100, 120), np.uint8)
    thing[20:70, 30:60] = 200
    answer = reader.predict(thing)
    assert answer.box == Box(30, 20, 60, 70)
    same(answer, reader.predict(255 - thing))
    assert answer.image.any()
    large = np.kron(thing, np.ones((32, 32), np.uint8))
    assert pictures.load(large).scale > 1
    assert reader.predict(large).box == Box(960, 640, 1920, 2240)
    assert reader.predict(np.full((9, 9), 40, np.uint8)).reason == "blank"


def test_the_finders_ink_is_where_the_strokes_are(reader):
    strokes = reader.strokes_of(pictures.load(drawing()))
    assert strokes.dtype == np.float32
    written = np.asarray(Image.fromarray(drawing()).resize(strokes.shape[:0:-1])) < 100
    assert strokes.shape == (2, *written.shape)
    assert strokes.max(0)[written].mean() > 0.5 > strokes.max(0)[~written].mean()


# ---- the model


def test_it_says_what_it_is(reader, file):
    assert reader.class_names == tuple("0123456789")
    assert reader.ood_threshold == CALIBRATION.ood_threshold
    assert len(reader.sha256) == 64
    assert reader.metadata["recipe"] == "mine"
    reader.metadata["recipe"] = "changed"
    assert reader.metadata["recipe"] == "mine"
    assert reader.sha256[:12] in repr(reader)
    assert Recognizer(file.parent, threads=1).sha256 == reader.sha256


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True, 257])
def test_a_wrong_number_of_threads_is_a_usage_error(threads, file):
    with pytest.raises(UsageError, match="1 to 256"):
        Recognizer(file, threads=threads)


def test_numpys_numbers_of_threads_are_numbers(file):
    Recognizer(file, threads=np.int64(2))


@pytest.mark.parametrize("path", [b"model.onnx", 4])
def test_a_model_that_is_not_a_path_is_refused(path):
    with pytest.raises(InputError, match=type(path).__name__):
        Recognizer(path)


def test_it_uses_the_cores_that_it_may(file, digits, monkeypatch):
    seen = []
    pool = recognizer.ThreadPoolExecutor
    monkeypatch.setattr(recognizer, "ThreadPoolExecutor", lambda n: seen.append(n) or pool(n))
    monkeypatch.setattr(recognizer, "usable_cores", lambda: 3)
    for threads, used in ((None, 3), (2, 2)):
        Recognizer(file, threads=threads).predict_inks(digits)
        assert set(seen) == {used}
        seen.clear()


@in_one_folder
@given(st.data())
def test_a_damaged_model_is_refused_or_answers(tmp_path, digits, data):
    content = bytearray(model_file())
    place = data.draw(st.integers(0, 2000) | st.integers(len(content) - 12_000, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "flipped.onnx"
    path.write_bytes(content)
    try:
        damaged = Recognizer(path, threads=1)
    except IntegrityError:
        return
    answer = damaged.predict_ink(digits[0])
    assert answer.probabilities.sum() == pytest.approx(1, abs=1e-3)


def test_a_model_whose_answers_make_no_sense_is_refused(tmp_path):
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(model_file())
    for tensor in model.graph.initializer:
        large = np.full(tuple(tensor.dims), 3e38, np.float32)
        tensor.CopyFrom(numpy_helper.from_array(large, tensor.name))
    path = tmp_path / "huge.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(IntegrityError, match="NaN or infinity as probabilities"):
        Recognizer(path)


def run_python(script, *args):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_recognising_needs_neither_torch_nor_figures_nor_a_parser():
    done = run_python("""if True:
        import sys
        import digitnet.reading.recognizer
        heavy = {"torch", "onnx", "cv2", "matplotlib", "scipy", "skimage", "sklearn", "pandas"}
        print(heavy & sys.modules.keys() or "none")
    """)
    assert done.stdout == "none\n"


def test_it_is_quiet_and_small(file):
    """Report what a process takes that reads many pictures of many sizes."""
    done = run_python(
        """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from digitnet.reading.recognizer import Recognizer
        reader = Recognizer(sys.argv[1], threads=2)
        random = np.random.default_rng(0)
        for side in (28, 160, 40, 159, 90, 28):
            reader.predict_inks(random.random((side, side + 1), np.float32) for _ in range(300))
        page = np.full((2000, 2000), 255, np.uint8)
        page[500:1500, 900:1000] = 0
        reader.predict(page)
        assert not {"onnx", "google.protobuf"} & sys.modules.keys()
        lines = Path("/proc/self/status").read_text().splitlines()
        print(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1000)
        """,
        file,
    )
    assert done.stderr == ""
    # 256 inks of 160 × 160 pixels, which it reads ahead, are 26 MB of it.
    assert float(done.stdout) < 200, done.stdout


def test_an_error_says_which_picture_it_is_about(reader):
    good = np.zeros((20, 20), np.uint8)
    with pytest.raises(InputError, match=r"^Picture 3: "):
        reader.predict_many([good, good, b"no picture", good])
