"""Pens of real hands: what signs there are, writers apart, and drawn as large as asked."""

import numpy as np
import pytest

from digitnet.data import pen_signs
from digitnet.data.pen_signs import DIGIT_LIKE, load_hands, split_writers
from digitnet.errors import IntegrityError
from digitnet.synthesis.hands import draw

HANDS = load_hands()


def first(label: str) -> int:
    return int(np.flatnonzero(HANDS.label == label)[0])


def test_the_package_has_signs_of_212_writers_of_which_177_wrote_digits() -> None:
    assert len(HANDS) == len(HANDS.label) == len(HANDS.country) == 24_252
    assert HANDS.is_digit.sum() == 12_297
    assert len(set(HANDS.writer)) == 212
    assert len(set(HANDS.writer[HANDS.is_digit])) == 177
    assert set(HANDS.label) > DIGIT_LIKE
    assert not DIGIT_LIKE & set("0123456789")


def test_a_sign_begins_at_0_and_its_longer_side_is_1() -> None:
    for index in (*range(0, len(HANDS), 997), first("A"), first("%")):
        if HANDS.label[index] in ".,-_'`\"^~:;=*+<>":
            continue
        points = np.concatenate(HANDS.strokes(index))
        assert points.min(axis=0) == pytest.approx((0, 0), abs=1e-6)
        assert points.max() == pytest.approx(1)


def test_a_full_stop_is_as_small_as_its_writer_makes_it() -> None:
    sides = [
        np.concatenate(HANDS.strokes(index)).max() for index in np.flatnonzero(HANDS.label == ".")
    ]
    assert np.median(sides) < 0.2


def test_signs_cannot_be_written_to_but_their_strokes_can() -> None:
    assert load_hands() is HANDS
    with pytest.raises(ValueError, match="read-only"):
        HANDS.points[0] = 0
    strokes = HANDS.strokes(0)
    strokes[0] += 1
    assert np.concatenate(HANDS.strokes(0)).max() == pytest.approx(1)


def test_a_damaged_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pen_signs, "STROKES_SHA256", "0" * 64)
    with pytest.raises(IntegrityError, match="Install digitnet again"):
        load_hands.__wrapped__()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_whole_writers_of_every_site_are_set_aside(seed: int) -> None:
    train, val = split_writers(HANDS, seed)
    assert np.array_equal(np.sort(np.r_[train, val]), np.arange(len(HANDS)))
    assert not set(HANDS.writer[train]) & set(HANDS.writer[val])
    digits = HANDS.writer[val][HANDS.is_digit[val]]
    assert len(set(digits)) >= 35
    sites = {writer.partition("-")[0] for writer in HANDS.writer[HANDS.is_digit].tolist()}
    assert {writer.partition("-")[0] for writer in digits.tolist()} == sites
    assert 0.1 < HANDS.is_digit[val].sum() / HANDS.is_digit.sum() < 0.35


def test_a_split_follows_its_seed() -> None:
    assert np.array_equal(split_writers(HANDS)[1], split_writers(HANDS, 0)[1])
    assert not np.array_equal(split_writers(HANDS, 0)[1], split_writers(HANDS, 1)[1])


def test_a_line_is_as_long_and_as_broad_as_asked() -> None:
    line = [np.array([[0.0, 0.0], [1.0, 0.0]])]
    for side, pen in ((40.0, 1.5), (40.0, 6.0), (200.0, 11.3)):
        ink = draw(line, side, pen)
        assert ink.shape == (np.ceil(pen + 2), np.ceil(side + pen + 2))
        middle = ink[:, ink.shape[1] // 2]
        assert middle.sum() == pytest.approx(pen, abs=0.26)
        assert ink.max(axis=0).sum() == pytest.approx(side + pen, abs=0.7)


@pytest.mark.parametrize("slant", [-0.3, 0.0, 0.5])
@pytest.mark.parametrize("stretch", [0.7, 1.0, 1.4])
def test_slant_and_stretch_keep_the_longer_side(slant: float, stretch: float) -> None:
    ink = draw(HANDS.strokes(first("8")), 60, 4, slant, stretch)
    assert ink.dtype == np.float32
    assert 0 == ink.min() < ink.max() == 1
    assert max(ink.shape) == 66
    assert max(ink[[0, -1]].max(), ink[:, [0, -1]].max()) <= 0.26


def test_a_positive_slant_leans_the_top_to_the_right() -> None:
    ink = draw([np.array([[0.0, 0.0], [0.0, 1.0]])], 50, 3, slant=0.4)
    assert ink[3].argmax() > ink[-4].argmax() + 15


def test_a_point_is_a_dot_of_the_pen() -> None:
    ink = draw([np.zeros((1, 2))], 60, 8)
    assert ink.shape == (10, 10)
    assert ink.sum() == pytest.approx(np.pi * 16, rel=0.08)


def test_a_small_sign_is_drawn_small() -> None:
    strokes = HANDS.strokes(first(","))
    share = np.concatenate(strokes).max()
    assert max(draw(strokes, 100, 5).shape) == np.ceil(100 * share + 7)
