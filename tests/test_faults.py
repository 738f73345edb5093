import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from digitnet.network.cnn import to_float
from digitnet.synthesis import faults
from digitnet.synthesis.faults import add_faults


@pytest.fixture(scope="module")
def digits(sample):
    return F.pad(to_float(torch.from_numpy(sample.train_images[:300])), (6, 6, 6, 6))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_nothing_happens_without_probability(digits):
    assert add_faults(digits, 0.0, seeded()) is digits


@pytest.mark.parametrize("probability", [0.05, 0.3, 1.0])
def test_shape_type_and_range_stay(digits, probability):
    faulty = add_faults(digits, probability, seeded())
    assert faulty.shape == digits.shape
    assert faulty.dtype == torch.float32
    assert faulty.min() >= 0
    assert faulty.max() <= 1


def test_the_generator_decides_and_the_input_is_left_alone(digits):
    before = digits.clone()
    first, again = (add_faults(digits, 0.2, seeded(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, add_faults(digits, 0.2, seeded(4)))
    assert torch.equal(digits, before)


def test_as_many_images_change_as_the_probability_says(digits):
    faulty = add_faults(digits, 0.05, seeded())
    changed = (faulty != digits).any(3).any(2).float().mean().item()
    # Ten faults, each in 5 % of the images, and none of them invisible: 1 - 0.95^10 = 40 %.
    assert changed == pytest.approx(0.40, abs=0.1)


EACH = ["gaps", "rests_of_lines", "wiped_lines", "neighbour", "specks", "cut", "blur", "tone",
        "threshold", "noise"]  # fmt: skip


@pytest.mark.parametrize("name", EACH)
def test_each_fault_changes_digits_and_leaves_them_readable(digits, name):
    fault = getattr(faults, f"_{name}")
    faulty = fault(digits, faults._Draw(digits, 1.0, seeded())).clamp(0, 1)
    assert not torch.equal(faulty, digits)
    pairs = torch.stack((faulty.flatten(1), digits.flatten(1)), 1)
    similar = torch.stack([torch.corrcoef(pair)[0, 1] for pair in pairs])
    assert similar.median() > 0.7


@pytest.mark.parametrize("name", ["gaps", "wiped_lines", "cut"])
def test_some_faults_only_take_ink_away(digits, name):
    faulty = getattr(faults, f"_{name}")(digits, faults._Draw(digits, 1.0, seeded()))
    assert (faulty <= digits + 1e-6).all()


@pytest.mark.parametrize("name", ["rests_of_lines", "neighbour", "specks"])
def test_some_faults_only_add_ink(digits, name):
    faulty = getattr(faults, f"_{name}")(digits, faults._Draw(digits, 1.0, seeded()))
    assert (faulty >= digits).all()
