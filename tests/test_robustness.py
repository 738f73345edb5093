"""The bench: its counting is right, and the same arguments give the same figures."""

import json

import numpy as np
import pytest
import torch

from digitnet.errors import InputError, UsageError
from digitnet.experiments.picture_sets import NamedSet, PictureSet, built_in_sets, parts_by
from digitnet.experiments.robustness import (
    MeasuredSet,
    Readings,
    auroc,
    choose,
    invert_and_resize,
    read,
    read_plainly,
    rows_of,
    run_bench,
)
from digitnet.network.cnn import CNN
from digitnet.network.config import ModelConfig, TrainConfig
from digitnet.synthesis.corruptions import CORRUPTIONS
from digitnet.training.checkpoint import save_model
from made_up_bench import Blank, Fives


def readings(digits, strangeness=None, rejected=None):
    count = len(digits)
    return Readings(
        digit=np.array(digits),
        confidence=np.full(count, 0.9),
        strangeness=np.zeros(count) if strangeness is None else np.array(strangeness, float),
        rejected=np.zeros(count, bool) if rejected is None else np.array(rejected),
        image=np.zeros((count, 28, 28), np.uint8),
    )


def measured(labels, ours, plain=None, parts=()):
    truth = labels and np.array(labels)
    made = PictureSet(len(ours.digit), lambda _: b"", truth, parts)
    return MeasuredSet(NamedSet("own", "set", lambda: made), made, ours, plain, 1.0)


# Choosing


@pytest.fixture(scope="module")
def sets(sample):
    return built_in_sets(sample.test_images[:2], sample.test_labels[:2], seed=3)


def test_only_takes_names_and_groups(sets):
    chosen = choose(sets, ["mnist", "fog"])
    assert {each.group for each in chosen} == {"mnist", "corruptions", "corruptions_found"}
    assert len(chosen) == 6 + 2
    assert choose(sets, []) == sets


def test_an_unknown_set_names_the_nearest(sets):
    with pytest.raises(UsageError, match="'shot_noise'"):
        choose(sets, ["shot_nois"])


# Counting


def test_counts_of_a_set_and_its_parts():
    parts = parts_by(np.array(["a", "a", "b", "b"]))
    ours = readings([1, 2, -1, 4], rejected=[False, False, True, False])
    rows = rows_of(measured([1, 2, 3, 0], ours, readings([1, 0, 0, 0]), parts))
    assert [(row["part"], row["pictures"], row["right"], row["plain_right"]) for row in rows] == [
        (None, 4, 2, 2),
        ("a", 2, 2, 1),
        ("b", 2, 0, 1),
    ]
    assert [row["rejected"] for row in rows] == [0.25, 0.0, 0.5]
    low, high = rows[0]["interval"]
    assert low < rows[0]["accuracy"] == 0.5 < high


def test_without_a_plain_network_there_are_no_figures_of_it():
    (row,) = rows_of(measured([1], readings([1])))
    assert row["plain_right"] is row["plain_accuracy"] is None


def test_auroc_is_the_fraction_of_pairs_in_order():
    strange, usual = np.array([3.0, np.inf, 1.0]), np.array([0.0, 1.0])
    pairs = [(s > u) + 0.5 * (s == u) for s in strange for u in usual]
    assert auroc(strange, usual) == pytest.approx(np.mean(pairs))


def test_non_digits_are_told_from_the_digits_given():
    digits = measured([1, 2], readings([1, 2], [0.1, 0.2]), readings([1, 2], [0.5, 0.5]))
    kinds = parts_by(np.array(["far", "near"]))
    others = measured(
        None, readings([0, 0], [0.9, 0.15], [True, False]), readings([0, 0], [0.5, 0.5]), kinds
    )
    whole, far, near = rows_of(others, digits)
    assert (whole["auroc"], far["auroc"], near["auroc"]) == (0.75, 1.0, 0.5)
    assert (whole["rejected"], far["rejected"], near["rejected"]) == (0.5, 1.0, 0.0)
    assert whole["plain_auroc"] == 0.5


def test_a_line_sums_a_set_up():
    ours, plain = readings([1, 2, 5], rejected=[True, False, False]), readings([1, 0, 0])
    assert measured([1, 2, 3], ours, plain).summary() == (
        "own/set: 66.67 % (plain CNN 33.33 %) of 3, 1.0 s"
    )
    assert measured(None, ours).summary() == "own/set: 33.33 % refused of 3, 1.0 s"


# From end to end

QUICK = ("white_on_black", "ten_times", "corner", "fog", "scale", "drawn")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Results of a short bench with a set of the user's, and what was measured."""
    mine = tmp_path_factory.mktemp("bench") / "mine[1].npz"
    np.savez(mine, x=np.zeros((2, 8, 8), np.uint8), y=np.array([5, 6]))
    seen = []
    results = run_bench(
        Fives(),
        [mine],
        data="sample",
        limit=30,
        only=[*QUICK, "mine[1]"],
        on_measured=seen.append,
    )
    return results, seen


