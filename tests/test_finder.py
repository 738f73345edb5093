"""The finder: shapes of its maps, and how maps become signs."""

from __future__ import annotations

import pytest
import torch

from digitnet.network.finder import MAX_SIGNS, Finder, Maps, find


@pytest.fixture(scope="module")
def finder() -> Finder:
    torch.manual_seed(0)
    return Finder().eval()


@pytest.mark.parametrize("shape", [(32, 32), (192, 192), (97, 131), (33, 250)])
@torch.inference_mode()
def test_maps_cover_pages_of_any_size(finder: Finder, shape: tuple[int, int]) -> None:
    height, width = shape
    maps = finder(torch.rand(2, 1, height, width) * 255)
    half, quarter = ((-(-height // n), -(-width // n)) for n in (2, 4))
    assert maps.strokes.shape == (2, 2, height, width)
    assert maps.votes.shape == (2, 2, *half)
    assert maps.centres.shape == (2, 2, *quarter)
    assert maps.sizes.shape == (2, 1, *quarter)


@torch.inference_mode()
def test_brightness_and_contrast_change_nothing(finder: Finder) -> None:
    page = torch.rand(1, 1, 64, 64) * 255
    brighter = page * 0.5 + 60
    for one, other in zip(finder(page), finder(brighter), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_an_even_page_is_no_division_by_zero(finder: Finder) -> None:
    with torch.inference_mode():
        assert all(bool(torch.isfinite(each).all()) for each in finder(torch.ones(1, 1, 40, 40)))


def test_it_is_small_enough_for_a_model_file_of_two_and_a_half_megabytes(finder: Finder) -> None:
    assert finder.num_parameters < 350_000


def _maps(*signs: tuple[int, int, int, int], size: int = 96) -> Maps:
    """Return perfect maps of squares of ink: left, top, side, and 0 for a digit or 1 otherwise."""
    strokes = torch.full((1, 2, size, size), -9.0)
    votes = torch.zeros(1, 2, size // 2, size // 2)
    centres = torch.full((1, 2, size // 4, size // 4), -9.0)
    sizes = torch.zeros(1, 1, size // 4, size // 4)
    at = torch.arange(size // 2) * 2.0 + 1
    for left, top, side, kind in signs:
        x, y = left + side / 2, top + side / 2
        strokes[0, 0, top : top + side, left : left + side] = 9.0
        rows, columns = (slice(start // 2, (start + side) // 2) for start in (top, left))
        votes[0, 0, rows, columns] = ((x - at[columns]) / side)[None, :]
        votes[0, 1, rows, columns] = ((y - at[rows]) / side)[:, None]
        centres[0, kind, int(y / 4), int(x / 4)] = 5.0 - left / 100
        sizes[0, 0, int(y / 4), int(x / 4)] = torch.log2(torch.tensor(side / 32))
    return Maps(strokes, votes, centres, sizes)


def test_each_sign_gets_its_own_ink_and_kind() -> None:
    found = find(_maps((8, 8, 20, 0), (28, 8, 20, 1), (60, 40, 32, 0)))
    assert len(found.inks) == 3
    assert [int(share > 0.5) for share in found.digit_share] == [1, 0, 1]
    lefts = [int(torch.nonzero(ink[0].amax(0) > 0.5)[0]) for ink in found.inks]
    assert lefts == [8, 28, 60]
    for ink, side in zip(found.inks, (20, 20, 32), strict=True):
        assert int((ink > 0.5).sum()) == pytest.approx(side * side, rel=0.1)


def test_no_ink_has_two_owners() -> None:
    found = find(_maps((8, 8, 20, 0), (28, 8, 20, 0)))
    assert float(found.inks.sum(0).max()) <= 1


def test_two_peaks_of_one_sign_are_one() -> None:
    maps = _maps((8, 8, 60, 0))
    maps.centres[0, 0, 10, 11] = 3.0
    maps.sizes[0, 0, 10, 11] = maps.sizes[0, 0].max()
    assert len(find(maps).inks) == 1


def test_a_page_of_nothing_has_no_sign() -> None:
    found = find(_maps())
    assert found.inks.shape == (0, 1, 96, 96)
    assert found.presence.shape == found.digit_share.shape == (0,)


def test_the_surest_sign_of_a_doubtful_page_is_kept_alone() -> None:
    maps = _maps((8, 8, 20, 0), (50, 50, 20, 0))
    maps.centres[maps.centres > 0] -= 7.0
    assert len(find(maps).inks) == 1


def test_there_are_never_more_signs_than_the_limit() -> None:
    signs = [(x, y, 4, 0) for x in range(0, 192, 8) for y in range(0, 192, 8)]
    found = find(_maps(*signs, size=192))
    assert len(found.inks) <= MAX_SIGNS
