import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from digitnet.network.cnn import to_float
from digitnet.synthesis import faults
from digitnet.synthesis.faults import add_faults

FAULTS = {fault.__name__.removeprefix("_"): fault for fault, _ in faults._FAULTS}


@pytest.fixture(scope="module")
def digits(sample):
    return F.pad(to_float(torch.from_numpy(sample.train_images[:200])), (6, 6, 6, 6))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def with_fault(digits, name):
    return FAULTS[name](digits, faults._BatchDice(digits, seeded()))


def test_nothing_happens_without_probability(digits):
    assert add_faults(digits, 0.0, seeded()) is digits


@pytest.mark.parametrize("probability", [0.05, 1.0])
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


def test_each_fault_comes_as_often_as_promised(monkeypatch):
    # Faults that show which of them came: fault k sets pixel k.
    def setting(index):
        def fault(images, _dice):
            images = images.clone()
            images[:, 0, 0, index] = 1
            return images

        return fault

    marks = [(setting(index), times) for index, (_, times) in enumerate(faults._FAULTS)]
    monkeypatch.setattr(faults, "_FAULTS", marks)
    came = add_faults(torch.zeros(10_000, 1, 1, 11), 0.05, seeded())[:, 0, 0].double()
    # Ten faults in 5 % of the images each, hard thresholds in 25 %: within four standard errors.
    expected = torch.tensor([0.25 if name == "threshold" else 0.05 for name in FAULTS]).double()
    assert ((came.mean(0) - expected).abs() < 4 * (expected * (1 - expected) / 10_000).sqrt()).all()
    # Independent of each other, they leave 0.95^10 · 0.75 = 44.9 % of the images alone.
    assert (came.sum(1) == 0).double().mean().item() == pytest.approx(0.449, abs=0.02)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_changes_digits_and_leaves_them_readable(digits, name):
    faulty = with_fault(digits, name).clamp(0, 1)
    # None is invisible, though remains of lines and specks may miss an image.
    assert (faulty != digits).flatten(1).any(1).double().mean() > 0.5
    pairs = torch.stack((faulty.flatten(1), digits.flatten(1)), 1)
    similar = torch.stack([torch.corrcoef(pair)[0, 1] for pair in pairs])
    assert similar.median() > 0.7


@pytest.mark.parametrize("name", ["gaps", "wiped_lines", "cut"])
def test_some_faults_only_take_ink_away(digits, name):
    assert (with_fault(digits, name) <= digits + 1e-6).all()


@pytest.mark.parametrize("name", ["remains_of_lines", "neighbour", "specks"])
def test_some_faults_only_add_ink(digits, name):
    assert (with_fault(digits, name) >= digits).all()
