import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from digitnet.network.canonical import BOX_SIZE, CENTRE, Canonical
from digitnet.network.cnn import to_float

canonical = Canonical()


@pytest.fixture(scope="module")
def digits(sample):
    return to_float(torch.from_numpy(sample.test_images[:200]))


@pytest.fixture(scope="module")
def images(digits):
    return canonical(digits)


def centre_of_mass(images):
    at = torch.arange(28) + 0.5
    mass = images.sum((1, 2, 3))
    x = (images.sum((1, 2)) * at).sum(1) / mass
    return x, (images.sum((1, 3)) * at).sum(1) / mass


def test_the_result_is_28_by_28_in_full_range(images):
    assert images.shape == (200, 1, 28, 28)
    assert images.min() == 0
    assert torch.allclose(images.amax((1, 2, 3)), torch.ones(200))


def test_the_centre_of_mass_lies_where_mnist_has_it(images):
    for centre in centre_of_mass(images):
        assert torch.allclose(centre, torch.full((200,), CENTRE), atol=0.1)


@given(height=st.integers(30, 120), width=st.integers(8, 120))
def test_the_longer_side_of_a_block_becomes_20_pixels(height, width):
    image = canonical(torch.ones(1, 1, height, width))
    rows, columns = image[0, 0].amax(1).sum().item(), image[0, 0].amax(0).sum().item()
    assert max(rows, columns) == pytest.approx(BOX_SIZE, abs=0.01)
    assert rows / columns == pytest.approx(height / width, rel=0.01)


@given(
    st.integers(0, 199), st.integers(0, 90), st.integers(0, 90), st.integers(0, 90),
    st.integers(0, 90),
)  # fmt: skip
def test_zeros_around_and_place_change_nothing(sample, index, left, right, above, below):
    digit = to_float(torch.from_numpy(sample.test_images[index : index + 1]))
    moved = canonical(F.pad(digit, (left, right, above, below)))
    assert torch.allclose(moved, canonical(digit), atol=1e-4)


@pytest.mark.parametrize("factor", [2, 3, 5, 10])
def test_enlarging_by_a_whole_factor_changes_nothing(digits, images, factor):
    large = digits.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    difference = (canonical(large) - images).abs()
    # MNIST's digits are 18 to 20 pixels by the measure used here: at the edge of the guarantee.
    assert difference.mean() < 1e-4
    assert difference.max() < 0.05


@pytest.mark.parametrize("factor", [2, 4])
def test_digits_above_20_pixels_do_not_change_at_all_when_enlarged(digits, factor):
    large = digits.repeat_interleave(3, 2).repeat_interleave(3, 3)
    larger = large.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    assert torch.allclose(canonical(larger), canonical(large), atol=1e-3)


@given(st.floats(0.01, 1.0))
def test_brightness_changes_nothing(sample, brightness):
    digits = to_float(torch.from_numpy(sample.test_images[:5]))
    assert torch.allclose(canonical(digits * brightness), canonical(digits), atol=1e-4)


def test_a_canonical_image_stays_as_it_is(images):
    again = canonical(images)
    assert (again - images).abs().mean() < 0.01


def test_a_batch_gives_what_each_gives_alone(digits, images):
    alone = torch.cat([canonical(digit[None]) for digit in digits[:20]])
    assert torch.allclose(alone, images[:20], atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (28, 28)])
def test_blank_ink_gives_a_blank_image(shape):
    assert not canonical(torch.zeros(2, 1, *shape)).any()


@settings(max_examples=30)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 10_000))
def test_any_ink_gives_a_finite_image_in_range(height, width, seed):
    ink = torch.from_numpy(np.random.default_rng(seed).random((1, 1, height, width), np.float32))
    image = canonical(ink)
    assert torch.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1


def test_a_thin_line_stays_bright():
    page = torch.zeros(1, 1, 280, 280)
    page[:, :, 40:240, 140:142] = 1
    assert canonical(page).amax() == 1


def test_gradients_reach_the_ink(digits):
    ink = digits[:2].clone().requires_grad_()
    canonical(ink).square().sum().backward()
    assert ink.grad is not None
    assert torch.isfinite(ink.grad).all()
    assert ink.grad.any()
