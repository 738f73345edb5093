"""How much arithmetic a network takes: counted by hand for networks that can be."""

from dataclasses import replace

import pytest
import torch

from digitnet.experiments.arithmetic import multiply_adds, product_peak, training_operations
from digitnet.network.cnn import CNN
from digitnet.network.config import ModelConfig


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        # Of 28 pixels the reference uses 26: 24 × 24 and 10 × 10 places, then two dense layers.
        (ModelConfig(), 24**2 * 32 * 9 + 10**2 * 64 * 32 * 9 + 1600 * 64 + 64 * 10),
        (
            ModelConfig(channels=(4,), kernel_size=5, padding=True, batch_norm=True, dense=()),
            28**2 * 4 * 25 + 4 * 14**2 * 10,
        ),
    ],
)
def test_multiply_adds_are_those_of_convolutions_and_dense_layers(config, expected):
    network = CNN(config)
    assert multiply_adds(network.eval()) == expected


def test_a_training_sees_an_image_once_however_often_a_test_does():
    config = ModelConfig(channels=(4,), padding=True, batch_norm=True, border=2, test_shifts=1)
    network = CNN(config)
    once = 24**2 * 4 * 9 + 12**2 * 4 * 64 + 64 * 10
    assert multiply_adds(network.train()) == once
    # The last layer takes the mean of nine.
    assert multiply_adds(network.eval()) == 9 * (once - 640) + 640


def test_a_training_sees_what_follows_pooling_at_all_phases_four_times():
    config = ModelConfig(channels=(4, 4), padding=True, pool_phases=True, dense=())
    first, second, last = 28**2 * 4 * 9, 14**2 * 4 * 4 * 9, 10 * 4 * 49
    assert multiply_adds(CNN(config).train()) == first + 4 * second + last
    config = replace(config, channels=(4, 4, 4))
    last = 10 * 4 * 9
    assert multiply_adds(CNN(config).train()) == first + second + 4 * 7**2 * 4 * 4 * 9 + last


def test_a_training_takes_three_forward_passes_of_two_operations():
    assert training_operations(1000, 54_000) == 6 * 1000 * 54_000


def test_the_peak_is_a_speed_and_leaves_the_threads_alone():
    before = torch.get_num_threads()
    assert product_peak(1, size=64, repeats=1) > 0
    assert product_peak(1, torch.bfloat16, size=64, repeats=1) > 0
    assert torch.get_num_threads() == before
