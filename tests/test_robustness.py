"""The bench: every set has its rows, and the same arguments give the same figures."""

import json

import numpy as np
import pytest
import torch

from digitnet.errors import InputError, UsageError
from digitnet.experiments.picture_sets import built_in_sets
from digitnet.experiments.robustness import choose, run_bench
from digitnet.network.cnn import CNN
from digitnet.network.config import ModelConfig, TrainConfig
from digitnet.synthesis.corruptions import CORRUPTIONS
from digitnet.training.checkpoint import save_model
from made_up_bench import Fives

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


# From end to end

QUICK = ("white_on_black", "ten_times", "corner", "fog", "scale", "touching", "drawn")


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
    assert [(row["name"], row["part"]) for row in results["numbers"]] == [("touching", None)]
    assert len(seen) == len(places) + 2
    assert all(len(each.ours.digit) == each.made.count for each in seen)


def test_the_same_arguments_give_the_same_figures(finished):
    again = run_bench(Fives(), data="sample", limit=30, only=QUICK)
    assert again["digits"] == finished[0]["digits"][:-1]
    assert again["numbers"] == finished[0]["numbers"]
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
    # One of them is called as a group is.
    for name in ("mine", "hands"):
        np.savez(tmp_path / f"{name}.npz", x=np.zeros((1, 8, 8), np.uint8), y=np.array([5]))
    own = [tmp_path / "mine.npz", tmp_path / "hands.npz"]
    results = run_bench(Fives(), own, data="sample", limit=1)
    assert [row["name"] for row in results["digits"]] == ["mine", "hands"]
    assert results["settings"]["only"] == ["mine", "hands"]


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
