"""Who reads the pictures of the bench: both answer in the same words."""

import numpy as np
import torch

from digitnet.experiments.robustness_readers import (
    invert_and_resize,
    read,
    read_plainly,
    read_texts,
)
from digitnet.network.cnn import CNN
from digitnet.network.config import ModelConfig
from made_up_bench import Blank, Fives


def test_a_picture_and_an_image_are_read_by_their_own_way():
    pictures = [np.full((9, 9), grey, np.uint8) for grey in (0, 100, 255)]
    for straight in (False, True):
        found = read(Fives(), pictures, straight)
        assert found.digit.tolist() == [5, 5, 5]
        assert found.rejected.tolist() == [True, False, False]


def test_a_blank_picture_is_read_as_nothing():
    found = read(Blank(), [np.zeros((9, 9), np.uint8)], False)
    assert found.digit.tolist() == [-1]
    assert found.rejected.tolist() == [True]


def test_invert_and_resize_does_no_more():
    picture = np.full((56, 280), 255, np.uint8)
    picture[:, :10] = 0
    found = invert_and_resize(picture)
    assert found.shape == (28, 28)
    assert (found[:, 0] == 255).all()
    assert not found[:, 1:].any()
    image = np.zeros((28, 28), np.uint8)
    image[3, 4] = 9
    np.testing.assert_array_equal(invert_and_resize(image), image)


def test_the_plain_network_reads_images_as_they_are(sample):
    torch.manual_seed(0)
    model = CNN(ModelConfig(channels=(4, 6), dense=(8,))).eval()
    images = sample.test_images[:50]
    with torch.inference_mode():
        logits = model(torch.from_numpy(images[:, None]).float() / 255)
    found = read_plainly(model, list(images), True)
    np.testing.assert_array_equal(found.digit, logits.argmax(1).numpy())
    assert not found.rejected.any()
    np.testing.assert_allclose(found.strangeness, 1 - found.confidence)
    # MNIST's own images, taken for pictures, are neither inverted nor resized.
    np.testing.assert_array_equal(read_plainly(model, list(images), False).digit, found.digit)


def test_texts_are_read_with_what_to_beware_of():
    found = read_texts(Fives(), [np.full((9, 30), 200, np.uint8), np.zeros((9, 9), np.uint8)])
    assert found.text == ("55", "5")
    assert found.accepted.tolist() == [True, False]
    np.testing.assert_allclose(found.confidence, [0.9, 0.3])
