"""Which parts of a picture the network sees, at which size, and where in the picture signs are."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from digitnet.data.dataset import Dataset
from digitnet.reading.finding import (
    ENLARGED,
    MOST_AREA,
    PAGE_AREA,
    Signs,
    find_signs,
    ink_map,
    page_of,
    page_scale,
    whole_ink,
)
from digitnet.reading.model_file import LEAST_PAGE, load_model_file
from digitnet.reading.prediction import INK_SIDE, Box
from digitnet.synthesis.corruptions import corrupt
from made_up_signs import signs, sure

SIDES = st.integers(1, 6000)


class SeesBlots:
    """Stands in for a model file: every dark blot on a page is a sign."""

    ood_threshold = 0.0

    def __init__(self, presence: float = 0.9) -> None:
        self.presence, self.pages = presence, list[tuple[int, int]]()

    def of_page(self, outputs: tuple[str, ...], page: NDArray[np.float32]) -> list[Any]:
        assert page.dtype == np.float32
        height, width = page.shape[2:]
        self.pages.append((height, width))
        dark = (page[0, 0] < 128).astype(np.uint8)
        count, _, found, _ = cv2.connectedComponentsWithStats(dark)
        boxes = np.asarray(found[1:, :4], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        answers = {
            "box": boxes,
            "presence": np.full(count - 1, self.presence, np.float32),
            "digit_share": np.ones(count - 1, np.float32),
            "probabilities": np.full((count - 1, 10), 0.1, np.float32),
            "ood_score": np.zeros(count - 1, np.float32),
            "image": np.zeros((count - 1, 1, 28, 28), np.float32),
            "strokes": np.stack([dark, 1 - dark]).astype(np.float32),
        }
        return [answers[name] for name in outputs]


def seen(model: SeesBlots, picture: NDArray[np.uint8]) -> Signs:
    return find_signs(model, picture)  # type: ignore[arg-type]


class Trembles(SeesBlots):
    """Sees each blot half a pixel of the page elsewhere in each look."""

    def of_page(self, outputs: tuple[str, ...], page: NDArray[np.float32]) -> list[Any]:
        answers = super().of_page(outputs, page)
        answers[outputs.index("box")] += np.float32(0.5 if len(self.pages) % 2 else -0.5)
        return answers


def with_blots(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Return a white picture with black boxes: left, top, right, bottom."""
    picture = np.full(shape, 255, np.uint8)
    for left, top, right, bottom in boxes:
        picture[top:bottom, left:right] = 0
    return picture


# ---- the size of a page


@given(SIDES, SIDES)
def test_a_page_is_neither_large_nor_tiny(height: int, width: int) -> None:
    scale = page_scale(height, width)
    assert 0 < scale <= ENLARGED
    page = [max(LEAST_PAGE, round(side * scale)) for side in (height, width)]
    assert page[0] * page[1] <= 4.1 * PAGE_AREA
    if height * width >= PAGE_AREA:
        assert scale <= 1
    if max(height, width) <= 2 * min(height, width) and height * width >= PAGE_AREA:
        assert page[0] * page[1] >= 0.9 * PAGE_AREA


@given(SIDES, SIDES)
def test_of_a_larger_picture_the_page_is_no_finer(height: int, width: int) -> None:
    scale = page_scale(height, width)
    assert page_scale(width, height) == scale
    assert page_scale(2 * height, 2 * width) <= scale
    assert page_scale(height, 2 * width) <= scale


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (28, 28), (10, 300), (1, 1_000_000)])
def test_a_page_has_at_least_32_pixels_a_side(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    whole = (0.0, 0.0, float(shape[1]), float(shape[0]))
    page = page_of(picture, whole, page_scale(*shape))
    assert page.shape[:2] == (1, 1)
    assert min(page.shape[2:]) >= LEAST_PAGE
    assert (page.dtype, page.min() >= 0, page.max() <= 255) == (np.float32, True, True)


def test_what_a_page_lacks_is_like_its_edge() -> None:
    picture = np.arange(20 * 40, dtype=np.uint8).reshape(20, 40)
    page = page_of(picture, (0.0, 0.0, 40.0, 20.0), 1.0)[0, 0]
    assert page.shape == (LEAST_PAGE, 40)
    np.testing.assert_array_equal(page[:20], picture)
    np.testing.assert_array_equal(page[20:], np.repeat(picture[-1:], 12, axis=0))


def test_a_part_of_a_picture_is_that_part() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (100, 90), np.uint8)
    page = page_of(picture, (10.0, 20.0, 60.0, 80.0), 1.0)[0, 0]
    np.testing.assert_array_equal(page, picture[20:80, 10:60])


