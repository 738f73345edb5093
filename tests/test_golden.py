"""Golden vectors: the same answers by Python, the command line, the service and the browser."""

import importlib.util
from functools import partial

import pytest

import golden_ways as ways
from browser_site import browser, built, need, opened

# Runtimes and processors round differently; no logit and no score may differ by more than this.
MOST = 1e-4
# Ways that call Python's recogniser read one input in so many; `make_golden.py` measures all.
SOME = 3


@pytest.fixture(scope="module")
def golden():
    return ways.stored()


@pytest.fixture
def check(golden, record_property):
    """Checks that texts, digits and reasons are the expected ones, and numbers nearly so."""
    return partial(_check, golden, record_property)


def _check(golden, record_property, answers: ways.Answers, least: int) -> None:
    inputs, expected = golden
    found = ways.compared(inputs, expected, answers)
    record_property("golden inputs compared", len(found))
    record_property("largest difference of a logit", max(one.logits for one in found))
    assert len(found) >= least
    assert {one.name: one.words for one in found if one.words} == {}
    worst = max(found, key=lambda one: one.logits)
    assert worst.logits <= MOST, worst
    assert max(one.ood_score for one in found) <= MOST
    # A half may be rounded up or down.
    assert max(one.image or 0 for one in found) <= 1
    assert max(one.box for one in found) <= 1


def test_the_file_holds_inputs_of_every_kind(golden) -> None:
    inputs, expected = golden
    assert ways.FILE.stat().st_size <= 1_500_000
    assert len({one.name for one in inputs}) == len(inputs) >= 300
    kinds = [one.kind for one in inputs]
    assert min(map(kinds.count, ("file", "ink", "strokes"))) >= 50
    reasons = {answer["prediction"]["reason"] for answer in expected.values()}
    assert reasons >= {None, "blank", "not_a_digit", "several"}
    readings = [answer["reading"] for answer in expected.values() if "reading" in answer]
    assert {reading["turned"] for reading in readings} >= {0, 90, 180, 270}
    assert any("\n" in reading["text"] for reading in readings)
    endings = {one.name.rpartition(".")[2] for one in inputs if one.kind == "file"}
    assert endings == {"png", "jpg", "gif", "webp"}


def test_an_answer_that_is_missing_is_a_difference(golden) -> None:
    inputs, expected = golden
    one = next(each for each in inputs if each.kind == "file")
    whole = expected[one.name]
    found = {one.name: {"prediction": whole["prediction"]}}
    assert ways.compared([one], expected, {one.name: whole})[0].words == ()
    assert ways.compared([one], expected, found)[0].words == ("no reading",)
    nothing = ways.compared([one], expected, {one.name: {}})
    assert set(nothing[0].words) == {"no reading", "no prediction"}


def test_python_answers_as_expected(golden, check) -> None:
    check(ways.by_python(golden[0]), 300)


def test_the_command_line_answers_as_expected(golden, check, tmp_path) -> None:
    check(ways.by_command(golden[0][::SOME], tmp_path), 60)


def test_the_service_answers_as_expected(golden, check) -> None:
    if importlib.util.find_spec("digitnet.serving") is None:
        pytest.skip("this digitnet has no service")
    need(importlib.util.find_spec("fastapi") is not None, "fastapi is not installed")
    check(ways.by_service(golden[0][::SOME]), 100)


@pytest.mark.slow
def test_the_browser_answers_as_expected(golden, check, tmp_path) -> None:
    folder = built(tmp_path)
    with ways.served(folder) as site, browser() as started:
        check(ways.by_browser(golden[0], opened(started, site.url)), 300)
