"""How much arithmetic a network takes, and how fast this machine does arithmetic.

One multiply-add counts as two operations. Of a training it is assumed that the backward pass takes
twice the forward pass, because the gradients of the weights and those of the layer's input are one
product each:

    operations = 2 × multiply-adds of one image forward × 3 × images learned from

Whatever is no matrix product (pooling, activations, distortions, the optimizer) counts nothing.
"""

from __future__ import annotations

import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from digitnet.network.config import IMAGE_SIZE

FORMULA = "2 × multiply_adds × 3 × images"


def multiply_adds(network: nn.Module) -> int:
    """Return those of the products and convolutions that ``network`` does of one 28×28 image.

    In training mode it may do others than outside, and its batch statistics change.
    """
    # Two images, since batch normalisation in training needs more than one number.
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(2, 1, IMAGE_SIZE, IMAGE_SIZE))
    return int(counter.get_total_flops()) // 4


def training_operations(multiply_adds: int, images: float) -> float:
    """Return the operations of a training.

    Args:
        multiply_adds: of one image forward.
        images: how many were learned from, over all epochs.
    """
    return 2.0 * multiply_adds * 3 * images


def product_peak(
    threads: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
    *,
    size: int | None = None,
    repeats: int = 5,
) -> float:
    """Return the speed of a square matrix product in PyTorch, in GFLOP/s: the best of a few.

    Args:
        threads: of the CPU.
        dtype: of the numbers.
        device: where; by default the CPU.
        size: rows and columns; by default so many that a CPU, or a GPU, is busy.
        repeats: how many to time, after one that does not count.
    """
    device = device or torch.device("cpu")
    size = size or (2048 if device.type == "cpu" else 8192)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        a = torch.ones(size, size, dtype=dtype, device=device)
        times = [_seconds(a, device) for _ in range(repeats + 1)]
    finally:
        torch.set_num_threads(before)
    return float(2 * size**3 / min(times[1:]) / 1e9)


def _seconds(a: torch.Tensor, device: torch.device) -> float:
    # A GPU only notes what it is to do; its answer is waited for.
    wait = getattr(torch, device.type).synchronize
    wait()
    started = time.perf_counter()
    torch.mm(a, a)
    wait()
    return time.perf_counter() - started