def test_a_smaller_page_has_the_mean_of_what_each_pixel_covers() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (400, 400), np.uint8)
    page = page_of(picture, (0.0, 0.0, 400.0, 400.0), 0.25)[0, 0]
    means = picture.reshape(100, 4, 100, 4).mean((1, 3))
    assert np.abs(page - means).max() <= 1


def test_a_page_of_a_large_picture_looks_like_the_means_of_its_pixels() -> None:
    """It is made smaller in two steps, which nobody sees."""
    rows, columns = np.mgrid[:1512, :2016]
    picture = (128 + 60 * np.sin(rows / 40) * np.cos(columns / 50)).astype(np.uint8)
    page = page_of(picture, (0.0, 0.0, 2016.0, 1512.0), page_scale(1512, 2016))[0, 0]
    size = page.shape[1], page.shape[0]
    means = cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    assert np.abs(page - means).mean() < 1
    assert np.abs(page - means).max() < 3


# ---- boxes


@pytest.mark.parametrize(
    "shape", [(28, 28), (40, 900), (97, 131), (280, 280), (480, 640), (1200, 900), (3000, 2000)]
)
def test_boxes_are_in_pixels_of_the_picture(shape: tuple[int, int]) -> None:
    height, width = shape
    box = (width // 4, height // 5, width // 2, height - height // 4)
    found = seen(SeesBlots(), with_blots(shape, box))
    assert len(found) == 1
    assert found.boxes.dtype == np.float32
    pixel = 1 / min(1.0, page_scale(height, width))
    assert np.abs(found.boxes[0] - box).max() <= pixel + 1


def test_what_is_large_is_looked_at_once() -> None:
    model = SeesBlots()
    seen(model, with_blots((480, 640), (100, 100, 200, 300)))
    assert len(model.pages) == 1


def grid(side: int, step: int, count: int) -> list[tuple[int, int, int, int]]:
    starts = [200 + step * place for place in range(count)]
    return [(x, y, x + side, y + side) for y in starts for x in starts]


@pytest.mark.parametrize(("side", "step", "count"), [(10, 60, 8), (12, 31, 20), (9, 200, 3)])
def test_tiny_signs_are_looked_at_again_and_each_is_found_once(
    side: int, step: int, count: int
) -> None:
    boxes = grid(side, step, count)
    model = SeesBlots()
    found = seen(model, with_blots((1000, 1000), *boxes))
    assert len(model.pages) > 1
    assert sorted(map(tuple, found.boxes.round().astype(int).tolist())) == sorted(boxes)
    assert all(height * width <= 4 * PAGE_AREA for height, width in model.pages)


def test_a_sign_on_the_seam_between_two_parts_is_found_once() -> None:
    # A row of blots with another one on every pixel, so that some lie on each seam.
    boxes = [(200 + 33 * k, 100 + 31 * row + k, 210 + 33 * k, 112 + 31 * row + k)
             for k in range(18) for row in range(20)]  # fmt: skip
    model = Trembles()
    found = seen(model, with_blots((1000, 1000), *boxes))
    assert len(model.pages) > 4
    assert len(found) == len(boxes)


def test_a_crowded_page_is_looked_at_again_in_parts() -> None:
    boxes = [(x, y, x + 100, y + 105) for x in range(20, 950, 120) for y in range(20, 950, 120)]
    model = SeesBlots()
    found = seen(model, with_blots((1000, 1000), *boxes))
    assert len(model.pages) > 3
    assert len(found) == len(boxes)
    ordered = np.array(sorted(found.boxes.round().tolist()))
    assert np.abs(ordered - np.array(sorted(boxes))).max() <= 3


@pytest.mark.parametrize("side", [20, 28, 33])
def test_boxes_lie_in_the_picture(side: int) -> None:
    for seed in range(6):
        left, top = np.random.default_rng(seed).integers(0, side // 2, 2).tolist()
        picture = with_blots((side, side), (left, top, left + side // 2, side))
        (box,) = seen(SeesBlots(), picture).boxes
        assert (box >= 0).all()
        assert (box <= side).all()
        assert (box[2:] > box[:2]).all()


def test_one_tiny_sign_is_enlarged_to_be_clear() -> None:
    model = SeesBlots()
    found = seen(model, with_blots((1000, 1000), (500, 700, 506, 720)))
    assert found.boxes.round().astype(int).tolist() == [[500, 700, 506, 720]]
    assert len(model.pages) == 2


# ---- doubt, and nothing at all


def test_where_nothing_is_sure_the_picture_is_looked_at_twice_as_large() -> None:
    model = SeesBlots(presence=0.1)
    seen(model, with_blots((1000, 1000), (400, 200, 500, 700)))
    first, second = model.pages
    assert [round(b / a) for a, b in zip(first, second, strict=True)] == [2, 2]


@pytest.mark.parametrize("shape", [(1, 2048), (2048, 1), (8, 2048), (2048, 30), (2000, 100)])
def test_of_a_very_long_picture_no_page_is_large(shape: tuple[int, int]) -> None:
    model = SeesBlots(presence=0.1)
    seen(model, with_blots(shape))
    assert all(height * width <= MOST_AREA * 1.01 for height, width in model.pages)


class SeesMoreFromNear(SeesBlots):
    """Surer of what it sees enlarged, as the finder is of pieces of a table's lines."""

    def of_page(self, outputs: tuple[str, ...], page: NDArray[np.float32]) -> list[Any]:
        self.presence = 0.9 if self.pages else 0.1
        return super().of_page(outputs, page)


@pytest.mark.parametrize(("side", "counts"), [(80, True), (500, False)])
def test_only_what_was_tiny_counts_when_it_is_looked_at_again(side: int, counts: bool) -> None:
    found = seen(SeesMoreFromNear(), with_blots((1000, 1000), (400, 200, 440, 200 + side)))
    assert (found.presence.max() == np.float32(0.9)) == counts
    assert np.abs(found.boxes[0] - (400, 200, 440, 200 + side)).max() <= 4


def test_a_picture_that_is_enlarged_already_is_not_looked_at_again() -> None:
    model = SeesBlots(presence=0.1)
    seen(model, with_blots((20, 20), (5, 5, 10, 15)))
    # As it is, and cleaned.
    assert len(model.pages) == 2
    assert len(set(model.pages)) == 1


class SeesClearly(SeesBlots):
    ood_threshold = 20.0


@pytest.mark.parametrize(("side", "model", "looks"), [
    (40, SeesBlots(), 2), (41, SeesBlots(), 1), (40, SeesClearly(), 1)
])  # fmt: skip
def test_a_small_picture_in_doubt_is_looked_at_cleaned(
    side: int, model: SeesBlots, looks: int
) -> None:
    seen(model, with_blots((side, side), (10, 5, 18, 30)))
    assert len(model.pages) == looks


@pytest.mark.parametrize("fault", ["impulse_noise", "canny_edges", "zigzag"])
def test_the_clearer_look_counts(sample: Dataset, fault: str) -> None:
    digits, labels = sample.test_images[:40], sample.test_labels[:40]

    def read(pictures: NDArray[np.uint8]) -> float:
        found = [find_signs(load_model_file(), each) for each in pictures]
        best = [
            each.probabilities[(each.presence - each.ood_score / 99).argmax()] for each in found
        ]
        return float((np.argmax(best, axis=1) == labels).mean())

    assert read(corrupt(digits, fault, 0)) >= 0.7
    assert read(digits) >= 0.95


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (600, 800)])
@pytest.mark.parametrize("grey", [0, 127, 255])
def test_a_blank_picture_has_no_signs(shape: tuple[int, int], grey: int) -> None:
    found = find_signs(load_model_file(), np.full(shape, grey, np.uint8))
    assert not (found.presence >= 0.3).any()
    assert found.boxes.shape == (len(found), 4)
    assert found.probabilities.shape == (len(found), 10)
    assert found.images.shape == (len(found), 28, 28)


@pytest.mark.parametrize("inverted", [False, True])
def test_the_shipped_model_finds_a_digit_where_it_is(sample: Dataset, inverted: bool) -> None:
    digit = np.kron(sample.test_images[0], np.ones((4, 4), np.uint8))
    picture = np.zeros((280, 320), np.uint8)
    picture[60 : 60 + 112, 150 : 150 + 112] = digit
    rows, columns = (np.flatnonzero(picture.max(axis) > 127) for axis in (1, 0))
    found = find_signs(load_model_file(), picture if inverted else 255 - picture)
    best = found.boxes[found.presence.argmax()]
    wanted = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert np.abs(best - wanted).max() <= 6


# ---- arrays of signs


def test_some_of_the_signs_are_chosen_in_all_arrays() -> None:
    three = signs(*sure("123"))
    assert len(three) == 3
    assert three.sides.tolist() == [30, 30, 30]
    chosen = three.chosen(np.array([True, False, True]))
    assert chosen.probabilities.argmax(1).tolist() == [1, 3]
    assert chosen.boxes[:, 0].tolist() == [0, 60]
    assert len(three.chosen(np.array([], int))) == 0
    assert three.chosen(np.array([], int)).sides.shape == (0,)


# ---- maps of ink, and pictures of things


@pytest.mark.parametrize("shape", [(20, 30), (300, 400), (10, 900)])
def test_the_map_of_the_ink_is_the_page_without_what_was_added(shape: tuple[int, int]) -> None:
    height, width = shape
    picture = with_blots(shape, (width // 4, height // 4, width // 2, height // 2))
    strokes = ink_map(SeesBlots(), picture)  # type: ignore[arg-type]
    scale = page_scale(height, width)
    assert strokes.shape == (2, round(height * scale), round(width * scale))
    share = strokes[0].mean() / (picture == 0).mean()
    assert share == pytest.approx(1, abs=0.3)


def test_the_shipped_models_map_shows_the_digits_ink(sample: Dataset) -> None:
    digit = np.kron(sample.test_images[0], np.ones((8, 8), np.uint8))
    strokes = ink_map(load_model_file(), 255 - digit)
    assert (strokes.dtype, strokes.shape) == (np.float32, (2, 192, 192))
    assert strokes.min() >= 0
    assert strokes.max() <= 1
    inside = cv2.resize(digit, (192, 192)) > 127
    assert strokes[0][inside].mean() > 0.5 > strokes[0][~inside].mean()


@pytest.mark.parametrize("inverted", [False, True])
def test_of_a_picture_of_a_thing_all_that_is_no_ground_is_ink(inverted: bool) -> None:
    picture = np.full((50, 60), 230, np.uint8)
    picture[10:30, 20:35], picture[20, 25] = 30, 200
    ink = whole_ink(255 - picture if inverted else picture)
    assert ink.box == Box(20, 10, 35, 30)
    assert ink.pixels.shape == (20, 15)
    assert ink.pixels[0, 0] == pytest.approx(200 / 230)
    assert ink.pixels[10, 5] == pytest.approx(30 / 230)


@pytest.mark.parametrize("grey", [0, 100, 255])
def test_an_even_picture_shows_no_thing(grey: int) -> None:
    ink = whole_ink(np.full((30, 20), grey, np.uint8))
    assert ink.box is None
    assert not ink.pixels.any()


def test_the_ink_of_a_large_thing_is_made_smaller() -> None:
    picture = with_blots((900, 1000), (100, 50, 900, 850))
    ink = whole_ink(picture)
    assert ink.box == Box(100, 50, 900, 850)
    assert max(ink.pixels.shape) <= INK_SIDE
    assert ink.pixels.min() == pytest.approx(1)
