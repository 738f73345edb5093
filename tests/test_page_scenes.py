"""Pages to learn from: what a finder and its training may rely on."""

from itertools import pairwise

import numpy as np
import pytest

from digitnet.data.pen_signs import DIGIT_LIKE, load_hands
from digitnet.errors import UsageError
from digitnet.synthesis.page_clutter import LETTERS
from digitnet.synthesis.page_desk import MOST_SIGNS, Desk, Spacing, fit, spell
from digitnet.synthesis.page_scenes import LAYOUTS, SHAPES, Page, PageMaker
from digitnet.synthesis.page_sheet import Sheet
from digitnet.synthesis.page_signs import Collection, Glyph, Penman
from digitnet.synthesis.page_strokes import Pen, line, render


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return images of bars and rings under all ten labels."""
    images = np.zeros((40, 28, 28), np.uint8)
    images[:, 4:24, 12:16] = 255
    images[::2, 4:8, 6:22] = 200
    images[::2, 20:24, 6:22] = 200
    return images, np.arange(40) // 2 % 10


@pytest.fixture(scope="module")
def maker(digits: tuple[np.ndarray, np.ndarray]) -> PageMaker:
    hands = load_hands()
    return PageMaker(*digits, hands, np.arange(len(hands)))


@pytest.fixture(scope="module")
def pages(maker: PageMaker) -> list[Page]:
    return [maker.page(seed) for seed in range(120)]


def test_a_page_follows_from_its_seed_alone(
    digits: tuple[np.ndarray, np.ndarray], pages: list[Page]
) -> None:
    hands = load_hands()
    other = PageMaker(*digits, hands, np.arange(len(hands)))
    for seed in (17, 3, 64):
        again, page = other.page(seed), pages[seed]
        assert (again.grey == page.grey).all()
        assert (again.ink == page.ink).all()
        assert (again.owner == page.owner).all()
        assert again.labels.tolist() == page.labels.tolist()
        assert again.lines == page.lines
    assert len({page.grey.tobytes() for page in pages}) == len(pages)


def test_shapes_types_and_ranges(pages: list[Page]) -> None:
    for page in pages:
        shape = page.grey.shape
        assert shape in SHAPES
        assert page.grey.dtype == np.uint8
        assert page.ink.shape == (2, *shape)
        assert page.ink.dtype == page.boxes.dtype == np.float32
        assert page.ink.min() >= 0
        assert page.ink.max() <= 1
        assert page.owner.shape == shape
        assert page.owner.dtype == np.int16
        assert page.labels.dtype == np.int64
        assert page.boxes.shape == (len(page.labels), 4)
        assert -1 <= page.owner.min() <= page.owner.max() < len(page.labels) or not len(page.labels)
        assert set(page.labels.tolist()) <= set(range(11))


def test_the_ink_of_a_sign_lies_in_its_box_and_is_ink_of_signs(pages: list[Page]) -> None:
    for page in pages:
        assert (page.ink[0][page.owner >= 0] > 0).all()
        for sign, (left, top, right, bottom) in enumerate(page.boxes):
            ys, xs = np.nonzero(page.owner == sign)
            if len(ys):
                assert left - 1 <= xs.min()
                assert top - 1 <= ys.min()
                assert right >= xs.max()
                assert bottom >= ys.max()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_makes_pages_of_any_shape(maker: PageMaker, layout: str) -> None:
    shapes = ((192, 192), (96, 384), (64, 40))
    made = [maker.page(seed, shape, layout) for seed in range(4) for shape in shapes]
    assert [page.grey.shape for page in made] == list(shapes) * 4
    counts = [len(page.labels) for page in made]
    assert max(counts) > 0 or layout == "clutter"


def test_there_are_all_digits_letters_clutter_and_pages_without_signs(pages: list[Page]) -> None:
    labels = np.concatenate([page.labels for page in pages])
    assert set(labels.tolist()) == set(range(11))
    assert any(page.labels.size == 0 for page in pages)
    assert sum(page.ink[1].max() > 0.5 for page in pages) > len(pages) / 3
    assert max(len(page.labels) for page in pages) <= MOST_SIGNS


def test_a_layout_that_is_not_there_is_named(maker: PageMaker) -> None:
    with pytest.raises(UsageError, match="row"):
        maker.page(0, layout="rwo")


def test_lines_read_from_left_to_right_and_from_top_to_bottom(maker: PageMaker) -> None:
    for seed in range(20):
        page = maker.page(seed, layout="rows")
        middles = (page.boxes[:, :2] + page.boxes[:, 2:]) / 2
        heights = [middles[list(row), 1].mean() for row in page.lines]
        assert all(upper < lower for upper, lower in pairwise(heights))
        for row in page.lines:
            assert all(middles[a, 0] < middles[b, 0] + 12 for a, b in pairwise(row))
        if page.lines:
            assert sorted(sum(page.lines, ())) == list(range(len(page.labels)))
            assert len(page.text.replace("\n", "")) == len(page.labels)


def test_a_number_is_one_row_of_digits(maker: PageMaker) -> None:
    for seed in range(12):
        page = maker.number(seed, touching=seed % 2 == 0, lengths=(3, 8))
        assert page.grey.shape == (96, 384)
        assert len(page.lines) == 1
        assert 3 <= len(page.text) <= 8
        assert page.text.isdigit()
        assert page.lines[0] == tuple(range(len(page.labels)))
        ink = (page.ink[0] > 0.5).any(0)
        gaps = np.count_nonzero(np.diff(ink.astype(int)) == 1)
        assert gaps <= len(page.text)


def test_letters_that_stand_alone_cannot_be_read_as_digits() -> None:
    assert not set(LETTERS) & DIGIT_LIKE


def stem(x: float, top: float, bottom: float) -> Glyph:
    return Glyph(1, (line(x, top, x, bottom),))


def test_a_sign_that_the_frame_cuts_off_is_clutter() -> None:
    sheet = Sheet((60, 60))
    assert sheet.write(stem(20, -10, 40), Pen(3), 0)
    assert not sheet.write(stem(40, -30, 30), Pen(3), 0)
    assert not sheet.write(stem(90, 10, 40), Pen(3), 0)
    assert sheet.labels == [1]
    assert sheet.ink[0, 20, 20] == 1
    assert sheet.ink[1, 20, 40] == 1
    assert (sheet.owner[:, 35:] == -1).all()


def test_a_sign_that_others_cover_is_forgotten() -> None:
    sheet = Sheet((60, 60))
    sheet.write(stem(30, 10, 40), Pen(4), 0)
    sheet.write(Glyph(7, (line(30, 5, 30, 50),)), Pen(14), 0)
    sheet.write(stem(10, 10, 40), Pen(4), 0)
    covered = sheet.owner == 0
    sheet.owner[covered] = 1
    sheet.forget_hidden()
    assert sheet.labels == [7, 1]
    assert len(sheet.boxes) == len(sheet.rows) == 2
    assert sheet.owner[20, 30] == 0
    assert sheet.owner[20, 10] == 1
    assert sheet.owner[0, 0] == -1


def test_where_signs_overlap_the_one_that_covers_more_owns_the_pixel() -> None:
    sheet = Sheet((40, 40))
    sheet.write(stem(10.0, 5, 35), Pen(2), 0)
    sheet.write(stem(11.6, 5, 35), Pen(2), 0)
    assert sheet.owner[20, 9] == 0
    assert sheet.owner[20, 11:13].tolist() == [1, 1]


def test_a_pen_covers_what_it_should() -> None:
    stain = render([line(10, 10, 10, 50)], Pen(4))
    assert stain is not None
    assert stain.ink[20 - stain.top].sum() == pytest.approx(4, abs=0.3)
    columns = np.arange(stain.ink.shape[1]) + stain.left + 0.5
    middle = (stain.ink.sum(0) * columns).sum() / stain.ink.sum()
    assert middle == pytest.approx(10, abs=0.15)
    assert render([], Pen(2)) is None


def make_desk(digits: tuple[np.ndarray, np.ndarray], seed: int) -> Desk:
    hands = load_hands()
    rng = np.random.default_rng(seed)
    collection = Collection(*digits, hands, np.arange(len(hands)))
    return Desk(Sheet((64, 256)), Penman(collection, rng), rng)


def test_a_text_is_spelled_in_order_and_marks_are_no_signs(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    for seed in range(5):
        desk = make_desk(digits, seed)
        written = spell(desk, "12.50 x~", Spacing(0.2, 0, 0))
        assert [glyph.label for glyph, is_sign in written if is_sign] == [1, 2, 5, 0, 10]
        lefts = [glyph.box[0] for glyph, is_sign in written if is_sign]
        assert lefts == sorted(lefts)


def test_a_text_fits_its_box_or_is_shortened(digits: tuple[np.ndarray, np.ndarray]) -> None:
    desk = make_desk(digits, 1)
    fit(desk, "1234567", Spacing(0.2, 0, 0), (20, 10, 120, 60), 0)
    ys, xs = np.nonzero(desk.sheet.owner >= 0)
    assert 0 < len(desk.sheet.labels) <= 7
    assert xs.min() >= 17
    assert xs.max() < 123
    assert ys.min() >= 7
    assert ys.max() < 63
