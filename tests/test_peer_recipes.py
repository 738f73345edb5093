"""The peers of the benchmark: they are what was published, and are timed as promised."""

import dataclasses

import pytest

from peer_recipes import PEERS, example_network, one_epoch_network, side, train
from timing import starting


@pytest.mark.parametrize(
    ("network", "parameters"), [(one_epoch_network, 215_194), (example_network, 1_199_882)]
)
def test_networks_have_the_published_number_of_parameters(network, parameters):
    assert sum(weights.numel() for weights in network().parameters()) == parameters


@pytest.mark.usefixtures("one_thread")
def test_a_peer_learns_and_its_epochs_are_told_apart(sample):
    few = dataclasses.replace(
        sample,
        train_images=sample.train_images[:1500],
        train_labels=sample.train_labels[:1500],
        test_images=sample.test_images[:200],
        test_labels=sample.test_labels[:200],
    )
    peer = dataclasses.replace(PEERS["one-epoch"], batch=50)
    told = train(peer, few, seed=1)
    assert told["parameters"] == 215_194
    assert len(told["seconds"]) == len(told["accuracy"]) == 1
    assert told["accuracy"][0] > 0.6
    assert min(told["seconds"][0], told["evaluating"]) > 0
    assert train(peer, few, seed=1)["accuracy"] == told["accuracy"]


def test_the_first_step_is_compared_with_the_others():
    assert starting(10.0, [15.0, 16.0, 17.0, 18.5]) == 4.0
    assert starting(10.0, [10.5, 11.5, 12.5]) == 0.0


def test_a_side_is_counted_from_the_first_epoch_that_reaches_the_target():
    run = {"parameters": 1, "seconds": [1.0, 2.0, 3.0], "whole": 4.0}
    told = side(
        [run | {"accuracy": [0.9, 0.991, 0.98]}, run | {"accuracy": [0.9, 0.9, 0.98]}], 0.99
    )
    assert told["seconds_to_target"] == [2.0, None]
    assert told["accuracy"]["mean"] == 0.98
    assert told["seconds"]["median"] == 3.0
