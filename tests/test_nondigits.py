import numpy as np
import pytest

from digitnet.errors import UsageError
from digitnet.synthesis.nondigits import KINDS, SIZE, draw_non_digits


@pytest.fixture(scope="module")
def drawn(sample):
    return draw_non_digits(len(KINDS) * 6, 0, sample.train_images[:200])


def test_every_kind_is_drawn_and_has_ink(drawn):
    inks, kinds = drawn
    assert inks.shape == (len(KINDS) * 6, SIZE, SIZE)
    assert inks.dtype == np.uint8
    assert set(kinds) == set(KINDS)
    assert (inks.max((1, 2)) >= 64).all()


@pytest.mark.parametrize("kind", KINDS)
def test_no_drawing_is_blank(sample, kind):
    inks, _ = draw_non_digits(60, 1, sample.train_images[:200], [kind])
    assert (inks.max((1, 2)) >= 64).all()


def test_drawings_of_a_kind_differ(drawn):
    inks, kinds = drawn
    for kind in KINDS:
        those = inks[[k == kind for k in kinds]]
        assert len({ink.tobytes() for ink in those}) > len(those) // 2


def test_a_seed_gives_the_same_drawings(sample, drawn):
    again, _ = draw_non_digits(len(KINDS) * 6, 0, sample.train_images[:200])
    other, _ = draw_non_digits(len(KINDS) * 6, 1, sample.train_images[:200])
    assert (again == drawn[0]).all()
    assert (other != drawn[0]).any()


def test_kinds_can_be_chosen(sample):
    inks, kinds = draw_non_digits(4, 0, sample.train_images[:50], ["scribble", "face"])
    assert kinds == ["scribble", "face", "scribble", "face"]
    assert len(inks) == 4


def test_an_unknown_kind_names_the_nearest(sample):
    with pytest.raises(UsageError, match="Did you mean 'scribble'"):
        draw_non_digits(1, 0, sample.train_images, ["scrible"])
