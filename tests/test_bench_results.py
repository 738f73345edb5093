"""Results of the training bench: they hold every prediction, and are compared in pairs."""

import json

import numpy as np
import pytest

from digitnet.errors import InputError, UsageError
from digitnet.experiments.bench_results import (
    compare,
    misread,
    read_result,
    right,
    spread,
    target_reached,
)
from digitnet.training.evaluation import predictions


def made_up(recipe="plain", images=100, **misread_by_seed):
    """As much of a result as is read: ``seed0="3:1"`` and so on."""
    runs = [{"seed": int(n[4:]), "misread": text} for n, text in misread_by_seed.items()]
    return {
        "schema_version": 1,
        "kind": "train",
        "recipe": recipe,
        "settings": {"data": "mnist"},
        "data_sha256": {"test": "abc"},
        "test_images": images,
        "runs": runs,
    }


def test_what_was_misread_can_be_read_again():
    logits = np.eye(10, dtype=np.float32)[[0, 1, 2, 3, 4]]
    labels = np.array([0, 7, 2, 3, 5])
    text = misread(predictions(logits, labels))
    assert text == "1:1 4:4"
    rows = right(made_up(images=5, seed3=text, seed4=""))
    assert rows[3].tolist() == [True, False, True, True, False]
    assert rows[4].all()


def test_a_spread_has_an_interval_from_two_values_on():
    assert spread([0.5])["interval"] is None
    both = spread([0.98, 1.0])
    assert both["mean"] == pytest.approx(0.99)
    assert both["interval"][0] < 0.99 < both["interval"][1]


def test_a_target_is_tested_only_where_there_is_one():
    assert target_reached([0.99], None) is None
    assert target_reached([0.995], 0.99) == {"accuracy": 0.99, "reached": True, "p": None}
    sure, unsure = (
        target_reached([0.995, 0.9951, 0.9949], 0.99),
        target_reached([0.98, 1.0, 0.991], 0.99),
    )
    assert sure["reached"]
    assert sure["p"] < 0.001 < unsure["p"] < 0.5
    assert not target_reached([0.98, 0.981], 0.99)["reached"]


def test_two_results_are_compared_image_by_image():
    first = made_up(seed0="1:1 2:2 3:3 4:4 5:5 6:6", seed1="9:1", seed5="8:1")
    second = made_up("other", seed0="6:0", seed1="9:2", seed7="1:1")
    result = compare(first, second)
    assert result["pairs"] == [
        {"seed": 0, "only_first": 0, "only_second": 5, "p": 2 / 2**5},
        {"seed": 1, "only_first": 0, "only_second": 0, "p": 1.0},
    ]
    assert result["difference"]["mean"] == pytest.approx(5 / 200)
    one = compare(made_up(seed0="1:1"), made_up(seed0=""))
    assert one["difference"] is None


def test_what_cannot_be_compared_is_refused():
    other = made_up(seed0="") | {"data_sha256": {"test": "xyz"}, "settings": {"data": "usps"}}
    with pytest.raises(UsageError, match="different data, mnist and usps"):
        compare(made_up(seed0=""), other)
    with pytest.raises(UsageError, match="no seed in common"):
        compare(made_up(seed0=""), made_up(seed1=""))


@pytest.mark.parametrize(
    "change",
    [
        *({"kind": "infer"}, {"schema_version": 2}, {"runs": [{}]}, {"settings": {}}),
        *({"runs": [{"seed": 0, "misread": []}]}, {"test_images": 1e999}, {"test_images": 10**14}),
    ],
)
def test_a_file_that_is_no_result_is_refused(tmp_path, change):
    file = tmp_path / "bench.json"
    with pytest.raises(InputError, match="There is no result"):
        read_result(tmp_path)
    file.write_text(json.dumps(made_up(seed0="1:1")))
    assert read_result(tmp_path) == read_result(file) == made_up(seed0="1:1")
    file.write_text(json.dumps(made_up(seed0="1:1") | change))
    with pytest.raises(InputError, match="is not a result"):
        read_result(file)
    file.write_text("{")
    with pytest.raises(InputError, match="is not a result"):
        read_result(file)
    file.write_text(json.dumps(made_up(images=10, seed0="10:1")))
    with pytest.raises(InputError, match="is not a result"):
        read_result(file)
