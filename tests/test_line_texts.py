"""Texts of a line: by columns as every way to write them counts, and by the signs found."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from numpy.typing import NDArray

from digitnet.reading.line_texts import (
    BLANK,
    SIGNS,
    FoundLine,
    SignChances,
    likeliest_texts,
    of_columns,
    places_of,
)

Floats = NDArray[np.float64]


def columns(count: int, seed: int, sharpness: float = 3.0) -> Floats:
    logits = np.random.default_rng(seed).normal(0, sharpness, (count, 12))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def spelling(path: tuple[int, ...]) -> str:
    return "".join(SIGNS[key] for key, _ in itertools.groupby(path) if key != BLANK)


def every_text(rows: Floats, signs: tuple[int, ...]) -> dict[str, float]:
    """Return the logarithm of each text's probability, by trying all ways to write any."""
    found: dict[str, float] = {}
    for path in itertools.product(signs, repeat=len(rows)):
        text, score = spelling(path), float(sum(rows[i, k] for i, k in enumerate(path)))
        found[text] = float(np.logaddexp(found.get(text, -math.inf), score))
    return found


def test_a_text_is_as_likely_as_all_ways_to_write_it_together() -> None:
    rows = columns(5, 0)
    for text, expected in every_text(rows, (1, 4, BLANK)).items():
        if set(text) <= {"1", "4"}:
            assert of_columns(rows, text) == pytest.approx(expected)


def test_it_is_what_torch_trains_for() -> None:
    for seed, text in enumerate(("7", "77", "0?0", "123456", "")):
        rows = columns(14, seed)
        signs = torch.tensor([[SIGNS.index(sign) for sign in text]], dtype=torch.long)
        lengths = torch.tensor([14]), torch.tensor([len(text)])
        loss = F.ctc_loss(torch.from_numpy(rows)[:, None], signs, *lengths, BLANK, "sum")
        assert of_columns(rows, text) == pytest.approx(-loss.item())


def test_what_has_no_room_is_impossible() -> None:
    assert of_columns(columns(3, 0), "1234") == -math.inf
    # The same sign twice needs a column between.
    assert of_columns(columns(3, 0), "111") == -math.inf
    assert of_columns(columns(3, 0), "123") > -math.inf


def test_the_search_finds_the_likeliest_texts() -> None:
    for seed in range(6):
        rows = columns(6, seed, 1.5)
        rows[:, 3:BLANK] = -30.0
        expected = every_text(rows, (0, 1, 2, BLANK))
        found = likeliest_texts(rows, beams=60)
        assert next(iter(found)) == max(expected, key=lambda text: expected[text])
        assert list(found.values()) == sorted(found.values(), reverse=True)
        for text, score in itertools.islice(found.items(), 3):
            assert score == pytest.approx(expected[text], abs=0.1)


def test_empty_columns_change_nothing() -> None:
    rows, empty = columns(4, 1), np.full((3, 12), -40.0)
    empty[:, BLANK] = 0.0
    apart = np.concatenate([empty, rows, empty])
    assert likeliest_texts(apart) == pytest.approx(likeliest_texts(rows))


def test_signs_stand_where_their_columns_are() -> None:
    rows = np.full((12, 12), -9.0)
    rows[:, BLANK] = -0.01
    for column, sign in ((1, 4), (5, 4), (6, 4), (10, 7)):
        rows[column, sign], rows[column, BLANK] = -0.01, -9.0
    assert places_of(rows, "447") == [1.0, 5.5, 10.0]
    assert places_of(rows, "") == []


def line(text: str, presence: tuple[float, ...], sure: float = 0.9) -> FoundLine:
    classes = np.full((len(text), 10), (1 - sure) / 9)
    for row, sign in zip(classes, text, strict=True):
        row[int(sign) if sign != "?" else 5] = sure
    likeness = np.array([0.1 if sign == "?" else 0.9 for sign in text])
    boxes = np.zeros((len(text), 4), np.float32)
    return FoundLine(np.arange(len(text)), boxes, np.array(presence), likeness, classes)


def test_signs_say_their_own_text_best() -> None:
    found = line("4?7", (0.9, 0.9, 0.2))
    assert found.text == "4?"
    chances = SignChances(found, -5.0)
    own = math.log(0.9 * 0.9 * 0.9 * 0.9 * 0.9 * 0.8)
    assert chances.of("4?") == pytest.approx(own)
    assert chances.of("4?7") == pytest.approx(own + math.log(0.2 * 0.9 * 0.9 / 0.8))
    assert all(chances.of(other) < own for other in ("4", "47", "44?", "5?", ""))


def test_a_digit_that_was_missed_costs_what_it_is_said_to() -> None:
    chances = SignChances(line("12", (0.9, 0.9)), -5.0)
    assert chances.of("132") == pytest.approx(chances.of("12") - 5)
    assert chances.aligned("132") == [0, None, 1]
    assert chances.aligned("12") == [0, 1]
    assert chances.aligned("0123") == [None, 0, 1, None]


def test_a_faint_sign_is_left_out_or_taken() -> None:
    chances = SignChances(line("183", (0.9, 0.3, 0.9)), -5.0)
    assert chances.aligned("13") == [0, 2]
    assert chances.aligned("183") == [0, 1, 2]


def test_how_closely_signs_stand() -> None:
    found = line("123", (0.9, 0.9, 0.1))
    found.boxes[:] = [[0, 0, 10, 20], [30, 0, 40, 20], [38, 0, 50, 20]]
    assert found.closeness == 0
    found.boxes[1] = [9, 0, 20, 20]
    assert found.closeness == 1
    assert line("1", (0.9,)).closeness == 0
