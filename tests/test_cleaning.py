"""Small pictures are cleaned of specks, clouds and outlines, and keep their strokes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from digitnet.reading.cleaning import cleaned

Picture = NDArray[np.uint8]


@pytest.fixture
def bar() -> Picture:
    """A light bar, seven pixels broad, on black."""
    picture = np.zeros((28, 28), np.uint8)
    picture[4:24, 11:18] = 220
    return picture


def test_specks_are_painted_over(bar: Picture) -> None:
    rng = np.random.default_rng(0)
    speckled = bar.copy()
    at = rng.permutation(28 * 28)[:60]
    speckled.flat[at[:30]], speckled.flat[at[30:]] = 0, 255
    before, after = (
        np.abs(each.astype(int) - cleaned(bar)) for each in (speckled, cleaned(speckled))
    )
    assert before.max() > 200
    assert (after > 60).mean() < 0.02
    assert after.mean() < before.mean() / 4


@pytest.mark.parametrize("light", [True, False])
def test_an_outline_is_filled_and_light_on_black(light: bool) -> None:
    outline = np.zeros((28, 28), np.uint8)
    outline[4:24, [11, 15]] = outline[[4, 23], 11:16] = 255
    filled = cleaned(outline if light else 255 - outline)
    assert (filled[6:22, 12:15] == 255).all()
    assert not filled[:, :8].any()
    assert not filled[:, 20:].any()


def test_what_is_broadly_enclosed_stays_open() -> None:
    ring = np.zeros((40, 40), np.uint8)
    ring[5:35, [5, 34]] = ring[[5, 34], 5:35] = 255
    assert not cleaned(ring)[12:28, 12:28].any()


def test_clouds_are_taken_away() -> None:
    rows, columns = np.mgrid[:28, :28]
    clouds = (70 + 3 * rows + 2 * columns).astype(np.uint8)
    written = clouds.copy()
    written[6:22, 13:16] += 50
    clean = cleaned(written)
    assert clean[8:20, 14].min() > 25
    assert clean[:, :10].max() < 12
    assert clean[:, 20:].max() < 12


def test_paper_is_no_cloud() -> None:
    paper = np.random.default_rng(0).normal(200, 6, (30, 36)).astype(np.uint8)
    paper[6:24, 16:20] -= 120
    assert cleaned(paper) is None


def test_few_specks_are_left_alone(bar: Picture) -> None:
    soft = bar.copy()
    soft[4:24, [10, 18]] = 110
    assert cleaned(soft) is None
    soft[:, ::6] = np.where(soft[:, ::6] == 0, 255, soft[:, ::6])
    assert cleaned(soft) is not None


@pytest.mark.parametrize("shape", [(1, 9), (2, 3), (40, 17)])
@pytest.mark.parametrize("seed", range(3))
def test_any_picture_has_its_shape_afterwards(shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.choice(np.array([[0, 255], [3, 4], [0, 200]][seed], np.uint8), shape)
    clean = cleaned(picture)
    assert clean.shape == shape
    assert clean.dtype == np.uint8


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (40, 17)])
def test_one_grey_is_clean(shape: tuple[int, int]) -> None:
    assert cleaned(np.zeros(shape, np.uint8)) is None
