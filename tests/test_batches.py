"""What a step sees: images distorted one by one, drawings behind them, everything by the seed."""

import math
import string
from dataclasses import fields

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from digitnet.errors import UsageError
from digitnet.network.cnn import to_float
from digitnet.network.config import AugmentationConfig, ModelConfig, TrainConfig
from digitnet.training.batches import Batches, _dilated, augment

pytestmark = pytest.mark.usefixtures("one_thread")

PLAIN = TrainConfig()
CANONICAL = ModelConfig(canonical=True, reject=True)


@pytest.fixture(scope="module")
def stored(sample):
    return torch.from_numpy(sample.train_images[:400]), torch.from_numpy(sample.train_labels[:400])


def batch(stored, config, seed=0):
    batches = Batches(*stored, config, string.digits)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = batches.batch(torch.arange(64))
    assert made.count == 64
    return made.images, made.labels


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
    (made,) = Batches(*stored, config, string.digits).drawings
    drawings = {drawing.numpy().tobytes() for drawing in made.images}
    images, _ = batch(stored, config)
    kept = [(image * 255).round().byte().numpy().tobytes() in drawings for image in images[64:, 0]]
    assert 0.35 < sum(kept) / len(kept) < 0.65
    softened = images[64:][~torch.tensor(kept)]
    assert steepest(softened).mean() < 0.8 * steepest(images[64:][torch.tensor(kept)]).mean()


def steepest(images):
    """Return the largest step between neighbouring pixels of each image."""
    return (images[..., 1:] - images[..., :-1]).abs().amax((1, 2, 3))


def test_digits_of_other_hands_come_between_the_images_and_what_is_no_digit(stored, monkeypatch):
    for name in ("_NON_DIGITS", "_HANDS", "_SIGNS", "_FOUND"):
        monkeypatch.setattr(f"digitnet.training.batches.{name}", 60)
    config = TrainConfig(model=CANONICAL, hands=0.5, found=0.5, non_digits=0.25, signs=0.25)
    images, labels = batch(stored, config)
    assert images.shape == (64 + 32 + 32 + 16 + 16, 1, 40, 40)
    assert torch.equal(labels[:64], stored[1][:64])
    assert (labels[64:96] < 10).all()
    assert len(labels[64:96].unique()) > 3
    assert len(labels[96:128].unique()) > 3
    assert (images[96:128, :, :6] < 1 / 255).all()
    assert (labels[128:] == 10).all()
    again, _ = batch(stored, config)
    assert torch.equal(images, again)


def test_thick_strokes_are_the_largest_of_their_neighbourhood():
    images = torch.rand(5, 1, 9, 12)
    expected = torch.nn.functional.max_pool2d(images, 3, stride=1, padding=1)
    assert torch.equal(_dilated(images), expected)


def test_a_share_of_the_images_is_redrawn(stored):
    config = TrainConfig(augmentation=AugmentationConfig(pen=0.5))
    images, _ = batch(stored, config)
    changed = (images != to_float(stored[0][:64])).any(3).any(2).float().mean()
    assert 0.25 < changed < 0.75


@pytest.mark.parametrize("model", [ModelConfig(), ModelConfig(canonical=True)])
def test_drawings_of_no_digit_need_a_network_that_refuses(model):
    with pytest.raises(UsageError, match="--reject"):
        TrainConfig(model=model, non_digits=0.2)


def test_styles_are_for_digits_and_not_for_the_classes_that_have_their_numbers(stored):
    config = PLAIN.override(style=1.0)
    for names in ("ABCDEFGHIJ", [*string.digits[:0], *(f"{n}0" for n in string.digits)]):
        assert torch.equal(Batches(*stored, config, names).images, stored[0])
    changed = (Batches(*stored, config, string.digits).images != stored[0]).any(2).any(1)
    assert {int(label) for label in stored[1][changed]} == {0, 1, 5, 7, 9}
    # A folder of sevens and ones only numbers them otherwise.
    few = [images_or_labels[(stored[1] == 1) | (stored[1] == 7)] for images_or_labels in stored]
    renumbered = (few[1] == 7).long()
    assert (Batches(few[0], renumbered, config, ["1", "7"]).images != few[0]).any(2).any(1).all()


