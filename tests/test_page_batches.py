"""Batches of pages: the same whenever they are drawn, and targets that fit the maps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from digitnet.data.dataset import Dataset
from digitnet.network.finder import Finder, Maps, find
from digitnet.network.recipes import recipe
from digitnet.synthesis.page_scenes import PageMaker
from digitnet.training.finder_training import finder_loss, page_maker
from digitnet.training.page_batches import PageBatch, PageBatches, batch_of, drawn


@pytest.fixture(scope="module")
def maker(sample: Dataset) -> PageMaker:
    return page_maker(recipe("finder"), sample, training=True)


@pytest.fixture
def batches(maker: PageMaker) -> Iterator[PageBatches]:
    stream = PageBatches(maker, 3, seed=4)
    yield stream
    stream.close()


def same(one: PageBatch, other: PageBatch) -> bool:
    return all(torch.equal(mine, vars(other)[name]) for name, mine in vars(one).items())


def test_a_page_is_the_same_wherever_it_is_drawn(batches: PageBatches, maker: PageMaker) -> None:
    for first in (0, 3, 12, 15, 3):
        assert same(
            batches.batch(torch.arange(first, first + 3)), batch_of(drawn(maker, 4, first, 3))
        )


def test_pages_do_not_repeat(batches: PageBatches) -> None:
    one, other = (batches.batch(torch.arange(first, first + 3)) for first in (0, 3))
    assert one.pages.shape != other.pages.shape or not torch.equal(one.pages, other.pages)


def test_targets_have_the_shapes_of_maps_and_no_loss_where_they_are_met(maker: PageMaker) -> None:
    batch = batch_of(drawn(maker, 0, 0, 4))
    with torch.inference_mode():
        maps = Finder().eval()(batch.pages)
    targets = (batch.strokes, batch.votes, batch.centres, batch.sizes)
    assert [each.shape for each in maps] == [each.shape for each in targets]
    assert float(finder_loss(perfect(batch), batch)) < 0.3 < float(finder_loss(maps, batch))


def test_all_of_a_batch_goes_to_a_device(maker: PageMaker) -> None:
    device = torch.device("meta")
    batch = batch_of(drawn(maker, 0, 0, 1)).to(device)
    with device:
        finder = Finder()
    assert finder_loss(finder(batch.pages), batch).device == device


def test_met_targets_are_found_as_signs(maker: PageMaker) -> None:
    for seed in range(4):
        page = maker.page(seed, layout="anywhere")
        maps = perfect(batch_of(arrays_of(maker, seed)))
        assert len(find(maps).presence) == len(page.labels)


def arrays_of(maker: PageMaker, seed: int) -> dict[str, torch.Tensor]:
    class OneLayout:
        def page(self, _seed: int, _shape: tuple[int, int]) -> object:
            return maker.page(seed, layout="anywhere")

    return drawn(OneLayout(), 0, 0, 1)  # type: ignore[arg-type, return-value]


def perfect(batch: PageBatch) -> Maps:
    """Return maps that say what is there."""
    strokes = torch.logit(batch.strokes.clamp(1e-4, 1 - 1e-4))
    centres = torch.logit(torch.where(batch.centres == 1, 1 - 1e-4, 1e-4))
    return Maps(strokes, batch.votes, centres, batch.sizes)
