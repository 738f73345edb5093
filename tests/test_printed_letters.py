"""Printed letters: what is shipped, and how a letter is drawn."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import ImageFont

import make_letters_asset
from digitnet.data import printed_letters
from digitnet.data.printed_letters import SIDE, load_printed_letters
from digitnet.errors import IntegrityError

LIKE_DIGITS = set("OSZbgloqsz")


def font(face, size=make_letters_asset.SIZE):
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf", size)


def test_the_shipped_letters_are_many_and_none_is_printed_like_a_digit():
    letters = load_printed_letters()
    assert letters.images.shape == (len(letters.letter), SIDE, SIDE)
    assert letters.images.dtype == np.uint8
    assert set(np.unique(letters.images)) == {0, 255}
    assert len(letters.face) == len(letters.letter)
    assert len(set(letters.face.tolist())) > 80
    assert set(letters.letter.tolist()) == set(make_letters_asset.LETTERS)
    assert not LIKE_DIGITS & set(letters.letter.tolist())


def test_the_longer_side_of_each_letter_is_that_of_the_image():
    images = load_printed_letters().images > 0
    extents = [
        SIDE - ink.argmax(1) - ink[:, ::-1].argmax(1) for ink in (images.any(1), images.any(2))
    ]
    assert np.maximum(*extents).min() >= SIDE - 4


def test_nobody_can_write_to_the_letters():
    letters = load_printed_letters()
    assert letters is load_printed_letters()
    assert not any(array.flags.writeable for array in letters)


def test_a_damaged_file_of_letters_is_refused(monkeypatch):
    monkeypatch.setattr(printed_letters, "LETTERS_SHA256", "0" * 64)
    with pytest.raises(IntegrityError, match=r"printed_letters\.npz is damaged"):
        load_printed_letters.__wrapped__()


def test_an_i_is_drawn_only_with_serifs():
    assert make_letters_asset.drawn(font("DejaVuSerif"), "I") is not None
    assert make_letters_asset.drawn(font("DejaVuSans"), "I") is None


def test_what_a_typeface_lacks_is_not_drawn():
    assert make_letters_asset.drawn(font("DejaVuSans"), "€") is not None
    assert make_letters_asset.drawn(font("cmr10"), "€") is None


def test_cuts_are_taken_from_the_lightest_to_the_heaviest():
    names = [f"{weight}00" for weight in range(1, 10)]
    spread = make_letters_asset._spread(names)
    assert (spread[0], spread[-1], len(spread)) == ("100", "900", make_letters_asset.CUTS)
    assert make_letters_asset._spread(names[:2]) == names[:2]