STRONG = {"shift": 3, "rotate": 30, "scale": 0.3, "shear": 20, "elastic": 1.5, "stroke": 0.8}
CONFIGS = [AugmentationConfig(**{name: value}) for name, value in STRONG.items()]
CONFIGS.append(AugmentationConfig(**STRONG))
IDS = [*STRONG, "all"]
each_config = pytest.mark.parametrize("config", CONFIGS, ids=IDS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits(sample):
    return to_float(torch.from_numpy(sample.train_images[:64]))


def blobs(count, x=0.0, y=0.0, wide=2.0, high=2.0):
    """Return (count, 1, 28, 28): a Gaussian blob, ``x`` right of and ``y`` below the centre."""
    at = torch.arange(28) - 13.5
    column = torch.exp(-(((at - y) / high) ** 2) / 2)
    row = torch.exp(-(((at - x) / wide) ** 2) / 2)
    return (column[:, None] * row).expand(count, 1, 28, 28).clone()


def moments(images):
    """Return mass, mean x, mean y from the centre, and the covariance (N, 2, 2), in pixels."""
    at = torch.arange(28, dtype=torch.float64) - 13.5
    ink = images[:, 0].double()
    mass = ink.sum((1, 2))
    x = (ink.sum(1) @ at) / mass
    y = (ink.sum(2) @ at) / mass
    dx, dy = at - x[:, None], at - y[:, None]
    xx = (ink.sum(1) * dx**2).sum(1) / mass
    yy = (ink.sum(2) * dy**2).sum(1) / mass
    xy = torch.einsum("nyx,nx,ny->n", ink, dx, dy) / mass
    return mass, x, y, xx, yy, xy


@each_config
def test_shape_type_range_and_input_stay(config, digits):
    before = digits.clone()
    changed = augment(digits, config, seeded())
    assert changed.shape == digits.shape
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(digits, before)
    assert changed.data_ptr() != digits.data_ptr()


@each_config
def test_only_the_generator_decides(config, digits):
    state = torch.get_rng_state()
    first, again, other = (augment(digits, config, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@each_config
def test_every_image_and_every_call_is_distorted_anew(config, digits):
    generator = seeded()
    same = digits[:1].expand(16, -1, -1, -1)
    first, second = augment(same, config, generator), augment(same, config, generator)
    rows = torch.cat([first, second]).flatten(1)
    assert (torch.cdist(rows, rows) + torch.eye(32) > 1e-3).all()


def test_no_augmentation_is_the_very_same_images(digits):
    generator = seeded()
    state = generator.get_state()
    assert augment(digits, AugmentationConfig(), generator) is digits
    assert torch.equal(generator.get_state(), state)


@settings(max_examples=25)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "shift": st.floats(0, 14),
            "rotate": st.floats(0, 180),
            "scale": st.floats(0, 1),
            "shear": st.floats(0, 60),
            "elastic": st.floats(0, 14),
            "stroke": st.floats(0, 1),
        },
    ),
    st.integers(0, 2**32),
    st.tuples(st.integers(1, 3), st.just(1), st.integers(1, 40), st.integers(1, 40)),
)
def test_any_strength_and_any_size_keeps_shape_and_range(strength, seed, shape):
    images = torch.rand(shape, generator=seeded(seed))
    changed = augment(images, AugmentationConfig(**strength), seeded(seed))
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_every_distortion_can_be_told_from_none(digits):
    for f in fields(AugmentationConfig):
        config = AugmentationConfig(**{f.name: 1e-9})
        assert torch.allclose(augment(digits, config, seeded()), digits, atol=1e-4), f.name


def test_shift_moves_the_centre_of_mass_and_nothing_else():
    images = blobs(400)
    mass, x, y, xx, yy, _ = moments(augment(images, AugmentationConfig(shift=3), seeded()))
    for offset in (x, y):
        assert offset.abs().max() <= 3 + 1e-3
        # Uniform in either direction: the limit is nearly reached, and the spread is 3/√3.
        assert offset.min() < -2.9
        assert offset.max() > 2.9
        assert offset.std() == pytest.approx(3 / math.sqrt(3), rel=0.1)
    assert torch.allclose(mass, moments(images)[0], rtol=1e-3)
    assert torch.allclose(xx, yy, atol=0.3)
    assert not torch.allclose(x, y, atol=0.5)


def test_a_shift_is_in_pixels_on_any_shape():
    images = torch.zeros(200, 1, 20, 40)
    images[:, :, 10, 20] = 1
    changed = augment(images, AugmentationConfig(shift=2), seeded())
    rows, columns = changed.amax(3) > 1e-5, changed.amax(2) > 1e-5
    for lit, centre in ((rows, 10), (columns, 20)):
        where = lit.any(0).any(0).nonzero()
        assert (where.min().item(), where.max().item()) == (centre - 2, centre + 2)


def test_rotate_turns_about_the_centre_and_keeps_the_ink():
    images = blobs(400, x=7.0, wide=1.5, high=1.5)
    mass, x, y, xx, yy, _ = moments(augment(images, AugmentationConfig(rotate=40), seeded()))
    assert torch.allclose(mass, moments(images)[0], rtol=0.02)
    assert torch.allclose(torch.hypot(x, y), torch.full_like(x, 7.0), atol=0.05)
    angle = torch.rad2deg(torch.atan2(y, x))
    assert angle.abs().max() <= 40.1
    assert angle.min() < -39
    assert angle.max() > 39
    assert torch.allclose(xx, yy, atol=0.2)


