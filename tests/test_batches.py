import pytest
import torch

from digitnet.errors import UsageError
from digitnet.network.cnn import to_float
from digitnet.network.config import AugmentationConfig, ModelConfig, TrainConfig
from digitnet.training.batches import Batches

PLAIN = TrainConfig()
CANONICAL = ModelConfig(canonical=True, reject=True)


@pytest.fixture(scope="module")
def stored(sample):
    return torch.from_numpy(sample.train_images[:400]), torch.from_numpy(sample.train_labels[:400])


def batch(stored, config, seed=0):
    batches = Batches(*stored, config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return batches.batch(torch.arange(64))


def test_without_settings_a_batch_is_the_stored_images(stored):
    images, labels = batch(stored, PLAIN)
    assert torch.equal(images, to_float(stored[0][:64]))
    assert torch.equal(labels, stored[1][:64])


def test_the_state_of_the_generator_decides(stored):
    config = PLAIN.override(pen=0.5, style=0.5, faults=0.2, rotate=10)
    first, again, other = (batch(stored, config, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_stored_images_are_never_changed(stored):
    before = stored[0].clone()
    batch(stored, PLAIN.override(pen=1.0, style=1.0, faults=1.0))
    assert torch.equal(stored[0], before)


def test_a_canonical_network_gets_room_around_its_images(stored):
    images, _ = batch(stored, TrainConfig(model=ModelConfig(canonical=True)))
    assert images.shape == (64, 1, 40, 40)
    assert torch.equal(images[:, :, 6:34, 6:34], to_float(stored[0][:64]))


def test_drawings_of_no_digit_come_behind_with_a_label_of_their_own(stored, monkeypatch):
    monkeypatch.setattr("digitnet.training.batches._NON_DIGITS", 60)
    images, labels = batch(stored, TrainConfig(model=CANONICAL, non_digits=0.25))
    assert images.shape == (80, 1, 40, 40)
    assert torch.equal(labels[:64], stored[1][:64])
    assert (labels[64:] == 10).all()
    assert (images[64:].amax((1, 2, 3)) > 0).all()


def test_half_of_the_drawings_are_as_soft_as_mnist(stored, monkeypatch):
    # Were all of them sharper than digits, the network would learn to refuse what is sharp.
    monkeypatch.setattr("digitnet.training.batches._NON_DIGITS", 60)
    config = TrainConfig(model=CANONICAL, non_digits=3.0)
    drawings = {drawing.numpy().tobytes() for drawing in Batches(*stored, config).non_digits}
    images, _ = batch(stored, config)
    kept = [(image * 255).round().byte().numpy().tobytes() in drawings for image in images[64:, 0]]
    assert 0.35 < sum(kept) / len(kept) < 0.65
    softened = images[64:][~torch.tensor(kept)]
    assert steepest(softened).mean() < 0.8 * steepest(images[64:][torch.tensor(kept)]).mean()


def steepest(images):
    """Return the largest step between neighbouring pixels of each image."""
    return (images[..., 1:] - images[..., :-1]).abs().amax((1, 2, 3))


def test_a_share_of_the_images_is_redrawn(stored):
    config = TrainConfig(augmentation=AugmentationConfig(pen=0.5))
    images, _ = batch(stored, config)
    changed = (images != to_float(stored[0][:64])).any(3).any(2).float().mean()
    assert 0.25 < changed < 0.75


@pytest.mark.parametrize("model", [ModelConfig(), ModelConfig(canonical=True)])
def test_drawings_of_no_digit_need_a_network_that_refuses(model):
    with pytest.raises(UsageError, match="--reject"):
        TrainConfig(model=model, non_digits=0.2)