def test_every_set_has_its_row(finished):
    results, seen = finished
    places = [(row["group"], row["name"]) for row in results["digits"]]
    kinds = [name for name in CORRUPTIONS if name in QUICK]
    assert places == [
        ("mnist", "white_on_black"),
        ("mnist", "ten_times"),
        ("photographs", "corner"),
        *((group, name) for group in ("corruptions", "corruptions_found") for name in kinds),
        ("own", "mine[1]"),
    ]
    fives = results["digits"][0]["right"]
    assert 0 < fives < 30
    assert {row["right"] for row in results["digits"][:-1]} == {fives}
    assert (results["digits"][-1]["right"], results["digits"][-1]["pictures"]) == (1, 2)
    assert results["non_digits"][0]["part"] is None
    assert results["spread"] is None
    assert results["means"]["corruptions"]["accuracy"] == pytest.approx(fives / 30)
    assert results["reference"]["pictures"] == 30
    assert results["reference"]["expected_calibration_error"] == pytest.approx(0.9 - fives / 30)
    assert len(seen) == len(places) + 1
    assert all(len(each.ours.digit) == each.made.count for each in seen)


def test_the_same_arguments_give_the_same_figures(finished):
    again = run_bench(Fives(), data="sample", limit=30, only=QUICK)
    assert again["digits"] == finished[0]["digits"][:-1]
    assert again["non_digits"] == finished[0]["non_digits"]


def test_results_are_json(finished):
    values = finished[0]
    assert values["schema_version"] == 1
    assert json.loads(json.dumps(values)).keys() == values.keys()
    assert {"environment", "seconds", "settings", "digits", "non_digits"} <= values.keys()
    columns = {"name", "group", "pictures", "right", "accuracy", "interval", "rejected"}
    assert columns <= values["digits"][0].keys()


def test_non_digits_alone_still_have_digits_to_be_told_from():
    results = run_bench(Fives(), data="sample", limit=15, only=["non_digits"])
    assert results["digits"] == []
    assert results["reference"]["pictures"] == 15
    assert 0 <= results["non_digits"][0]["auroc"] <= 1


def test_five_sets_make_a_spread_and_with_own_sets_only_those_are_measured(tmp_path):
    assert run_bench(Fives(), data="sample", limit=10, only=["mnist"])["spread"] == 0
    np.savez(tmp_path / "mine.npz", x=np.zeros((1, 8, 8), np.uint8), y=np.array([5]))
    results = run_bench(Fives(), [tmp_path / "mine.npz"], data="sample", limit=1)
    assert [row["name"] for row in results["digits"]] == ["mine"]


@pytest.mark.parametrize(
    ("settings", "words"), [({"limit": 0}, "--limit"), ({"seed": -1}, "--seed")]
)
def test_settings_that_are_not_allowed(settings, words):
    with pytest.raises(UsageError, match=words):
        run_bench(Fives(), data="sample", **settings)


def test_wrong_names_are_refused_before_data_is_loaded(monkeypatch, tmp_path):
    monkeypatch.setattr("digitnet.experiments.robustness.load_dataset", None)
    with pytest.raises(UsageError, match="Did you mean 'non_digits'"):
        run_bench(Fives(), only=["non_digit"])
    with pytest.raises(InputError, match="There is no file"):
        run_bench(Fives(), [tmp_path / "gone"])


def test_a_plain_run_is_read_beside(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    torch.manual_seed(0)
    config = TrainConfig(model=ModelConfig(channels=(4, 6), dense=(8,)))
    save_model(tmp_path / "model.safetensors", CNN(config.model), config, {})
    results = run_bench(
        Fives(), plain=tmp_path, data="sample", limit=20, only=["white_on_black", "drawn"]
    )
    assert results["digits"][0]["plain_accuracy"] == results["digits"][0]["plain_right"] / 20
    assert 0 <= results["non_digits"][0]["plain_auroc"] <= 1
    assert results["settings"]["plain"] == str(tmp_path)


# Reading


def test_a_picture_and_an_image_are_read_by_their_own_way():
    pictures = [np.full((9, 9), grey, np.uint8) for grey in (0, 100, 255)]
    for straight in (False, True):
        found = read(Fives(), pictures, straight)
        assert found.digit.tolist() == [5, 5, 5]
        assert found.rejected.tolist() == [True, False, False]


def test_a_blank_picture_is_read_as_nothing():
    found = read(Blank(), [np.zeros((9, 9), np.uint8)], False)
    assert found.digit.tolist() == [-1]
    assert found.rejected.tolist() == [True]


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


def test_the_plain_network_reads_images_as_they_are(sample):
    torch.manual_seed(0)
    model = CNN(ModelConfig(channels=(4, 6), dense=(8,))).eval()
    images = sample.test_images[:50]
    with torch.inference_mode():
        logits = model(torch.from_numpy(images[:, None]).float() / 255)
    found = read_plainly(model, list(images), True)
    np.testing.assert_array_equal(found.digit, logits.argmax(1).numpy())
    assert not found.rejected.any()
    np.testing.assert_allclose(found.strangeness, 1 - found.confidence)
    # MNIST's own images, taken for pictures, are neither inverted nor resized.
    np.testing.assert_array_equal(read_plainly(model, list(images), False).digit, found.digit)