def test_scale_changes_each_axis_between_one_over_and_times():
    images = blobs(400, wide=2.5, high=2.5)
    _, x, y, xx, yy, _ = moments(augment(images, AugmentationConfig(scale=0.4), seeded()))
    for variance in (xx, yy):
        factor = variance.sqrt() / 2.5
        assert factor.min() > 1 / 1.4 - 0.02
        assert factor.max() < 1.4 + 0.02
        assert factor.min() < 1 / 1.4 + 0.05
        assert factor.max() > 1.4 - 0.05
        assert factor.log().mean().abs() < 0.05
    assert not torch.allclose(xx, yy, rtol=0.1)
    assert max(x.abs().max(), y.abs().max()) < 0.01


def test_shear_slants_and_keeps_height_and_ink():
    images = blobs(400, wide=1.5, high=3.0)
    mass, x, y, _, yy, xy = moments(augment(images, AugmentationConfig(shear=30), seeded()))
    slant = torch.rad2deg(torch.atan(xy / yy))
    assert slant.abs().max() <= 31
    assert slant.min() < -26
    assert slant.max() > 26
    assert torch.allclose(mass, moments(images)[0], rtol=0.02)
    assert torch.allclose(yy, torch.full_like(yy, 9.0), atol=0.3)
    assert max(x.abs().max(), y.abs().max()) < 0.05


def test_stroke_thickens_or_thins_up_to_a_dilation_or_an_erosion(digits):
    thick = F.max_pool2d(digits, 3, stride=1, padding=1)
    thin = -F.max_pool2d(-digits, 3, stride=1, padding=1)
    changed = augment(digits, AugmentationConfig(stroke=1), seeded())
    assert (changed <= thick + 1e-6).all()
    assert (changed >= thin - 1e-6).all()
    grown = (changed >= digits - 1e-6).flatten(1).all(1)
    shrunk = (changed <= digits + 1e-6).flatten(1).all(1)
    # Each image is changed one way, and both ways occur.
    assert (grown ^ shrunk).all()
    assert min(grown.sum(), shrunk.sum()) > 16
    amount = (changed - digits).abs().sum((1, 2, 3))
    full = torch.where(grown, (thick - digits).sum((1, 2, 3)), (digits - thin).sum((1, 2, 3)))
    assert 0.9 < (amount / full).max() <= 1 + 1e-5


def test_less_stroke_changes_proportionally_less(digits):
    full, half = (
        augment(digits, AugmentationConfig(stroke=limit), seeded()) - digits for limit in (1, 0.5)
    )
    assert torch.allclose(half, full / 2, atol=1e-6)


def ramps(count, size):
    """Return images whose grey tells the column, and images whose grey tells the row."""
    ramp = torch.arange(size) / (size - 1)
    across = ramp.expand(count, 1, size, size)
    return across.contiguous(), across.transpose(2, 3).contiguous()


@pytest.mark.parametrize("size", [0.5, 2.0])
def test_elastic_displaces_by_about_its_size_and_smoothly(size):
    # On a ramp, grey is position: the displacement can be read off, away from the border.
    span, margin = 60, 12
    inner = (slice(None), 0, slice(margin, -margin), slice(margin, -margin))
    moved = []
    for images in ramps(60, span):
        changed = augment(images, AugmentationConfig(elastic=size), seeded())
        moved.append(((changed - images) * (span - 1))[inner])
    for displacement in moved:
        assert displacement.square().mean().sqrt() == pytest.approx(size, rel=0.1)
        assert abs(displacement.mean()) < size / 4
        # Neighbours move together: this is a bend, not noise.
        step = displacement.diff(dim=2)
        assert step.square().mean().sqrt() < 0.25 * size
    correlation = torch.corrcoef(torch.stack([d.flatten() for d in moved]))[0, 1]
    assert abs(correlation) < 0.2


def test_all_distortions_together_resample_once(digits):
    # Twice resampled strokes would be blurred more than once resampled ones.
    once = augment(digits, AugmentationConfig(shift=0.5), seeded())
    config = AugmentationConfig(shift=0.5, rotate=1e-6, shear=1e-6, elastic=1e-6, scale=1e-6)
    together = augment(digits, config, seeded())

    def sharpness(images):
        return images.diff(dim=3).square().mean().item()

    assert sharpness(together) == pytest.approx(sharpness(once), rel=0.1)


def test_digits_stay_digits(digits):
    mild = AugmentationConfig(shift=2, rotate=10, scale=0.1, shear=5)
    changed = augment(digits, mild, seeded())
    ratio = changed.sum((1, 2, 3)) / digits.sum((1, 2, 3))
    assert ratio.min() > 0.7
    assert ratio.max() < 1.4
