"""The figures of the bench: its counting is right, in whole and part by part."""

import numpy as np
import pytest

from digitnet.experiments.picture_sets import NamedSet, PictureSet, parts_by
from digitnet.experiments.robustness_readers import Readings, TextReadings
from digitnet.experiments.robustness_scores import MeasuredSet, auroc, rows_of


def readings(digits, strangeness=None, rejected=None):
    count = len(digits)
    return Readings(
        digit=np.array(digits),
        confidence=np.full(count, 0.9),
        strangeness=np.zeros(count) if strangeness is None else np.array(strangeness, float),
        rejected=np.zeros(count, bool) if rejected is None else np.array(rejected),
        several=np.zeros(count, bool),
        silent=np.ones(count, bool),
        image=np.zeros((count, 28, 28), np.uint8),
    )


def measured(labels, ours, plain=None, parts=(), texts=None):
    truth = labels and np.array(labels)
    made = PictureSet(len(ours.digit), lambda _: b"", truth, parts)
    return MeasuredSet(NamedSet("own", "set", lambda: made), made, ours, plain, 1.0, texts)


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


def test_every_digit_is_counted_and_the_worst_is_named():
    ours = readings([1, 1, 2, 0], rejected=[False, True, False, False])
    (row,) = rows_of(measured([1, 1, 2, 2], ours))
    assert row["accepted_right"] == 0.5
    assert [(each["digit"], each["pictures"]) for each in row["by_digit"]] == [(1, 2), (2, 2)]
    assert row["by_digit"][0]["rejected"] == 0.5
    assert row["worst"]["digit"] == 1
    assert row["read_exact"] is None


def numbers(truth, texts, confidence, accepted, silent=None, parts=()):
    count = len(truth)
    ours = readings([0] * count)
    ours.several[:] = False if silent is None else ~np.array(silent)
    ours.silent[:] = True if silent is None else np.array(silent)
    made = PictureSet(count, lambda _: b"", None, parts, texts=tuple(truth))
    found = TextReadings(tuple(texts), np.array(confidence), np.array(accepted))
    return MeasuredSet(NamedSet("numbers", "set", lambda: made), made, ours, None, 1.0, found)


def test_numbers_are_exactly_right_or_not():
    found = numbers(
        ["12", "34", "5", "7\n8"],
        ["12", "35", "5", "7\n8"],
        [0.9, 0.4, 0.9, 0.45],
        [True, False, True, False],
        silent=[True, False, True, False],
        parts=parts_by(np.array(["a", "a", "b", "b"])),
    )
    whole, first, second = rows_of(found)
    assert (whole["exact"], whole["accuracy"], whole["accepted_right"]) == (3, 0.75, 0.5)
    assert whole["rejected"] == 0.5
    assert (first["exact"], second["exact"]) == (1, 2)
    # One picture holds a single digit.
    assert whole["one_digit"] == pytest.approx(1 / 3)
    assert whole["said_several"] == pytest.approx(2 / 3)
    assert found.summary() == "numbers/set: 75.00 % exactly right of 4, 1.0 s"


def test_the_surest_nine_tenths_and_calibration():
    confidence = np.linspace(0.99, 0.90, 10)
    texts = ["11"] * 9 + ["12"]
    (row,) = rows_of(numbers(["11"] * 10, texts, confidence, [True] * 10))
    assert row["surest_accuracy"] == 1.0
    assert 0 < row["expected_calibration_error"] < 0.1


def test_single_digits_only_say_nothing_about_several():
    (row,) = rows_of(numbers(["1"], ["1"], [0.9], [True]))
    assert row["one_digit"] is row["said_several"] is None


def test_single_digits_and_non_digits_that_were_read():
    found = TextReadings(("1", "22"), np.array([0.9, 0.9]), np.array([True, False]))
    digits = measured([1, 2], readings([1, 2]), texts=found)
    assert rows_of(digits)[0]["read_exact"] == 0.5
    (row,) = rows_of(measured(None, readings([0, 0]), texts=found), digits)
    assert row["read_accepted"] == 0.5
