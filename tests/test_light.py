"""Shadows and stripes are taken away, and nothing else."""

import numpy as np
import pytest
from numpy.typing import NDArray

from digitnet.reading.light import in_even_light, on_one_ground

Floats = NDArray[np.float32]


def written(height: int = 150, width: int = 200, *, pen: int = 8) -> Floats:
    """Return light paper with a dark ring and a dark bar."""
    page = np.full((height, width), 200, np.float32)
    rows, columns = np.mgrid[:height, :width]
    away = np.hypot(rows - height / 2, columns - width / 3)
    page[np.abs(away - 30) < pen / 2] = 50
    page[30:120, 150 : 150 + pen] = 50
    return page


def shadow(page: Floats, through: float = 0.5, light: float = 0.45) -> Floats:
    """Return a page whose lower left is in a shadow with a slanting edge."""
    rows, columns = np.mgrid[: page.shape[0], : page.shape[1]]
    dark = columns < through * page.shape[1] + 0.3 * (rows - page.shape[0] / 2)
    return (page * np.where(dark, light, 1)).astype(np.float32)


@pytest.mark.parametrize("pen", [2, 8, 20])
@pytest.mark.parametrize("turned", [False, True])
def test_even_light_is_left_alone(pen: int, turned: bool) -> None:
    page = written(pen=pen)
    noise = np.random.default_rng(0).normal(0, 4, page.shape)
    page = (page + noise).clip(0, 255).astype(np.float32)
    assert in_even_light(255 - page if turned else page) is None


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (192, 192), (32, 448)])
@pytest.mark.parametrize("grey", [0, 3, 128, 255])
def test_nothing_is_made_of_nothing(shape: tuple[int, int], grey: int) -> None:
    assert in_even_light(np.full(shape, grey, np.float32)) is None


@pytest.mark.parametrize("shape", [(150, 200), (151, 203)])
@pytest.mark.parametrize("through", [0.3, 0.5, 0.8])
def test_of_a_shadow_only_its_edge_is_left(shape: tuple[int, int], through: float) -> None:
    page = written(*shape)
    evened = in_even_light(shadow(page, through))
    assert evened is not None
    assert evened.dtype == np.float32
    assert evened.shape == page.shape
    # Everywhere but within a few pixels of its edge, paper is paper and ink is ink.
    as_it_was = np.abs(evened / np.median(evened) - page / 200) < 0.05
    assert as_it_was.mean() > 0.96
    assert (evened[page == 50] < 0.5 * np.median(evened)).mean() > 0.94


def test_how_bright_the_light_is_changes_nothing() -> None:
    page = shadow(written())
    evened, dimmed = in_even_light(page), in_even_light(page / 2)
    assert evened is not None
    np.testing.assert_allclose(evened, dimmed, rtol=1e-6)


def striped(picture: NDArray[np.uint8], *bands: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture with some of its columns, from the first to the second, inverted."""
    changed = picture.copy()
    for first, last in bands:
        changed[:, first:last] = 255 - changed[:, first:last]
    return changed


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("bands", [((0, 40),), ((0, 50), (150, 200)), ((70, 120),)])
def test_a_striped_ground_becomes_one(bands: tuple[tuple[int, int], ...], turned: bool) -> None:
    page = 255 - np.where(written() == 50, 255, 0).astype(np.uint8)
    page = page.T if turned else page
    found = on_one_ground(striped(page.T, *bands).T if turned else striped(page, *bands))
    assert found is not None
    np.testing.assert_array_equal(found, 255 - page)


def test_a_ground_that_is_one_already_has_no_stripes() -> None:
    page = written().astype(np.uint8)
    boxed = page.copy()
    boxed[:, [0, 1, 2, -1, -2, -3]] = 0
    noise = np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8)
    for each in (page, 255 - page, boxed, noise, shadow(written()).astype(np.uint8), page[:1, :1]):
        assert on_one_ground(each) is None
